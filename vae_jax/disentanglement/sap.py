"""Separated attribute predictability: how much better the best latent predicts a factor than the second-best."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from vae_jax.disentanglement._arrays import (
    best_two,
    centred,
    check_codes,
    check_split,
    mean_of,
    scikit_learn,
    varies,
)
from vae_jax.errors import InputError
from vae_jax.shapes import AnyArray

Array = jax.Array


class SAP(NamedTuple):
    """The score, and what it is made of."""

    score: Float[Array, ""]  # the mean of per_factor over the factors that vary
    per_factor: Float[Array, " k"]  # 0 for a constant factor
    predictability: Float[Array, "d k"]  # of each factor from each latent alone
    active: Bool[Array, " d"]  # False for a latent that is constant
    varying: Bool[Array, " k"]  # False for a factor that is constant


def sap_linear_svm(
    codes: Num[AnyArray, "N d"],
    factors: Int[AnyArray, "N k"],
    *,
    test_codes: Num[AnyArray, "M d"],
    test_factors: Int[AnyArray, "M k"],
    regularization: float = 0.01,
    seed: int = 0,
) -> SAP:
    """SAP of discrete factors: the gap in test accuracy of linear support vector machines of one latent each.

    SAP = mean_k [ A_{j1 k} - A_{j2 k} ],  A_jk the accuracy for factor k from z_j, j1, j2 the two best latents

    In [0, 1]. Useless codes and codes that tell everything twice score about 0. A perfect code scores 1 - chance
    for factors of two values, and less for more, as one linear score orders only some of the values. A constant
    latent predicts one value; one latent alone is compared with a constant one. The machines have a penalty, on the
    offset too, so the score depends on the scale of the latents; not on their means, for each is centred first,
    which the sources leave to the codes.

    codes: [N, d], factors: integers [N, k], test_codes: [M, d], test_factors: [M, k]. Constant factors are left
    out. scikit-learn's LinearSVC with balanced classes and C = `regularization`, d k of them: slow. Raises
    InputError for other shapes, and without scikit-learn. Source: Kumar et al. 2018 (arXiv:1711.00848), with the
    settings of Locatello et al. 2019 (arXiv:1811.12359).
    """
    svm = scikit_learn("svm")
    codes, factors, test_codes, test_factors = check_split(codes, factors, test_codes, test_factors)
    active, varying = varies(codes), varies(factors)
    mean = np.mean(codes.astype(np.float64), axis=0)
    # A constant latent in last place is the comparison for a latent that is alone.
    alone = codes.shape[1] == 1
    columns, test_columns = (np.pad(c - mean, ((0, 0), (0, int(alone)))) for c in (codes, test_codes))
    accuracy = np.zeros((columns.shape[1], factors.shape[1]))
    for k in np.flatnonzero(varying):
        for j in range(columns.shape[1]):
            model = svm.LinearSVC(C=regularization, class_weight="balanced", random_state=seed)
            model.fit(columns[:, j : j + 1], factors[:, k])
            accuracy[j, k] = np.mean(model.predict(test_columns[:, j : j + 1]) == test_factors[:, k])
    return _gap(jnp.asarray(accuracy), num_latents=codes.shape[1], active=active, varying=varying)


def sap_squared_correlation(codes: Num[AnyArray, "N d"], factors: Num[AnyArray, "N k"]) -> SAP:
    """SAP of ordered factors: the gap in squared correlation, R^2 of the linear regression on one latent.

    SAP = mean_k [ r_{j1 k}^2 - r_{j2 k}^2 ],  r_jk = cov(z_j, v_k) / sqrt(var z_j var v_k)

    In [0, 1]. Each factor as a linear function of a latent of its own scores 1 (if the factors are uncorrelated);
    codes that tell nothing, or everything twice, score 0. A constant latent has r = 0; one latent alone is compared
    with 0; constant factors are left out.

    codes: [N, d], factors: [N, k], integers or floats. What is not traced is centred in float64 on the host.
    Raises InputError for other shapes. Source: Kumar et al. 2018 (arXiv:1711.00848).
    """
    codes, factors = check_codes(codes), check_codes(factors, "factors")
    if len(codes) != len(factors):
        raise InputError(f"{len(codes)} codes and {len(factors)} factors: expected as many rows of each")
    (units, active), (factor_units, varying) = _unit(codes), _unit(factors)
    squared = jnp.square(jnp.matmul(units.T, factor_units, precision="highest"))
    return _gap(jnp.minimum(squared, 1.0), num_latents=codes.shape[1], active=active, varying=varying)


def _unit(columns: Any) -> tuple[Array, Array]:
    """Each column centred and of norm 1, a constant one 0, and which vary."""
    about_mean, _, varying = centred(columns)
    about_mean = jnp.asarray(about_mean)
    norm = jnp.sqrt(jnp.sum(about_mean**2, axis=0, keepdims=True))
    return about_mean / jnp.where(norm > 0, norm, 1.0), jnp.asarray(varying)


def _gap(predictability: Array, *, num_latents: int, active: Any, varying: Any) -> SAP:
    best, second = best_two(predictability)
    gap = jnp.where(varying, best - second, 0.0)
    return SAP(mean_of(gap, varying), gap, predictability[:num_latents], jnp.asarray(active), jnp.asarray(varying))

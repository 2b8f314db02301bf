"""Disentanglement, completeness and informativeness, from any importances and from three published back-ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from vae_jax.disentanglement._arrays import check_split, is_traced, mean_of, scikit_learn, standardized, varies
from vae_jax.errors import InputError
from vae_jax.shapes import AnyArray

Array = jax.Array


class DCI(NamedTuple):
    """Disentanglement and completeness of an importance matrix."""

    disentanglement: Float[Array, ""]  # per_code weighted by importance
    completeness: Float[Array, ""]  # per_factor weighted by importance
    per_code: Float[Array, " d"]  # 0 for a latent of no importance
    per_factor: Float[Array, " k"]  # 0 for a factor to which no latent is important
    active: Bool[Array, " d"]  # False for a latent of no importance


class FittedDCI(NamedTuple):
    """`DCI` of a predictor, with how well it predicts."""

    disentanglement: Float[Array, ""]
    completeness: Float[Array, ""]
    informativeness: Float[Array, ""]  # the mean of informativeness_per_factor over the factors that vary
    informativeness_per_factor: Float[Array, " k"]  # on the test examples; 0 for a constant factor
    train_informativeness: Float[Array, ""]
    importance: Float[Array, "d k"]
    per_code: Float[Array, " d"]
    per_factor: Float[Array, " k"]
    active: Bool[Array, " d"]
    varying: Bool[Array, " k"]  # False for a factor that is constant on the examples to fit on


def dci(importance: Num[AnyArray, "d k"]) -> DCI:
    """Disentanglement and completeness of the importance R_jk >= 0 of latent j for predicting factor k.

    D = sum_j rho_j (1 - H_k(R_jk / sum_k R_jk) / log k),   rho_j   = sum_k R_jk / sum R
    C = sum_k rho_k (1 - H_j(R_jk / sum_j R_jk) / log d),   rho_k   = sum_j R_jk / sum R

    Both in [0, 1]. One latent per factor and one factor per latent: 1 and 1. Several latents for a factor: D is
    still 1, C is less. Several factors for a latent: C is still 1, D is less. All alike: 0 and 0. A latent or
    factor without importance has weight 0; importances that are all 0 give 0 and 0. With a single factor D is 1,
    and with a single latent C is, there being nothing to be spread over.

    importance: [d, k]. Raises InputError for another shape or values below 0. Source: Eastwood and Williams 2018,
    "A framework for the quantitative evaluation of disentangled representations".
    """
    importance = jnp.asarray(importance)
    if importance.ndim != 2 or 0 in importance.shape:
        raise InputError(f"importance of shape {importance.shape}: expected [d, k]")
    if not is_traced(importance) and not bool(jnp.all((importance >= 0) & (importance < jnp.inf))):
        raise InputError("an importance below 0, or not finite: expected 0 or more; take absolute values")
    disentanglement, per_code = _concentration(importance)
    completeness, per_factor = _concentration(importance.T)
    return DCI(disentanglement, completeness, per_code, per_factor, jnp.sum(importance, axis=1) > 0)


def _concentration(rows: Array) -> tuple[Array, Array]:
    """1 - normalized entropy of each row, and its mean weighted by the sums of the rows."""
    sums, width = jnp.sum(rows, axis=1), rows.shape[1]
    p = rows / jnp.where(sums > 0, sums, 1.0)[:, None]
    entropy = -jnp.sum(p * jnp.log(jnp.where(p > 0, p, 1.0)), axis=1)
    per_row = jnp.where(sums > 0, jnp.clip(1 - entropy / np.log(max(width, 2)), 0.0, 1.0), 0.0)
    total = jnp.sum(sums)
    return jnp.sum(per_row * sums) / jnp.where(total > 0, total, 1.0), per_row


def dci_gradient_boosting(
    codes: Num[AnyArray, "N d"],
    factors: Int[AnyArray, "N k"],
    *,
    test_codes: Num[AnyArray, "M d"],
    test_factors: Int[AnyArray, "M k"],
    seed: int = 0,
    **options: Any,
) -> FittedDCI:
    """`dci` of the feature importances of gradient-boosted trees, one classifier per factor.

    Informativeness is accuracy on the test examples, in [0, 1], and not corrected for chance. The score depends
    much on the predictor, hence its name. Constant factors are left out: nothing can be important to them. The
    trees see standardized latents, for they take all that is within 1e-7 for the same. Continuous factors are
    refused, having no classes: `dci_random_forest` and `dci_lasso` regress.

    codes: [N, d], factors: integers [N, k], test_codes: [M, d], test_factors: [M, k]. `options` go to
    scikit-learn's GradientBoostingClassifier, by default with its defaults, of which the time grows with N d and
    the number of values of each factor. Raises InputError for other shapes, and without scikit-learn.
    Source: Locatello et al. 2019 (arXiv:1811.12359).
    """
    ensemble = scikit_learn("ensemble")

    def fit(codes: np.ndarray, factor: np.ndarray) -> tuple[Any, np.ndarray]:
        model = ensemble.GradientBoostingClassifier(random_state=seed, **options).fit(codes, factor)
        return model, model.feature_importances_

    codes, factors, test_codes, test_factors = check_split(codes, factors, test_codes, test_factors)
    codes, test_codes = standardized(codes, test_codes)
    return _fit_each(fit, _accuracy, codes, factors, test_codes, test_factors)


def dci_random_forest(
    codes: Num[AnyArray, "N d"],
    factors: Num[AnyArray, "N k"],
    *,
    test_codes: Num[AnyArray, "M d"],
    test_factors: Num[AnyArray, "M k"],
    seed: int = 0,
    **options: Any,
) -> FittedDCI:
    """`dci` of the feature importances of random forests, one regression per factor: for continuous factors.

    Informativeness is the R^2 on the test examples, not below 0: 1 - e^2 for the e of the source, an error over
    that of guessing the mean. Factors are numbers, of which the order and the distances count: a factor of
    unordered kinds is for `dci_gradient_boosting`. Constant factors are left out; latents and factors are
    standardized.

    codes: [N, d], factors: integers or floats [N, k], test_codes: [M, d], test_factors: [M, k]. `options` go to
    scikit-learn's RandomForestRegressor, by default with its defaults; the source chose the depth of the trees
    (`max_depth`) by cross-validation. Raises InputError for other shapes, numbers that are not finite, and without
    scikit-learn. Source: Eastwood and Williams 2018.
    """
    ensemble = scikit_learn("ensemble")

    def fit(codes: np.ndarray, factor: np.ndarray) -> tuple[Any, np.ndarray]:
        model = ensemble.RandomForestRegressor(random_state=seed, **options).fit(codes, factor)
        return model, model.feature_importances_

    return _regress(fit, codes, factors, test_codes, test_factors)


def dci_lasso(
    codes: Num[AnyArray, "N d"],
    factors: Num[AnyArray, "N k"],
    *,
    test_codes: Num[AnyArray, "M d"],
    test_factors: Num[AnyArray, "M k"],
    alpha: float = 0.02,
    seed: int = 0,
) -> FittedDCI:
    """`dci` of the absolute coefficients of a lasso from the latents to each factor, both standardized.

    minimize over w: |v_k - codes w|^2 / 2N + alpha |w|_1,   R_jk = |w_j|

    Informativeness is the R^2 on the test examples, not below 0. Only linear codes of ordered factors do well.

    Arguments as `dci_random_forest`; `alpha`: the strength of the penalty, fixed rather than cross-validated.
    Raises InputError for other shapes, numbers that are not finite, and without scikit-learn. Source: Eastwood and
    Williams 2018, whose informativeness is an error.
    """
    linear_model = scikit_learn("linear_model")

    def fit(codes: np.ndarray, factor: np.ndarray) -> tuple[Any, np.ndarray]:
        model = linear_model.Lasso(alpha=alpha, random_state=seed).fit(codes, factor)
        return model, np.abs(model.coef_)

    return _regress(fit, codes, factors, test_codes, test_factors)


def _regress(
    fit: Callable[[np.ndarray, np.ndarray], tuple[Any, np.ndarray]],
    codes: Any,
    factors: Any,
    test_codes: Any,
    test_factors: Any,
) -> FittedDCI:
    codes, factors, test_codes, test_factors = check_split(
        codes, factors, test_codes, test_factors, continuous=True
    )
    (codes, test_codes), (factors, test_factors) = (
        standardized(codes, test_codes),
        standardized(factors, test_factors),
    )
    return _fit_each(fit, _explained, codes, factors, test_codes, test_factors)


def _accuracy(model: Any, codes: np.ndarray, factor: np.ndarray) -> float:
    return float(np.mean(model.predict(codes) == factor))


def _explained(model: Any, codes: np.ndarray, factor: np.ndarray) -> float:
    return max(float(1 - np.mean((model.predict(codes) - factor) ** 2) / max(np.var(factor), 1e-12)), 0.0)


def _fit_each(
    fit: Callable[[np.ndarray, np.ndarray], tuple[Any, np.ndarray]],
    quality: Callable[[Any, np.ndarray, np.ndarray], float],
    codes: np.ndarray,
    factors: np.ndarray,
    test_codes: np.ndarray,
    test_factors: np.ndarray,
) -> FittedDCI:
    varying = np.asarray(varies(factors))
    importance = np.zeros((codes.shape[1], factors.shape[1]))
    train, test = np.zeros((2, factors.shape[1]))
    for k in np.flatnonzero(varying):
        model, importance[:, k] = fit(codes, factors[:, k])
        train[k] = quality(model, codes, factors[:, k])
        test[k] = quality(model, test_codes, test_factors[:, k])
    found = dci(importance)
    return FittedDCI(
        disentanglement=found.disentanglement,
        completeness=found.completeness,
        informativeness=mean_of(jnp.asarray(test), varying),
        informativeness_per_factor=jnp.asarray(test),
        train_informativeness=mean_of(jnp.asarray(train), varying),
        importance=jnp.asarray(importance),
        per_code=found.per_code,
        per_factor=found.per_factor,
        active=found.active,
        varying=jnp.asarray(varying),
    )

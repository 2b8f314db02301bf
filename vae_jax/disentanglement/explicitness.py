"""Whether the factors can be read off the whole code by a linear classifier."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from vae_jax.disentanglement._arrays import check_split, mean_of, scikit_learn, standardized, varies
from vae_jax.shapes import AnyArray

Array = jax.Array


class Explicitness(NamedTuple):
    """The score on the test examples, and what it is made of."""

    score: Float[Array, ""]  # the mean of per_factor over the factors that vary
    per_factor: Float[Array, " k"]  # areas under the curve on the test examples; 0 for a constant factor
    train_per_factor: Float[Array, " k"]  # the same on the examples to fit on
    active: Bool[Array, " d"]  # False for a latent that is constant
    varying: Bool[Array, " k"]  # False for a factor that takes fewer than two values to fit on, or to test on


def explicitness_logistic_regression(
    codes: Num[AnyArray, "N d"],
    factors: Int[AnyArray, "N k"],
    *,
    test_codes: Num[AnyArray, "M d"],
    test_factors: Int[AnyArray, "M k"],
) -> Explicitness:
    """The area under the ROC curve of one-against-the-rest logistic regression, on average over values and factors.

    score = mean_k mean_v AUC(P(v_k = v | z) against [v_k = v])

    0.5 for codes that tell nothing, 1 if a logistic regression on all the latents separates the values. It does not
    ask that a factor be in one latent: any rotation of the codes scores about the same. Values that do not occur in
    one of the two sets are left out, and so are constant factors; latents are standardized, constant ones are 0.

    codes: [N, d], factors: integers [N, k], test_codes: [M, d], test_factors: [M, k]. scikit-learn's
    LogisticRegression with its defaults. Raises InputError for other shapes, and without scikit-learn.
    Source: Ridgeway and Mozer 2018 (arXiv:1802.05312).
    """
    linear_model, metrics = scikit_learn("linear_model"), scikit_learn("metrics")
    codes, factors, test_codes, test_factors = check_split(codes, factors, test_codes, test_factors)
    active = varies(codes)
    codes, test_codes = standardized(codes, test_codes)
    varying = np.asarray(varies(factors) & varies(test_factors))

    def area(models: dict[Any, Any], codes: np.ndarray, factor: np.ndarray) -> float:
        areas = [
            metrics.roc_auc_score(factor == value, model.decision_function(codes))
            for value, model in models.items()
            if 0 < np.sum(factor == value) < len(factor)
        ]
        return float(np.mean(areas)) if areas else 0.0

    train, test = np.zeros((2, factors.shape[1]))
    for k in np.flatnonzero(varying):
        models = {
            value: linear_model.LogisticRegression().fit(codes, factors[:, k] == value)
            for value in np.unique(factors[:, k])
        }
        train[k] = area(models, codes, factors[:, k])
        test[k] = area(models, test_codes, test_factors[:, k])
    return Explicitness(
        score=mean_of(jnp.asarray(test), jnp.asarray(varying)),
        per_factor=jnp.asarray(test),
        train_per_factor=jnp.asarray(train),
        active=active,
        varying=jnp.asarray(varying),
    )

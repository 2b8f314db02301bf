"""The scores of a trained model on examples whose factors are known."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Int, Key

from vae_jax.disentanglement import (
    beta_vae_score_logistic_regression,
    binned_information,
    dci_gradient_boosting,
    explicitness_logistic_regression,
    factor_vae_score,
    fixed_factor_groups,
    fixed_factor_pairs,
    gaussian_total_correlation,
    gaussian_wasserstein_correlation,
    joint_entropy_gap,
    mean_mutual_information,
    modularity,
    mutual_information_gap,
    sampled_mutual_information_gap,
    sap_linear_svm,
    sap_squared_correlation,
)
from vae_jax.distributions import center, stddev
from vae_jax.errors import InputError
from vae_jax.estimates import Estimate
from vae_jax.evaluation import evaluator
from vae_jax.latents import active_units, rate_per_latent
from vae_jax.objectives import terms_and_posterior
from vae_jax.training.sharding import make_mesh

Array = jax.Array
Scores = dict[str, float]
Codes = dict[str, np.ndarray]
SCORE_SEED = 20181129  # draws the groups and samples of the scores, the same whatever the model
ACTIVITY = 0.01  # the variance of its mean from which a latent is active (Burda et al. 2016)


def encoder(
    vae: Any, transform: Callable[..., Any], *, batch_size: int = 500
) -> Callable[[Any, Key[Array, ""], Any], Codes]:
    """`run(params, key, data)` -> {"loc", "scale", "rates": [N, d], "elbo", "distortion", "rate": [N]}.

    Codes are the centers of q(z|x) and scales its standard deviations, flat; `scale` and `rates` are left out for a
    model that has none, as `rates` for a mixture prior or a full covariance. All devices share the examples.
    """

    def encode(vae: Any, params: Any, key: Array, x: Any) -> Estimate:
        at, q = terms_and_posterior(vae, params, key, x)
        named = {"loc": ravel_pytree(center(q))[0], "elbo": at.elbo, "distortion": at.distortion, "rate": at.rate}
        with contextlib.suppress(InputError):
            named["scale"] = ravel_pytree(stddev(q))[0]
        with contextlib.suppress(InputError):
            named["rates"] = rate_per_latent(vae, params, x)
        return Estimate(at.elbo, named)

    return evaluator(encode, vae, transform=transform, batch_size=batch_size, mesh=make_mesh())


def scores_of_codes(loc: Float[np.ndarray, "N d"]) -> Scores:
    """What needs no factors. loc: [N, d], posterior means."""
    active = active_units(jnp.asarray(loc)).activity > ACTIVITY
    return {
        "active_units": float(jnp.sum(active)),
        "gaussian_total_correlation": float(gaussian_total_correlation(loc).score),
        "gaussian_wasserstein_correlation": float(gaussian_wasserstein_correlation(loc).score),
        "mean_mutual_information_of_active": float(mean_mutual_information(loc, active=active).score),
    }


def fast_scores(loc: Float[np.ndarray, "N d"], factors: Int[np.ndarray, "N k"]) -> Scores:
    """The scores that train no classifier. loc: [N, d]; factors: integers [N, k]."""
    active = active_units(jnp.asarray(loc)).activity > ACTIVITY
    modular = modularity(binned_information(loc, factors).mutual_information, active=active)
    train_key, test_key = jax.random.split(jax.random.key(SCORE_SEED))
    train, fixed = fixed_factor_groups(train_key, factors, num_groups=10_000, group_size=64)
    test, test_fixed = fixed_factor_groups(test_key, factors, num_groups=5000, group_size=64)
    vote = factor_vae_score(
        loc[train], fixed, test_groups=loc[test], test_fixed=test_fixed, scale=np.std(loc, axis=0)
    )
    return {
        "mig": float(mutual_information_gap(loc, factors).score),
        "jemmig": float(joint_entropy_gap(loc, factors).score),
        "modularity": float(modular.score),
        "modularity_of_active": float(modular.score_of_active),
        "sap_squared_correlation": float(sap_squared_correlation(loc, factors).score),
        "factor_vae_score": float(vote.score),
        **scores_of_codes(loc),
    }


def slow_scores(
    loc: Float[np.ndarray, "N d"], scale: Float[np.ndarray, "N d"] | None, factors: Int[np.ndarray, "N k"]
) -> Scores:
    """The sampled MIG, and the scores that train a classifier of scikit-learn, on halves of the examples.

    loc, scale: [N, d]; factors: integers [N, k]. The sampled MIG, of independent normals, needs scales.
    """
    sample_key, train_key, test_key = jax.random.split(jax.random.key(SCORE_SEED), 3)
    half = len(loc) // 2
    split: dict[str, Any] = {"test_codes": loc[half:], "test_factors": factors[half:]}
    boosted = dci_gradient_boosting(loc[:half], factors[:half], **split)
    explicit = explicitness_logistic_regression(loc[:half], factors[:half], **split)
    scores = {
        "sap_linear_svm": float(sap_linear_svm(loc[:half], factors[:half], **split).score),
        "dci_gradient_boosting_disentanglement": float(boosted.disentanglement),
        "dci_gradient_boosting_completeness": float(boosted.completeness),
        "dci_gradient_boosting_informativeness": float(boosted.informativeness),
        "explicitness_logistic_regression": float(explicit.score),
    }
    if scale is not None:
        scores["sampled_mig"] = float(sampled_mutual_information_gap(sample_key, loc, scale, factors).score)
    if factors.shape[1] > 1:  # with one factor there is nothing to guess
        train, fixed = fixed_factor_pairs(train_key, factors, num_groups=2000, group_size=64)
        test, test_fixed = fixed_factor_pairs(test_key, factors, num_groups=1000, group_size=64)
        guessed = beta_vae_score_logistic_regression(loc[train], fixed, test_pairs=loc[test], test_fixed=test_fixed)
        scores["beta_vae_score_logistic_regression"] = float(guessed.score)
    return scores

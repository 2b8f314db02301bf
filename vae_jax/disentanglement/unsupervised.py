"""How dependent the latents are on each other, without any factors."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vae_jax.disentanglement.arrays import check_codes, mean_of, varies
from vae_jax.disentanglement.mutual_information import discrete_information, equal_width_bins

Array = jax.Array


class Dependence(NamedTuple):
    """A measure of dependence of the active latents; lower is more independent."""

    score: Array  # scalar
    active: Array  # [d], False for a latent that is constant, which has no part in the score


def gaussian_total_correlation(codes: Any) -> Dependence:
    """The total correlation of a normal distribution with the covariance C of the codes, in nats.

    TC = KL(N(0, C) || prod_j N(0, C_jj)) = (sum_j log C_jj - log |C|) / 2

    At least 0; 0 for uncorrelated codes, infinite if a latent is a linear function of others (of 2 <= N <= d
    examples it always is). It does not change if a latent is scaled. codes: [N, d]. Source: Locatello et al. 2019
    (arXiv:1811.12359).
    """
    covariance, active = _covariance(codes)
    scale = jnp.sqrt(jnp.diagonal(covariance))
    # -log |C| / 2 + sum_j log C_jj / 2 is minus half the log determinant of the correlation matrix.
    spectrum = jnp.linalg.eigvalsh(covariance / (scale[:, None] * scale))
    # Rounding leaves an eigenvalue of 0 anywhere within this distance of it.
    resolution = len(spectrum) * jnp.finfo(spectrum.dtype).eps
    score = -0.5 * jnp.sum(jnp.log(jnp.where(spectrum > resolution, spectrum, 0.0)))
    return Dependence(jnp.maximum(score, 0.0), active)


def gaussian_wasserstein_correlation(codes: Any, *, normalized: bool = False) -> Dependence:
    """The squared 2-Wasserstein distance of N(0, C) to the product of its marginals, C the covariance of the codes.

    W = 2 tr C - 2 tr (D^1/2 C D^1/2)^1/2,   D = diag C         normalized: W / tr C, in [0, 2]

    0 for uncorrelated codes. Unlike the total correlation it is finite for any codes, and tells little of latents
    of small variance. codes: [N, d]. Source: Locatello et al. 2019 (arXiv:1811.12359).
    """
    covariance, active = _covariance(codes)
    variance = jnp.diagonal(covariance)
    scale = jnp.sqrt(variance)
    spectrum = jnp.linalg.eigvalsh(scale[:, None] * covariance * scale)
    # A constant latent stands in the covariance with variance 1, which adds 1 to both sums.
    distance = jnp.maximum(2 * jnp.sum(variance) - 2 * jnp.sum(jnp.sqrt(jnp.maximum(spectrum, 0.0))), 0.0)
    total = jnp.sum(jnp.where(active, variance, 0.0))
    return Dependence(distance / jnp.where(total > 0, total, 1.0) if normalized else distance, active)


def mean_mutual_information(codes: Any, *, num_bins: int = 20, active: Any = None) -> Dependence:
    """The mean over pairs of active latents of the mutual information of their equal-width bins, in nats.

    score = mean_{i != j} I(bin z_i; bin z_j)

    At least 0, at most log num_bins; about (num_bins - 1)^2 / 2N for independent codes, and 0 for less than two
    active latents. codes: [N, d]. `active`: which latents count, bool [d]; by default those that are not constant.
    A latent that collapsed in training is nearly so: `active_units` finds it. Source: Locatello et al. 2019
    (arXiv:1811.12359), who count all.
    """
    bins = equal_width_bins(codes, num_bins=num_bins)
    found = discrete_information(bins, bins, num_symbols=num_bins, num_values=num_bins)
    active = varies(codes) if active is None else jnp.asarray(active)
    pairs = active[:, None] & active & ~jnp.eye(len(active), dtype=bool)
    return Dependence(mean_of(found.mutual_information, pairs), active)


def _covariance(codes: Any) -> tuple[Array, Array]:
    """The covariance [d, d], with variance 1 and no correlation for constant latents, and the active ones [d]."""
    codes = jnp.asarray(check_codes(codes)) * 1.0
    active = varies(codes)
    centred = jnp.where(active, codes - jnp.mean(codes, axis=0), 0.0)
    covariance = jnp.matmul(centred.T, centred, precision="highest") / max(len(codes) - 1, 1)
    return covariance + jnp.diag(jnp.where(active, 0.0, 1.0)), active

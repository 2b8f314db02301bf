"""How dependent the latents are on each other, without any factors."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Num

from vae_jax.disentanglement._arrays import centred, check_codes, check_mask, is_traced, mean_of, varies
from vae_jax.disentanglement.discrete import discrete_information, equal_width_bins
from vae_jax.shapes import AnyArray

Array = jax.Array


class Dependence(NamedTuple):
    """A measure of dependence of the active latents; lower is more independent."""

    score: Float[Array, ""]
    active: Bool[Array, " d"]  # False for a latent that is constant, which has no part in the score


def gaussian_total_correlation(codes: Num[AnyArray, "N d"]) -> Dependence:
    """The total correlation of a normal distribution with the covariance C of the codes, in nats.

    TC = KL(N(0, C) || prod_j N(0, C_jj)) = (sum_j log C_jj - log |C|) / 2

    At least 0; 0 for uncorrelated codes, infinite if a latent is a linear function of others (of 2 <= N <= d
    examples it always is). It does not change if a latent is scaled or moved. codes: [N, d]; what is not traced is
    centred in float64 on the host. Source: Locatello et al. 2019 (arXiv:1811.12359).
    """
    about_mean, _, active = (jnp.asarray(array) for array in centred(check_codes(codes)))
    # A constant latent stands in the covariance with variance 1 and no correlation, which adds nothing.
    covariance = jnp.matmul(about_mean.T, about_mean, precision="highest")
    covariance = covariance + jnp.diag(jnp.where(active, 0.0, 1.0))
    scale = jnp.sqrt(jnp.diagonal(covariance))
    # -log |C| / 2 + sum_j log C_jj / 2 is minus half the log determinant of the correlation matrix.
    spectrum = jnp.linalg.eigvalsh(covariance / (scale[:, None] * scale[None]))
    # Rounding leaves an eigenvalue of 0 anywhere within this distance of it.
    resolution = len(spectrum) * float(np.finfo(spectrum.dtype).eps)
    score = -0.5 * jnp.sum(jnp.log(jnp.where(spectrum > resolution, spectrum, 0.0)))
    return Dependence(jnp.maximum(score, 0.0), active)


def gaussian_wasserstein_correlation(codes: Num[AnyArray, "N d"], *, normalized: bool = False) -> Dependence:
    """The squared 2-Wasserstein distance of N(0, C) to the product of its marginals, C the covariance of the codes.

    W = 2 tr C - 2 tr (D^1/2 C D^1/2)^1/2,   D = diag C         normalized: W / tr C, in [0, 2]

    0 for uncorrelated codes. Unlike the total correlation it is finite for any codes, and tells little of latents
    of small variance. Normalized, it does not change if all the latents are scaled alike; otherwise it is in their
    squared unit, and 0 or infinite where that is no float. codes: [N, d]; what is not traced is centred in float64
    on the host. Source: Locatello et al. 2019 (arXiv:1811.12359).
    """
    about_mean, size, active = centred(check_codes(codes))
    # In units of the largest latent, on the host where it can be: no size nor product leaves the range of a float.
    xp = jnp if is_traced(size) else np
    largest = xp.max(xp.where(active, size, 0.0))
    unit = xp.where(largest > 0, largest, 1.0)
    # Z with C = Z'Z. The singular values of Z D^1/2 are the roots of the eigenvalues of D^1/2 C D^1/2, but with the
    # rounding error of an eigenvalue, not of its root.
    z = jnp.asarray(about_mean) * jnp.asarray(size / unit)[None] / math.sqrt(max(len(about_mean) - 1, 1))
    variance = jnp.sum(z**2, axis=0)
    roots = jnp.linalg.svd(z * jnp.sqrt(variance)[None], compute_uv=False)
    total = jnp.sum(variance)
    distance = jnp.maximum(2 * total - 2 * jnp.sum(roots), 0.0)
    return Dependence(
        distance / jnp.where(total > 0, total, 1.0) if normalized else distance * unit * unit, jnp.asarray(active)
    )


def mean_mutual_information(
    codes: Num[AnyArray, "N d"], *, num_bins: int = 20, active: Bool[AnyArray, " d"] | None = None
) -> Dependence:
    """The mean over pairs of active latents of the mutual information of their equal-width bins, in nats.

    score = mean_{i != j} I(bin z_i; bin z_j)

    At least 0, at most log num_bins; about (num_bins - 1)^2 / 2N for independent codes, and 0 for less than two
    active latents. codes: [N, d]. `active`: which latents count, bool [d]; by default those that are not constant.
    A latent that collapsed in training is nearly so: `active_units` finds it. Source: Locatello et al. 2019
    (arXiv:1811.12359), who count all.
    """
    bins = equal_width_bins(codes, num_bins=num_bins)
    found = discrete_information(bins, bins, num_symbols=num_bins, num_values=num_bins)
    active = varies(codes) if active is None else check_mask(active, bins.shape[1])
    pairs = active[:, None] & active[None] & ~jnp.eye(len(active), dtype=bool)
    return Dependence(mean_of(found.mutual_information, pairs), active)

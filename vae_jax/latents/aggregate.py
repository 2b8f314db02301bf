"""The aggregate posterior q(z) = (1/N) sum_n q(z|x_n): which latents it uses, and what the rate is made of.

Both take the arrays that the encoder gives for a whole data set, `loc` and `scale` of diagonal normals, [N, d].
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Float, Int, Num

from vae_jax.distributions import Normal
from vae_jax.errors import InputError
from vae_jax.numerics import full_precision
from vae_jax.shapes import AnyArray

Array = jax.Array


class ActiveUnits(NamedTuple):
    """How many latents carry something about x, and the variance that tells it."""

    num_active: Int[Array, ""]  # of the d latents
    activity: Float[Array, " d"]  # Var_x(E_q[z_u])


def active_units(loc: Num[AnyArray, "N d"], *, threshold: float = 0.01) -> ActiveUnits:
    """Counts the latents whose posterior mean varies over the data: A_u = Var_x(E_q(z|x)[z_u]) > threshold.

    loc: [N, d], the posterior means of N >= 2 examples; unless traced they are centred in float64 on the host, so
    that a large mean costs no digits. Raises InputError for another shape, and for NaN and infinities.
    Source: Burda et al. 2016 (arXiv:1509.00519), with threshold 0.01.
    """
    if jnp.ndim(loc) != 2 or jnp.shape(loc)[0] < 2:
        raise InputError(f"loc of shape {jnp.shape(loc)}: expected [N, d], the means of 2 examples or more")
    if not isinstance(loc, jax.core.Tracer):
        means = np.asarray(loc, np.float64)
        if not np.all(np.isfinite(means)):
            raise InputError("loc that is not finite: expected posterior means; drop or repair those examples")
        loc = jnp.asarray(means - np.mean(means, axis=0))
    activity = jnp.var(loc, axis=0, ddof=1)
    return ActiveUnits(jnp.sum(activity > threshold), activity)


class FullDataRate(NamedTuple):
    """The mean rate in three parts, and their sum, in nats per example."""

    mutual_information: Float[Array, ""]  # KL(q(z, n) || q(z) q(n)), at most log N
    total_correlation: Float[Array, ""]  # KL(q(z) || prod_j q(z_j))
    dimension_wise_kl: Float[Array, " d"]  # KL(q(z_j) || p(z_j)), of which the sum over j counts
    rate: Float[Array, ""]  # the sum: mean_n KL(q(z|x_n) || p(z))


@full_precision
def full_data_rate_decomposition(
    key: Array,
    loc: Float[AnyArray, "N d"],
    scale: Float[AnyArray, "N d"],
    *,
    prior: Normal | None = None,
    num_samples: int = 1,
    chunk_size: int = 256,
) -> FullDataRate:
    """The mean rate, split into index-code mutual information, total correlation and dimension-wise KL.

    mean_n KL(q(z|x_n) || p(z)) = KL(q(z, n) || q(z) q(n)) + KL(q(z) || prod_j q(z_j)) + sum_j KL(q(z_j) || p(z_j))

    The full-data estimator: `num_samples` draws of z from each q(z|x_n), and at each of them the densities q(z)
    and q(z_j) as sums over all N components. Nothing is estimated from minibatches, so only the Monte Carlo error
    of the expectation is left. Time grows with num_samples N^2 d; memory with chunk_size^2 d.

    loc, scale: [N, d]. `prior`: independent normals over [d], by default N(0, I). Raises InputError for another
    shape and for num_samples or chunk_size below 1. Source: Chen et al. 2018 (arXiv:1802.04942), equation 2.
    """
    loc, scale = jnp.asarray(loc), jnp.asarray(scale)
    if loc.ndim != 2 or loc.shape != scale.shape:
        raise InputError(f"loc of shape {loc.shape}, scale of shape {scale.shape}: expected [N, d] for both")
    if num_samples < 1 or chunk_size < 1:
        raise InputError(f"{num_samples} samples in chunks of {chunk_size}: expected at least one of each")
    if not isinstance(loc + scale, jax.core.Tracer) and not bool(jnp.all(jnp.isfinite(loc + scale) & (scale > 0))):
        raise InputError("loc or scale that are not finite, or scale of 0 or less: expected those of normals")
    num_examples, num_latents = loc.shape
    prior = Normal(jnp.zeros(num_latents), jnp.ones(num_latents)) if prior is None else prior
    prior_loc, prior_scale = (jnp.broadcast_to(a, (1, num_latents)) for a in (prior.loc, prior.scale))
    chunk_size = min(chunk_size, num_examples)
    num_chunks = -(-num_examples // chunk_size)

    def log_mixture(z: Array) -> tuple[Array, Array]:
        """log q(z) [chunk], log q(z_j) [chunk, d], in chunks of the components."""

        def chunk(carry: tuple[Array, Array], start: Array) -> tuple[tuple[Array, Array], None]:
            n, counted = _window(start, chunk_size, num_examples)
            log_q = _log_normal(z[:, None], loc[n][None], scale[n][None])
            log_q = jnp.where(counted[None, :, None], log_q, -jnp.inf)
            joint = jnp.logaddexp(carry[0], logsumexp(jnp.sum(log_q, -1), axis=1))
            return (joint, jnp.logaddexp(carry[1], logsumexp(log_q, axis=1))), None

        empty = (jnp.full(z.shape[:1], -jnp.inf), jnp.full(z.shape, -jnp.inf))
        sums, _ = jax.lax.scan(chunk, empty, chunk_size * jnp.arange(num_chunks))
        joint, marginals = sums
        return joint - math.log(num_examples), marginals - math.log(num_examples)

    def draw(key: Array) -> tuple[Array, Array, Array]:
        """The three sums over the data set, for one draw of each q(z|x_n)."""
        samples = loc + scale * jax.random.normal(key, loc.shape)

        def chunk(sums: tuple[Array, Array, Array], start: Array) -> tuple[tuple[Array, Array, Array], None]:
            n, counted = _window(start, chunk_size, num_examples)
            z = samples[n]
            log_q_given_x = jnp.sum(_log_normal(z, loc[n], scale[n]), -1)
            log_joint, log_marginals = log_mixture(z)
            parts = (
                log_q_given_x - log_joint,
                log_joint - jnp.sum(log_marginals, -1),
                log_marginals - _log_normal(z, prior_loc, prior_scale),
            )
            return jax.tree.map(lambda s, p: s + jnp.tensordot(counted.astype(p.dtype), p, 1), sums, parts), None

        zero = (jnp.zeros(()), jnp.zeros(()), jnp.zeros(num_latents))
        return jax.lax.scan(chunk, zero, chunk_size * jnp.arange(num_chunks))[0]

    sums = jax.lax.map(draw, jax.random.split(key, num_samples))
    mutual, correlation, per_latent = jax.tree.map(lambda s: jnp.mean(s, axis=0) / num_examples, sums)
    return FullDataRate(mutual, correlation, per_latent, mutual + correlation + jnp.sum(per_latent))


def _window(start: Array, length: int, end: int) -> tuple[Array, Array]:
    """Indices start..start+length, and which of them are below `end`; the others repeat the last."""
    n = start + jnp.arange(length)
    return jnp.minimum(n, end - 1), n < end


def _log_normal(z: Array, loc: Array, scale: Array) -> Array:
    """log N(z_j; loc_j, scale_j^2) of every element, unlike `Normal.log_prob`, which sums over the event."""
    return -0.5 * ((z - loc) / scale) ** 2 - jnp.log(scale) - 0.5 * math.log(2 * math.pi)

"""log p(x) by importance sampling from the approximate posterior."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from vae_jax.errors import InputError
from vae_jax.model import VAE
from vae_jax.numerics import full_precision, relative_error
from vae_jax.objectives.importance_weighted import log_weight_under, sample_keys

Array = jax.Array


class ImportanceEstimate(NamedTuple):
    """Scalars of one example, in nats but for the sample size."""

    log_likelihood: Array  # log (1/n) sum_i w_i, in expectation below log p(x)
    effective_sample_size: Array  # (sum w)^2 / sum w^2, from 1 to n
    standard_error: Array  # of log_likelihood, by the delta method; NaN for n = 1
    elbo: Array  # (1/n) sum_i log w_i


@full_precision
def importance_log_likelihood(
    vae: VAE, params: Any, key: Array, x: Any, *, num_samples: int, chunk_size: int = 100
) -> ImportanceEstimate:
    """The importance-sampling estimate of log p(x) of one example from exactly `num_samples` samples of q(z|x).

    log (1/n) sum_i w_i,  w_i = p(x, z_i) / q(z_i|x),  z_i ~ q(z|x)

    A lower bound in expectation, which rises to log p(x) with n: the value of `iwae` at k = n and the same key.
    Memory grows with `chunk_size`, of which the value is independent up to rounding. The standard error is
    worth no more than the weights it is computed from: with an effective sample size of a few, the
    weights that matter may not have been drawn yet and both are too small.

    x: [*event]. Raises InputError for num_samples or chunk_size below 1.
    Source: Burda et al. 2016 (arXiv:1509.00519), section 5, with n = 5000.
    """
    if num_samples < 1 or chunk_size < 1:
        raise InputError(
            f"num_samples {num_samples} in chunks of chunk_size {chunk_size}: expected at least 1 of each"
        )
    # Chunks of equal length waste fewer samples on the last one than chunks of the length asked for.
    num_chunks = -(-num_samples // chunk_size)
    length = -(-num_samples // num_chunks)
    q = vae.encode(params, x)

    def chunk(carry: tuple[Array, Array, Array], start: Array) -> tuple[tuple[Array, Array, Array], None]:
        log_sum, log_sum_squares, sum_logs = carry
        indices = start + jnp.arange(length)
        log_w = jax.vmap(lambda k: log_weight_under(vae, params, q, k, x))(sample_keys(key, indices))
        counted = indices < num_samples
        masked = jnp.where(counted, log_w, -jnp.inf)
        log_sum = jnp.logaddexp(log_sum, logsumexp(masked))
        log_sum_squares = jnp.logaddexp(log_sum_squares, logsumexp(2 * masked))
        return (log_sum, log_sum_squares, sum_logs + jnp.sum(jnp.where(counted, log_w, 0.0))), None

    start = (jnp.array(-jnp.inf), jnp.array(-jnp.inf), jnp.array(0.0))
    (log_sum, log_sum_squares, sum_logs), _ = jax.lax.scan(chunk, start, length * jnp.arange(num_chunks))
    ess = jnp.exp(2 * log_sum - log_sum_squares)
    return ImportanceEstimate(
        log_sum - jnp.log(num_samples), ess, relative_error(ess, num_samples), sum_logs / num_samples
    )

"""log p(x) by importance sampling from the approximate posterior."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from vae_jax.errors import InputError
from vae_jax.estimates import Estimate
from vae_jax.model import VAE
from vae_jax.numerics import full_precision, relative_error
from vae_jax.objectives.importance_weighted import log_weight_under, sample_keys

Array = jax.Array


@full_precision
def importance_log_likelihood(
    vae: VAE, params: Any, key: Array, x: Any, *, num_samples: int, chunk_size: int = 100
) -> Estimate:
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

    dtype = jax.eval_shape(lambda k: log_weight_under(vae, params, q, k, x), key).dtype
    start = (jnp.asarray(-jnp.inf, dtype), jnp.asarray(-jnp.inf, dtype), jnp.zeros((), dtype))
    (log_sum, log_sum_squares, sum_logs), _ = jax.lax.scan(chunk, start, length * jnp.arange(num_chunks))
    ess = jnp.exp(2 * log_sum - log_sum_squares)
    log_likelihood = log_sum - jnp.log(num_samples)
    metrics = {"log_likelihood": log_likelihood, "effective_sample_size": ess, "elbo": sum_logs / num_samples}
    if num_samples > 1:
        metrics["standard_error"] = relative_error(ess, num_samples)
    return Estimate(log_likelihood, metrics)

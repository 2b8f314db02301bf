"""Where the gap between log p(x) and the ELBO comes from: the family of q, or the encoder."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vae_jax.distributions import Distribution, Normal, kl_divergence
from vae_jax.errors import InputError
from vae_jax.evidence.hmc import refuse_discrete
from vae_jax.model import VAE
from vae_jax.numerics import full_precision

Array = jax.Array


class InferenceGaps(NamedTuple):
    """Scalars of one example, in nats. Both gaps are at least 0 up to Monte Carlo error and optimization."""

    approximation_gap: Array  # log p(x) - L[q*]: what the family of diagonal normals cannot do
    amortization_gap: Array  # L[q*] - L[q]: what the encoder loses to the best q of this x
    best_elbo: Array  # L[q*]
    elbo: Array  # L[q], q = q(z|x) of the encoder
    posterior: Normal  # q*


@full_precision
def optimize_posterior(
    vae: VAE,
    params: Any,
    key: Array,
    x: Any,
    *,
    num_steps: int = 2000,
    num_samples: int = 16,
    optimizer: optax.GradientTransformation | None = None,
) -> Normal:
    """The diagonal normal q* that maximizes the ELBO of this one x, with the model held fixed.

    q* = argmax_{m, s} E_{z ~ N(m, diag(s^2))}[log p(x|z)] - KL(N(m, diag(s^2)) || p(z))

    It starts at the encoder's q(z|x), or at N(E_q[z], I) where that is no `Normal`, and takes `num_steps` steps
    of `optimizer` (by default Adam at 1e-3, which moves m and log s by at most about 1e-3 a step) on
    `num_samples` reparameterized samples each. The result of the last step, not of the best.

    x: [*event]. Raises InputError for num_steps or num_samples below 1, for discrete latents, and for latents
    that are not one array. Source: Cremer et al. 2018 (arXiv:1801.03558).
    """
    _check_counts(num_steps, num_samples)
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer
    refuse_discrete(vae.prior(params))
    start = _starting_point(vae.encode(params, x))

    def loss(variational: tuple[Array, Array], key: Array) -> Array:
        return -posterior_elbo(vae, params, _normal(variational), key, x, num_samples=num_samples)

    def step(carry: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], None]:
        variational, opt_state = carry
        updates, opt_state = optimizer.update(jax.grad(loss)(variational, key), opt_state, variational)
        return (optax.apply_updates(variational, updates), opt_state), None

    (variational, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), jax.random.split(key, num_steps))
    return _normal(variational)


@full_precision
def posterior_elbo(vae: VAE, params: Any, q: Distribution, key: Array, x: Any, *, num_samples: int) -> Array:
    """L[q] = E_q[log p(x|z)] - KL(q || p(z)) of any q, from `num_samples` samples. x: [*event]. In nats."""

    def one(key: Array) -> Array:
        z = q.sample(key)
        return vae.decode(params, z).log_prob(x) - kl_divergence(q, vae.prior(params), z)

    return jnp.mean(jax.vmap(one)(jax.random.split(key, num_samples)))


@full_precision
def inference_gaps(
    vae: VAE,
    params: Any,
    key: Array,
    x: Any,
    *,
    log_likelihood: float | Array,
    num_evaluation_samples: int = 1000,
    **tunables: Any,
) -> InferenceGaps:
    """The gap log p(x) - L[q] of one example, split at the best diagonal normal q*.

    log p(x) - L[q] = (log p(x) - L[q*]) + (L[q*] - L[q])

    `log_likelihood`: an estimate of log p(x), best the larger of `annealed_log_likelihood` and
    `importance_log_likelihood`, for both are below it in expectation. L[q*] and L[q] are taken on the same
    noise. `tunables` go to `optimize_posterior`. x: [*event].

    Raises InputError as `optimize_posterior` does. Source: Cremer et al. 2018 (arXiv:1801.03558).
    """
    _check_counts(1, num_evaluation_samples)
    optimize_key, key = jax.random.split(key)
    best = optimize_posterior(vae, params, optimize_key, x, **tunables)
    best_elbo = posterior_elbo(vae, params, best, key, x, num_samples=num_evaluation_samples)
    elbo = posterior_elbo(vae, params, vae.encode(params, x), key, x, num_samples=num_evaluation_samples)
    return InferenceGaps(log_likelihood - best_elbo, best_elbo - elbo, best_elbo, elbo, best)


def _check_counts(num_steps: int, num_samples: int) -> None:
    if num_steps < 1 or num_samples < 1:
        raise InputError(f"{num_steps} steps of {num_samples} samples: expected at least one of each")


def _starting_point(q: Distribution) -> tuple[Array, Array]:
    mean = q.mean()
    if not isinstance(mean, jax.Array):
        raise InputError(f"latents of shapes {jax.tree.map(jnp.shape, mean)}: expected one array")
    scale = q.scale if isinstance(q, Normal) else 1.0
    return mean, jnp.broadcast_to(jnp.log(scale), mean.shape)


def _normal(variational: tuple[Array, Array]) -> Normal:
    loc, log_scale = variational
    return Normal(loc, jnp.exp(log_scale))

"""Where the gap between log p(x) and the ELBO comes from: the family of q, or the encoder."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from vae_jax.distributions import Distribution, Normal, center, rates, sample_and_log_prob, stddev, total
from vae_jax.errors import InputError
from vae_jax.estimates import Estimate
from vae_jax.evidence.hmc import require_real
from vae_jax.model import VAE
from vae_jax.numerics import full_precision
from vae_jax.optimizers import optimized
from vae_jax.shapes import AnyArray

Array = jax.Array


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

    It starts at the encoder's q(z|x), or at its centre with its standard deviations (1 where it does not tell
    them) if that is no `Normal`, and takes `num_steps` steps of `optimizer` (by default Adam at 1e-3, which moves m
    and log s by at most about 1e-3 a step) on `num_samples` reparameterized samples each. The result of the last
    step, not of the best.

    x: [*event]. Raises InputError for num_steps or num_samples below 1, for latents that are
    not real numbers or not one array. Source: Cremer et al. 2018 (arXiv:1801.03558).
    """
    _check_counts(num_steps, num_samples)
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer
    q = vae.encode(params, x)
    for distribution in (vae.prior(params), q):
        require_real(distribution, "an optimized posterior")
    start = _starting_point(q)

    def loss(variational: tuple[Array, Array], key: Array) -> Array:
        return -posterior_elbo(vae, params, _normal(variational), key, x, num_samples=num_samples)

    def step(carry: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], None]:
        variational, opt_state = carry
        value, grads = jax.value_and_grad(loss)(variational, key)
        of_noise = functools.partial(loss, key=key)
        updates, opt_state = optimized(optimizer, grads, opt_state, variational, loss=value, value_fn=of_noise)
        return (optax.apply_updates(variational, updates), opt_state), None

    (variational, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), jax.random.split(key, num_steps))
    return _normal(variational)


@full_precision
def posterior_elbo(
    vae: VAE, params: Any, q: Distribution, key: Array, x: Any, *, num_samples: int
) -> Float[Array, ""]:
    """L[q] = E_q[log p(x|z)] - KL(q || p(z)) of any q, from `num_samples` samples. x: [*event]. In nats."""

    def one(key: Array) -> Array:
        z, log_q = sample_and_log_prob(q, key)
        return vae.decode(params, z).log_prob(x) - total(rates(q, vae.prior(params), z, log_q))

    return jnp.mean(jax.vmap(one)(jax.random.split(key, num_samples)))


@full_precision
def inference_gaps(
    vae: VAE,
    params: Any,
    key: Array,
    x: Any,
    *,
    log_likelihood: float | Float[AnyArray, ""],
    num_evaluation_samples: int = 1000,
    **tunables: Any,
) -> Estimate:
    """The gap log p(x) - L[q] of one example, split at the best diagonal normal q*.

    log p(x) - L[q] = (log p(x) - L[q*]) + (L[q*] - L[q])

    `log_likelihood`: an estimate of log p(x), best the larger of `annealed_log_likelihood` and
    `importance_log_likelihood`, for both are below it in expectation. L[q*] and L[q] are taken on the same
    noise. `tunables` go to `optimize_posterior`.

    x: [*event]. Returns the pair of gaps, and the metrics, in nats: `approximation_gap` = log p(x) - L[q*],
    what the family of diagonal normals cannot do; `amortization_gap` = L[q*] - L[q], what the encoder loses to the
    best q of this x; `best_elbo` = L[q*]; `elbo` = L[q]. Both gaps are at least 0 up to Monte Carlo error and
    optimization. `info` is q*.

    Raises InputError as `optimize_posterior` does. Source: Cremer et al. 2018 (arXiv:1801.03558).
    """
    _check_counts(1, num_evaluation_samples)
    optimize_key, key = jax.random.split(key)
    best = optimize_posterior(vae, params, optimize_key, x, **tunables)
    best_elbo = posterior_elbo(vae, params, best, key, x, num_samples=num_evaluation_samples)
    elbo = posterior_elbo(vae, params, vae.encode(params, x), key, x, num_samples=num_evaluation_samples)
    gaps = (jnp.asarray(log_likelihood - best_elbo), best_elbo - elbo)
    metrics = {"approximation_gap": gaps[0], "amortization_gap": gaps[1], "best_elbo": best_elbo, "elbo": elbo}
    return Estimate(gaps, metrics, best)


def _check_counts(num_steps: int, num_samples: int) -> None:
    if num_steps < 1 or num_samples < 1:
        raise InputError(f"{num_steps} steps of {num_samples} samples: expected at least one of each")


def _starting_point(q: Distribution) -> tuple[Array, Array]:
    mean = center(q)
    if not jax.tree_util.all_leaves([mean]):
        raise InputError(f"latents of shapes {jax.tree.map(jnp.shape, mean)}: expected one array")
    try:
        scale = stddev(q)
    except InputError:
        scale = jnp.ones_like(mean)
    return mean, jnp.broadcast_to(jnp.log(scale), mean.shape)


def _normal(variational: tuple[Array, Array]) -> Normal:
    loc, log_scale = variational
    return Normal(loc, jnp.exp(log_scale))

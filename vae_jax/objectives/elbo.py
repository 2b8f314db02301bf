"""The evidence lower bound, and the step from one example to a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vae_jax.distributions import kl_divergence
from vae_jax.model import VAE, ConditionalVAE

Array = jax.Array
Metrics = dict[str, Array]


def elbo(vae: VAE, params: Any, key: Array, x: Any, *, beta: float | Array = 1.0) -> tuple[Array, Metrics]:
    """Minus the (beta-weighted) evidence lower bound of one example, from one reparameterized sample of z.

    loss       = distortion + beta * rate
    distortion = -log p(x|z),  z = mu + sigma * eps ~ q(z|x)
    rate       = KL(q(z|x) || p(z)), in closed form where the pair has one
    elbo       = -(distortion + rate) <= log p(x) in expectation, whatever beta is

    x: [*event]. Returns the loss and `elbo`, `distortion`, `rate`: scalars in nats, summed over the event.
    beta = 1: Kingma and Welling 2013 (arXiv:1312.6114). Otherwise: Higgins et al. 2017, "beta-VAE".
    """
    q = vae.encode(params, x)
    z = q.sample(key)
    distortion = -vae.decode(params, z).log_prob(x)
    rate = kl_divergence(q, vae.prior(params), z)
    loss = distortion + beta * rate
    return loss, {"elbo": -(distortion + rate), "distortion": distortion, "rate": rate}


def per_example(
    estimator: Callable[..., tuple[Array, Metrics]], vae: VAE | ConditionalVAE, **tunables: Any
) -> Callable[[Any, Array, Any, Array], tuple[Array, Metrics]]:
    """Lifts an estimator of one example to an objective of a batch, the mean over the examples.

    Returns `objective(params, key, batch, step) -> (loss, metrics)`, all in nats per example. `batch` is x
    with a leading axis, [batch, *event]; for a `ConditionalVAE` the pair (x, c). Each example gets a key of
    its own. A tunable that is callable is a schedule of the step, as in optax:
    `per_example(elbo, vae, beta=optax.linear_schedule(0.0, 1.0, 1000))`.
    """

    def objective(params: Any, key: Array, batch: Any, step: Array) -> tuple[Array, Metrics]:
        values = {name: t(step) if callable(t) else t for name, t in tunables.items()}
        keys = jax.random.split(key, jax.tree.leaves(batch)[0].shape[0])
        losses, metrics = jax.vmap(lambda k, e: estimate(vae, estimator, params, k, e, **values))(keys, batch)
        return jnp.mean(losses), jax.tree.map(jnp.mean, metrics)

    # For `fit`, which warns of schedules that are longer than the run.
    objective.schedules = {name: t for name, t in tunables.items() if callable(t)}  # type: ignore[attr-defined]
    return objective


def estimate(
    vae: VAE | ConditionalVAE, estimator: Callable, params: Any, key: Array, example: Any, **values: Any
) -> Any:
    """The estimator at one example: x for a `VAE`, the pair (x, c) for a `ConditionalVAE`."""
    if isinstance(vae, ConditionalVAE):
        x, c = example
        return estimator(vae.given(c), params, key, x, **values)
    return estimator(vae, params, key, example, **values)

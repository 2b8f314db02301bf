"""The evidence lower bound, and the steps from one example, or a whole batch, to what the trainer takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vae_jax.distributions import Distribution, kl_divergence
from vae_jax.model import VAE, ConditionalVAE

Array = jax.Array
Metrics = dict[str, Array]
Objective = Callable[[Any, Array, Any, Array], tuple[Array, Metrics]]  # params, key, batch, step


class Terms(NamedTuple):
    """What the objectives of one example are made of."""

    q: Distribution  # q(z|x)
    prior: Distribution  # p(z)
    z: Any  # one reparameterized sample of q
    distortion: Array  # -log p(x|z), nats
    rate: Array  # KL(q(z|x) || p(z)), nats, in closed form where the pair has one

    @property
    def elbo(self) -> Array:
        return -(self.distortion + self.rate)


def terms(vae: VAE, params: Any, key: Array, x: Any) -> Terms:
    """q(z|x), one sample z = mu + sigma * eps of it, and the two terms of the ELBO there. x: [*event]."""
    q, prior = vae.encode(params, x), vae.prior(params)
    z = q.sample(key)
    return Terms(q, prior, z, -vae.decode(params, z).log_prob(x), kl_divergence(q, prior, z))


def elbo(vae: VAE, params: Any, key: Array, x: Any, *, beta: float | Array = 1.0) -> tuple[Array, Metrics]:
    """Minus the (beta-weighted) evidence lower bound of one example, from one reparameterized sample of z.

    loss       = distortion + beta * rate
    distortion = -log p(x|z),  z = mu + sigma * eps ~ q(z|x)
    rate       = KL(q(z|x) || p(z)), in closed form where the pair has one
    elbo       = -(distortion + rate) <= log p(x) in expectation, whatever beta is

    x: [*event]. Returns the loss and `elbo`, `distortion`, `rate`: scalars in nats, summed over the event.
    beta = 1: Kingma and Welling 2013 (arXiv:1312.6114). Otherwise: Higgins et al. 2017, "beta-VAE".
    """
    at = terms(vae, params, key, x)
    return at.distortion + beta * at.rate, {"elbo": at.elbo, "distortion": at.distortion, "rate": at.rate}


def per_example(
    estimator: Callable[..., tuple[Array, Metrics]], vae: VAE | ConditionalVAE, **tunables: Any
) -> Objective:
    """Lifts an estimator of one example to an objective of a batch, the mean over the examples.

    Returns `objective(params, key, batch, step) -> (loss, metrics)`, all in nats per example. `batch` is x
    with a leading axis, [batch, *event]; for a `ConditionalVAE` the pair (x, c). Each example gets a key of
    its own. A tunable that is callable is a schedule of the step, as in optax:
    `per_example(elbo, vae, beta=optax.linear_schedule(0.0, 1.0, 1000))`.
    """

    def mean_over_batch(vae: Any, params: Any, key: Array, batch: Any, **values: Any) -> tuple[Array, Metrics]:
        losses, metrics = over_batch(estimator, vae, params, key, batch, **values)
        return jnp.mean(losses), jax.tree.map(jnp.mean, metrics)

    return whole_batch(mean_over_batch, vae, **tunables)


def whole_batch(
    estimator: Callable[..., tuple[Array, Metrics]], vae: VAE | ConditionalVAE, **tunables: Any
) -> Objective:
    """An objective from an estimator that is given the whole batch, as those of the aggregate posterior are.

    estimator: `(vae, params, key, batch, **tunables) -> (loss, metrics)`, as `beta_tcvae`. Otherwise as
    `per_example`: `whole_batch(beta_tcvae, vae, beta=6.0, dataset_size=60_000)`.
    """

    def objective(params: Any, key: Array, batch: Any, step: Array) -> tuple[Array, Metrics]:
        values = {name: t(step) if callable(t) else t for name, t in tunables.items()}
        return estimator(vae, params, key, batch, **values)

    # For `fit`, which warns of schedules that are longer than the run.
    objective.schedules = {name: t for name, t in tunables.items() if callable(t)}  # type: ignore[attr-defined]
    return objective


def over_batch(
    estimator: Callable, vae: VAE | ConditionalVAE, params: Any, key: Array, batch: Any, **values: Any
) -> Any:
    """The estimator at every example of a batch, each with a key of its own; leaves get a leading axis."""
    keys = jax.random.split(key, jax.tree.leaves(batch)[0].shape[0])
    return jax.vmap(lambda k, e: estimate(vae, estimator, params, k, e, **values))(keys, batch)


def estimate(
    vae: VAE | ConditionalVAE, estimator: Callable, params: Any, key: Array, example: Any, **values: Any
) -> Any:
    """The estimator at one example: x for a `VAE`, the pair (x, c) for a `ConditionalVAE`."""
    if isinstance(vae, ConditionalVAE):
        x, c = example
        return estimator(vae.given(c), params, key, x, **values)
    return estimator(vae, params, key, example, **values)

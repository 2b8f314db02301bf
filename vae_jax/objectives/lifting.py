"""From an estimator of one example, or of a whole batch, to an objective that the trainer takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vae_jax.estimates import Estimate
from vae_jax.model import VAE, ConditionalVAE

Array = jax.Array
Loss = Callable[[Any, Array, Any, Array], Estimate]  # params, key, batch, step -> loss and metrics


class Trained(NamedTuple):
    """What an objective part binds to: all that the trainer needs of it."""

    vae: Any  # the model that is trained: the one given, or one with more parameters
    loss: Loss
    optimizers: Mapping[str, optax.GradientTransformation] = MappingProxyType({})  # of parameters by name


def per_example(estimator: Callable[..., Estimate], vae: VAE | ConditionalVAE, **tunables: Any) -> Loss:
    """Lifts an estimator of one example to an objective of a batch, the mean over the examples.

    Returns `loss(params, key, batch, step) -> Estimate`, all in nats per example. `batch` is x
    with a leading axis, [batch, *event]; for a `ConditionalVAE` the pair (x, c). Each example gets a key of
    its own. A tunable that is callable is a schedule of the step, as in optax:
    `per_example(elbo, vae, beta=optax.linear_schedule(0.0, 1.0, 1000))`.
    """

    def mean_over_batch(vae: Any, params: Any, key: Array, batch: Any, **values: Any) -> Estimate:
        losses, metrics, _ = over_batch(estimator, vae, params, key, batch, **values)
        return Estimate(jnp.mean(losses), jax.tree.map(jnp.mean, metrics))

    return whole_batch(mean_over_batch, vae, **tunables)


def whole_batch(estimator: Callable[..., Estimate], vae: VAE | ConditionalVAE, **tunables: Any) -> Loss:
    """An objective from an estimator that is given the whole batch, as those of the aggregate posterior are.

    estimator: `(vae, params, key, batch, **tunables) -> Estimate`, as `beta_tcvae`. Otherwise as
    `per_example`: `whole_batch(beta_tcvae, vae, beta=6.0, dataset_size=60_000)`.
    """

    def loss(params: Any, key: Array, batch: Any, step: Array) -> Estimate:
        values = {name: t(step) if callable(t) else t for name, t in tunables.items()}
        return estimator(vae, params, key, batch, **values)

    # For `fit`, which warns of schedules that are longer than the run.
    loss.schedules = {name: t for name, t in tunables.items() if callable(t)}  # type: ignore[attr-defined]
    return loss


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

"""From an estimator of one example, or of a whole batch, to an objective that the trainer takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vae_jax.errors import InputError
from vae_jax.estimates import Estimate
from vae_jax.model import VAE, ConditionalVAE
from vae_jax.objectives.arity import check_scalar, expected_of_batch, expected_of_one

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
    `per_example(elbo, vae, beta=optax.linear_schedule(0.0, 1.0, 1000))`. The loss raises InputError for an
    estimator of a whole batch.
    """

    def mean_over_batch(params: Any, key: Array, batch: Any, **values: Any) -> Estimate:
        def on_batch(batch: Any) -> Any:
            return estimator(vae, params, key, batch, **values)

        with expected_of_one(estimator, on_batch, batch, "use whole_batch({}, ...)"):
            losses, metrics, *_ = over_batch(estimator, vae, params, key, batch, **values)
        check_scalar(estimator, jnp.shape(losses)[1:], "one example")
        return Estimate(jnp.mean(losses), jax.tree.map(jnp.mean, metrics))

    return _at_step(mean_over_batch, tunables)


def whole_batch(estimator: Callable[..., Estimate], vae: VAE | ConditionalVAE, **tunables: Any) -> Loss:
    """An objective from an estimator that is given the whole batch, as those of the aggregate posterior are.

    estimator: `(vae, params, key, batch, **tunables) -> Estimate`, as `beta_tcvae`. Otherwise as
    `per_example`: `whole_batch(beta_tcvae, vae, beta=6.0, dataset_size=60_000)`. The loss raises InputError for an
    estimator of one example.
    """

    def on_batch(params: Any, key: Array, batch: Any, **values: Any) -> Estimate:
        def on_one(example: Any) -> Any:
            return estimate(vae, estimator, params, key, example, **values)

        with expected_of_batch(estimator, on_one, batch):
            result = estimator(vae, params, key, batch, **values)
        check_scalar(estimator, jnp.shape(result[0]), "a batch")
        return result

    return _at_step(on_batch, tunables)


def _at_step(estimate: Callable[..., Estimate], tunables: dict[str, Any]) -> Loss:
    """A loss whose tunables are schedules of the step, or numbers."""

    def loss(params: Any, key: Array, batch: Any, step: Array) -> Estimate:
        return estimate(params, key, batch, **{name: t(step) if callable(t) else t for name, t in tunables.items()})

    # For `fit`, which warns of schedules that are longer than the run.
    loss.schedules = {name: t for name, t in tunables.items() if callable(t)}  # type: ignore[attr-defined]
    return loss


def over_batch(estimator: Callable[..., Any], vae: Any, params: Any, key: Array, batch: Any, **values: Any) -> Any:
    """The estimator at every example of a batch, each with a key of its own; leaves get a leading axis."""
    keys = jax.random.split(key, jax.tree.leaves(batch)[0].shape[0])
    return jax.vmap(lambda k, e: estimate(vae, estimator, params, k, e, **values))(keys, batch)


def estimate(vae: Any, estimator: Callable[..., Any], params: Any, key: Array, example: Any, **values: Any) -> Any:
    """The estimator at one example: x for a `VAE`, the pair (x, c) for a `ConditionalVAE`."""
    if isinstance(vae, ConditionalVAE):
        if not isinstance(example, tuple | list) or len(example) != 2:
            raise InputError(
                f"an example of {_kind(example)}: a ConditionalVAE expects the pair (x, c); pass (x, c), or one "
                "model, vae.given(c), for all x"
            )
        x, c = example
        return estimator(vae.given(c), params, key, x, **values)
    return estimator(vae, params, key, example, **values)


def _kind(example: Any) -> str:
    if isinstance(example, tuple | list):
        return f"{len(example)} arrays"
    return f"shape {jnp.shape(example)}" if hasattr(example, "shape") else type(example).__name__

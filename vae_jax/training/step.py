"""One update, and many of them in one compiled call.

Randomness depends on the seed and the step alone: the state carries one root key that never changes, and step
t draws everything from `fold_in(key, t)`. A run that is cut anywhere and goes on from a saved state therefore
computes the same numbers as one that was never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vae_jax.data.batches import NextBatch
from vae_jax.errors import InputError
from vae_jax.estimates import Metrics
from vae_jax.objectives.lifting import Loss
from vae_jax.optimizers import optimized
from vae_jax.stateless import stateless_networks
from vae_jax.training.state import TrainState

Array = jax.Array
Objective = Loss  # params, key, batch, step -> the loss, the metrics, and what else it returns
Step = Callable[[TrainState, Any], tuple[TrainState, Metrics]]  # state, batch or data -> new state, metrics


def train_step(
    state: TrainState,
    batch: Any,
    *,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    ema_decay: float = 0.999,
) -> tuple[TrainState, Metrics]:
    """One update of the parameters, a pure function.

    params <- params + optimizer(grad objective),  ema <- d ema + (1 - d) params,
    with d = min(ema_decay, (1 + t) / (10 + t)), so that the average forgets the initial values. Where the loss or
    the gradient is not finite all of them stay as they are; the step counts, so the next one has other noise.

    batch: a pytree of arrays [batch, *event]. objective: returns the loss, a scalar in nats per example, and the
    metrics, {name: scalar}; what it returns beyond these is dropped. optimizer: one that asks for the loss, or for
    the loss at other parameters with the same noise, gets them (`optax.contrib.reduce_on_plateau`, `optax.lbfgs`).

    Returns the new state and the objective's metrics with `loss`, `grad_norm` (the global L2 norm) and `skipped`
    (1 where nothing was updated, else 0) added. Raises InputError for an objective that returns something else,
    for networks with noise or a state of their own, and for an optimizer that needs more or whose state changes
    its shapes.
    """
    _, noise_key = jax.random.split(state.key)
    key = jax.random.fold_in(noise_key, state.step)

    def loss_and_metrics(params: Any) -> tuple[Array, Metrics]:
        return _checked(objective(params, key, batch, state.step))

    with stateless_networks():
        (loss, metrics), grads = jax.value_and_grad(loss_and_metrics, has_aux=True)(state.params)
    grad_norm = optax.tree.norm(grads)
    # Both: a finite loss can have a gradient that is not.
    good = jnp.isfinite(loss + grad_norm)

    def update() -> tuple[Any, Any, Any]:
        updates, opt_state = optimized(
            optimizer, grads, state.opt_state, state.params, loss=loss, value_fn=lambda p: loss_and_metrics(p)[0]
        )
        params = optax.apply_updates(state.params, updates)
        decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
        return params, opt_state, optax.incremental_update(params, state.ema, 1.0 - decay)

    kept = (state.params, state.opt_state, state.ema)

    def branch() -> Any:
        return jax.lax.cond(good, update, lambda: kept)

    def select() -> Any:
        return jax.tree.map(lambda new, old: jnp.where(good, new, old), update(), kept)

    # To select costs a third of a step on a CPU; a branch costs the memory of a second state on a TPU.
    params, opt_state, ema = jax.lax.platform_dependent(cpu=branch, default=select)
    metrics = {"loss": loss, **metrics, "grad_norm": grad_norm, "skipped": 1.0 - good}
    return TrainState(state.step + 1, state.key, params, opt_state, ema), metrics


def scan_steps(
    step: Step, next_batch: NextBatch, num_steps: int, *, state_sharding: Any = None
) -> Callable[[TrainState, Any], tuple[TrainState, Metrics]]:
    """`num_steps` updates in one compiled call that is given the state's memory (donated).

    Returns `run(state, data) -> (state, metrics)`, metrics of shape [num_steps]. The state passed in must not
    be used again. data: a pytree of arrays on the device, from which `next_batch` makes each batch inside.
    `state_sharding`: where the new state lies, a state of shardings; by default the compiler chooses.
    """
    shardings = None if state_sharding is None else (state_sharding, state_sharding.step)
    return jax.jit(scanned(step, next_batch, num_steps), donate_argnums=0, out_shardings=shardings)


def scanned(
    step: Step, next_batch: NextBatch, num_steps: int
) -> Callable[[TrainState, Any], tuple[TrainState, Metrics]]:
    """`scan_steps` before it is compiled, to be transformed further."""

    def run(state: TrainState, data: Any) -> tuple[TrainState, Metrics]:
        data_key, _ = jax.random.split(state.key)

        # The batch is carried from the step before: made inside the step that uses it, XLA on CPU would render or
        # draw it again in each of its uses.
        def body(carry: tuple[TrainState, Any], _: None) -> tuple[tuple[TrainState, Any], Metrics]:
            state, metrics = step(*carry)
            return (state, next_batch(data, data_key, state.step)), metrics

        first = next_batch(data, data_key, state.step)
        (state, _), metrics = jax.lax.scan(body, (state, first), length=num_steps)
        return state, metrics

    return run


def _checked(result: Any) -> tuple[Array, Metrics]:
    """The loss and the metrics of an objective, without what it returns beyond them."""
    if not (isinstance(result, tuple) and len(result) >= 2 and isinstance(result[1], Mapping)):
        raise InputError(
            f"the objective returned a {type(result).__name__}: expected (loss, metrics) with a dict of scalars, "
            "as an Estimate; return (loss, {}) where there are none"
        )
    loss = result[0]
    if jnp.shape(loss) != ():
        raise InputError(
            f"the objective returned a loss of shape {jnp.shape(loss)}: expected a scalar, the mean over the "
            "batch; per_example makes such an objective of an estimator of one example"
        )
    return loss, dict(result[1])

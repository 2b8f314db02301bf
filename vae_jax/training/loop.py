"""The training step, many of them in one compiled call, and a loop around those calls.

Randomness depends on the seed and the step alone: the state carries one root key that never changes, and step
t draws everything from `fold_in(key, t)`. A run that is cut anywhere and goes on from a saved state therefore
computes the same numbers as one that was never cut.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from vae_jax.errors import InputError
from vae_jax.estimates import Metrics
from vae_jax.objectives.lifting import Loss as Objective

Array = jax.Array
NextBatch = Callable[[Any, Array, Array], Any]  # data, key, step -> batch
# key, step, steps_per_call -> the data of each call in turn, from the call that holds the step
Stream = Callable[[Array, int, int], contextlib.AbstractContextManager[Iterator[Any]]]


class TrainState(NamedTuple):
    """All that a run needs to go on: arrays only."""

    step: Array  # int32, the number of updates made, with those that were skipped
    key: Array  # root key of the run, the same at every step
    params: Any
    opt_state: Any
    ema: Any  # exponential moving average of params


class NonFiniteLossError(FloatingPointError):
    """The loss at `step`, or its gradient, was NaN or infinite."""

    def __init__(self, step: int, loss: float, grad_norm: float = math.nan):
        super().__init__(
            f"loss {loss} with gradient norm {grad_norm} at step {step}: expected finite numbers; lower the "
            "learning rate, clip the gradient (optax.clip_by_global_norm), or look for bad values in the data"
        )
        self.step = step


def init_state(
    init: Callable[[Array], Any],
    optimizer: optax.GradientTransformation,
    key: Array,
    *,
    sharding: Callable[[Any], Any] | None = None,
) -> TrainState:
    """A fresh state, built inside one compiled call. init: key -> params, as `vae.init`.

    `sharding`: the shapes of a state -> its shardings, as `functools.partial(state_sharding, mesh)`.
    """

    def build(key: Array) -> TrainState:
        init_key, root_key = jax.random.split(key)
        params = init(init_key)
        # The average gets buffers of its own, for a donated state must not hold one buffer twice.
        ema = jax.tree.map(jnp.copy, params)
        return TrainState(jnp.int32(0), root_key, params, optimizer.init(params), ema)

    return jax.jit(build, out_shardings=sharding and sharding(jax.eval_shape(build, key)))(key)


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

    Returns the new state and the objective's metrics with `loss`, `grad_norm` (the global L2 norm) and `skipped`
    (1 where nothing was updated, else 0) added.
    """
    _, noise_key = jax.random.split(state.key)
    key = jax.random.fold_in(noise_key, state.step)

    def loss_and_metrics(params: Any) -> tuple[Array, Metrics]:
        estimate = objective(params, key, batch, state.step)
        return estimate[0], estimate[1]

    (loss, metrics), grads = jax.value_and_grad(loss_and_metrics, has_aux=True)(state.params)
    grad_norm = optax.tree.norm(grads)
    # Both: a finite loss can have a gradient that is not.
    good = jnp.isfinite(loss + grad_norm)

    def update() -> tuple[Any, Any, Any]:
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
        return params, opt_state, optax.incremental_update(params, state.ema, 1.0 - decay)

    kept = (state.params, state.opt_state, state.ema)

    def branch() -> tuple[Any, Any, Any]:
        return jax.lax.cond(good, update, lambda: kept)

    def select() -> tuple[Any, Any, Any]:
        return jax.tree.map(lambda new, old: jnp.where(good, new, old), update(), kept)

    # To select costs a third of a step on a CPU; a branch costs the memory of a second state on a TPU.
    params, opt_state, ema = jax.lax.platform_dependent(cpu=branch, default=select)
    metrics = {"loss": loss, **metrics, "grad_norm": grad_norm, "skipped": 1.0 - good}
    return TrainState(state.step + 1, state.key, params, opt_state, ema), metrics


def scan_steps(
    step: Callable[[TrainState, Any], tuple[TrainState, Metrics]],
    next_batch: NextBatch,
    num_steps: int,
    *,
    state_sharding: Any = None,
) -> Callable[[TrainState, Any], tuple[TrainState, Metrics]]:
    """`num_steps` updates in one compiled call that is given the state's memory (donated).

    Returns `run(state, data) -> (state, metrics)`, metrics of shape [num_steps]. The state passed in must not
    be used again. data: a pytree of arrays on the device, from which `next_batch` makes each batch inside.
    `state_sharding`: where the new state lies, a state of shardings; by default the compiler chooses.
    """
    shardings = None if state_sharding is None else (state_sharding, state_sharding.step)

    return jax.jit(scanned(step, next_batch, num_steps), donate_argnums=0, out_shardings=shardings)


def scanned(
    step: Callable[[TrainState, Any], tuple[TrainState, Metrics]], next_batch: NextBatch, num_steps: int
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


def fit(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    next_batch: NextBatch,
    state: TrainState,
    data: Any,
    *,
    num_steps: int,
    steps_per_call: int = 100,
    ema_decay: float = 0.999,
    max_skipped: int = 0,
    after_call: Callable[[TrainState, dict[str, np.ndarray]], None] | None = None,
) -> TrainState:
    """Trains up to step `num_steps`, whatever step the state is at. The state passed in is given up (donated).

    data: a pytree of arrays, which stay on the device; or, where they do not fit, a `Stream` (a function), which
    gives each compiled call arrays of its own and is closed at the end, however the run ends.

    Calls end at multiples of `steps_per_call`, so a resumed run makes the same calls as an unbroken one.
    `after_call(state, metrics)` sees the state (do not keep it: the next call reuses its memory) and the metrics
    of each step of the call, [steps] in nats per example, and may save, print or raise.

    A step whose loss or gradient is NaN or infinite changes nothing but the step. More than `max_skipped`
    of them in a row raise NonFiniteLossError, before `after_call`; by default the first one does.

    Warns where a schedule of the objective has not reached its final value at the end of the run. Raises
    InputError for sizes below 1 and a `max_skipped` below 0.
    """
    if max_skipped < 0:
        raise InputError(f"max_skipped {max_skipped}: expected whole numbers from 0 up")
    lengths = call_lengths(int(state.step), num_steps, steps_per_call)
    for name, schedule in getattr(objective, "schedules", {}).items():
        check_schedule(name, schedule, num_steps)
    step = functools.partial(train_step, objective=objective, optimizer=optimizer, ema_decay=ema_decay)
    run = functools.lru_cache(maxsize=2)(
        functools.partial(scan_steps, step, next_batch, state_sharding=placement(state))
    )
    done, in_a_row = int(state.step), 0
    data_key, _ = jax.random.split(state.key)
    in_memory = contextlib.nullcontext(itertools.repeat(data))
    with data(data_key, done, steps_per_call) if callable(data) else in_memory as chunks:
        for length in lengths:
            state, device_metrics = run(length)(state, next(chunks))
            metrics = {name: np.asarray(values) for name, values in device_metrics.items()}
            for i, skipped in enumerate(metrics["skipped"]):
                in_a_row = in_a_row + 1 if skipped else 0
                if in_a_row > max_skipped:
                    raise NonFiniteLossError(done + i, float(metrics["loss"][i]), float(metrics["grad_norm"][i]))
            done += length
            if after_call is not None:
                after_call(state, metrics)
    return state


def call_lengths(done: int, num_steps: int, steps_per_call: int) -> list[int]:
    """The steps of each compiled call that is left, so that calls end at multiples of `steps_per_call`."""
    if num_steps < 1 or steps_per_call < 1:
        raise InputError(
            f"num_steps {num_steps}, steps_per_call {steps_per_call}: expected whole numbers from 1 up"
        )
    ends = [*range(done - done % steps_per_call + steps_per_call, num_steps, steps_per_call), num_steps]
    return [end - start for start, end in itertools.pairwise([done, *ends])] if done < num_steps else []


def placement(state: TrainState) -> Any:
    """Where a state was placed on devices, a state of shardings; None for one that was not placed.

    What goes in and comes out at the same place can use the same memory.
    """

    def of(leaf: Array) -> jax.sharding.Sharding:
        sharding = leaf.sharding
        if isinstance(sharding, NamedSharding):
            # A key that was read from a checkpoint has the placement of its data, which have one axis more.
            return NamedSharding(sharding.mesh, P(*sharding.spec[: leaf.ndim]))
        return sharding

    return jax.tree.map(of, state) if state.step.committed else None


def check_schedule(name: str, schedule: Callable[[Array], Any], num_steps: int) -> None:
    """Warns where a schedule of the step still changes after the last step of the run."""
    last, later = (float(schedule(jnp.int32(min(step, 2**31 - 1)))) for step in (num_steps, 1000 * num_steps))
    if not np.isclose(last, later, rtol=1e-2):
        warnings.warn(
            f"{name} is {last:.4g} after all {num_steps} steps, on its way to {later:.4g}: "
            "the schedule is longer than the run; shorten it or train longer",
            stacklevel=3,
        )

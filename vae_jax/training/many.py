"""Many runs of one program at once, over seeds and scalar settings: training under `vmap`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Key

from vae_jax.data.batches import NextBatch
from vae_jax.errors import InputError
from vae_jax.estimates import Metrics
from vae_jax.training.loop import AfterCall, call_lengths, checked_data, placement, run_calls
from vae_jax.training.state import TrainState, init_state
from vae_jax.training.step import Objective, scanned, train_step

Array = jax.Array
# One step counter for all, so that branches on the step stay branches and a checkpoint has one step.
_AXES = TrainState(step=None, key=0, params=0, opt_state=0, ema=0)  # type: ignore[arg-type]


def init_many(
    init: Callable[[Key[Array, ""]], Any], optimizer: optax.GradientTransformation, keys: Key[Array, " runs"]
) -> TrainState:
    """The states of as many runs as there are keys; run i is that of `init_state(init, optimizer, keys[i])`.

    keys: typed keys [runs]. optimizer: as `setting` of `train_many` gives it, with any value of its scalars, for
    its state does not depend on them. Returns a `TrainState` whose leaves have a leading axis [runs], save for the
    step.
    """
    states: TrainState = jax.jit(jax.vmap(functools.partial(init_state, init, optimizer), out_axes=_AXES))(keys)
    return states


def train_many(
    setting: Callable[..., tuple[Objective, optax.GradientTransformation]],
    next_batch: NextBatch,
    states: TrainState,
    data: Any,
    tunables: dict[str, Any],
    *,
    num_steps: int,
    steps_per_call: int = 100,
    ema_decay: float = 0.999,
    after_call: AfterCall | None = None,
) -> TrainState:
    """Trains many runs in one compiled program, up to step `num_steps`; run i is what `fit` alone would make it.

    setting: the scalars of one run by name -> its objective and its optimizer, as
    `lambda beta, learning_rate: (per_example(elbo, vae, beta=beta), optax.adam(learning_rate))`.
    tunables: for each name an array [runs], as `{"beta": [1.0, 4.0], "learning_rate": [1e-3, 1e-3]}`.
    states: from `init_many`, given up (donated). They may be sharded over devices along the axis of the runs.

    Runs share the data but not the order of it, which follows the key of each. `after_call(states, metrics)` gets
    the metrics [runs, steps] of each call. A step whose loss or gradient is not finite is skipped, in that run
    alone (see `train_step`), so none is raised here: `metrics["skipped"]` tells. Agrees with separate runs up to
    the order of floating-point sums. Raises InputError for sizes that do not fit together, for data that are no
    arrays or differ in length, for a stream, and for what `train_step` cannot use.
    """
    if callable(data):
        raise InputError("data of train_many: expected arrays, not a stream; keep them in memory, or use `fit`")
    placed = placement(states)
    chunks = itertools.repeat(checked_data(data, put=placed is None))
    num_runs = states.key.shape[0]
    values = {name: jnp.asarray(v, jnp.float32) for name, v in tunables.items()}
    for name, v in values.items():
        if v.shape != (num_runs,):
            raise InputError(f"{name} of shape {v.shape}: expected one value for each run, ({num_runs},)")

    def one(length: int, state: TrainState, values: dict[str, Array], data: Any) -> tuple[TrainState, Metrics]:
        objective, optimizer = setting(**values)
        step = functools.partial(train_step, objective=objective, optimizer=optimizer, ema_decay=ema_decay)
        return scanned(step, next_batch, length)(state, data)

    @functools.lru_cache(maxsize=2)
    def run(length: int) -> Callable[[TrainState, Any], tuple[TrainState, Metrics]]:
        many = jax.vmap(functools.partial(one, length), in_axes=(_AXES, 0, None), out_axes=(_AXES, 0))
        compiled = jax.jit(many, donate_argnums=0, out_shardings=placed and (placed, placed.key))
        return lambda states, data: compiled(states, values, data)

    lengths = call_lengths(int(states.step), num_steps, steps_per_call)
    return run_calls(run, states, chunks, lengths, after_call=after_call)


def run_of(states: Any, i: int) -> Any:
    """The parameters, or any other stacked tree, of run i: leaves without their leading axis [runs]."""
    return jax.tree.map(lambda a: a[i], states)

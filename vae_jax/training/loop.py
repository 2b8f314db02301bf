"""The loop around compiled calls: which calls there are, what each is given, and who sees what it returned."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from vae_jax.data.batches import NextBatch
from vae_jax.data.foreign import as_arrays
from vae_jax.data.leading import num_examples
from vae_jax.data.streaming import Stream
from vae_jax.errors import InputError
from vae_jax.estimates import Metrics
from vae_jax.training.causes import fault_in_batch
from vae_jax.training.schedules import check_schedule
from vae_jax.training.state import NonFiniteLossError, TrainState
from vae_jax.training.step import Objective, scan_steps, train_step

Array = jax.Array
HostMetrics = dict[str, np.ndarray]  # of one call: [steps], or [runs, steps] of many runs
AfterCall = Callable[[TrainState, HostMetrics], None]


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
    after_call: AfterCall | None = None,
) -> TrainState:
    """Trains up to step `num_steps`, whatever step the state is at. The state passed in is given up (donated).

    data: a pytree of arrays [num_examples, ...], which stay on the device; or, where they do not fit, a `Stream`
    (a function), which gives each compiled call arrays of its own and is closed at the end, however the run ends;
    or None, where `next_batch` needs none.

    Calls end at multiples of `steps_per_call`, so a resumed run makes the same calls as an unbroken one.
    `after_call(state, metrics)` sees the state (do not keep it: the next call reuses its memory) and the metrics
    of each step of the call, [steps] in nats per example, and may save, print or raise.

    A step whose loss or gradient is NaN or infinite changes nothing but the step. More than `max_skipped`
    of them in a row raise NonFiniteLossError, before `after_call`; by default the first one does.

    Warns where a schedule of the objective has not reached its final value at the end of the run. Raises
    InputError for sizes below 1 and a `max_skipped` below 0, for data that are no arrays or differ in length, for
    a stream that ends too early, and for what `train_step` cannot use.
    """
    if max_skipped < 0:
        raise InputError(f"max_skipped {max_skipped}: expected whole numbers from 0 up")
    placed = placement(state)
    if not callable(data):
        data = checked_data(data, put=placed is None)
    done = int(state.step)
    lengths = call_lengths(done, num_steps, steps_per_call)
    for name, schedule in getattr(objective, "schedules", {}).items():
        check_schedule(name, schedule, num_steps)
    step = functools.partial(train_step, objective=objective, optimizer=optimizer, ema_decay=ema_decay)
    run = functools.lru_cache(maxsize=2)(functools.partial(scan_steps, step, next_batch, state_sharding=placed))
    data_key, _ = jax.random.split(state.key)
    check = _stops_after(max_skipped, next_batch, data_key)
    in_memory = contextlib.nullcontext(itertools.repeat(data))
    with _opened(data, data_key, done, steps_per_call) if callable(data) else in_memory as chunks:
        return run_calls(run, state, chunks, lengths, check=check, after_call=after_call)


def run_calls(
    run: Callable[[int], Callable[[TrainState, Any], tuple[TrainState, Metrics]]],
    state: TrainState,
    chunks: Iterator[Any],
    lengths: Sequence[int],
    *,
    check: Callable[[int, HostMetrics, Any], None] | None = None,
    after_call: AfterCall | None = None,
) -> TrainState:
    """The compiled calls of a run, one after the other: what `fit` and `train_many` have in common.

    run: the number of steps of a call -> (state, data) -> (state, metrics), which is given the state's memory.
    chunks: the data of each call. lengths: the number of steps of each. After each call comes
    `check(step, metrics, data)`, with the step at which the call began, which may raise; then
    `after_call(state, metrics)`. Raises InputError where the chunks end before the calls.
    """
    step = int(state.step)
    for length in lengths:
        try:
            data = next(chunks)
        except StopIteration:
            raise InputError(
                f"the stream ended at step {step}: expected a chunk for each compiled call; let it go on, or train "
                "no longer than it"
            ) from None
        state, on_device = run(length)(state, data)
        metrics = {name: np.asarray(values) for name, values in on_device.items()}
        if check is not None:
            check(step, metrics, data)
        # The next chunk of a stream takes the memory of this one.
        del data
        step += length
        if after_call is not None:
            after_call(state, metrics)
    return state


def checked_data(data: Any, *, put: bool) -> Any:
    """Data in memory as compiled calls take them: arrays of one length and of the machine's byte order.

    put: whether to bring them to the default device, once for all calls; data of a state that was placed on devices
    are placed by whoever placed the state. None, for a `next_batch` that makes its batches of nothing, stays None.
    Raises InputError for anything else.
    """
    if data is None:
        return None
    arrays = as_arrays(data)
    num_examples(arrays)
    return jax.device_put(arrays) if put else arrays


def call_lengths(done: int, num_steps: int, steps_per_call: int) -> list[int]:
    """The steps of each compiled call that is left, so that calls end at multiples of `steps_per_call`.

    Raises InputError for a `num_steps` or `steps_per_call` below 1.
    """
    if num_steps < 1 or steps_per_call < 1:
        raise InputError(
            f"num_steps {num_steps}, steps_per_call {steps_per_call}: expected whole numbers from 1 up"
        )
    ends = [*range(done - done % steps_per_call + steps_per_call, num_steps, steps_per_call), num_steps]
    return [end - start for start, end in itertools.pairwise([done, *ends])] if done < num_steps else []


def choose_steps_per_call(seconds_per_step: float, *, most: int = 100, seconds_per_call: float = 5.0) -> int:
    """The largest divisor of `most` whose call takes at most `seconds_per_call`; 1 where one step takes longer.

    A signal to stop is noticed after the call in which it came, and a machine that is taken back gives little
    notice (30 seconds), in which the state must also be saved. Divisors, so that calls still end at every multiple
    of `most`, where a run evaluates.

    Choose once, from a step that was compiled before it was timed, and keep the number with the run: a resumed run
    must make the calls of the unbroken one. Of several processes one measures and tells the others, for all must
    make the same calls. Raises InputError for numbers that are not above 0.
    """
    if not (seconds_per_step > 0 and seconds_per_call > 0 and most >= 1):
        raise InputError(
            f"{seconds_per_step} seconds a step, {seconds_per_call} a call, at most {most} steps: expected numbers "
            "above 0"
        )
    divisors = (steps for steps in range(most, 0, -1) if most % steps == 0)
    return next((steps for steps in divisors if steps * seconds_per_step <= seconds_per_call), 1)


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


def _stops_after(
    max_skipped: int, next_batch: NextBatch, data_key: Array
) -> Callable[[int, HostMetrics, Any], None]:
    """Raises NonFiniteLossError where more than `max_skipped` steps in a row were skipped, over all calls."""
    in_a_row, any_good = 0, False

    def check(start: int, metrics: HostMetrics, data: Any) -> None:
        nonlocal in_a_row, any_good
        for i, skipped in enumerate(metrics["skipped"]):
            in_a_row = in_a_row + 1 if skipped else 0
            any_good = any_good or not skipped
            if in_a_row > max_skipped:
                loss = float(metrics["loss"][i])
                step, explains_range = start + i, math.isinf(loss) or not any_good
                cause = fault_in_batch(next_batch, data, data_key, step, explains_range=explains_range)
                raise NonFiniteLossError(step, loss, float(metrics["grad_norm"][i]), cause)

    return check


@contextlib.contextmanager
def _opened(stream: Stream, key: Array, step: int, steps_per_call: int) -> Iterator[Iterator[Any]]:
    """The chunks of a stream, each checked when its call comes."""
    name = getattr(stream, "__qualname__", type(stream).__name__)
    expected = (
        "expected arrays, or a stream: a function of key, step and steps_per_call that returns a context manager "
        "of the chunks; vae_jax.data.stream makes one"
    )
    try:
        inspect.signature(stream).bind(key, step, steps_per_call)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"data is the function {name}, which cannot be called as a stream is: {expected}"
        ) from error
    opened = stream(key, step, steps_per_call)
    if not hasattr(opened, "__enter__"):
        raise InputError(f"data is the function {name}, which returned a {type(opened).__name__}: {expected}")
    with opened as chunks:
        yield map(_checked_chunk, chunks)


def _checked_chunk(chunk: Any) -> Any:
    arrays = as_arrays(chunk, name="a chunk of the stream")
    num_examples(arrays, name="a chunk of the stream")
    return arrays

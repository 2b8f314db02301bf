"""How many steps one compiled call makes."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jax.experimental import multihost_utils

from vae_jax.objectives import Loss
from vae_jax.training import NextBatch, TrainState, choose_steps_per_call, scan_steps, train_step

# A step of fewer operations is not timed: any processor makes 100 of them before a signal is missed.
QUICK_FLOPS = 5e8


def chosen_steps_per_call(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    next_batch: NextBatch,
    fresh_state: Callable[[], TrainState],
    data: Any,
    most: int,
) -> int:
    """A divisor of `most` such that a signal to stop is heard within seconds; the same in all processes.

    data: arrays as one compiled call gets them. A step is timed once it is compiled, but not where its operations,
    counted without compiling it, are few.
    """
    step = functools.partial(train_step, objective=loss, optimizer=optimizer)
    one = scan_steps(step, next_batch, 1)
    analysis = one.lower(jax.eval_shape(fresh_state), data).cost_analysis() or {}  # type: ignore[attr-defined]
    if 0 < analysis.get("flops", np.inf) < QUICK_FLOPS:
        return most
    state, _ = one(fresh_state(), data)
    state.step.block_until_ready()
    begin = time.perf_counter()
    state, _ = one(state, data)
    state.step.block_until_ready()
    seconds = np.float32(max(time.perf_counter() - begin, 1e-9))
    if jax.process_count() > 1:
        seconds = multihost_utils.broadcast_one_to_all(seconds)
    return choose_steps_per_call(float(seconds), most=most)

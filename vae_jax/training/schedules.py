"""Schedules of an objective: whether they end within a run, and where."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

Array = jax.Array
# Of the last value: what is nearer to it has reached it.
TOLERANCE = 1e-2
MOST_POINTS = 100_000


def check_schedule(name: str, schedule: Callable[[Int[Array, ""]], Any], num_steps: int) -> None:
    """Warns where a schedule of the step still changes after the last step of the run."""
    last, later = (float(schedule(jnp.int32(min(step, 2**31 - 1)))) for step in (num_steps, 1000 * num_steps))
    if not np.isclose(last, later, rtol=TOLERANCE):
        warnings.warn(
            f"{name} is {last:.4g} after all {num_steps} steps, on its way to {later:.4g}: "
            "the schedule is longer than the run; shorten it or train longer",
            stacklevel=3,
        )


def schedules_end(objective: Any, num_steps: int) -> int:
    """The step from which the schedules of an objective have the values that they have at step `num_steps`.

    0 for an objective without schedules. Of a run of more than 100,000 steps the next multiple of a part of it.
    """
    steps = np.unique(np.linspace(0, num_steps, min(num_steps, MOST_POINTS) + 1).astype(np.int32))
    end = 0
    for schedule in getattr(objective, "schedules", {}).values():
        values = np.asarray(jax.jit(jax.vmap(schedule))(steps))
        changing = np.flatnonzero(~np.isclose(values, values[-1], rtol=TOLERANCE))
        end = max(end, int(steps[changing[-1] + 1]) if len(changing) else 0)
    return end

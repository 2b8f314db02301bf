"""How a weight changes over the steps of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optax

from vae_jax.errors import check_at_least


@dataclass(frozen=True)
class Linear:
    """Linear growth from 0 over the first steps, constant afterwards."""

    steps: int = 1000
    """Steps that the growth takes."""

    def __post_init__(self) -> None:
        check_at_least("steps", self.steps, 1)

    def schedule(self, value: float) -> Callable[[Any], Any]:
        """The function from the step to the weight, of which `value` is the last."""
        schedule: Callable[[Any], Any] = optax.linear_schedule(0.0, value, self.steps)
        return schedule

"""Stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import optax

from vae_jax.errors import InputError
from vae_jax.optimizers.rates import Rate


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum (Polyak 1964).

    A loss is a sum over the numbers of an example, and so is its gradient: a clip norm lets a larger rate hold.
    """

    momentum: float = 0.9
    """Part of the last update that is made again."""
    nesterov: bool = False
    """Take the gradient where the momentum leads (Sutskever et al. 2013)."""
    learning_rate: ClassVar[float] = 1e-4

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum {self.momentum}: expected a number in [0, 1)")

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at a learning rate or a schedule of it."""
        return optax.sgd(rate, momentum=self.momentum or None, nesterov=self.nesterov)

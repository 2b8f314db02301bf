"""Adam and its nearest relatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import optax

from vae_jax.errors import InputError
from vae_jax.optimizers.decay import decayed
from vae_jax.optimizers.rates import Rate


@dataclass(frozen=True)
class Adam:
    """Adam, of Kingma and Ba 2015 (arXiv:1412.6980)."""

    b1: float = 0.9
    """Decay of the mean of the gradient."""
    b2: float = 0.999
    """Decay of the mean of its square."""
    learning_rate: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        check_decays(self.b1, self.b2)

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at a learning rate or a schedule of it."""
        return optax.adam(rate, b1=self.b1, b2=self.b2)


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay, of Loshchilov and Hutter 2019 (arXiv:1711.05101)."""

    weight_decay: float = 0.01
    """Part of each weight of a network that an update takes away, times the learning rate; biases are left."""
    b1: float = 0.9
    """Decay of the mean of the gradient."""
    b2: float = 0.999
    """Decay of the mean of its square."""
    learning_rate: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        check_decays(self.b1, self.b2)
        check_weight_decay(self.weight_decay)

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at a learning rate or a schedule of it; the decay falls with the rate."""
        return optax.adamw(rate, b1=self.b1, b2=self.b2, weight_decay=self.weight_decay, mask=decayed)


@dataclass(frozen=True)
class Adamax:
    """Adam with the largest gradient in place of the mean square, of Kingma and Ba 2015."""

    b1: float = 0.9
    """Decay of the mean of the gradient."""
    b2: float = 0.999
    """Decay of the largest absolute gradient."""
    learning_rate: ClassVar[float] = 2e-3

    def __post_init__(self) -> None:
        check_decays(self.b1, self.b2)

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at a learning rate or a schedule of it."""
        return optax.adamax(rate, b1=self.b1, b2=self.b2)


def check_decays(b1: float, b2: float) -> None:
    """Raises InputError for decays of means that are none."""
    if not (0 <= b1 < 1 and 0 <= b2 < 1):
        raise InputError(f"b1 {b1}, b2 {b2}: expected decays in [0, 1)")


def check_weight_decay(weight_decay: float) -> None:
    """Raises InputError for a weight decay below 0."""
    if not 0 <= weight_decay < 1e6:
        raise InputError(f"weight decay {weight_decay}: expected a number from 0 up")

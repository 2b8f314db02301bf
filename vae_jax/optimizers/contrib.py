"""Optimizers of `optax.contrib` that train a model here with no more than a learning rate.

Left out are those that the step cannot serve (`sophia` asks for a Hessian, the differentially private ones for the
gradient of each example), that trained a small model badly (`acprop`, `dog`, `dowg`), that wrap others (`sam`,
`mechanize`, `reduce_on_plateau`), and near doubles. A config of one's own takes any of them by `Task.optimizer`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import optax

from vae_jax.errors import InputError
from vae_jax.optimizers.adam import check_weight_decay
from vae_jax.optimizers.decay import decayed
from vae_jax.optimizers.rates import Rate


@dataclass(frozen=True)
class Ademamix:
    """Adam with a second, slow mean of the gradient (Pagliardini et al. 2024, arXiv:2409.03137)."""

    weight_decay: float = 0.0
    """As of adam-w."""
    alpha: float = 5.0
    """Weight of the slow mean."""
    learning_rate: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        check_weight_decay(self.weight_decay)
        if not 0 <= self.alpha < math.inf:
            raise InputError(f"alpha {self.alpha}: expected a number from 0 up")

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at a learning rate or a schedule of it."""
        return optax.contrib.ademamix(rate, alpha=self.alpha, weight_decay=self.weight_decay, mask=decayed)


@dataclass(frozen=True)
class Adopt:
    """Adam that converges with any b2 (Taniguchi et al. 2024, arXiv:2411.02853)."""

    learning_rate: ClassVar[float] = 1e-3

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at a learning rate or a schedule of it."""
        return optax.contrib.adopt(rate)


@dataclass(frozen=True)
class Cocob:
    """Coin betting, which finds its rate itself; its own is 1 (Orabona and Tommasi 2017, arXiv:1705.07795)."""

    alpha: float = 100.0
    """Fraction by which the first bets are held down."""
    learning_rate: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < math.inf:
            raise InputError(f"alpha {self.alpha}: expected a number above 0")

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at a multiple of the rate that it finds, or a schedule of that."""
        return optax.contrib.cocob(rate, alpha=self.alpha)


@dataclass(frozen=True)
class DAdaptAdamW:
    """Adam that finds its rate itself; its own is 1 (Defazio and Mishchenko 2023, arXiv:2301.07733)."""

    learning_rate: ClassVar[float] = 1.0

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at a multiple of the rate that it finds, or a schedule of that."""
        return optax.contrib.dadapt_adamw(rate)


@dataclass(frozen=True)
class Madgrad:
    """Momentum with dual averaging (Defazio and Jelassi 2021, arXiv:2101.11075)."""

    momentum: float = 0.9
    """Part of the last iterate that is kept."""
    learning_rate: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum {self.momentum}: expected a number in [0, 1)")

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at a learning rate or a schedule of it."""
        return optax.contrib.madgrad(rate, momentum=self.momentum)


@dataclass(frozen=True)
class MomoAdam:
    """Adam whose rate is bounded by what the loss allows (Schaipp et al. 2023, arXiv:2305.07583)."""

    lower_bound: float = 0.0
    """A loss that cannot be passed; below 0 for densities of real numbers."""
    adapt_lower_bound: bool = True
    """Lower the bound where the loss comes below it."""
    learning_rate: ClassVar[float] = 1e-2

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at the largest learning rate, or a schedule of it."""
        return optax.contrib.momo_adam(rate, lower_bound=self.lower_bound, adapt_lower_bound=self.adapt_lower_bound)


@dataclass(frozen=True)
class Muon:
    """Orthogonalized momentum of matrices, and Adam for the rest (Jordan et al. 2024)."""

    weight_decay: float = 0.0
    """As of adam-w."""
    learning_rate: ClassVar[float] = 5e-3

    def __post_init__(self) -> None:
        check_weight_decay(self.weight_decay)

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at a learning rate or a schedule of it."""
        return optax.contrib.muon(rate, weight_decay=self.weight_decay, weight_decay_mask=decayed)


@dataclass(frozen=True)
class Prodigy:
    """Adam that finds its rate itself; its own is 1 (Mishchenko and Defazio 2023, arXiv:2306.06101)."""

    learning_rate: ClassVar[float] = 1.0

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at a multiple of the rate that it finds, or a schedule of that."""
        return optax.contrib.prodigy(rate)


@dataclass(frozen=True)
class ScheduleFree:
    """Adam with an average of iterates in place of a decay (Defazio et al. 2024, arXiv:2405.15682).

    Evaluation uses the moving average of the points at which gradients are taken, as with every optimizer.
    """

    b1: float = 0.9
    """Weight of the average in the point at which the gradient is taken."""
    learning_rate: ClassVar[float] = 2.5e-3

    def __post_init__(self) -> None:
        if not 0 < self.b1 < 1:
            raise InputError(f"b1 {self.b1}: expected a weight between 0 and 1")

    def make(self, rate: Rate) -> optax.GradientTransformation:
        """The optimizer at a learning rate or a schedule of it."""
        return optax.contrib.schedule_free_adamw(rate, b1=self.b1)

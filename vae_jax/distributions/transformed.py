"""A distribution pushed through an invertible function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import Float

from vae_jax.distributions.base import Distribution, Support, center, sample_and_log_prob, support
from vae_jax.errors import InputError

Array = jax.Array


@runtime_checkable
class Bijection(Protocol):
    """An invertible function of one event, with the log-determinant of its Jacobian; a pytree.

    One whose values are not all real numbers says which they are, by an attribute `codomain`, a `Support`.
    """

    def forward(self, z: Any) -> tuple[Any, Float[Array, ""]]:
        """f(z) and log|det df/dz| at z, a scalar."""

    def inverse(self, y: Any) -> tuple[Any, Float[Array, ""]]:
        """f^-1(y) and log|det df^-1/dy| at y, a scalar."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Transformed:
    """y = f(z) with z ~ base.

    log p(y) = log p_base(f^-1(y)) + log|det df^-1/dy|

    `base`: a distribution. `bijection`: f, as `Bijection` has it.
    """

    base: Distribution
    bijection: Bijection

    def sample(self, key: Array) -> Any:
        """f(z), z ~ base: [*event]."""
        return self.bijection.forward(self.base.sample(key))[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Any, Float[Array, ""]]:
        """f(z) and log p_base(z) - log|det df/dz|, without an inversion."""
        z, log_p = sample_and_log_prob(self.base, key)
        y, log_det = self.bijection.forward(z)
        return y, log_p - log_det

    def log_prob(self, x: Any) -> Float[Array, ""]:
        """log p(x), a scalar in nats. x: [*event]."""
        z, log_det = self.bijection.inverse(x)
        return self.base.log_prob(z) + log_det

    def mean(self) -> Any:
        """Not known for a function that is not linear. Raises InputError."""
        raise InputError("Transformed: the mean of a flow has no closed form; use `center`, or average samples")

    def center(self) -> Any:
        """f of the centre of the base: [*event]."""
        return self.bijection.forward(center(self.base))[0]

    def support(self) -> Any:
        """What the bijection says it maps onto; else that of the base, whose draws it only moves."""
        codomain: Support | None = getattr(self.bijection, "codomain", None)
        return support(self.base) if codomain is None else codomain

"""A normal prior whose mean and scale depend on the condition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Num

from vae_jax.distributions import Distribution, Normal, bounded_scale
from vae_jax.errors import InputError
from vae_jax.networks import MLPEncoder

Array = jax.Array


@dataclass(frozen=True)
class ConditionalNormal:
    """Conditional normal, p(z|c) = N(m(c), diag(s(c)^2)), learned; for conditional models only.

    m and a number for s are the output of a fully connected network that reads the condition; without hidden
    layers they are linear in it. Source: Sohn et al. 2015, "Learning structured output representation using deep
    conditional generative models".
    """

    hidden: tuple[int, ...] = ()
    """Sizes of the hidden layers between the condition and the prior."""

    def init(
        self,
        key: Array,
        z_shape: tuple[int, ...],
        x_shape: tuple[int, ...],
        context: Num[Array, " context"] | None = None,
    ) -> Any:
        """The parameters of the network. Raises InputError without a condition."""
        return self._network(z_shape).init(key, self._given(context))

    def apply(
        self,
        params: Any,
        encode: Callable[[Any], Distribution],
        z_shape: tuple[int, ...],
        context: Num[Array, " context"] | None = None,
    ) -> Normal:
        """p(z|c) over arrays of `z_shape`. context: [context]. Raises InputError without one."""
        loc, scale = jnp.split(self._network(z_shape).apply(params, self._given(context)), 2, axis=-1)
        return Normal(loc, bounded_scale(scale))

    def _network(self, z_shape: tuple[int, ...]) -> Any:
        return MLPEncoder(z_shape[-1], self.hidden).sized((*z_shape[:-1], 2 * z_shape[-1]))

    def _given(self, context: Array | None) -> Array:
        if context is None:
            raise InputError(
                "prior ConditionalNormal without a condition: expected a conditional model; build it with "
                "make_conditional_vae, or choose another prior"
            )
        return context

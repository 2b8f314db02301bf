"""Activations by name, as the parts of networks have them in their settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import jax
from jaxtyping import Float

Activation: TypeAlias = Literal["relu", "tanh", "gelu", "silu"]


def activation_named(name: Activation) -> Callable[[Float[jax.Array, "*h"]], Float[jax.Array, "*h"]]:
    """The function of that name in `jax.nn`."""
    function: Callable[[jax.Array], jax.Array] = getattr(jax.nn, name)
    return function

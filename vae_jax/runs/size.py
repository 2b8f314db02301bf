"""Whether a model fits into memory, told by arithmetic before anything of it is made."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Key

from vae_jax.data.files import available_memory, gib
from vae_jax.errors import InputError

# Of each parameter a state holds the value, its average, and the two moments of Adam.
COPIES = 4


def check_parameters(init: Callable[[Key[jax.Array, ""]], Any]) -> Any:
    """The shapes of the parameters; raises InputError where a state of them is larger than the memory."""
    shapes = jax.eval_shape(init, jax.random.key(0))
    check_count(sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)))
    return shapes


def check_count(num_parameters: int) -> None:
    """Raises InputError where a state of so many parameters, 4 bytes each, is larger than the memory."""
    available = available_memory()
    needed = 4 * COPIES * num_parameters
    if available is not None and needed > available:
        count = f"{num_parameters:,}" if num_parameters < 10**15 else "more than 10^15"
        raise InputError(
            f"{count} parameters take {gib(needed)} in training, of which {gib(available)} are available: expected "
            "a smaller model; lower the sizes of latents, layers, components or images"
        )

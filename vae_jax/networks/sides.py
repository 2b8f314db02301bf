"""The sides of images and series: what is left of them when they are halved, an odd one by one position more."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.errors import InputError

Array = jax.Array


def sides_of(shape: Sequence[int]) -> tuple[int, ...]:
    """The sides of an image [height, width, channels] or a series [T, channels]; InputError for other shapes."""
    if len(shape) not in (2, 3):
        raise InputError(
            f"x of shape {tuple(shape)}: a convolutional network expects an image [height, width, channels] or a "
            "series [length, channels]; reshape the data or use the MLP (--network mlp)"
        )
    return tuple(shape[:-1])


def halved_sides(sides: Sequence[int], times: int) -> tuple[int, ...]:
    """The sides after so many halvings, each rounded up."""
    return tuple(-(-side // 2**times) for side in sides)


def even(x: Num[Array, "*positions C"]) -> Num[Array, "*other C"]:
    """x with a zero at the end of each odd side."""
    pads = [(0, side % 2) for side in x.shape[:-1]]
    return jnp.pad(x, [*pads, (0, 0)]) if any(after for _, after in pads) else x


def cropped(x: Float[Array, "*positions C"], sides: Sequence[int]) -> Float[Array, "*other C"]:
    """The first positions of x, as many as the sides say."""
    for axis, side in enumerate(sides):
        x = x[(slice(None),) * axis + (slice(side),)] if x.shape[axis] != side else x
    return x

"""Levels 0, 1, ..., levels - 1 in the units of networks, whose numbers are about 1."""

from __future__ import annotations

from typing import Any, TypeVar

import jax
import numpy as np

from vae_jax.errors import InputError

Some = TypeVar("Some", jax.Array, np.ndarray)


def check_levels(levels: Any) -> None:
    """Raises InputError for what is no number of levels above 1."""
    if isinstance(levels, bool) or not isinstance(levels, int) or levels < 2:
        raise InputError(
            f"likelihood levels {levels}: expected a whole number of levels from 2 up, 256 for 8-bit data"
        )


def to_unit(x: Some, levels: int) -> Some:
    """Levels as numbers in [-1, 1]."""
    half = (levels - 1) / 2
    return (x - half) / half


def from_unit(x: Some, levels: int) -> Some:
    """Numbers in [-1, 1] as levels."""
    half = (levels - 1) / 2
    return half + half * x


def unit_scale(levels: int) -> float:
    """The scale, in levels, of a network's output 0: an eighth of all levels, about the spread of pictures."""
    return levels / 8

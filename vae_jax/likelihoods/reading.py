"""How a likelihood reads stored numbers, and in which unit its own then compare."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Key

from vae_jax.data.transforms import binarize, dequantize
from vae_jax.errors import InputError

Array = jax.Array
Stored = Literal["levels", "unit", "real", "counts", "columns"]


class Reading(NamedTuple):
    """From stored numbers to what a log-density is defined on, and back.

    `transform`: key, stored example -> x in float32. `restore`: a mean or a draw of x -> numbers in the units of
    the stored ones. `log_levels`: nats an element to be added to -log p(x) for minus the log-probability of the
    stored integers, which bits per dimension are of: 0 for masses; log 256 for densities of values dequantized to
    [0, 1), which then bound it; None where there are no such integers.
    """

    transform: Callable[[Key[Array, ""], Any], Any]
    restore: Callable[[Any], Any]
    log_levels: float | None = None


def as_binary(stored: Stored, name: str) -> Reading:
    """Black and white: pixels in [0, 1] or of 8 bits, drawn anew at every visit. name: of the likelihood."""
    white = _white(stored, name, "black and white, or pixels between them")
    return Reading(binarize, lambda x: white * x)


def as_unit(stored: Stored, name: str) -> Reading:
    """Numbers in [0, 1]: 8-bit levels are dequantized, real ones are as they are."""
    if _white(stored, name, "numbers in [0, 1] or 8-bit levels") == 1:
        return Reading(_as_float, lambda x: x)
    return _dequantized()


def as_real(stored: Stored, name: str) -> Reading:
    """Real numbers: 8-bit levels are dequantized, all others are as they are."""
    if stored == "columns":
        raise _refused(stored, name, "real numbers")
    return _dequantized() if stored == "levels" else Reading(_as_float, lambda x: x)


def as_levels(stored: Stored, name: str, levels: int = 256) -> Reading:
    """The 256 levels of 8-bit data, 0, 1, ..., 255, as integers in float32. levels: of the likelihood."""
    if levels != 256:
        raise InputError(f"{name} of {levels} levels: expected 256, for data are stored in 8 bits; leave it out")
    if stored != "levels":
        raise _refused(stored, name, "8-bit levels, integers 0 to 255 kept as uint8")
    return Reading(_as_float, lambda x: x, 0.0)


def as_counts(stored: Stored, name: str) -> Reading:
    """Counts 0, 1, 2, ..., as integers in float32; 8-bit levels are such."""
    if stored not in ("counts", "levels"):
        raise _refused(stored, name, "counts, integers from 0 up")
    return Reading(_as_float, lambda x: x, 0.0 if stored == "levels" else None)


def as_columns(stored: Stored, name: str) -> Reading:
    """Columns of several kinds, a float each, as they are."""
    if stored != "columns":
        raise _refused(stored, name, "columns of several kinds")
    return Reading(_as_float, lambda x: x)


def _dequantized() -> Reading:
    # A level is the interval [level, level + 1) / 256, so that a mean lies half a level above it.
    return Reading(dequantize, lambda x: 256 * x - 0.5, math.log(256))


def _as_float(key: Array, x: Any) -> Array:
    return jnp.asarray(x).astype(jnp.float32)


def _white(stored: Stored, name: str, expected: str) -> int:
    if stored not in ("levels", "unit"):
        raise _refused(stored, name, expected)
    return 255 if stored == "levels" else 1


_DESCRIBED = {
    "levels": "8-bit levels",
    "unit": "numbers in [0, 1]",
    "real": "real numbers",
    "counts": "counts",
    "columns": "columns of several kinds",
}


def _refused(stored: Stored, name: str, expected: str) -> InputError:
    return InputError(
        f"{name} of {_DESCRIBED[stored]}: expected {expected}; leave the likelihood out, and one that "
        "fits the data is chosen"
    )

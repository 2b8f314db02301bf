"""From numbers in their own units to those that are stored, and back, on the host in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Num, Shaped

from vae_jax.data.forms import bounds, check_finite, check_stored
from vae_jax.data.found import Layout
from vae_jax.data.kinds import SMALLEST, check_scale
from vae_jax.errors import InputError

_BLOCK_BYTES = 2**24


def to_stored(values: Shaped[np.ndarray, "*shape"], layout: Layout) -> Num[np.ndarray, "*shape"]:
    """`as_stored` of values [N, *event] that come from a user.

    Raises InputError for another shape, an infinite value, and for what would become another number: 8-bit levels
    that are none, counts with a fraction, codes of no category.
    """
    if values.shape[1:] != layout.event:
        raise InputError(f"examples of shape {values.shape}: expected {['N', *layout.event]}, as the training data")
    low, high = bounds(values) if values.size else (None, None)
    if low is None and values.size and layout.stored == "levels":
        raise InputError("examples that are all NaN: expected 8-bit integers 0 to 255")
    if low is not None and high is not None:
        check_finite(values, low, high, "the array")
        check_stored(values, layout, "the array")
        _check_columns(values, layout)
    return as_stored(values, layout)


def as_stored(values: Shaped[np.ndarray, "*shape"], layout: Layout) -> Num[np.ndarray, "*shape"]:
    """Values [N, *event] in their own units as they are stored: real ones less their loc, rounded last.

    The subtraction is in float64, so that a large mean (a year, a temperature in kelvin) costs no digits. A shift
    changes no log-density. Categories are codes, here and there; NaN stays.
    """
    if layout.stored == "levels":
        pixels: np.ndarray = values.astype(np.uint8, copy=False)
        return pixels
    if layout.stored == "counts":
        return _as_counts(values, layout.missing)
    shift = _shift(layout)
    return _in_blocks(values, shift)


def to_own_units(stored: Num[np.ndarray, "*shape"], layout: Layout) -> Float64[np.ndarray, "*shape"]:
    """The inverse of `to_stored`, in float64: [..., *event]."""
    own: np.ndarray = np.asarray(stored, np.float64) + _shift(layout)
    return own


def moments(values: Shaped[np.ndarray, "*shape"]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation for each entry of the last axis, over all others, without NaN, in float64.

    A scale of 0, of a constant, is 1. Raises InputError for one that is too small for float32.
    """
    flat = values.reshape(-1, values.shape[-1])
    count = np.zeros(flat.shape[1])
    total, squares = np.zeros(flat.shape[1]), np.zeros(flat.shape[1])
    low, high = np.full(flat.shape[1], np.inf), np.full(flat.shape[1], -np.inf)
    for block in blocks(flat):
        seen = ~np.isnan(block)
        count += seen.sum(axis=0)
        total += np.where(seen, block, 0).sum(axis=0)
        low = np.minimum(low, np.where(seen, block, np.inf).min(axis=0))
        high = np.maximum(high, np.where(seen, block, -np.inf).max(axis=0))
    loc = total / np.maximum(count, 1)
    for block in blocks(flat):
        squares += (np.where(np.isnan(block), 0, block - loc) ** 2).sum(axis=0)
    scale = np.sqrt(squares / np.maximum(count, 1))
    name = "the array" if flat.shape[1] == 1 else "entry {} of the last axis"
    for j in range(flat.shape[1]):
        check_scale(float(scale[j]), float(low[j]), float(high[j]), name.format(j))
    scale = np.where(low >= high, 1.0, scale)
    return tuple(loc.tolist()), tuple(scale.tolist())


def blocks(values: Shaped[np.ndarray, " N *event"]) -> Iterator[Float64[np.ndarray, " _ *event"]]:
    """The values in float64, some examples at a time."""
    rows = max(1, _BLOCK_BYTES // max(1, 8 * values[:1].size))
    for start in range(0, len(values), rows):
        yield np.asarray(values[start : start + rows], np.float64)


def _check_columns(values: np.ndarray, layout: Layout) -> None:
    if layout.stored != "columns":
        return
    for column, x in zip(layout.columns or (), values.T, strict=True):
        x = x[~np.isnan(x)] if x.dtype.kind == "f" else x
        last = len(column.categories) - 1
        if column.kind == "categorical":
            bad, wanted = (x < 0) | (x > last) | (x != np.round(x)), f"a code from 0 to {last}"
        elif column.kind == "count":
            bad, wanted = (x < 0) | (x != np.round(x)), "a count 0, 1, 2, ..."
        else:
            bad, wanted = (x < SMALLEST) & (column.kind == "positive"), f"a number from {SMALLEST:.3g} up"
        if bad.any():
            raise InputError(f"{x[bad][0]:.6g} in column {column.name!r}: expected {wanted}, or NaN for not known")


def _shift(layout: Layout) -> np.ndarray:
    if layout.stored == "real" and layout.loc is not None:
        return np.array(layout.loc)
    if layout.stored == "columns" and layout.columns is not None:
        return np.array([column.loc if column.kind == "real" else 0.0 for column in layout.columns])
    return np.zeros(1)


def _in_blocks(values: np.ndarray, shift: np.ndarray) -> np.ndarray:
    out = np.empty(values.shape, np.float32)
    rows = max(1, _BLOCK_BYTES // max(1, values[:1].nbytes)) if values.ndim else 1
    for start in range(0, len(values), rows):
        out[start : start + rows] = np.asarray(values[start : start + rows], np.float64) - shift
    return out


def _as_counts(values: np.ndarray, missing: bool) -> np.ndarray:
    """Integers that are wider than bytes, for bytes are pixels; floats where a count is, or may be, missing."""
    if missing or (values.dtype.kind == "f" and np.isnan(values).any()):
        return values.astype(np.float32)
    return values.astype(np.uint16 if values.dtype.itemsize <= 2 and values.dtype.kind in "bu" else np.int32)

"""What an array is of, images, a table or series, by its axes and its numbers.

One axis or two are a table, one example a row. Four axes are images. Three are images where they are 8-bit integers
or booleans, or numbers in [0, 1] in squares of at least 8 x 8; else series, [N, T, C]: T steps of C channels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from vae_jax.data.found import Form, Layout, Stored
from vae_jax.data.images import as_images, check_form
from vae_jax.data.kinds import LARGEST
from vae_jax.errors import InputError

_SMALLEST_SQUARE = 8
_AXES: dict[Form, tuple[int, ...]] = {"images": (3, 4), "table": (1, 2), "series": (2, 3)}
_WANTED = {
    "images": "[N, H, W] or [N, H, W, C]",
    "table": "[N, d], one example a row",
    "series": "[N, T] or [N, T, C], T steps of C channels",
}

_EXPECTED = {
    "levels": "8-bit integers 0 to 255",
    "unit": "numbers in [0, 1]",
    "counts": "counts 0, 1, 2, ...",
}


class Typed(NamedTuple):
    """An array [N, *event] in its own units, its form, why, and how it is stored, of a table not known yet."""

    values: Shaped[np.ndarray, "*shape"]
    form: Form
    reason: str
    stored: Stored | None


def typed(array: Shaped[np.ndarray, "*shape"], name: str, form: Form | None = None) -> Typed:
    """The form of an array, `form` where the user chose one, and its values in that form; NaN is a missing value.

    Raises InputError for what is no numbers, is empty, has infinite values, or the wrong axes for `form`.
    """
    if array.dtype.kind not in "buif":
        raise InputError(f"{name} has dtype {array.dtype}: expected numbers; texts are read from a .csv file")
    if array.ndim == 0 or 0 in array.shape:
        raise InputError(f"{name} has shape {array.shape}, which is empty: expected examples along the first axis")
    low, high = bounds(array)
    if low is None or high is None:
        raise InputError(f"{name} has no value that is not missing: expected numbers")
    check_finite(array, low, high, name)
    found, reason = (form, "as was chosen") if form else form_of(array.shape, array.dtype, low, high)
    if array.ndim not in _AXES[found]:
        raise InputError(f"{name} has shape {array.shape}: expected {found} {_WANTED[found]}; reshape it")
    if found == "table":
        return Typed(array.reshape(len(array), -1), found, reason, None)
    if found == "series":
        return Typed(array[..., None] if array.ndim == 2 else array, found, reason, "real")
    values, stored = _as_images(array, name, low, high)
    return Typed(values, found, reason, stored)


def form_of(shape: tuple[int, ...], dtype: np.dtype, low: float, high: float) -> tuple[Form, str]:
    """The form of an array of such a shape and such numbers, and why; the rule is the module's."""
    if len(shape) <= 2:
        return "table", "one example a row"
    if len(shape) >= 4:
        return "images", "four axes, [N, H, W, C]"
    _, a, b = shape
    square = a == b and a >= _SMALLEST_SQUARE
    if dtype == np.uint8 or dtype.kind == "b":
        return "images", "8-bit integers [N, H, W]" if dtype == np.uint8 else "booleans [N, H, W]"
    if square and low >= 0 and (high <= 1 or (dtype.kind in "iu" and high <= 255)):
        return "images", f"squares of numbers from {low:.4g} to {high:.4g}"
    why = f"numbers from {low:.4g} to {high:.4g}" if square else "no squares of pixels"
    return "series", f"{why}: {a} steps of {b} channels; --form images if they are pixels"


def bounds(array: Shaped[np.ndarray, "*shape"]) -> tuple[float | None, float | None]:
    """The least and the largest value that is not NaN; None where all are."""
    low, high = array.min(), array.max()
    if array.dtype.kind == "f" and (np.isnan(low) or np.isnan(high)):
        seen = ~np.isnan(array)
        if not seen.any():
            return None, None
        low, high = array.min(where=seen, initial=np.inf), array.max(where=seen, initial=-np.inf)
    return float(low), float(high)


def check_finite(array: Shaped[np.ndarray, "*shape"], low: float, high: float, name: str) -> None:
    """Raises InputError for the first value that is infinite or too large for float32. low, high: `bounds`."""
    if low >= -LARGEST and high <= LARGEST:
        return
    index = tuple(int(i) for i in np.argwhere(np.abs(array.astype(np.float64)) > LARGEST)[0])
    raise InputError(
        f"{name} has the value {array[index]} at index {index}: expected a finite number below "
        f"{LARGEST:.3g}; correct it, write NaN where it is not known, or divide the data by a power of ten"
    )


def _as_images(array: np.ndarray, name: str, low: float, high: float) -> tuple[np.ndarray, Stored]:
    # A grey image of reals may be narrow, but one in colour is not many in grey.
    check_form(array.shape, array.dtype, name)
    pixels = array[..., None] if array.ndim == 3 else array
    whole = array.dtype.kind in "iu"
    if whole and low >= 0 and 1 < high <= 255:
        return as_images(array, name), "levels"
    if low >= 0 and high <= 1:
        return pixels.astype(np.float32), "unit"
    if array.dtype.kind == "f" and low >= 0 and high <= 255 and np.array_equal(array, np.round(array)):
        return pixels.astype(np.uint8), "levels"
    return pixels, "real"


def check_stored(values: Shaped[np.ndarray, "*shape"], layout: Layout, name: str) -> Shaped[np.ndarray, "*shape"]:
    """The values; raises InputError for those that cannot be stored as the layout says."""
    low, high = bounds(values)
    if low is None or high is None or layout.stored not in _EXPECTED:
        return values
    seen = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    whole = values.dtype.kind in "bui" or bool(np.array_equal(seen, np.round(seen)))
    fits = {
        "levels": whole and low >= 0 and high <= 255 and seen.size == values.size,
        "unit": low >= 0 and high <= 1,
        "counts": whole and low >= 0 and high < 2**31,
    }[layout.stored]
    if not fits:
        raise InputError(
            f"{name} has numbers from {low:.6g} to {high:.6g} of dtype {values.dtype}: expected "
            f"{_EXPECTED[layout.stored]}, as the training data"
        )
    return values

"""What counts as images: their shapes, their values, and how they are brought to one size."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Integer, Num, Shaped

from vae_jax.data.files import notice
from vae_jax.errors import InputError

# Not "rescale them": a Bernoulli of rescaled prices or temperatures trains, and its numbers mean nothing.
NO_PIXELS = (
    "values that are no pixels, as of a table or a series, need a likelihood of real numbers: "
    "vae_jax.data.find reads them, or, as images, support=vae_jax.data.REAL_NUMBERS"
)
UNIT = (0.0, 1.0)
# Those that float32 holds.
REAL_NUMBERS = (float(np.finfo(np.float32).min), float(np.finfo(np.float32).max))
_LARGEST_SIZE = 4096


def as_images(
    array: Shaped[np.ndarray, "N H W *C"], name: str = "images", *, support: tuple[float, float] = UNIT
) -> Num[np.ndarray, "N H W C"]:
    """uint8 [N, H, W, C] of 0..255 or float32 [N, H, W, C] in `support`, from [N, H, W] or [N, H, W, C].

    support: that of the likelihood, both ends included: [0, 1], or `REAL_NUMBERS` of a normal one, for which
    integers beyond 0..255 become float32 too.

    Raises: InputError, which calls the array `name`, for another shape, dtype or range, or an empty array.
    """
    check_form(array.shape, array.dtype, name)
    levels = array.dtype.kind in "iu" and (support == UNIT or (array.min() >= 0 and array.max() <= 255))
    if array.dtype.kind == "b":
        array = array.astype(np.float32)
    elif not levels:
        check_images(array, support=support, name=name)
        array = array.astype(np.float32, copy=False)
    else:
        check_bytes(array, name)
        array = array.astype(np.uint8, copy=False)
    return array[..., None] if array.ndim == 3 else array


def check_form(shape: tuple[int, ...], dtype: np.dtype, name: str) -> None:
    """Raises InputError for shapes and dtypes that are no images; a header tells both before anything is read."""
    if dtype.kind not in "buif":
        raise InputError(f"{name} has dtype {dtype}: expected uint8 of 0..255 or floats in [0, 1]")
    wanted = "expected images, [N, H, W] or [N, H, W, C]"
    if len(shape) not in (3, 4):
        remedy = (
            "reshape flattened images; tables and series are read by vae_jax.data.find"
            if len(shape) < 3
            else "reshape it"
        )
        raise InputError(f"{name} has shape {shape}: {wanted}; {remedy}")
    if 0 in shape:
        raise InputError(f"{name} has shape {shape}, which is empty: expected at least one image")
    if len(shape) == 4 and shape[1] in (1, 3) and shape[-1] > 4:
        raise InputError(f"{name} has shape {shape}, channels first: {wanted}; transpose it by (0, 2, 3, 1)")
    # A square of so few pixels is rather a small grey image than the narrow colour one.
    if len(shape) == 3 and shape[-1] in (3, 4) and shape[1] != shape[2]:
        raise InputError(
            f"{name} has shape {shape}, one image in colour, or grey ones {shape[-1]} pixels wide: {wanted}; "
            "add the missing axis, x[None] or x[..., None]"
        )


def check_bytes(array: Integer[np.ndarray, "*shape"], name: str) -> None:
    """Raises InputError for integers that are no levels 0..255, or of which the brightest is 1."""
    if array.dtype != np.uint8:
        check_images(array, support=(0, 255), name=name)
    if array.max() == 1:
        raise InputError(
            f"{name} has integers of which the largest is 1, and 255 is white: "
            "multiply by 255, or save binary images as booleans or floats"
        )


def check_images(
    images: Shaped[np.ndarray, "*shape"], *, support: tuple[float, float] = UNIT, name: str = "images"
) -> None:
    """Raises InputError that names the first value outside `support`, ends included, and its index.

    images: any shape; NaN is outside. Likelihoods differ in support: [0, 1] for Bernoulli, for instance.
    """
    low, high = support
    # First without arrays of the size of the images.
    if images.size == 0 or (images.min() >= low and images.max() <= high):
        return
    outside = ~((images >= low) & (images <= high))
    index = tuple(int(i) for i in np.unravel_index(np.argmax(outside), images.shape))
    value = images[index]
    remedy = _remedy(images, support) if np.isfinite(value) else "replace it, for a missing value is no pixel"
    expected = "a finite number" if support == REAL_NUMBERS else f"{low} to {high}"
    raise InputError(f"{name} has the value {value} at index {index}: expected {expected}; {remedy}")


def _remedy(images: np.ndarray, support: tuple[float, float]) -> str:
    if support == REAL_NUMBERS:
        return "divide the data by a power of ten, for float32 has no such number"
    least, most = np.nanmin(images), np.nanmax(images)
    if support == (0, 1) and least >= 0 and most <= 255:
        return f"divide the images by 255 if that is white; {NO_PIXELS}"
    if support == (0, 1) and least >= -1 and most <= 1:
        return f"pass (x + 1) / 2 of images in [-1, 1]; {NO_PIXELS}"
    if images.dtype.kind in "iu" and least >= 0 and most < 2**16:
        return f"shift pixels of 16 bits right by 8; {NO_PIXELS}"
    return NO_PIXELS


def is_grey(images: Shaped[np.ndarray, "*shape"]) -> bool:
    """Whether any value lies strictly between black and white (0 and 255 for uint8, 0 and 1 otherwise).

    On such images the Bernoulli log-density is minus a cross-entropy and no log-likelihood.
    """
    white = 255 if images.dtype == np.uint8 else 1
    return bool(np.any((images > 0) & (images < white)))


def check_size(size: int | None) -> None:
    """Raises InputError for a side of images that is below 1 or beyond all use."""
    if size is not None and not 1 <= size <= _LARGEST_SIZE:
        raise InputError(f"size {size}: expected a number of pixels from 1 to {_LARGEST_SIZE}, or none")


def resized(
    images: Num[np.ndarray, "N H W C"], size: int | None, name: str = "images"
) -> Num[np.ndarray, "N _ _ C"]:
    """The middle square of each image at size x size, in one line on stdout; as they are where `size` is None.

    images: uint8 [N, H, W, C]. Raises InputError for floats, and where Pillow is not installed.
    """
    height, width = images.shape[1:3]
    if size is None or (height, width) == (size, size):
        return images
    if images.dtype != np.uint8:
        raise InputError(f"{name} has dtype {images.dtype}: expected uint8 to resize to {size}; resize it before")
    image = pillow(name)
    notice(f"{name}: {len(images)} images of {width} x {height} pixels resized to {size} x {size} (middle square)")
    out = np.empty((len(images), size, size, images.shape[-1]), np.uint8)
    for i, pixels in enumerate(images):
        for channel in range(images.shape[-1]):
            out[i, ..., channel] = np.asarray(square(image.fromarray(pixels[..., channel]), size))
    return out


def square(image: Any, size: int) -> Any:
    """The middle square of a picture at size x size, by Pillow's bicubic filter, which smooths when it shrinks."""
    from PIL.Image import Resampling

    side = min(image.size)
    left, top = ((length - side) / 2 for length in image.size)
    return image.resize((size, size), Resampling.BICUBIC, box=(left, top, left + side, top + side))


def pillow(what: str) -> Any:
    """Pillow's `Image`; raises InputError where it is not installed. what: that needs it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(
            f"reading {what} needs Pillow, which is not installed: pip install 'vae_jax[images]'"
        ) from error
    return Image

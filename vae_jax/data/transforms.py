"""From stored images to what a likelihood is defined on: keyed pure functions of one example."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Integer, Shaped, UInt8

from vae_jax.data.foreign import native
from vae_jax.data.images import check_bytes, check_images
from vae_jax.errors import InputError
from vae_jax.fast.bits import random_uint16
from vae_jax.shapes import AnyArray

Array = jax.Array


def scale_to_unit(x: Shaped[AnyArray, "*shape"]) -> Float32[Array, "*shape"]:
    """Images as float32 in [0, 1]: 8-bit images divided by 255, others as they are. x: any shape."""
    x = jnp.asarray(native(x))
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x.astype(jnp.float32)


def binarize(key: Array, x: Shaped[AnyArray, "*event"]) -> Float32[Array, "*event"]:
    """Dynamic binarization: 1 with the probability that the pixel says, else 0, in float32.

    16 random bits a pixel: exact for probabilities 0 and 1, off by less than 2^-16 between. Called with a new
    key at every visit, as Burda et al. 2016 (arXiv:1509.00519) do. x: [*event], in [0, 1] or 8-bit; what is
    no probability gives NaN.
    """
    p = scale_to_unit(x)
    ones = (random_uint16(key, x.shape).astype(jnp.float32) < p * 2.0**16).astype(jnp.float32)
    return jnp.where((p >= 0) & (p <= 1), ones, jnp.nan)


def static_binarize(seed: int, images: Shaped[AnyArray, " N *event"]) -> UInt8[np.ndarray, " N *event"]:
    """A data set binarized once: uint8 0 or 255, the draw of image i from `fold_in(key(seed), i)`.

    It is neither the fixed binarization of Larochelle nor comparable to it in the digits after the point: say
    so beside the numbers. images: [N, *event], in [0, 1] or 8-bit. Raises InputError for other values, NaN among
    them, and where there is no image.
    """
    pixels: np.ndarray = native(np.asarray(images))
    if pixels.ndim == 0 or pixels.size == 0 or pixels.dtype.kind not in "buif":
        raise InputError(
            f"images have dtype {pixels.dtype} and shape {pixels.shape}: expected numbers [N, *event], at least one"
        )
    if pixels.dtype == np.uint8:
        check_bytes(pixels, "images")
    elif pixels.dtype.kind in "iu" and pixels.min() >= 0 and 1 < pixels.max() <= 255:
        raise InputError(
            f"images have dtype {pixels.dtype} and values up to {pixels.max()}: expected probabilities, 0 to 1, or "
            "pixels as uint8; pass images.astype(np.uint8)"
        )
    else:
        check_images(pixels)
    parts = np.array_split(np.arange(len(pixels)), -(-len(pixels) // 10000))
    key = jax.random.key(seed)
    return 255 * np.concatenate([np.asarray(_binarize_each(key, i, pixels[i])) for i in parts])


@jax.jit
def _binarize_each(key: Array, i: Array, x: Array) -> Array:
    return jax.vmap(lambda i, x: binarize(jax.random.fold_in(key, i), x))(i, x).astype(jnp.uint8)


def dequantize(key: Array, x: Integer[AnyArray, "*event"]) -> Float32[Array, "*event"]:
    """8-bit images as continuous values in [0, 1): (x + u) / 256, u uniform on multiples of 2^-16 in [0, 1).

    The log-density of the result, averaged over u, is at most the log-probability of the 8-bit image plus
    log 256 a dimension: Theis et al. 2016 (arXiv:1511.01844). x: [*event], integers; what is no level 0..255
    gives NaN. Raises InputError for floats, which may be levels or have been divided by 255.
    """
    x = jnp.asarray(native(x))
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise InputError(
            f"dequantize of {x.dtype}: expected integers 0 to 255; keep images as uint8, or for floats in [0, 1] "
            "pass (255 * x).round().astype(uint8)"
        )
    # On a finer grid x + u would be rounded in float32, up to the next level, and 255 + u up to 256.
    u = random_uint16(key, x.shape).astype(jnp.float32) / 2.0**16
    level = x.astype(jnp.float32)
    y = (level + u) / 256
    return y if x.dtype == jnp.uint8 else jnp.where((level >= 0) & (level <= 255), y, jnp.nan)

"""Random bits for whole images, at the price of few."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import UInt16, UInt32

Array = jax.Array
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def random_uint16(key: Array, shape: tuple[int, ...]) -> UInt16[Array, "*shape"]:
    """Independent uniform integers in 0..2^16 - 1, two from each 32-bit draw of `jax.random.bits(key, ...)`.

    The same integers on every platform, in the form that each runs fastest: TPU and GPU draw once for two. On CPU
    JAX writes a threefry generator as a loop that stores its state five times; there the hash is one expression of
    the position, which XLA fuses with what uses it, and making it twice costs less than storing it once.
    Keys of another generator take the first way everywhere.
    """
    size = math.prod(shape)

    def drawn(key: Array) -> Array:
        # The generator would cost as much for 16 bits as for 32.
        draws = jax.random.bits(key, (-(-size // 2),), jnp.uint32)
        return lax.bitcast_convert_type(draws, jnp.uint16).reshape(-1)[:size].reshape(shape)

    def hashed(key: Array) -> Array:
        i = lax.iota(jnp.uint32, size).reshape(shape)
        left, right = threefry_2x32(jax.random.key_data(key), jnp.zeros_like(i), i >> 1)
        return ((left ^ right) >> (i % 2 * 16)).astype(jnp.uint16)

    partitionable = jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    if jax.random.key_impl(key) != "threefry2x32" or not partitionable:
        return drawn(key)
    integers: Array = lax.platform_dependent(key, cpu=hashed, default=drawn)
    return integers


def threefry_2x32(
    key: UInt32[Array, "2"], left: UInt32[Array, "*shape"], right: UInt32[Array, "*shape"]
) -> tuple[UInt32[Array, "*shape"], UInt32[Array, "*shape"]]:
    """The block cipher Threefry-2x32 with 20 rounds at the counters (left, right), as two words.

    key: [2]; left, right: any one shape, returned twice; all uint32.
    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    keys = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(0x1BD11BDA))
    left, right = left + keys[0], right + keys[1]
    for i in range(1, 6):
        for rotation in _ROTATIONS[(i - 1) % 2]:
            left = left + right
            right = (right << rotation | right >> 32 - rotation) ^ left
        left, right = left + keys[i % 3], right + keys[(i + 1) % 3] + jnp.uint32(i)
    return left, right

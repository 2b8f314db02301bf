"""Sprites: the factors of dSprites, rendered by a pure function. Nothing is stored, nothing downloaded.

Binary images of a square, an ellipse or a heart, of 6 sizes, 40 orientations and 32 x 32 positions: 737,280
combinations, as in dSprites (Matthey et al. 2017). The rendering is our own: these are not the dSprites images,
and scores on them compare with each other, not with scores on dSprites. One difference is deliberate:
orientation k is 2 pi k / 40, so that the last differs from the first. A square looks the same after a quarter
turn and an ellipse after half a turn, so some combinations share an image, as they do there.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Float32, Int, Int32

from vae_jax.errors import InputError

Array = jax.Array
FACTOR_NAMES = ("shape", "scale", "orientation", "position_x", "position_y")
FACTOR_SIZES = (3, 6, 40, 32, 32)
NUM_SPRITES = math.prod(FACTOR_SIZES)
# In units of the image's side: the radius of the largest sprite, and how far its centre stays from the border.
_RADIUS, _MARGIN = 0.22, 0.24


def factors_of(index: int | Int[Array, ""]) -> Int32[Array, " 5"]:
    """The five factors of sprite `index` in 0 ... 737,279, the last varying fastest: int32 [5].

    An index outside that range gives factors of -1, which render as NaN.
    """
    factors = jnp.stack(jnp.unravel_index(index, FACTOR_SIZES)).astype(jnp.int32)
    return jnp.where((index >= 0) & (index < NUM_SPRITES), factors, -1)


def index_of(factors: Int[Array, " 5"]) -> Int[Array, ""]:
    """The index of the sprite with these factors, the inverse of `factors_of`; -1 for factors out of range.

    factors: [5].
    """
    index = jnp.ravel_multi_index(tuple(factors), FACTOR_SIZES, mode="clip")
    return jnp.where(_valid(factors), index, -1)


def render(factors: Int[Array, " 5"], *, size: int = 64) -> Float32[Array, "{size} {size} 1"]:
    """The image of one sprite: float32 [size, size, 1] of 0 and 1, 1 where the pixel's centre is inside.

    With (u, v) the pixel in the sprite's frame, moved, turned and in units of its radius:
    square max(|u|, |v|) <= 0.75; ellipse u^2 + (v / 0.6)^2 <= 1; heart (a^2 + b^2 - 1)^3 <= a^2 b^3 with
    a = 1.25 u, b = 0.1 - 1.25 v.

    factors: int32 [5], each in 0 ... FACTOR_SIZES - 1; one outside gives an image of NaN.
    """
    if size < 1:
        raise InputError(f"image size {size}: expected at least 1")
    shape, scale, orientation, x, y = factors
    angle = 2 * jnp.pi * orientation / FACTOR_SIZES[2]
    radius = _RADIUS * (0.5 + 0.5 * scale / (FACTOR_SIZES[1] - 1))
    centre_x, centre_y = (_MARGIN + (1 - 2 * _MARGIN) * place / 31 for place in (x, y))
    pixels = (jnp.arange(size) + 0.5) / size
    dx, dy = ((pixels - centre_x) / radius)[None, :], ((pixels - centre_y) / radius)[:, None]
    u = jnp.cos(angle) * dx + jnp.sin(angle) * dy
    v = jnp.cos(angle) * dy - jnp.sin(angle) * dx
    square = jnp.maximum(jnp.abs(u), jnp.abs(v)) <= 0.75
    ellipse = u**2 + (v / 0.6) ** 2 <= 1
    a, b = 1.25 * u, 0.1 - 1.25 * v
    heart = (a**2 + b**2 - 1) ** 3 <= a**2 * b**3
    inside = jnp.where(shape == 0, square, jnp.where(shape == 1, ellipse, heart))
    return jnp.where(_valid(factors), inside.astype(jnp.float32), jnp.nan)[:, :, None]


def _valid(factors: Array) -> Array:
    return jnp.all((factors >= 0) & (factors < jnp.asarray(FACTOR_SIZES)))

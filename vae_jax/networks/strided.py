"""Convolution with a 4x4 kernel and stride 2, and its transpose, in the form that each platform runs fastest.

XLA on CPU runs the gradient of a strided convolution with respect to its kernel, and transposed convolutions,
an order of magnitude below its matrix products. Both are one matrix product over 2x2 blocks: a 4x4 kernel
with stride 2 is a 2x2 kernel with stride 1 on the image whose 2x2 blocks were folded into channels. TPU and
GPU keep the stock convolution. The kernels are those of `flax.linen.Conv` and `flax.linen.ConvTranspose`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def strided_conv(x: Array, kernel: Array) -> Array:
    """y[i, j] = sum_{a, b < 4} x[2i + a - 1, 2j + b - 1] K[a, b]: halves an image ("SAME" padding).

    x: [H, W, C] with H and W even. kernel: [4, 4, C, F]. Returns: [H/2, W/2, F].
    """
    return lax.platform_dependent(x, kernel, cpu=_conv_matmul, default=_conv_stock)


def strided_conv_transpose(x: Array, kernel: Array) -> Array:
    """y[2i + 2 - a, 2j + 2 - b] += x[i, j] K[a, b], a, b < 4: doubles an image ("SAME" padding).

    x: [H, W, C]. kernel: [4, 4, C, F], in the orientation of `flax.linen.ConvTranspose`. Returns: [2H, 2W, F].
    """
    return lax.platform_dependent(x, kernel, cpu=_conv_transpose_matmul, default=_conv_transpose_stock)


def _conv_stock(x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(x[None], kernel, (2, 2), "SAME", dimension_numbers=_DIMENSIONS)[0]


def _conv_transpose_stock(x: Array, kernel: Array) -> Array:
    return lax.conv_transpose(x[None], kernel, (2, 2), "SAME", dimension_numbers=_DIMENSIONS)[0]


def _neighbours(x: Array) -> Array:
    """The 2x2 windows of an image with stride 1, folded into channels: [H, W, C] -> [H-1, W-1, 4C]."""
    return jnp.concatenate([x[:-1, :-1], x[:-1, 1:], x[1:, :-1], x[1:, 1:]], axis=-1)


def _conv_matmul(x: Array, kernel: Array) -> Array:
    height, width, channels = x.shape
    blocks = jnp.pad(x, ((1, 1), (1, 1), (0, 0)))
    blocks = blocks.reshape(height // 2 + 1, 2, width // 2 + 1, 2, channels)
    blocks = blocks.transpose(0, 2, 1, 3, 4).reshape(height // 2 + 1, width // 2 + 1, 4 * channels)
    folded = kernel.reshape(2, 2, 2, 2, channels, -1).transpose(0, 2, 1, 3, 4, 5)
    return _neighbours(blocks) @ folded.reshape(16 * channels, -1)


def _conv_transpose_matmul(x: Array, kernel: Array) -> Array:
    height, width, channels = x.shape
    windows = _neighbours(jnp.pad(x, ((1, 1), (1, 1), (0, 0))))
    # Window (i, j) holds the inputs i-1..i, j-1..j and makes the 2x2 outputs that start at (2i-1, 2j-1):
    # output a meets input p through kernel row 2p + 1 - a, for the taps of the transpose run backwards.
    folded = kernel.reshape(2, 2, 2, 2, channels, -1)[:, ::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5)
    blocks = windows @ folded.reshape(4 * channels, -1)
    blocks = blocks.reshape(height + 1, width + 1, 2, 2, -1).transpose(0, 2, 1, 3, 4)
    return blocks.reshape(2 * height + 2, 2 * width + 2, -1)[1:-1, 1:-1]

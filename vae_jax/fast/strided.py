"""Convolution of 4 positions a side with stride 2, and its transpose, in the form that each platform runs fastest.

XLA on CPU runs a plain convolution at the rate of its matrix products, but transposed convolutions and the
gradient with respect to the kernel an order of magnitude below. Both are plain on 2x2 blocks: a 4x4 kernel with
stride 2 is a 2x2 kernel with stride 1 on the image whose 2x2 blocks were folded into channels. TPU and GPU keep
the stock operations. The kernels are those of `flax.linen.Conv` and `flax.linen.ConvTranspose`.

The CPU forms for images have derivatives in reverse mode only (`jax.grad`, to any order). Series are halved and
doubled by products of windows on every platform, for these are small: two blocks of two positions.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

Array = jax.Array
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def strided_conv(x: Float[Array, "H W C"], kernel: Float[Array, "4 4 C F"]) -> Float[Array, "H//2 W//2 F"]:
    """y[i, j] = sum_{a, b < 4} x[2i + a - 1, 2j + b - 1] K[a, b]: halves an image ("SAME" padding).

    x: [H, W, C] with H and W even. kernel: [4, 4, C, F]. Returns: [H/2, W/2, F].
    """
    y: Array = lax.platform_dependent(x, kernel, cpu=_conv_cpu, default=_conv_stock)
    return y


def strided_conv_transpose(x: Float[Array, "H W C"], kernel: Float[Array, "4 4 C F"]) -> Float[Array, "2*H 2*W F"]:
    """y[2i + 2 - a, 2j + 2 - b] += x[i, j] K[a, b], a, b < 4: doubles an image ("SAME" padding).

    x: [H, W, C]. kernel: [4, 4, C, F], in the orientation of `flax.linen.ConvTranspose`. Returns: [2H, 2W, F].
    """
    y: Array = lax.platform_dependent(x, kernel, cpu=_conv_transpose_cpu, default=_conv_transpose_stock)
    return y


def strided_conv_1d(x: Float[Array, "T C"], kernel: Float[Array, "4 C F"]) -> Float[Array, "T//2 F"]:
    """y[i] = sum_{a < 4} x[2i + a - 1] K[a]: halves a series ("SAME" padding).

    x: [T, C] with T even. kernel: [4, C, F]. Returns: [T/2, F].
    """
    length, channels = x.shape
    blocks = jnp.pad(x, ((1, 1), (0, 0))).reshape(length // 2 + 1, 2 * channels)
    windows = jnp.concatenate([blocks[:-1], blocks[1:]], axis=-1)
    return windows @ kernel.reshape(4 * channels, -1)


def strided_conv_transpose_1d(x: Float[Array, "T C"], kernel: Float[Array, "4 C F"]) -> Float[Array, "2*T F"]:
    """y[2i + 2 - a] += x[i] K[a], a < 4: doubles a series ("SAME" padding).

    x: [T, C]. kernel: [4, C, F], in the orientation of `flax.linen.ConvTranspose`. Returns: [2T, F].
    """
    (length, channels), features = x.shape, kernel.shape[-1]
    padded = jnp.pad(x, ((1, 1), (0, 0)))
    windows = jnp.concatenate([padded[:-1], padded[1:]], axis=-1)
    # To the two places of a block the first of a window gives by the taps 1 and 0, the second by 3 and 2.
    taps = kernel.reshape(2, 2, channels, features)[:, ::-1].transpose(0, 2, 1, 3)
    blocks = windows @ taps.reshape(2 * channels, 2 * features)
    return blocks.reshape(2 * length + 2, features)[1:-1]


def _conv_stock(x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(x[None], kernel, (2, 2), "SAME", dimension_numbers=_DIMENSIONS)[0]


def _conv_transpose_stock(x: Array, kernel: Array) -> Array:
    return lax.conv_transpose(x[None], kernel, (2, 2), "SAME", dimension_numbers=_DIMENSIONS)[0]


# On CPU both are made of three sums over the same terms large[2i + a - 1, 2j + b - 1] K[a, b] small[i, j]: _small
# sums for the small image, _large for the large one, its adjoint, and _kernel for the kernel.


def _conv_cpu(x: Array, kernel: Array) -> Array:
    return _halved(x, kernel)


def _conv_transpose_cpu(x: Array, kernel: Array) -> Array:
    # The kernel in the orientation of the convolution. Outside the rule below, so that the gradient is summed over
    # the batch before it is turned, in one step with the product that makes it.
    return _doubled(x, kernel[::-1, ::-1].swapaxes(2, 3))


@jax.custom_vjp
def _halved(x: Array, kernel: Array) -> Array:
    return _small(x, kernel)


@jax.custom_vjp
def _doubled(x: Array, kernel: Array) -> Array:
    return _large(x, kernel)


def _halved_transposed(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    return _large(dy, kernel), _kernel(x, dy)


def _doubled_transposed(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    return _small(dy, kernel), _kernel(dy, x)


_halved.defvjp(lambda x, kernel: (_small(x, kernel), (x, kernel)), _halved_transposed)
_doubled.defvjp(lambda x, kernel: (_large(x, kernel), (x, kernel)), _doubled_transposed)


# The large image is [H, W, C], the small one [H/2, W/2, F], the kernel [4, 4, C, F]. Folded, the tap a of the
# kernel is 2p + a', with p the block and a' the place in it; b likewise is 2q + b'.


def _small(large: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(large[None], kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=_DIMENSIONS)[0]


def _large(small: Array, kernel: Array) -> Array:
    height, width, features = small.shape
    channels = kernel.shape[2]
    taps = kernel.reshape(2, 2, 2, 2, channels, features).transpose(0, 2, 5, 1, 3, 4)  # [p, q, F, a', b', C]
    if _few(channels, features):
        # A product for the terms first, then their sum over p and q: a convolution to few channels is slow.
        terms = small @ taps.transpose(2, 0, 1, 3, 4, 5).reshape(features, 16 * channels)
        terms = terms.reshape(height, width, 2, 2, 4 * channels)
        blocks = [jnp.pad(terms[:, :, p, q], ((p, 1 - p), (q, 1 - q), (0, 0))) for p in range(2) for q in range(2)]
        return _unfold(blocks[0] + blocks[1] + blocks[2] + blocks[3])
    backwards = taps.reshape(2, 2, features, 4 * channels)[::-1, ::-1]
    ones = ((1, 1), (1, 1))
    return _unfold(lax.conv_general_dilated(small[None], backwards, (1, 1), ones, dimension_numbers=_DIMENSIONS)[0])


def _kernel(large: Array, small: Array) -> Array:
    (height, width, features), channels = small.shape, large.shape[-1]
    blocks = _fold(large)
    if _few(channels, features):
        windows = [blocks[p : p + height, q : q + width] for p in range(2) for q in range(2)]
        sums = jnp.einsum("ijc,ijf->cf", jnp.concatenate(windows, axis=-1), small)
        sums = sums.reshape(2, 2, 2, 2, channels, features)
        return sums.transpose(0, 2, 1, 3, 4, 5).reshape(4, 4, channels, features)
    # Both on the grid of the blocks, flat: there the small image meets the block (p, q) further on when it is
    # shifted. Positions last, for the CPU's matrix product is twice as fast where they need no transposing.
    flat = jnp.pad(small, ((0, 0), (0, 1), (0, 0))).reshape(-1, features).T[:, :-1]
    shifts = [p * (width + 1) + q for p in range(2) for q in range(2)]
    shifted = jnp.stack([jnp.pad(flat, ((0, 0), (s, width + 2 - s))) for s in shifts])
    sums = shifted.reshape(4 * features, -1) @ blocks.reshape(-1, 4 * channels)
    sums = sums.reshape(2, 2, features, 2, 2, channels)
    return sums.transpose(0, 3, 1, 4, 5, 2).reshape(4, 4, channels, features)


def _few(channels: int, features: int) -> bool:
    # Four windows of a block are then smaller than the block's product with the kernel.
    return 4 * channels <= features


def _fold(large: Array) -> Array:
    """The image with a border of zeros, its 2x2 blocks as channels: [H, W, C] -> [H/2 + 1, W/2 + 1, 4C]."""
    height, width, channels = large.shape
    blocks = jnp.pad(large, ((1, 1), (1, 1), (0, 0)))
    blocks = blocks.reshape(height // 2 + 1, 2, width // 2 + 1, 2, channels)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(height // 2 + 1, width // 2 + 1, 4 * channels)


def _unfold(blocks: Array) -> Array:
    """The inverse of `_fold`."""
    height, width, channels = blocks.shape
    large = blocks.reshape(height, width, 2, 2, channels // 4).transpose(0, 2, 1, 3, 4)
    return large.reshape(2 * height, 2 * width, channels // 4)[1:-1, 1:-1]

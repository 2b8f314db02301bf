"""Convolutional encoder and decoder of one square image.

The architecture of Burgess et al. 2018 (arXiv:1804.03599): convolutions of 4x4 with stride 2 down to 4x4
positions, then two dense layers of 256, and the mirror image as decoder. For 64x64 images that is four
convolutions of 32 channels. Locatello et al. 2019 (arXiv:1811.12359) use `channels=(32, 32, 64, 64)` and
`hidden=(256,)`; their last two convolutions have 2x2 kernels, these have 4x4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from vae_jax.errors import InputError
from vae_jax.fast.strided import strided_conv, strided_conv_transpose
from vae_jax.networks.dense import Dense
from vae_jax.networks.mlp import hidden_layers

Array = jax.Array


class StridedConv(nn.Module):
    """`strided_conv` or `strided_conv_transpose` with the parameters of `nn.Conv` and `nn.ConvTranspose`."""

    features: int
    operation: Callable
    bias_init: Callable = nn.initializers.zeros
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (4, 4, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.linear.default_kernel_init, shape)
        bias = self.param("bias", self.bias_init, (self.features,))
        h = self.operation(x.astype(self.dtype), kernel.astype(self.dtype))
        # In float32, for the gradient of a bias is a sum over all positions: in bfloat16 it is off by a tenth.
        return (h.astype(jnp.float32) + bias).astype(self.dtype)


def halving_channels(size: int, channels: Sequence[int] | None) -> tuple[int, ...]:
    """The channels of each halving layer for a square image of `size`; by default 32 each, down to 4x4.

    Raises InputError where an image of that size cannot be halved that often.
    """
    chosen = (32,) * max(size.bit_length() - 3, 1) if channels is None else tuple(channels)
    if not chosen or min(chosen) < 1:
        raise InputError(f"channels {chosen}: expected at least one halving layer of at least one channel")
    if size < 2 or size % 2 ** len(chosen) or (channels is None and size & (size - 1)):
        raise InputError(
            f"image size {size}: expected a power of two, or a multiple of {2 ** len(chosen)} for "
            f"{len(chosen)} halving layers; resize the images or choose other `channels`"
        )
    return chosen


def _square_size(shape: Sequence[int]) -> int:
    if len(shape) != 3 or shape[0] != shape[1]:
        raise InputError(
            f"x of shape {tuple(shape)}: a convolutional network expects one square image [size, size, channels]; "
            "reshape the data or use the MLP"
        )
    return shape[0]


class ConvEncoder(nn.Module):
    """x: [size, size, C], context: vectors -> [heads, latent_size] in float32.

    The context joins at the first dense layer. `dtype` is the dtype of the computation.
    """

    latent_size: int
    channels: Sequence[int] | None = None
    hidden: Sequence[int] = (256, 256)
    heads: int = 2
    activation: Callable = nn.relu
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *context: Array) -> Array:
        for features in halving_channels(_square_size(x.shape), self.channels):
            x = self.activation(StridedConv(features, strided_conv, dtype=self.dtype)(x))
        h = hidden_layers(x, context, self.hidden, self.activation, self.dtype)
        h = Dense(self.heads * self.latent_size, dtype=self.dtype)(h)
        return h.astype(jnp.float32).reshape(self.heads, self.latent_size)


class ConvDecoder(nn.Module):
    """z: [latent_size], context: vectors -> [heads, size, size, C] in float32; the mirror of `ConvEncoder`."""

    x_shape: Sequence[int]
    channels: Sequence[int] | None = None
    hidden: Sequence[int] = (256, 256)
    heads: int = 1
    activation: Callable = nn.relu
    output_bias: Callable = nn.initializers.zeros
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z: Array, *context: Array) -> Array:
        size = _square_size(self.x_shape)
        channels = halving_channels(size, self.channels)
        small = size // 2 ** len(channels)
        flat = (small * small * channels[-1],)
        h = hidden_layers(z, context, (*self.hidden, *flat), self.activation, self.dtype)
        h = h.reshape(small, small, channels[-1])
        for features in reversed(channels[:-1]):
            h = StridedConv(features, strided_conv_transpose, dtype=self.dtype)(h)
            h = self.activation(h)
        out = self.heads * self.x_shape[-1]
        h = StridedConv(out, strided_conv_transpose, self.output_bias, self.dtype)(h)
        h = h.astype(jnp.float32).reshape(size, size, self.heads, self.x_shape[-1])
        return jnp.moveaxis(h, 2, 0)

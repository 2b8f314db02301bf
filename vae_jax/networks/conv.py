"""Convolutional encoder and decoder of one image.

The architecture of Burgess et al. 2018 (arXiv:1804.03599): convolutions of 4x4 with stride 2 down to 4x4 positions
(7x7 for images of 28x28, 6x6 for 48x48), then two dense layers of 256, and the mirror image as decoder. For 64x64
images that is four convolutions of 32 channels. Locatello et al. 2019 (arXiv:1811.12359) use
`channels=(32, 32, 64, 64)` and `hidden=(256,)`; their last two convolutions have 2x2 kernels, these have 4x4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Float, Num

from vae_jax.errors import InputError
from vae_jax.fast.strided import strided_conv, strided_conv_transpose
from vae_jax.networks.mlp import hidden_layers, output_layer

Array = jax.Array


class StridedConv(nn.Module):
    """`strided_conv` or `strided_conv_transpose` with the parameters of `nn.Conv` and `nn.ConvTranspose`."""

    features: int
    operation: Callable[[Float[Array, "H W C"], Float[Array, "4 4 C F"]], Float[Array, "_ _ F"]]
    bias_init: Callable[..., Float[Array, "..."]] = nn.initializers.zeros
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "H W C"]) -> Float[Array, "_ _ F"]:
        shape = (4, 4, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.linear.default_kernel_init, shape)
        bias = self.param("bias", self.bias_init, (self.features,))
        h = self.operation(x.astype(self.dtype), kernel.astype(self.dtype))
        # In float32, for the gradient of a bias is a sum over all positions: in bfloat16 it is off by a tenth.
        return (h.astype(jnp.float32) + jnp.broadcast_to(bias, h.shape)).astype(self.dtype)


def halving_channels(height: int, width: int, channels: Sequence[int] | None) -> tuple[int, ...]:
    """The channels of each halving layer for an image; by default 32 each, while both sides stay at least 4.

    Raises InputError where an image of that size cannot be halved that often.
    """
    if channels is None:
        count = 1
        while min(height, width) >= 4 * 2 ** (count + 1) and not (height | width) % 2 ** (count + 1):
            count += 1
        channels = (32,) * count
    chosen = tuple(channels)
    if not chosen or min(chosen) < 1:
        raise InputError(f"channels {chosen}: expected at least one halving layer of at least one channel")
    if min(height, width) < 2 or (height | width) % 2 ** len(chosen):
        raise InputError(
            f"image of {height} x {width}: expected sides that are multiples of {2 ** len(chosen)}, for "
            f"{len(chosen)} layers that halve them; resize the images, choose fewer `channels`, or use the MLP"
        )
    return chosen


def _sides(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 3:
        raise InputError(
            f"x of shape {tuple(shape)}: a convolutional network expects one image [height, width, channels]; "
            "reshape the data or use the MLP"
        )
    return shape[0], shape[1]


class ConvEncoder(nn.Module):
    """x: [H, W, C], context: vectors -> [*positions, size] in float32, the numbers that a posterior reads.

    The context joins at the first dense layer. `dtype` is the dtype of the computation. `output_shape` is set by
    `make_vae`.
    """

    latent_size: int
    channels: Sequence[int] | None = None
    hidden: Sequence[int] = (256, 256)
    activation: Callable[[Float[Array, "*h"]], Float[Array, "*h"]] = nn.relu
    dtype: Any = jnp.float32
    output_shape: Sequence[int] | None = None

    @nn.compact
    def __call__(self, x: Num[Array, "H W C"], *context: Num[Array, " _"]) -> Float[Array, "*output"]:
        for features in halving_channels(*_sides(x.shape), self.channels):
            x = self.activation(StridedConv(features, strided_conv, dtype=self.dtype)(x))
        h = hidden_layers(x, context, self.hidden, self.activation, self.dtype)
        shape = self.output_shape or (2 * self.latent_size,)
        return output_layer(h, shape, self.dtype, nn.initializers.zeros)

    def sized(self, output_shape: Sequence[int]) -> ConvEncoder:
        """The same network with an output of that shape."""
        return self.clone(output_shape=tuple(output_shape))


class ConvDecoder(nn.Module):
    """z: [*z], context: vectors -> [H, W, size] in float32, the numbers that a likelihood reads.

    The mirror of `ConvEncoder`. `output_bias` initialises the bias of the last layer, one number a channel.
    """

    x_shape: Sequence[int]
    channels: Sequence[int] | None = None
    hidden: Sequence[int] = (256, 256)
    activation: Callable[[Float[Array, "*h"]], Float[Array, "*h"]] = nn.relu
    output_bias: Callable[..., Float[Array, "..."]] | None = None
    dtype: Any = jnp.float32
    output_shape: Sequence[int] | None = None

    @nn.compact
    def __call__(self, z: Float[Array, "*z"], *context: Num[Array, " _"]) -> Float[Array, "H W size"]:
        height, width = _sides(self.x_shape)
        channels = halving_channels(height, width, self.channels)
        small = (height // 2 ** len(channels), width // 2 ** len(channels), channels[-1])
        h = hidden_layers(z, context, (*self.hidden, math.prod(small)), self.activation, self.dtype)
        h = h.reshape(small)
        for features in reversed(channels[:-1]):
            h = StridedConv(features, strided_conv_transpose, dtype=self.dtype)(h)
            h = self.activation(h)
        bias_init = self.output_bias or nn.initializers.zeros
        size = (self.output_shape or self.x_shape)[-1]
        return StridedConv(size, strided_conv_transpose, bias_init, self.dtype)(h).astype(jnp.float32)

    def sized(
        self, output_shape: Sequence[int], output_bias: Callable[..., Float[Array, "..."]] | None = None
    ) -> ConvDecoder:
        """The same network with an output of that shape; `output_bias` serves where the network has none."""
        return self.clone(output_shape=tuple(output_shape), output_bias=self.output_bias or output_bias)

"""Convolutional encoder and decoder of one image or one series, and their choice as a part.

The architecture of Burgess et al. 2018 (arXiv:1804.03599): convolutions of 4x4 with stride 2 down to 4x4 positions
(7x7 for images of 28x28, 6x6 for 48x48), then two dense layers of 256, and the mirror image as decoder. For 64x64
images that is four convolutions of 32 channels. Locatello et al. 2019 (arXiv:1811.12359) use
`channels=(32, 32, 64, 64)` and `hidden=(256,)`; their last two convolutions have 2x2 kernels, these have 4x4.
A series has the same layers in one dimension. An odd side gets a zero at its end before it is halved.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Float, Num

from vae_jax.errors import InputError
from vae_jax.fast.strided import (
    strided_conv,
    strided_conv_1d,
    strided_conv_transpose,
    strided_conv_transpose_1d,
)
from vae_jax.networks.activations import Activation, activation_named
from vae_jax.networks.mlp import dense_parameters, hidden_layers, output_layer
from vae_jax.networks.sides import cropped, even, halved_sides, sides_of

Array = jax.Array
# The form of either layer by the number of axes of an image [H, W, C] or a series [T, C].
DOWN = {3: strided_conv, 2: strided_conv_1d}
UP = {3: strided_conv_transpose, 2: strided_conv_transpose_1d}


class StridedConv(nn.Module):
    """A strided convolution or its transpose with the parameters of `nn.Conv` and `nn.ConvTranspose`."""

    features: int
    operation: Callable[[Float[Array, "*positions C"], Float[Array, "*taps C F"]], Float[Array, "*positions F"]]
    bias_init: Callable[..., Float[Array, "..."]] = nn.initializers.zeros
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*positions C"]) -> Float[Array, "*other F"]:
        shape = (*(4 for _ in x.shape[:-1]), x.shape[-1], self.features)
        kernel = self.param("kernel", nn.linear.default_kernel_init, shape, jnp.float32)
        bias = self.param("bias", self.bias_init, (self.features,), jnp.float32)
        h = self.operation(x.astype(self.dtype), kernel.astype(self.dtype))
        # In float32, for the gradient of a bias is a sum over all positions: in bfloat16 it is off by a tenth.
        return (h.astype(jnp.float32) + jnp.broadcast_to(bias, h.shape)).astype(self.dtype)


def halving_channels(sides: Sequence[int], channels: Sequence[int] | None) -> tuple[int, ...]:
    """The channels of each halving layer for an image or a series of these sides.

    By default 32 each, once or more, while all sides stay at least 4 and are even, or more than 256 positions are
    left. Raises InputError where sides cannot be halved that often.
    """
    if channels is None:
        left, count = halved_sides(sides, 1), 1
        while min(left) > 6 and (all(side % 2 == 0 for side in left) or math.prod(left) > 256):
            left, count = halved_sides(left, 1), count + 1
        channels = (32,) * count
    chosen = tuple(channels)
    if not chosen or min(chosen) < 1:
        raise InputError(f"channels {chosen}: expected at least one halving layer of at least one channel")
    least = 2 ** (len(chosen) - 1)
    if min(sides) <= least:
        raise InputError(
            f"{'image' if len(sides) == 2 else 'series'} of {' x '.join(map(str, sides))}: expected sides of more "
            f"than {least}, for {len(chosen)} layers that halve them; choose fewer `channels`, or use the MLP"
        )
    return chosen


class ConvEncoder(nn.Module):
    """x: [*positions, C], context: vectors -> [*event, size] in float32, the numbers that a posterior reads.

    x is an image [H, W, C] or a series [T, C]. The context joins at the first dense layer. `dtype` is the dtype of
    the computation. `output_shape` is set by `make_vae`.
    """

    latent_size: int
    channels: Sequence[int] | None = None
    hidden: Sequence[int] = (256, 256)
    activation: Callable[[Float[Array, "*h"]], Float[Array, "*h"]] = nn.relu
    dtype: Any = jnp.float32
    output_shape: Sequence[int] | None = None

    @nn.compact
    def __call__(self, x: Num[Array, "*positions C"], *context: Num[Array, " _"]) -> Float[Array, "*output"]:
        for features in halving_channels(sides_of(x.shape), self.channels):
            x = self.activation(StridedConv(features, DOWN[x.ndim], dtype=self.dtype)(even(x)))
        h = hidden_layers(x, context, self.hidden, self.activation, self.dtype)
        shape = self.output_shape or (2 * self.latent_size,)
        return output_layer(h, shape, self.dtype, nn.initializers.zeros)

    def sized(self, output_shape: Sequence[int]) -> ConvEncoder:
        """The same network with an output of that shape."""
        return self.clone(output_shape=tuple(output_shape))


class ConvDecoder(nn.Module):
    """z: [*z], context: vectors -> [*positions, size] in float32, the numbers that a likelihood reads.

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
    def __call__(self, z: Float[Array, "*z"], *context: Num[Array, " _"]) -> Float[Array, "*positions size"]:
        sides = sides_of(self.x_shape)
        channels = halving_channels(sides, self.channels)
        small = (*halved_sides(sides, len(channels)), channels[-1])
        h = hidden_layers(z, context, (*self.hidden, math.prod(small)), self.activation, self.dtype)
        h = h.reshape(small)
        operation = UP[h.ndim]
        for i in reversed(range(1, len(channels))):
            h = StridedConv(channels[i - 1], operation, dtype=self.dtype)(h)
            h = self.activation(cropped(h, halved_sides(sides, i)))
        bias_init = self.output_bias or nn.initializers.zeros
        size = (self.output_shape or self.x_shape)[-1]
        return cropped(StridedConv(size, operation, bias_init, self.dtype)(h), sides).astype(jnp.float32)

    def sized(
        self, output_shape: Sequence[int], output_bias: Callable[..., Float[Array, "..."]] | None = None
    ) -> ConvDecoder:
        """The same network with an output of that shape; `output_bias` serves where the network has none."""
        return self.clone(output_shape=tuple(output_shape), output_bias=self.output_bias or output_bias)


@dataclass(frozen=True)
class Conv:
    """`ConvEncoder` and `ConvDecoder`: strided convolutions, for images and series of sides of at least 2."""

    hidden: tuple[int, ...] = (256, 256)
    """Dense layers of the encoder, after the convolutions; the decoder mirrors them."""
    activation: Activation = "relu"
    """Between the layers."""
    channels: tuple[int, ...] | None = None
    """Of each layer that halves the sides; by default 32 each, down to sides of 4 to 7 where they are even."""

    def check(self, x_shape: Sequence[int]) -> None:
        """Raises InputError for a shape that the networks cannot read."""
        halving_channels(sides_of(x_shape), self.channels)

    def networks(
        self,
        latent_size: int,
        x_shape: Sequence[int],
        *,
        dtype: Any = jnp.float32,
        output_bias: Callable[..., Float[Array, "..."]] | None = None,
    ) -> tuple[ConvEncoder, ConvDecoder]:
        """Encoder and decoder of images or series of that shape."""
        self.check(x_shape)
        activation = activation_named(self.activation)
        return (
            ConvEncoder(latent_size, self.channels, self.hidden, activation, dtype),
            ConvDecoder(tuple(x_shape), self.channels, self.hidden[::-1], activation, output_bias, dtype),
        )

    def at_least(
        self, x_shape: Sequence[int], *, latents: int, posterior_size: int, likelihood_size: int, context: int = 0
    ) -> int:
        """A number of parameters that both networks together exceed, by arithmetic; the arguments as of `MLP`."""
        sides = sides_of(x_shape)
        channels = halving_channels(sides, self.channels)
        flat = math.prod(halved_sides(sides, len(channels))) * channels[-1]
        taps: int = 4 ** len(sides)
        inner = sum(a * b for a, b in itertools.pairwise(channels))
        ends = channels[0] * (x_shape[-1] + likelihood_size)
        encoder = dense_parameters(flat + context, *self.hidden, posterior_size)
        decoder = dense_parameters(latents + context, *self.hidden[::-1], flat)
        return taps * (2 * inner + ends) + encoder + decoder

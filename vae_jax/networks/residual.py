"""Residual encoder and decoder of one image or one series, and their choice as a part.

At each resolution pre-activation bottleneck blocks, between resolutions average pooling and nearest-neighbour
upsampling, as Child 2021 has them (VDVAE, arXiv:2011.10650), with group normalization (Wu and He 2018,
arXiv:1803.08494) before each block. BatchNorm is not offered, for it is no function of one example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Float, Num

from vae_jax.errors import InputError
from vae_jax.networks.activations import Activation, activation_named
from vae_jax.networks.blocks import Conv3, GroupNorm, ResidualBlock, pooled, upsampled
from vae_jax.networks.dense import Dense
from vae_jax.networks.mlp import dense_parameters, hidden_layers, output_layer
from vae_jax.networks.sides import halved_sides, sides_of

Array = jax.Array


class Resolution(NamedTuple):
    """What stands between two changes of the sides."""

    sides: tuple[int, ...]
    channels: int
    blocks: int


def resolutions(
    sides: Sequence[int], channels: Sequence[int] | None = None, blocks: Sequence[int] | None = None
) -> tuple[Resolution, ...]:
    """The resolutions of an image or a series of these sides, from the full one to the smallest.

    By default the sides are halved while the smallest is at least 8, to 4 to 7. Of channels there are 32, 64 at
    1024 positions (32x32) and fewer, 128 at 256 and fewer, and 16 at more than 16384; of blocks two, and one at
    more than 1024 positions. Raises InputError where numbers do not go with the sides or with each other.
    """
    if channels is None:
        num = 1
        while min(halved_sides(sides, num - 1)) >= 8:
            num += 1
    else:
        num = len(channels)
    if num < 1 or min(sides) <= 2 ** (num - 1) // 2:
        raise InputError(
            f"{num} resolutions of sides {' x '.join(map(str, sides))}: expected at least one, and sides of more "
            f"than {2 ** (num - 1) // 2} for so many; give a number of `channels` for each resolution there is"
        )
    left = [halved_sides(sides, i) for i in range(num)]
    chosen = [_channels(math.prod(s)) for s in left] if channels is None else list(channels)
    counts = [1 if math.prod(s) > 1024 else 2 for s in left] if blocks is None else list(blocks)
    if len(counts) != num or min(counts) < 0 or min(chosen) < 1:
        raise InputError(
            f"channels {tuple(chosen)} and blocks {tuple(counts)} of a residual network: expected for each of "
            f"{num} resolutions at least one channel, and a number of blocks that is not negative"
        )
    return tuple(map(Resolution, left, chosen, counts))


def _channels(positions: int) -> int:
    return next((few for most, few in ((256, 128), (1024, 64), (16384, 32)) if positions <= most), 16)


class ResidualEncoder(nn.Module):
    """x: [*positions, C], context: vectors -> [*event, size] in float32, the numbers that a posterior reads.

    x is an image [H, W, C] or a series [T, C]. `channels` and `blocks`: one number a resolution, the full one
    first. The context joins at the first dense layer. `dtype` is the dtype of the computation; normalization is in
    float32. `output_shape` is set by `make_vae`.
    """

    latent_size: int
    channels: Sequence[int] | None = None
    blocks: Sequence[int] | None = None
    hidden: Sequence[int] = (256,)
    activation: Callable[[Float[Array, "*h"]], Float[Array, "*h"]] = nn.gelu
    dtype: Any = jnp.float32
    output_shape: Sequence[int] | None = None

    @nn.compact
    def __call__(self, x: Num[Array, "*positions C"], *context: Num[Array, " _"]) -> Float[Array, "*output"]:
        plan = resolutions(sides_of(x.shape), self.channels, self.blocks)
        h = Conv3(plan[0].channels, dtype=self.dtype)(x)
        for i, resolution in enumerate(plan):
            if i > 0:
                h = pooled(h)
            if h.shape[-1] != resolution.channels:
                h = Dense(resolution.channels, dtype=self.dtype)(h)
            h = _blocks(h, resolution.blocks, plan, self.activation, self.dtype)
        h = self.activation(GroupNorm(self.dtype)(h))
        h = hidden_layers(h, context, self.hidden, self.activation, self.dtype)
        shape = self.output_shape or (2 * self.latent_size,)
        return output_layer(h, shape, self.dtype, nn.initializers.zeros)

    def sized(self, output_shape: Sequence[int]) -> ResidualEncoder:
        """The same network with an output of that shape."""
        return self.clone(output_shape=tuple(output_shape))


class ResidualDecoder(nn.Module):
    """z: [*z], context: vectors -> [*positions, size] in float32, the numbers that a likelihood reads.

    The mirror of `ResidualEncoder`. `output_bias` initialises the bias of the last layer, one number a channel.
    """

    x_shape: Sequence[int]
    channels: Sequence[int] | None = None
    blocks: Sequence[int] | None = None
    hidden: Sequence[int] = (256,)
    activation: Callable[[Float[Array, "*h"]], Float[Array, "*h"]] = nn.gelu
    output_bias: Callable[..., Float[Array, "..."]] | None = None
    dtype: Any = jnp.float32
    output_shape: Sequence[int] | None = None

    @nn.compact
    def __call__(self, z: Float[Array, "*z"], *context: Num[Array, " _"]) -> Float[Array, "*positions size"]:
        plan = resolutions(sides_of(self.x_shape), self.channels, self.blocks)
        small = (*plan[-1].sides, plan[-1].channels)
        h = hidden_layers(z, context, (*self.hidden, math.prod(small)), self.activation, self.dtype)
        h = h.reshape(small)
        for resolution in reversed(plan):
            if h.shape[-1] != resolution.channels:  # before the upsampling, with which it commutes
                h = Dense(resolution.channels, dtype=self.dtype)(h)
            if h.shape[:-1] != resolution.sides:
                h = upsampled(h, resolution.sides)
            h = _blocks(h, resolution.blocks, plan, self.activation, self.dtype)
        h = self.activation(GroupNorm(self.dtype)(h))
        bias_init = self.output_bias or nn.initializers.zeros
        size = (self.output_shape or self.x_shape)[-1]
        return Conv3(size, bias_init, self.dtype)(h).astype(jnp.float32)

    def sized(
        self, output_shape: Sequence[int], output_bias: Callable[..., Float[Array, "..."]] | None = None
    ) -> ResidualDecoder:
        """The same network with an output of that shape; `output_bias` serves where the network has none."""
        return self.clone(output_shape=tuple(output_shape), output_bias=self.output_bias or output_bias)


def _blocks(
    h: Float[Array, "*positions C"],
    count: int,
    plan: Sequence[Resolution],
    activation: Callable[[Float[Array, "*h"]], Float[Array, "*h"]],
    dtype: Any,
) -> Float[Array, "*positions C"]:
    """So many blocks, each with its share of the variance; called inside a module."""
    share = 1 / max(sum(resolution.blocks for resolution in plan), 1)
    for _ in range(count):
        h = ResidualBlock(share, activation, dtype)(h)
    return h


@dataclass(frozen=True)
class Residual:
    """`ResidualEncoder` and `ResidualDecoder`: residual blocks at each resolution, for images and series."""

    hidden: tuple[int, ...] = (256,)
    """Dense layers of the encoder, after the blocks; the decoder mirrors them."""
    activation: Activation = "gelu"
    """Between the layers."""
    channels: tuple[int, ...] | None = None
    """At each resolution, the full one first; each further one halves the sides. By default 16 to 128."""
    blocks: tuple[int, ...] | None = None
    """Residual blocks at each resolution; by default 2, and 1 at more than 1024 positions."""

    def check(self, x_shape: Sequence[int]) -> None:
        """Raises InputError for a shape that the networks cannot read."""
        resolutions(sides_of(x_shape), self.channels, self.blocks)

    def networks(
        self,
        latent_size: int,
        x_shape: Sequence[int],
        *,
        dtype: Any = jnp.float32,
        output_bias: Callable[..., Float[Array, "..."]] | None = None,
    ) -> tuple[ResidualEncoder, ResidualDecoder]:
        """Encoder and decoder of images or series of that shape."""
        self.check(x_shape)
        activation, each = activation_named(self.activation), (self.channels, self.blocks)
        return (
            ResidualEncoder(latent_size, *each, self.hidden, activation, dtype),
            ResidualDecoder(tuple(x_shape), *each, self.hidden[::-1], activation, output_bias, dtype),
        )

    def at_least(
        self, x_shape: Sequence[int], *, latents: int, posterior_size: int, likelihood_size: int, context: int = 0
    ) -> int:
        """A number of parameters that both networks together exceed, by arithmetic; the arguments as of `MLP`."""
        plan = resolutions(sides_of(x_shape), self.channels, self.blocks)
        taps: int = 3 ** len(plan[0].sides)
        flat = math.prod(plan[-1].sides) * plan[-1].channels
        blocks = sum(r.blocks * ResidualBlock.parameters(r.channels, taps) for r in plan)
        ends = taps * plan[0].channels * (x_shape[-1] + likelihood_size)
        encoder = dense_parameters(flat + context, *self.hidden, posterior_size)
        decoder = dense_parameters(latents + context, *self.hidden[::-1], flat)
        return 2 * blocks + ends + encoder + decoder

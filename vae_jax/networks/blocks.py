"""Layers of residual networks, for one image [H, W, C] or one series [T, C]."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Float, Num

from vae_jax.fast.same_conv import same_conv
from vae_jax.networks.dense import Dense

Array = jax.Array


class Conv3(nn.Module):
    """Convolution over 3 positions an axis, "SAME", in `dtype`, with the parameters of `nn.Conv`, in float32."""

    features: int
    bias_init: Callable[..., Float[Array, "..."]] = nn.initializers.zeros
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Num[Array, "*positions C"]) -> Float[Array, "*positions F"]:
        shape = (*(3 for _ in x.shape[:-1]), x.shape[-1], self.features)
        kernel = self.param("kernel", nn.linear.default_kernel_init, shape, jnp.float32)
        bias = self.param("bias", self.bias_init, (self.features,), jnp.float32)
        h = same_conv(x.astype(self.dtype), kernel.astype(self.dtype))
        # In float32, for the gradient of a bias is a sum over all positions.
        return (h.astype(jnp.float32) + jnp.broadcast_to(bias, h.shape)).astype(self.dtype)


class GroupNorm(nn.Module):
    """(h - mean) / sqrt(variance + 1e-5) of each group of channels, times a scale and plus a bias a channel.

    Mean and variance are over all positions and the channels of the group, in float32. There are 8 groups, or the
    greatest common divisor of 8 and the number of channels. Without axes named, `nn.GroupNorm` would take the first
    axis of one example for a batch.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, h: Float[Array, "*positions C"]) -> Float[Array, "*positions C"]:
        axes = tuple(range(-h.ndim, 0))
        norm = nn.GroupNorm(math.gcd(8, h.shape[-1]), epsilon=1e-5, reduction_axes=axes, dtype=jnp.float32)
        normal: Array = norm(h)
        return normal.astype(self.dtype)


class ResidualBlock(nn.Module):
    """h + W_4 a(W_3 * a(W_2 * a(W_1 a(norm(h))))), with a the activation, from C to C/4 channels and back.

    W_1 and W_4 are products at each position, W_2 and W_3 convolutions over 3 positions an axis. The variance of
    the first W_4 is `share` of the usual; with a share of 1 / number of blocks that of h grows by a constant factor
    through all blocks together.
    """

    share: float
    activation: Callable[[Float[Array, "*h"]], Float[Array, "*h"]]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, h: Float[Array, "*positions C"]) -> Float[Array, "*positions C"]:
        channels, activation = h.shape[-1], self.activation
        narrow = bottleneck(channels)
        r = Dense(narrow, dtype=self.dtype)(activation(GroupNorm(self.dtype)(h)))
        r = Conv3(narrow, dtype=self.dtype)(activation(r))
        r = Conv3(narrow, dtype=self.dtype)(activation(r))
        last = nn.initializers.variance_scaling(self.share, "fan_in", "truncated_normal")
        return h + Dense(channels, dtype=self.dtype, kernel_init=last)(activation(r))

    @staticmethod
    def parameters(channels: int, taps: int) -> int:
        """Numbers in the kernels of a block, whose convolutions have so many taps."""
        return 2 * bottleneck(channels) * (channels + taps * bottleneck(channels))


def bottleneck(channels: int) -> int:
    """The channels inside of a block: a quarter, and at least one."""
    return max(channels // 4, 1)


def pooled(h: Float[Array, "*positions C"]) -> Float[Array, "*other C"]:
    """The mean of each two positions along each axis; the last position of an odd side stands for itself."""
    pads = [(0, side % 2) for side in h.shape[:-1]]
    if any(after for _, after in pads):
        h = jnp.pad(h, [*pads, (0, 0)], mode="edge")
    pairs = [size for side in h.shape[:-1] for size in (side // 2, 2)]
    return jnp.mean(h.reshape(*pairs, h.shape[-1]), axis=tuple(range(1, 2 * len(pads), 2)))


def upsampled(h: Float[Array, "*positions C"], sides: Sequence[int]) -> Float[Array, "*other C"]:
    """Each position twice along each axis, as far as the sides go."""
    for axis, side in enumerate(sides):
        h = lax.slice_in_dim(jnp.repeat(h, 2, axis=axis), 0, side, axis=axis)
    return h

"""Convolution with stride 1 and "SAME" padding, whose gradients have the form that each platform runs fastest.

On CPU, XLA runs convolutions fast where batch and height lead and channels come last. It turns other orders of axes
into this one, but not inside a loop, where a training step stands: there the gradients of the stock operation took
20 times as long. So the derivatives below name the axes such that their transposes, the gradients, are in that
order. TPU and GPU keep the stock operation.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
from jax import lax
from jaxtyping import Float

Array = jax.Array


class _Axes(NamedTuple):
    """Orders of the axes of input, kernel and output: of the batch N, the sides, channels I and features O."""

    value: tuple[str, str, str]
    for_input: tuple[str, str, str]
    for_kernel: tuple[str, str, str]


# By the number of axes of an image [H, W, C] and of a series [T, C].
_AXES = {
    3: _Axes(("NHWC", "HWIO", "NHWC"), ("NHWC", "HWOI", "NHWC"), ("CHWN", "IHWO", "HWNC")),
    2: _Axes(("NWC", "WIO", "NWC"), ("NWC", "WOI", "NWC"), ("CWN", "IWO", "WNC")),
}


@jax.custom_jvp
def same_conv(x: Float[Array, "*sides C"], kernel: Float[Array, "*taps C F"]) -> Float[Array, "*sides F"]:
    """y[i] = sum_a x[i + a - (taps - 1) / 2] K[a], for a kernel of an odd number of taps along each axis.

    x: [H, W, C] or [T, C]. kernel: [taps, taps, C, F] or [taps, C, F], as of `flax.linen.Conv`. Returns: [..., F].
    """
    return _conv(x[None], kernel, _AXES[x.ndim].value)[0]


@same_conv.defjvp
def _same_conv_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (x, kernel), (dx, dkernel) = primals, tangents
    axes, last = _AXES[x.ndim], kernel.ndim - 1

    def along_input(dx: Array, kernel: Array) -> Array:
        return _conv(dx[None], kernel.swapaxes(last - 1, last), axes.for_input)[0]

    def along_kernel(x: Array, dkernel: Array) -> Array:
        channels_first = x.transpose(x.ndim - 1, *range(x.ndim - 1))
        turned = dkernel.transpose(last - 1, *range(last - 1), last)
        return _conv(channels_first[..., None], turned, axes.for_kernel)[..., 0, :]

    def stock(x: Array, kernel: Array) -> Array:
        return _conv(x[None], kernel, axes.value)[0]

    dy = lax.platform_dependent(dx, kernel, cpu=along_input, default=stock)
    dy = dy + lax.platform_dependent(x, dkernel, cpu=along_kernel, default=stock)
    return same_conv(x, kernel), dy


def _conv(x: Array, kernel: Array, axes: tuple[str, str, str]) -> Array:
    strides = (1,) * (x.ndim - 2)
    y: Array = lax.conv_general_dilated(x, kernel, strides, "SAME", dimension_numbers=axes)
    return y

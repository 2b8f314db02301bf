"""Fully connected encoder and decoder of one example, and their choice as a part."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Float, Num

from vae_jax.errors import InputError
from vae_jax.networks.activations import Activation, activation_named
from vae_jax.networks.dense import Dense
from vae_jax.shapes import AnyArray

Array = jax.Array


def hidden_layers(
    h: Num[Array, "*event"],
    context: Sequence[Num[Array, " _"]],
    sizes: Sequence[int],
    activation: Callable[[Float[Array, " h"]], Float[Array, " h"]],
    dtype: Any,
) -> Float[Array, " size"]:
    """Dense layers on the concatenation of a flat array and the context vectors; called inside a module."""
    if any(size < 1 for size in sizes):
        raise InputError(f"hidden layers of sizes {tuple(sizes)}: expected sizes of at least 1")
    h = jnp.concatenate([jnp.ravel(h), *context]).astype(dtype)
    for size in sizes:
        h = activation(Dense(size, dtype=dtype)(h))
    return h


def dense_parameters(*sizes: int) -> int:
    """Numbers in the kernels of dense layers of these sizes; by arithmetic, for the sizes may be any numbers."""
    return sum(abs(a * b) for a, b in itertools.pairwise(sizes))


class MLPEncoder(nn.Module):
    """x: [*event], context: vectors -> [*positions, size] in float32, the numbers that a posterior reads.

    Default: the encoder of the 784-400-20 model. `dtype` is the dtype of the computation (parameters stay
    float32), for mixed precision. `output_shape` is set by `make_vae`; without it, what `DiagonalNormal` reads.
    """

    latent_size: int
    hidden: Sequence[int] = (400,)
    activation: Callable[[Float[Array, " h"]], Float[Array, " h"]] = nn.relu
    dtype: Any = jnp.float32
    output_shape: Sequence[int] | None = None

    @nn.compact
    def __call__(self, x: Num[Array, "*event"], *context: Num[Array, " _"]) -> Float[Array, "*output"]:
        h = hidden_layers(x, context, self.hidden, self.activation, self.dtype)
        shape = self.output_shape or (2 * self.latent_size,)
        return output_layer(h, shape, self.dtype, nn.initializers.zeros)

    def sized(self, output_shape: Sequence[int]) -> MLPEncoder:
        """The same network with an output of that shape."""
        return self.clone(output_shape=tuple(output_shape))


class MLPDecoder(nn.Module):
    """z: [*z], context: vectors -> [*positions, size] in float32, the numbers that a likelihood reads.

    `x_shape`: the shape of x. `output_bias` initialises the bias of the last layer, for example
    `logit_bias(pixel_means)`. `output_shape` is set by `make_vae`; without it, what `BernoulliPixels` reads.
    """

    x_shape: Sequence[int]
    hidden: Sequence[int] = (400,)
    activation: Callable[[Float[Array, " h"]], Float[Array, " h"]] = nn.relu
    output_bias: Callable[..., Float[Array, "..."]] | None = None
    dtype: Any = jnp.float32
    output_shape: Sequence[int] | None = None

    @nn.compact
    def __call__(self, z: Float[Array, "*z"], *context: Num[Array, " _"]) -> Float[Array, "*output"]:
        h = hidden_layers(z, context, self.hidden, self.activation, self.dtype)
        bias_init = self.output_bias or nn.initializers.zeros
        return output_layer(h, self.output_shape or self.x_shape, self.dtype, bias_init)

    def sized(
        self, output_shape: Sequence[int], output_bias: Callable[..., Float[Array, "..."]] | None = None
    ) -> MLPDecoder:
        """The same network with an output of that shape; `output_bias` serves where the network has none."""
        return self.clone(output_shape=tuple(output_shape), output_bias=self.output_bias or output_bias)


@dataclass(frozen=True)
class MLP:
    """`MLPEncoder` and `MLPDecoder`: dense layers, for examples of any shape."""

    hidden: tuple[int, ...] | None = None
    """Dense layers of the encoder; the decoder mirrors them. By default 400, beyond 784 numbers 512 256."""
    activation: Activation = "relu"
    """Between the layers."""

    def check(self, x_shape: Sequence[int]) -> None:
        """Raises InputError for a shape that the networks cannot read; these read all."""

    def networks(
        self,
        latent_size: int,
        x_shape: Sequence[int],
        *,
        dtype: Any = jnp.float32,
        output_bias: Callable[..., Float[Array, "..."]] | None = None,
    ) -> tuple[MLPEncoder, MLPDecoder]:
        """Encoder and decoder of examples of that shape."""
        hidden, activation = self._hidden(x_shape), activation_named(self.activation)
        return (
            MLPEncoder(latent_size, hidden, activation, dtype),
            MLPDecoder(tuple(x_shape), hidden[::-1], activation, output_bias, dtype),
        )

    def at_least(
        self, x_shape: Sequence[int], *, latents: int, posterior_size: int, likelihood_size: int, context: int = 0
    ) -> int:
        """A number of parameters that both networks together exceed, by arithmetic.

        latents: what the decoder reads; posterior_size: what the posterior reads of the encoder; likelihood_size:
        what the likelihood reads of the decoder at each position; context: sizes of all context vectors together.
        """
        hidden, positions = self._hidden(x_shape), math.prod(x_shape[:-1])
        encoder = dense_parameters(math.prod(x_shape) + context, *hidden, posterior_size)
        return encoder + dense_parameters(latents + context, *hidden[::-1], positions * likelihood_size)

    def _hidden(self, x_shape: Sequence[int]) -> tuple[int, ...]:
        if self.hidden is not None:
            return self.hidden
        return (400,) if math.prod(x_shape) <= 28 * 28 else (512, 256)


def output_layer(
    h: Float[Array, " k"], shape: Sequence[int], dtype: Any, bias_init: Callable[..., Float[Array, "..."]]
) -> Float[Array, "*output"]:
    """The last dense layer, in float32 and of the given shape; called inside a module."""
    h = Dense(math.prod(shape), dtype=dtype, bias_init=bias_init)(h)
    return h.astype(jnp.float32).reshape(tuple(shape))


class Discriminator(nn.Module):
    """z: [latent_size] -> one logit in float32.

    Default: the six layers of 1000 of Kim and Mnih 2018 (arXiv:1802.05983), with the slope 0.2 that
    disentanglement_lib gives its leaky units.
    """

    hidden: Sequence[int] = (1000,) * 6
    activation: Callable[[Float[Array, " h"]], Float[Array, " h"]] = partial(nn.leaky_relu, negative_slope=0.2)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: Float[Array, " d"]) -> Float[Array, ""]:
        h = hidden_layers(z, (), self.hidden, self.activation, self.dtype)
        return Dense(1, dtype=self.dtype)(h).astype(jnp.float32)[0]


def logit_bias(pixel_means: Num[AnyArray, "*x"]) -> Callable[..., Float[Array, "..."]]:
    """A bias initializer for decoders with Bernoulli output: logit of the mean of each output over the data.

    The model then starts at the marginals of the pixels instead of at coin flips (Burda et al. 2016,
    arXiv:1509.00519, do so in their code, with the same clipping to [0.001, 0.999]).

    pixel_means: [*x_shape], in [0, 1]. A bias of one number a channel (convolutions) gets the mean over the
    positions first. Raises InputError for means outside [0, 1].
    """
    means = np.asarray(pixel_means, np.float32)
    if not (np.all(means >= 0) and np.all(means <= 1)):
        raise InputError(
            f"pixel means between {means.min()} and {means.max()}: expected [0, 1]; divide 8-bit images by 255"
        )

    def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        size = math.prod(shape)
        if means.size % size:
            raise InputError(
                f"pixel means of shape {means.shape} for {size} biases: expected a mean for each output, or "
                "several for each channel; a likelihood that reads more than logits has other outputs than pixels"
            )
        mean = means.reshape(-1) if means.size == size else means.reshape(-1, size).mean(axis=0)
        mean = np.clip(mean, 0.001, 0.999)
        return jnp.asarray(np.log(mean / (1 - mean)), dtype).reshape(shape)

    return init

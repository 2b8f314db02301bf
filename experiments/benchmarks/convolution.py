"""Training steps of the convolutional VAE on 64x64 sprites, against PyTorch, stock Flax layers and bare matmuls.

    python -m experiments.benchmarks.convolution

The architecture of Burgess et al. 2018, batch 64, Adam. Ours renders its sprites in every step; PyTorch, in both
layouts, has one batch ready in memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import linen as nn

from experiments.benchmarks import peers
from experiments.benchmarks.timing import Side, Table, interleaved, report
from experiments.benchmarks.training import steps, torch_heads, torch_negative_elbo
from vae_jax import VAE, elbo, make_vae, per_example
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.sprites import NUM_SPRITES, factors_of, render
from vae_jax.networks import ConvDecoder, ConvEncoder
from vae_jax.networks.conv import halving_channels

HIDDEN = (256, 256)


@dataclasses.dataclass(frozen=True)
class Config:
    """Steps of the convolutional VAE."""

    size: int = 64
    latent_size: int = 10
    batch_size: int = 64
    num_steps: int = 5
    """Of one turn."""
    repeats: int = 7
    stock: bool = True
    """Measure stock Flax layers too, which takes minutes."""


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the table and returns it by its title."""
    sides: dict[str, Side] = {
        "vae_jax": partial(_steps, config, model),
        "the matmuls alone": partial(peers.matmuls, products(config), config.num_steps),
        "PyTorch, NCHW": partial(_torch_steps, config, "NCHW"),
        "PyTorch, channels_last": partial(_torch_steps, config, "channels_last"),
    }
    if config.stock:
        sides["stock Flax layers"] = partial(_steps, config, stock_model)
    seconds = interleaved(sides, repeats=config.repeats)
    title = (
        f"conv VAE {config.size}x{config.size}, {config.num_steps} steps of {config.batch_size}, sprites rendered"
    )
    return {title: report(title, seconds, of="vae_jax")}


def _steps(config: Config, of: Callable[[Config], VAE]) -> Callable[[], None]:
    vae, sprites = of(config), np.arange(NUM_SPRITES, dtype=np.int32)
    next_batch = shuffled_batches(config.batch_size, lambda key, index: _image(config, index))
    return steps(per_example(elbo, vae), next_batch, vae.init, sprites, config.num_steps)


def _image(config: Config, index: jax.Array) -> jax.Array:
    return render(factors_of(index), size=config.size)


def model(config: Config) -> VAE:
    """Ours."""
    return make_vae(ConvEncoder(config.latent_size), ConvDecoder((config.size, config.size, 1)))


def stock_model(config: Config) -> VAE:
    """The same from `nn.Conv` and `nn.ConvTranspose`; parameters differ in their names alone."""
    return make_vae(StockEncoder(config.latent_size), StockDecoder((config.size, config.size, 1)))


class StockEncoder(nn.Module):
    """`ConvEncoder` from stock layers."""

    latent_size: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for features in halving_channels(x.shape[:-1], None):
            x = nn.relu(nn.Conv(features, (4, 4), strides=(2, 2))(x))
        h = jnp.ravel(x)
        for size in HIDDEN:
            h = nn.relu(nn.Dense(size)(h))
        return nn.Dense(2 * self.latent_size)(h)


class StockDecoder(nn.Module):
    """`ConvDecoder` from stock layers."""

    x_shape: Sequence[int]

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        channels = halving_channels(self.x_shape[:-1], None)
        small = self.x_shape[0] // 2 ** len(channels)
        h = z
        for size in (*HIDDEN, small * small * channels[-1]):
            h = nn.relu(nn.Dense(size)(h))
        h = h.reshape(small, small, channels[-1])
        for features in reversed(channels[:-1]):
            h = nn.relu(nn.ConvTranspose(features, (4, 4), strides=(2, 2))(h))
        return nn.ConvTranspose(1, (4, 4), strides=(2, 2))(h)


def stock_params(params: Any) -> Any:
    """Our parameters under the names of the stock layers."""
    names = {"encoder": "Conv", "decoder": "ConvTranspose"}
    return {
        part: {"params": {k.replace("StridedConv", names[part]): v for k, v in tree["params"].items()}}
        for part, tree in params.items()
    }


def products(config: Config) -> list[tuple[int, int, int]]:
    """The shapes of the matrix products of one forward pass, a convolution as one product of its patches."""
    channels = halving_channels((config.size, config.size), None)
    batch, small = config.batch_size, config.size // 2 ** len(channels)
    flat = small * small * channels[-1]
    down = [
        (batch * (config.size >> i + 1) ** 2, 16 * large, features)
        for i, (large, features) in enumerate(zip((1, *channels), channels, strict=False))
    ]
    encoder, decoder = (flat, *HIDDEN, 2 * config.latent_size), (config.latent_size, *HIDDEN, flat)
    dense = [(batch, k, n) for sizes in (encoder, decoder) for k, n in pairwise(sizes)]
    return [*down, *dense, *((m, n, k) for m, k, n in reversed(down))]


def torch_params(params: Any, layout: str) -> Any:
    """Our parameters as tensors in PyTorch's order of axes, and of the positions that a dense layer flattens."""
    torch = peers.torch()

    def convert(part: str, name: str, p: Any, small: int, channels: int) -> Any:
        kernel = np.asarray(p["kernel"])
        if kernel.ndim == 4:
            kernel = kernel.transpose(3, 2, 0, 1) if part == "encoder" else kernel[::-1, ::-1].transpose(2, 3, 0, 1)
            kernel = torch.tensor(kernel.copy())
            if layout == "channels_last":
                kernel = kernel.contiguous(memory_format=torch.channels_last)
            return kernel.requires_grad_(), torch.tensor(np.asarray(p["bias"])).requires_grad_()
        bias = np.asarray(p["bias"])
        if (part, name) == ("encoder", "Dense_0"):
            kernel = kernel.reshape(small, small, channels, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
        if (part, name) == ("decoder", f"Dense_{len(HIDDEN)}"):
            kernel = kernel.reshape(-1, small, small, channels).transpose(0, 3, 1, 2).reshape(kernel.shape)
            bias = bias.reshape(small, small, channels).transpose(2, 0, 1).reshape(-1)
        return tuple(torch.tensor(a.copy()).requires_grad_() for a in (kernel, bias))

    channels = params["encoder"]["params"]["StridedConv_0"]["bias"].shape[0]
    small = int((params["encoder"]["params"]["Dense_0"]["kernel"].shape[0] / channels) ** 0.5)
    return {
        part: {name: convert(part, name, p, small, channels) for name, p in tree["params"].items()}
        for part, tree in params.items()
    }


def torch_loss(params: Any, x: Any, eps: Any) -> Any:
    """The mean loss of a batch in PyTorch. x: [batch, 1, size, size]."""
    return torch_negative_elbo(*torch_forward(params, x, eps), x)


def torch_forward(params: Any, x: Any, eps: Any) -> tuple[Any, Any, Any]:
    """Location, log-scale and what the decoder emits, [batch, size a pixel, size, size], in PyTorch."""
    F: Any = peers.torch().nn.functional
    encoder, decoder = params["encoder"], params["decoder"]
    num = sum(name.startswith("StridedConv") for name in encoder)

    def dense(part: dict, layer: int, h: Any) -> Any:
        kernel, bias = part[f"Dense_{layer}"]
        return h @ kernel + bias

    h = x
    for i in range(num):
        h = F.relu(F.conv2d(h, *encoder[f"StridedConv_{i}"], stride=2, padding=1))
    shape, h = h.shape, h.flatten(1)
    for i in range(len(HIDDEN)):
        h = F.relu(dense(encoder, i, h))
    mu, log_scale = torch_heads(dense(encoder, len(HIDDEN), h))
    h = mu + eps * log_scale.exp()
    for i in range(len(HIDDEN) + 1):
        h = F.relu(dense(decoder, i, h))
    h = h.reshape(shape)
    for i in range(num):
        h = F.conv_transpose2d(h, *decoder[f"StridedConv_{i}"], stride=2, padding=1)
        h = F.relu(h) if i < num - 1 else h
    return mu, log_scale, h


def _torch_steps(config: Config, layout: str) -> Callable[[], None] | None:
    torch = peers.torch()
    if torch is None:
        return None
    params = torch_params(model(config).init(jax.random.key(0)), layout)
    indices = jnp.arange(config.batch_size) * (NUM_SPRITES // config.batch_size)
    x = np.asarray(jax.vmap(partial(_image, config))(indices))
    images = torch.tensor(x.transpose(0, 3, 1, 2).copy())
    if layout == "channels_last":
        images = images.contiguous(memory_format=torch.channels_last)

    def loss() -> Any:
        return torch_loss(params, images, torch.randn(config.batch_size, config.latent_size))

    return peers.adam_steps(params, loss, config.num_steps)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))

"""Training steps of the residual VAE on 64x64 colour images, against PyTorch with the same layers.

    python -m experiments.benchmarks.residual

The default residual networks under a normal likelihood of scale 1, batch 32, Adam, on random images. Ours takes
each batch from the data in memory; PyTorch, in both layouts, has one batch ready.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import tyro

from experiments.benchmarks import peers
from experiments.benchmarks.timing import Side, Table, interleaved, report
from experiments.benchmarks.training import steps, torch_heads, torch_rate
from vae_jax import VAE, elbo, make_vae, per_example
from vae_jax.data.batches import shuffled_batches
from vae_jax.likelihoods import NormalPixels
from vae_jax.networks import Residual
from vae_jax.networks.residual import resolutions


@dataclasses.dataclass(frozen=True)
class Config:
    """Steps of the residual VAE."""

    network: Residual = Residual()
    size: int = 64
    image_channels: int = 3
    latent_size: int = 32
    batch_size: int = 32
    num_steps: int = 2
    """Of one turn."""
    repeats: int = 7


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the table and returns it by its title."""
    sides: dict[str, Side] = {
        "vae_jax": partial(_steps, config),
        "PyTorch, NCHW": partial(_torch_steps, config, "NCHW"),
        "PyTorch, channels_last": partial(_torch_steps, config, "channels_last"),
    }
    seconds = interleaved(sides, repeats=config.repeats)
    shape = "x".join(map(str, _shape(config)))
    title = f"residual VAE {shape}, {config.num_steps} steps of {config.batch_size}"
    return {title: report(title, seconds, of="vae_jax")}


def _shape(config: Config) -> tuple[int, int, int]:
    return config.size, config.size, config.image_channels


def model(config: Config) -> VAE:
    """Ours."""
    networks = config.network.networks(config.latent_size, _shape(config))
    return make_vae(*networks, likelihood=NormalPixels(1.0))


def _images(config: Config, num: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (num, *_shape(config))).astype(np.float32)


def _steps(config: Config) -> Callable[[], None]:
    vae, images = model(config), _images(config, 4 * config.batch_size)
    next_batch = shuffled_batches(config.batch_size, lambda key, x: x)
    return steps(per_example(elbo, vae), next_batch, vae.init, images, config.num_steps)


def torch_params(params: Any, layout: str) -> Any:
    """Our parameters as tensors: kernels of convolutions in PyTorch's order of axes, also those of one position."""
    torch = peers.torch()

    def convert(path: Any, leaf: Any) -> Any:
        leaf, names = np.asarray(leaf), [str(entry.key) for entry in path]
        if "Conv3" in names[-2]:
            leaf = leaf.transpose(3, 2, 0, 1) if names[-1] == "kernel" else leaf
        tensor = torch.tensor(leaf.copy())
        if tensor.ndim == 4 and layout == "channels_last":
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        return tensor.requires_grad_()

    return jax.tree_util.tree_map_with_path(convert, params)


class _Layers:
    """The parameters of the layers of a network, each kind in the order in which they are called."""

    def __init__(self, params: Any) -> None:
        self.params = params["params"]
        self.counts: dict[str, int] = {}

    def next(self, kind: str) -> Any:
        number = self.counts.get(kind, 0)
        self.counts[kind] = number + 1
        return self.params[f"{kind}_{number}"]


def _activation(h: Any) -> Any:
    return peers.torch().nn.functional.gelu(h, approximate="tanh")


def _norm(p: Any, h: Any) -> Any:
    p, channels = p["GroupNorm_0"], h.shape[1]
    return peers.torch().nn.functional.group_norm(h, math.gcd(8, channels), p["scale"], p["bias"], 1e-5)


def _conv(p: Any, h: Any) -> Any:
    return peers.torch().nn.functional.conv2d(h, p["kernel"], p["bias"], padding=1)


def _at_each(p: Any, h: Any) -> Any:
    """A dense layer at each position, which PyTorch has as a convolution."""
    return peers.torch().nn.functional.conv2d(h, p["kernel"].T[:, :, None, None], p["bias"])


def _dense(p: Any, h: Any) -> Any:
    return h @ p["kernel"] + p["bias"]


def _block(p: Any, h: Any) -> Any:
    r = _at_each(p["Dense_0"], _activation(_norm(p["GroupNorm_0"], h)))
    r = _conv(p["Conv3_0"], _activation(r))
    r = _conv(p["Conv3_1"], _activation(r))
    return h + _at_each(p["Dense_1"], _activation(r))


def torch_loss(config: Config, params: Any, x: Any, eps: Any) -> Any:
    """The mean loss of a batch in PyTorch, for even sizes. x: [batch, channels, size, size]."""
    mu, log_scale, mean = torch_forward(config.network, params, x, eps)
    distortion = 0.5 * ((x - mean) ** 2).sum() + 0.5 * math.log(2 * math.pi) * x.numel()
    return (distortion + torch_rate(mu, log_scale)) / len(x)


def torch_forward(network: Residual, params: Any, x: Any, eps: Any) -> tuple[Any, Any, Any]:
    """Location, log-scale and what the decoder emits, [batch, size a pixel, size, size], in PyTorch."""
    F: Any = peers.torch().nn.functional
    encoder, decoder = (_Layers(params[part]) for part in ("encoder", "decoder"))
    plan = resolutions(tuple(x.shape[2:]), network.channels, network.blocks)
    h = _conv(encoder.next("Conv3"), x)
    for i, resolution in enumerate(plan):
        h = F.avg_pool2d(h, 2) if i else h
        if h.shape[1] != resolution.channels:
            h = _at_each(encoder.next("Dense"), h)
        for _ in range(resolution.blocks):
            h = _block(encoder.next("ResidualBlock"), h)
    # In the order of our axes, by which the next kernel is laid out.
    h = _activation(_norm(encoder.next("GroupNorm"), h)).permute(0, 2, 3, 1).flatten(1)
    for _ in network.hidden:
        h = _activation(_dense(encoder.next("Dense"), h))
    mu, log_scale = torch_heads(_dense(encoder.next("Dense"), h))
    h = mu + eps * log_scale.exp()
    for _ in range(len(network.hidden) + 1):
        h = _activation(_dense(decoder.next("Dense"), h))
    h = h.reshape(len(h), *plan[-1].sides, plan[-1].channels).permute(0, 3, 1, 2)
    if x.is_contiguous():
        h = h.contiguous()
    for i, resolution in reversed(list(enumerate(plan))):
        if h.shape[1] != resolution.channels:
            h = _at_each(decoder.next("Dense"), h)
        h = F.interpolate(h, scale_factor=2) if i < len(plan) - 1 else h
        for _ in range(resolution.blocks):
            h = _block(decoder.next("ResidualBlock"), h)
    return mu, log_scale, _conv(decoder.next("Conv3"), _activation(_norm(decoder.next("GroupNorm"), h)))


def _torch_steps(config: Config, layout: str) -> Callable[[], None] | None:
    torch = peers.torch()
    if torch is None:
        return None
    params = torch_params(jax.jit(model(config).init)(jax.random.key(0)), layout)
    images = torch.tensor(_images(config, config.batch_size).transpose(0, 3, 1, 2).copy())
    if layout == "channels_last":
        images = images.contiguous(memory_format=torch.channels_last)

    def loss() -> Any:
        return torch_loss(config, params, images, torch.randn(config.batch_size, config.latent_size))

    return peers.adam_steps(params, loss, config.num_steps)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))

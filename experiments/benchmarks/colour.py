"""Training steps on 64x64 colour images under the discretized logistic likelihood, against PyTorch.

    python -m experiments.benchmarks.colour

The default convolutional networks and the default residual ones, a learned scale a channel, Adam, random bytes.
Ours takes each batch from the data in memory; PyTorch, in both layouts, has one batch ready.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import tyro

from experiments.benchmarks import convolution, peers, residual
from experiments.benchmarks.timing import Side, Table, interleaved, report
from experiments.benchmarks.training import steps, torch_rate
from vae_jax import VAE, elbo, make_vae, per_example
from vae_jax.data.batches import shuffled_batches
from vae_jax.distributions import MAX_LOG_SCALE
from vae_jax.likelihoods import DiscretizedLogistic
from vae_jax.networks import Conv, Residual


@dataclasses.dataclass(frozen=True)
class Work:
    """Steps with one kind of network."""

    network: Conv | Residual
    batch_size: int
    num_steps: int
    """Of one turn."""
    size: int = 64
    latent_size: int = 32


@dataclasses.dataclass(frozen=True)
class Config:
    """Steps with both kinds of networks."""

    convolutional: Work = Work(Conv(), batch_size=64, num_steps=5)
    residual: Work = Work(Residual(), batch_size=32, num_steps=4)
    repeats: int = 7


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the tables and returns them by title."""
    tables = {}
    for kind, work in (("conv", config.convolutional), ("residual", config.residual)):
        sides: dict[str, Side] = {
            "vae_jax": partial(_steps, work),
            "PyTorch, NCHW": partial(_torch_steps, work, "NCHW"),
            "PyTorch, channels_last": partial(_torch_steps, work, "channels_last"),
        }
        shape = f"{work.size}x{work.size}x3, discretized logistic"
        title = f"{kind} VAE {shape}, {work.num_steps} steps of {work.batch_size}"
        tables[title] = report(title, interleaved(sides, repeats=config.repeats), of="vae_jax")
    return tables


def model(work: Work) -> VAE:
    """Ours."""
    networks = work.network.networks(work.latent_size, (work.size, work.size, 3))
    return make_vae(*networks, likelihood=DiscretizedLogistic())


def images(work: Work, num: int) -> np.ndarray:
    """Random bytes, [num, size, size, 3]."""
    return np.random.default_rng(0).integers(0, 256, (num, work.size, work.size, 3)).astype(np.uint8)


def _steps(work: Work) -> Callable[[], None]:
    vae, data = model(work), images(work, 4 * work.batch_size)
    return steps(per_example(elbo, vae), shuffled_batches(work.batch_size), vae.init, data, work.num_steps)


def torch_params(work: Work, params: Any, layout: str) -> Any:
    """Our parameters as tensors, as the networks' own benchmarks have them."""
    networks = {part: params[part] for part in ("encoder", "decoder")}
    of = convolution if isinstance(work.network, Conv) else residual
    scale = peers.torch().tensor(np.asarray(params["likelihood"]["scale"])).requires_grad_()
    return {**of.torch_params(networks, layout), "scale": scale}


def torch_loss(work: Work, params: Any, x: Any, eps: Any) -> Any:
    """The mean loss of a batch in PyTorch. x: [batch, 3, size, size], levels as floats."""
    features = (x - 127.5) / 127.5
    if isinstance(work.network, Conv):
        mu, log_scale, loc = convolution.torch_forward(params, features, eps)
    else:
        mu, log_scale, loc = residual.torch_forward(work.network, params, features, eps)
    return (torch_distortion(loc, params["scale"], x) + torch_rate(mu, log_scale)) / len(x)


def torch_distortion(loc: Any, raw: Any, x: Any) -> Any:
    """-log P(x) of rounded logistics in PyTorch, in the stable form, summed. loc, x: [batch, c, H, W]; raw: [c]."""
    torch: Any = peers.torch()
    inverse = ((-MAX_LOG_SCALE * torch.tanh(raw / MAX_LOG_SCALE)).exp() / 32)[:, None, None]
    centered = (x - (127.5 + 127.5 * loc)) * inverse
    below_last, above_first = x < 255, x > 0
    upper = torch.nn.functional.softplus(-centered - 0.5 * inverse)
    lower = torch.nn.functional.softplus(centered - 0.5 * inverse)
    width = torch.log(-torch.expm1(-inverse))
    terms = torch.where(below_last, upper, 0.0) + torch.where(above_first, lower, 0.0)
    return terms.sum() - torch.where(below_last & above_first, width, 0.0).sum()


def _torch_steps(work: Work, layout: str) -> Callable[[], None] | None:
    torch = peers.torch()
    if torch is None:
        return None
    params = torch_params(work, jax.jit(model(work).init)(jax.random.key(0)), layout)
    x = torch.tensor(images(work, work.batch_size).transpose(0, 3, 1, 2).astype(np.float32))
    if layout == "channels_last":
        x = x.contiguous(memory_format=torch.channels_last)

    def loss() -> Any:
        return torch_loss(work, params, x, torch.randn(work.batch_size, work.latent_size))

    return peers.adam_steps(params, loss, work.num_steps)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))

"""Training steps on a table of 20 columns with batches of 64, against an eager loop in PyTorch.

    python -m experiments.benchmarks.table

An MLP 20-64-10-64-20 under a normal likelihood with a learned scale a column. A step is so small that what stands
between the products is its cost: PyTorch is also given its fused Adam.
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
from experiments.benchmarks.training import steps, torch_forward, torch_rate
from vae_jax import VAE, elbo, make_vae, per_example
from vae_jax.data.batches import shuffled_batches
from vae_jax.distributions import MAX_LOG_SCALE
from vae_jax.likelihoods import NormalPixels
from vae_jax.networks import MLPDecoder, MLPEncoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Steps of a small VAE of a table."""

    event: int = 20
    hidden: int = 64
    latent_size: int = 10
    batch_size: int = 64
    num_rows: int = 6000
    num_steps: int = 1000
    """Of one turn."""
    repeats: int = 9


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the table and returns it by its title."""
    sides: dict[str, Side] = {
        "vae_jax": partial(_steps, config),
        "PyTorch": partial(_torch_steps, config, False),
        "PyTorch, fused Adam": partial(_torch_steps, config, True),
    }
    seconds = interleaved(sides, repeats=config.repeats)
    sizes = f"{config.event}-{config.hidden}-{config.latent_size}"
    title = f"table, MLP VAE {sizes}, {config.num_steps} steps of {config.batch_size}"
    table = report(title, seconds, of="vae_jax")
    print(f"\n{config.num_steps / np.median(seconds['vae_jax']):,.0f} steps a second")
    return {title: table}


def model(config: Config) -> VAE:
    """Ours."""
    encoder = MLPEncoder(config.latent_size, (config.hidden,))
    decoder = MLPDecoder((config.event,), (config.hidden,))
    return make_vae(encoder, decoder, likelihood=NormalPixels("element"))


def _rows(config: Config) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(config.num_rows, config.event)).astype(np.float32)


def _steps(config: Config) -> Callable[[], None]:
    vae = model(config)
    next_batch = shuffled_batches(config.batch_size)
    return steps(per_example(elbo, vae), next_batch, vae.init, _rows(config), config.num_steps)


def torch_loss(params: Any, x: Any, eps: Any) -> Any:
    """The mean loss of a batch in PyTorch. x: [batch, event]."""
    mu, log_scale, mean = torch_forward(params, x, eps)
    log_s = MAX_LOG_SCALE * (params["likelihood"]["scale"] / MAX_LOG_SCALE).tanh()
    distortion = (0.5 * ((x - mean) * (-log_s).exp()) ** 2 + log_s + 0.5 * math.log(2 * math.pi)).sum()
    return (distortion + torch_rate(mu, log_scale)) / len(x)


def _torch_steps(config: Config, fused: bool) -> Callable[[], None] | None:
    torch = peers.torch()
    if torch is None:
        return None
    params = peers.tensors(jax.jit(model(config).init)(jax.random.key(0)))
    rows = torch.tensor(_rows(config))

    def loss() -> Any:
        x = rows[torch.randint(len(rows), (config.batch_size,))]
        return torch_loss(params, x, torch.randn(config.batch_size, config.latent_size))

    return peers.adam_steps(params, loss, config.num_steps, fused=fused)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))

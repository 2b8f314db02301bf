"""Training steps of an MLP VAE 1024-1200-1200-10 in bfloat16 against float32, with the bare matmuls of both.

    python -m experiments.benchmarks.bfloat16

A gain is to be expected only where the CPU multiplies bfloat16 itself: its flags are printed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import tyro

from experiments.benchmarks import peers
from experiments.benchmarks.timing import Side, Table, interleaved, report
from experiments.benchmarks.training import steps
from vae_jax import VAE, elbo, make_vae, per_example
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.transforms import binarize
from vae_jax.networks import MLPDecoder, MLPEncoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Steps of the large MLP VAE in two precisions."""

    event: int = 1024
    hidden: tuple[int, ...] = (1200, 1200)
    latent_size: int = 10
    batch_size: int = 128
    num_steps: int = 20
    """Of one turn."""
    repeats: int = 7


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the table and the CPU's flags, and returns the table by its title."""
    sides: dict[str, Side] = {}
    for name, dtype in (("vae_jax", jnp.float32), ("vae_jax in bfloat16", jnp.bfloat16)):
        sides[name] = partial(_steps, config, dtype)
        floor = partial(peers.matmuls, products(config), config.num_steps, dtype)
        sides[f"the matmuls alone, {jnp.dtype(dtype)}"] = floor
    seconds = interleaved(sides, repeats=config.repeats)
    sizes = "-".join(map(str, (config.event, *config.hidden, config.latent_size)))
    table = report(f"MLP VAE {sizes}, {config.num_steps} steps of {config.batch_size}", seconds, of="vae_jax")
    flags = ", ".join(bfloat16_flags()) or "none: no gain is to be expected"
    print(f"\nbfloat16 flags of this CPU: {flags}")
    return {f"MLP VAE {sizes}, bfloat16 flags: {flags}": table}


def _steps(config: Config, dtype: Any) -> Callable[[], None]:
    images = np.random.default_rng(0).integers(0, 256, (10 * config.batch_size, config.event)).astype(np.uint8)
    vae, next_batch = model(config, dtype), shuffled_batches(config.batch_size, binarize)
    return steps(per_example(elbo, vae), next_batch, vae.init, images, config.num_steps)


def model(config: Config, dtype: Any) -> VAE:
    """The VAE that computes in `dtype`."""
    return make_vae(
        MLPEncoder(config.latent_size, config.hidden, dtype=dtype),
        MLPDecoder((config.event,), config.hidden[::-1], dtype=dtype),
    )


def products(config: Config) -> list[tuple[int, int, int]]:
    """The shapes of the matrix products of one forward pass."""
    encoder = (config.event, *config.hidden, 2 * config.latent_size)
    decoder = (config.latent_size, *config.hidden[::-1], config.event)
    return [(config.batch_size, k, n) for c in (encoder, decoder) for k, n in pairwise(c)]


def bfloat16_flags() -> list[str]:
    """The CPU's instructions for bfloat16, as Linux tells them."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return []
    return [flag for flag in ("avx512_bf16", "amx_bf16") if flag in words]


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))

"""L_5000 against pythae's get_nll, and sprites rendered a second.

    python -m experiments.benchmarks.likelihood

Both sides draw the same number of samples from the same 784-400-20 model in chunks of 100.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.benchmarks import peers, training
from experiments.benchmarks.timing import Side, Table, interleaved, report
from vae_jax import VAE, importance_log_likelihood
from vae_jax.data.sprites import NUM_SPRITES, factors_of, render


@dataclasses.dataclass(frozen=True)
class Config:
    """Likelihoods and sprites."""

    num_images: int = 4
    num_samples: int = 5000
    num_sprites: int = 512
    """Of one call; the memory of many more is given by the system anew at each call, which then takes longer."""
    size: int = 64
    model: training.Config = dataclasses.field(default_factory=training.Config)
    repeats: int = 5


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the tables and returns them by title."""
    few = dataclasses.replace(config, num_samples=min(config.num_samples, 1000))
    theirs = _get_nll(few)
    if theirs is not None:
        values = _ours(few)(), theirs()
        # Its name says negative, its value is the log-likelihood.
        print("\nmean over {} images: vae_jax {:.2f}, pythae {:.2f} nats".format(config.num_images, *values))
        assert abs(values[0] - values[1]) < 0.05 * abs(values[0]), "both sides must compute the same likelihood"
    sides: dict[str, Side] = {"vae_jax": partial(_ours, config), "pythae's get_nll": partial(_get_nll, config)}
    title = f"L_{config.num_samples} of {config.num_images} images"
    tables = {title: report(title, interleaved(sides, repeats=config.repeats), of="vae_jax")}

    seconds = interleaved({"vae_jax": partial(_render, config)}, repeats=4 * config.repeats)
    title = f"{config.num_sprites} sprites of {config.size}x{config.size} rendered"
    tables[title] = report(title, seconds, of="vae_jax")
    print(f"\n{config.num_sprites / np.median(seconds['vae_jax']):,.0f} sprites a second")
    return tables


def _model(config: Config) -> tuple[VAE, Any, jax.Array]:
    """The model, its parameters, and binary images."""
    vae = training.model(config.model)
    x = jax.random.bernoulli(jax.random.key(1), 0.3, (config.num_images, config.model.event)).astype(jnp.float32)
    return vae, jax.jit(vae.init)(jax.random.key(0)), x


def _ours(config: Config) -> Callable[[], float]:
    vae, params, x = _model(config)
    keys = jax.random.split(jax.random.key(2), config.num_images)

    @jax.jit
    def estimate(params: Any, keys: jax.Array, x: jax.Array) -> jax.Array:
        one = partial(importance_log_likelihood, vae, params, num_samples=config.num_samples, chunk_size=100)
        return jnp.mean(jax.vmap(one)(keys, x).value)

    return lambda: float(estimate(params, keys, x))


def _get_nll(config: Config) -> Callable[[], float] | None:
    torch = peers.torch()
    if torch is None or peers.pythae() is None:
        return None
    _, params, x = _model(config)
    its, data = training.pythae_model(config.model, params), torch.tensor(np.asarray(x))

    def get_nll() -> float:
        with torch.no_grad():
            return float(its.get_nll(data, n_samples=config.num_samples, batch_size=100))

    return get_nll


def _render(config: Config) -> Callable[[], object]:
    indices = jnp.arange(config.num_sprites) * (NUM_SPRITES // config.num_sprites)
    draw = jax.jit(jax.vmap(lambda index: render(factors_of(index), size=config.size)))
    return lambda: jax.block_until_ready(draw(indices))


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))

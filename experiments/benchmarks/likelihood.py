"""L_5000 against pythae's get_nll, and sprites rendered a second.

    python -m experiments.benchmarks.likelihood

Both sides draw the same number of samples from the same 784-400-20 model in chunks of 100.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.benchmarks import peers, training
from experiments.benchmarks.timing import Table, interleaved, report
from vae_jax import importance_log_likelihood
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
    vae = training.model(config.model)
    params = vae.init(jax.random.key(0))
    x = jax.random.bernoulli(jax.random.key(1), 0.3, (config.num_images, config.model.event)).astype(jnp.float32)
    keys = jax.random.split(jax.random.key(2), config.num_images)

    @jax.jit
    def estimates(params: dict, keys: jax.Array, x: jax.Array) -> jax.Array:
        one = partial(importance_log_likelihood, vae, params, num_samples=config.num_samples, chunk_size=100)
        return jax.vmap(one)(keys, x).log_likelihood

    calls: dict[str, Callable[[], object]] = {"vae_jax": lambda: np.asarray(estimates(params, keys, x))}
    if peers.torch() is not None and peers.pythae() is not None:
        torch = peers.torch()
        its, data = training.pythae_model(config.model, params), torch.tensor(np.asarray(x))

        def get_nll() -> float:
            with torch.no_grad():
                return its.get_nll(data, n_samples=config.num_samples, batch_size=100)

        calls["pythae's get_nll"] = get_nll
        ours, theirs = float(estimates(params, keys, x).mean()), get_nll()
        # Its name says negative, its value is the log-likelihood.
        print(f"mean over {config.num_images} images: vae_jax {ours:.2f}, pythae {theirs:.2f} nats")
        assert abs(ours - theirs) < 0.05 * abs(ours), "the two sides must compute the same likelihood"
    title = f"L_{config.num_samples} of {config.num_images} images"
    tables = {title: report(title, interleaved(calls, repeats=config.repeats), of="vae_jax")}

    indices = jnp.arange(config.num_sprites) * (NUM_SPRITES // config.num_sprites)
    draw = jax.jit(jax.vmap(lambda index: render(factors_of(index), size=config.size)))
    seconds = interleaved({"vae_jax": lambda: jax.block_until_ready(draw(indices))}, repeats=4 * config.repeats)
    title = f"{config.num_sprites} sprites of {config.size}x{config.size} rendered"
    tables[title] = report(title, seconds, of="vae_jax")
    print(f"\n{config.num_sprites / np.median(seconds['vae_jax']):,.0f} sprites a second")
    return tables


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))

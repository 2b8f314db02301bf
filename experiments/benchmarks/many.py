"""Sixteen seeds of the MLP VAE at once, against sixteen runs after each other, compilation included.

python -m experiments.benchmarks.many
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import optax
import tyro

from experiments.benchmarks import training
from experiments.benchmarks.timing import Table, interleaved, report
from vae_jax import elbo, fit, init_state, per_example
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.transforms import binarize
from vae_jax.many import init_many, train_many


@dataclasses.dataclass(frozen=True)
class Config:
    """Many short runs."""

    num_runs: int = 16
    num_steps: int = 20
    model: training.Config = dataclasses.field(default_factory=training.Config)
    repeats: int = 1


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the table and returns it by its title."""
    both = pair(config)
    calls = {"vae_jax": both["at once"], "one after the other": both["one after the other"]}
    # A cache of compiled programs on the disk would spare both sides what is measured.
    cached = jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        seconds = interleaved(calls, repeats=config.repeats)
    finally:
        jax.config.update("jax_enable_compilation_cache", cached)
    title = f"{config.num_runs} runs of {config.num_steps} steps at once, compilation included"
    return {title: report(title, seconds, of="vae_jax")}


def pair(config: Config) -> dict:
    """Both ways from the same keys to the final parameters of all runs, each compiling its programs anew."""
    vae = training.model(config.model)
    shape = (10 * config.model.batch_size, config.model.event)
    images = jax.device_put(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    keys = jax.random.split(jax.random.key(0), config.num_runs)
    next_batch, optimizer = shuffled_batches(config.model.batch_size, binarize), optax.adam(1e-3)

    def at_once() -> list:
        jax.clear_caches()

        def setting() -> tuple:
            return per_example(elbo, vae), optimizer

        states = init_many(vae.init, optimizer, keys)
        states = train_many(setting, next_batch, states, images, {}, num_steps=config.num_steps)
        jax.block_until_ready(states.params)
        return [jax.tree.map(lambda a, i=i: a[i], states.params) for i in range(config.num_runs)]

    def after_each_other() -> list:
        results = []
        for key in keys:
            # A run is a process of its own, with everything to compile.
            jax.clear_caches()
            state = init_state(vae.init, optimizer, key)
            state = fit(per_example(elbo, vae), optimizer, next_batch, state, images, num_steps=config.num_steps)
            results.append(jax.block_until_ready(state.params))
        return results

    return {"at once": at_once, "one after the other": after_each_other}


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))

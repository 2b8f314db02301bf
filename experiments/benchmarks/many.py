"""Sixteen seeds of the MLP VAE at once, against sixteen runs after each other, compilation included.

python -m experiments.benchmarks.many
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

import jax
import numpy as np
import optax
import tyro

from experiments.benchmarks import training
from experiments.benchmarks.timing import Side, Table, interleaved, report
from vae_jax import elbo, fit, init_state, per_example
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.transforms import binarize
from vae_jax.training.many import init_many, run_of, train_many


@dataclasses.dataclass(frozen=True)
class Config:
    """Many short runs."""

    num_runs: int = 16
    num_steps: int = 20
    model: training.Config = dataclasses.field(default_factory=training.Config)
    repeats: int = 3


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the table and returns it by its title."""
    sides: dict[str, Side] = {
        "vae_jax": partial(at_once, config),
        "one after the other": partial(one_after_the_other, config),
    }
    seconds = interleaved(sides, repeats=config.repeats)
    title = f"{config.num_runs} runs of {config.num_steps} steps at once, compilation included"
    return {title: report(title, seconds, of="vae_jax")}


def at_once(config: Config) -> Callable[[], list]:
    """All runs in one program, compiled anew at each call. The call returns the parameters of each run."""
    vae, optimizer, keys, images, next_batch = _parts(config)

    @_compiling()
    def call() -> list:
        jax.clear_caches()

        def setting() -> tuple:
            return per_example(elbo, vae), optimizer

        states = init_many(vae.init, optimizer, keys)
        states = train_many(setting, next_batch, states, images, {}, num_steps=config.num_steps)
        jax.block_until_ready(states.params)
        return [run_of(states.params, i) for i in range(config.num_runs)]

    return call


def one_after_the_other(config: Config) -> Callable[[], list]:
    """A program for each run, as if each were a process of its own."""
    vae, optimizer, keys, images, next_batch = _parts(config)

    @_compiling()
    def call() -> list:
        results = []
        for key in keys:
            jax.clear_caches()
            state = init_state(vae.init, optimizer, key)
            state = fit(per_example(elbo, vae), optimizer, next_batch, state, images, num_steps=config.num_steps)
            results.append(jax.block_until_ready(state.params))
        return results

    return call


@contextlib.contextmanager
def _compiling() -> Iterator[None]:
    # A cache of compiled programs on the disk would spare both sides what is measured.
    cached = jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", cached)


def _parts(config: Config) -> tuple:
    vae = training.model(config.model)
    shape = (10 * config.model.batch_size, config.model.event)
    images = jax.device_put(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    keys = jax.random.split(jax.random.key(0), config.num_runs)
    return vae, optax.adam(1e-3), keys, images, shuffled_batches(config.model.batch_size, binarize)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))

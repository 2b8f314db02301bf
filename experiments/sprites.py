"""A VAE on sprites rendered on the fly: nothing to download.

    python -m experiments.sprites
    python -m experiments.sprites --network conv --size 64 --num-steps 100000 --out runs/sprites64

Trains on 32x32 sprites (shape, scale, orientation, position) and writes reconstructions, samples, interpolations
and latent traversals. The convolutional network is that of Burgess et al. 2018.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from vae_jax import elbo, make_vae, per_example
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.sprites import NUM_SPRITES, factors_of, render
from vae_jax.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder, logit_bias
from vae_jax.runs.command import command_line
from vae_jax.runs.figures import write_figures
from vae_jax.runs.loop import RunConfig, train
from vae_jax.runs.processes import first_only
from vae_jax.runs.tasks import Task, beta_schedule, test_examples

NUM_TEST, NUM_VALIDATION = 5000, 2000


@dataclasses.dataclass(frozen=True)
class Config:
    """A VAE on sprites rendered on the fly."""

    run: Annotated[RunConfig, tyro.conf.arg(name="")] = RunConfig(out="runs/sprites", batch_size=64)
    size: int = 32
    """Side of the square images; 64 as in the literature. For the convolutional network a power of two."""
    network: Literal["mlp", "conv"] = "mlp"
    """Fully connected (512-256) learns more in a minute on a CPU."""
    latent_size: int = 10
    num_steps: int = 15_000
    beta: float = 1.0
    """Weight of the rate (beta-VAE)."""
    beta_warmup: int = 0
    """Steps over which the weight of the rate grows from 0 to beta."""
    eval_every: int = 3000
    """Steps between evaluations on the validation sprites, each of which saves a checkpoint."""


def main(config: Config) -> dict[str, Any]:
    """Trains, evaluates and draws; returns the summary."""
    task = make_task(config)
    params, summary = train(config, config.run, task)
    first_only(lambda: write_figures(config.run.out, task.vae, params, test_examples(task, 200)))
    return summary


def make_task(config: Config) -> Task:
    """The model, its objective and its data."""
    order = np.random.default_rng(0).permutation(NUM_SPRITES).astype(np.int32)
    test, validation, training = np.split(order, [NUM_TEST, NUM_TEST + NUM_VALIDATION])
    draw = partial(render, size=config.size)

    def transform(key: jax.Array, index: jax.Array) -> jax.Array:
        return draw(factors_of(index))

    images = jax.jit(jax.vmap(lambda index: draw(factors_of(index))))
    pixel_means = np.asarray(jnp.mean(images(validation), axis=0))
    x_shape = (config.size, config.size, 1)
    vae = make_vae(*_networks(config, x_shape, logit_bias(pixel_means)))
    beta = beta_schedule(config.beta, config.beta_warmup)
    return Task(
        name="sprites",
        vae=vae,
        objective=per_example(elbo, vae, beta=beta),
        next_batch=shuffled_batches(config.run.batch_size, transform),
        transform=transform,
        train=training,
        validation=validation,
        test=test,
        num_steps=config.num_steps,
        eval_every=config.eval_every,
        factors=np.asarray(jax.vmap(factors_of)(jnp.asarray(test))),
    )


def _networks(config: Config, x_shape: tuple[int, ...], output_bias: Callable) -> tuple[Any, Any]:
    dtype = jnp.dtype(config.run.precision)
    if config.network == "conv":
        return (
            ConvEncoder(config.latent_size, dtype=dtype),
            ConvDecoder(x_shape, output_bias=output_bias, dtype=dtype),
        )
    hidden = (512, 256)
    return (
        MLPEncoder(config.latent_size, hidden, dtype=dtype),
        MLPDecoder(x_shape, hidden[::-1], output_bias=output_bias, dtype=dtype),
    )


if __name__ == "__main__":
    command_line(main, Config, __doc__)

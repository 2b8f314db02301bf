"""A convolutional VAE on sprites rendered on the fly: nothing to download.

    python -m experiments.sprites

Trains the architecture of Burgess et al. 2018 on 32x32 sprites (shape, scale, orientation, position), then
writes reconstructions, samples, interpolations and latent traversals.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

from experiments.figures import write_figures
from experiments.run import RunConfig, Task, command_line, train
from vae_jax import elbo, make_vae, per_example
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.sprites import NUM_SPRITES, factors_of, render
from vae_jax.networks import ConvDecoder, ConvEncoder, logit_bias

NUM_TEST, NUM_VALIDATION = 5000, 2000


@dataclasses.dataclass(frozen=True)
class Config:
    """A convolutional VAE on sprites rendered on the fly."""

    run: Annotated[RunConfig, tyro.conf.arg(name="")] = RunConfig(out="runs/sprites", batch_size=64)
    size: int = 32
    """Side of the square images, a power of two; 64 as in the literature."""
    latent_size: int = 10
    num_steps: int = 3000
    beta: float = 1.0
    """Weight of the rate (beta-VAE)."""
    beta_warmup: int = 0
    """Steps over which the weight of the rate grows from 0 to beta."""
    eval_every: int = 1000
    """Steps between evaluations on the validation sprites, each of which saves a checkpoint."""


def main(config: Config) -> dict[str, Any]:
    """Trains, evaluates and draws; returns the summary."""
    task = make_task(config)
    state, summary = train(config, config.run, task)
    images = jax.vmap(task.transform, (None, 0))(jax.random.key(0), task.test[:200])
    write_figures(config.run.out, task.vae, state.ema, images)
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
    vae = make_vae(ConvEncoder(config.latent_size), ConvDecoder(x_shape, output_bias=logit_bias(pixel_means)))
    beta = optax.linear_schedule(0.0, config.beta, config.beta_warmup) if config.beta_warmup else config.beta
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
    )


if __name__ == "__main__":
    command_line(main, Config, __doc__)

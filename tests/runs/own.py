"""A small run of one's own: 500 steps of a model of three pixels, in calls of 100."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from vae_jax import elbo, make_vae, per_example
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.runs import Data, RunConfig, Task

VAE = make_vae(MLPEncoder(2, hidden=(4,)), MLPDecoder((3,), hidden=(4,)))
X = np.ones((20, 3), np.float32)


def run(out, **options) -> RunConfig:
    """A checkpoint after 300 and 500 steps of four examples."""
    return RunConfig(**{"num_steps": 500, "eval_every": 250, "batch_size": 4} | options | {"out": str(out)})


def own(out, *, broken=lambda step: False, validation=X, test=X, **options):
    """A config whose loss is infinite at the steps where `broken(step)`."""

    @dataclasses.dataclass(frozen=True)
    class Own:
        run: RunConfig

        def load_data(self):
            return Data(X, validation, test)

        def make_task(self, facts, examples=None):
            def loss(params, key, batch, step):
                found = per_example(elbo, VAE)(params, key, batch, step)
                return found._replace(value=jnp.where(broken(step), jnp.inf, found.value))

            return Task(VAE, loss)

    return Own(run(out, **options))

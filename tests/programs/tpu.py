"""Compiles training, annealing and sampling for TPUs that are not there; prints what `tests/test_tpu.py` checks.

python -m tests.programs.tpu
"""

import functools
import json

import jax
import jax.numpy as jnp

from experiments.tpu_report import OPTIMIZER, abstract_state, topology_mesh, training_step
from tests.programs.compiled import account
from vae_jax import annealed_log_likelihood, elbo, make_vae, per_example, sample, train_step
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.transforms import binarize
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.training import scan_steps
from vae_jax.training.sharding import over_examples, placed, replicated, shard_batches

X_SHAPE, BATCH_SIZE, NUM_EXAMPLES = (28, 28, 1), 512, 60_000
VAE = make_vae(MLPEncoder(20), MLPDecoder(X_SHAPE))


def main() -> None:
    found = {}
    for chip in ("v5e", "v6e"):
        mesh = topology_mesh(f"{chip}:2x2")
        state = abstract_state(mesh, VAE)
        found |= {
            f"step on {chip}": account(training_step(mesh, VAE, X_SHAPE, BATCH_SIZE)),
            f"epoch on {chip}": account(epoch(mesh, state)),
            f"annealing on {chip}": account(annealing(mesh, state.params)),
            f"sampling on {chip}": account(sampling(mesh, state.params)),
            "state": sum(4 * leaf.size for leaf in jax.tree.leaves(state)),
        }
    print(json.dumps(found))


def epoch(mesh, state):
    """All updates of an epoch scanned, with the data on the device."""
    step = functools.partial(train_step, objective=per_example(elbo, VAE), optimizer=OPTIMIZER)
    next_batch = shard_batches(mesh, shuffled_batches(BATCH_SIZE, binarize))
    data = jax.ShapeDtypeStruct((NUM_EXAMPLES, *X_SHAPE), jnp.uint8, sharding=replicated(mesh))
    shardings = jax.tree.map(lambda a: a.sharding, state)
    return (
        scan_steps(step, next_batch, NUM_EXAMPLES // BATCH_SIZE, state_sharding=shardings)
        .lower(state, data)
        .compile()
    )


def annealing(mesh, params):
    """The annealed bounds of 64 images, 16 a chip, of 16 chains each."""

    def one(params, key, x):
        return annealed_log_likelihood(VAE, params, key, x, num_temperatures=1000, num_chains=16).value

    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 64))
    images = jax.ShapeDtypeStruct((64, *X_SHAPE), jnp.float32)
    keys, images = placed((keys, images), (over_examples(mesh),) * 2)
    estimate = jax.jit(jax.vmap(one, in_axes=(None, 0, 0)), out_shardings=over_examples(mesh))
    return estimate.lower(params, keys, images).compile()


def sampling(mesh, params):
    """1,024 samples from the model, 256 a chip."""
    draw = jax.jit(lambda params, key: sample(VAE, params, key, 1024), out_shardings=over_examples(mesh))
    key = placed(jax.eval_shape(lambda: jax.random.key(0)), replicated(mesh))
    return draw.lower(params, key).compile()


if __name__ == "__main__":
    main()

"""One model on 1, 2 and 8 of eight simulated devices; prints what `tests/test_sharding.py` compares, as JSON.

XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m tests.programs.sharded FOLDER
"""

import contextlib
import functools
import json
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import optax

from tests.programs.compiled import collectives
from vae_jax import (
    annealed_log_likelihood,
    elbo,
    evaluate,
    fit,
    init_many,
    init_state,
    make_vae,
    per_example,
    train_many,
    train_step,
)
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.streaming import stream, streamed_batches
from vae_jax.data.transforms import binarize
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.training import scan_steps
from vae_jax.training.checkpoints import open_checkpoints, restore, save
from vae_jax.training.sharding import (
    make_mesh,
    over_chunk,
    place_runs,
    placed,
    replicate,
    shard_batches,
    spread_chunk,
    state_sharding,
)

VAE = make_vae(MLPEncoder(4, hidden=(64,)), MLPDecoder((8, 8, 1), hidden=(64,)))
IMAGES = np.random.default_rng(0).integers(0, 256, (61, 8, 8, 1)).astype(np.uint8)
OPTIMIZER = optax.adam(1e-3)
OBJECTIVE = per_example(elbo, VAE)
NEXT_BATCH = shuffled_batches(16, binarize)
NUM_STEPS = 20
PARAMS = VAE.init(jax.random.key(0))
MESHES = {"1": (1, 1), "2": (2, 1), "8": (8, 1), "4x2": (8, 2)}  # devices, of which along `model`


def main(folder: Path) -> None:
    meshes = {name: make_mesh(model=model, devices=jax.devices()[:num]) for name, (num, model) in MESHES.items()}
    warnings.simplefilter("error")  # JAX warns of buffers that were donated in vain
    trained = {name: train(meshes[name]) for name in ("1", "8", "4x2")}
    states = {name: state for name, (state, _) in trained.items()}
    moved = move(folder, states["8"], [meshes[name] for name in ("2", "4x2", "1", "8")])
    print(
        json.dumps(
            {
                "streamed": {name: streamed(meshes[name]) for name in ("1", "8", "4x2")},
                "losses": {name: losses for name, (_, losses) in trained.items()},
                "params": {name: flat(state.params) for name, state in states.items()},
                "compiled": {name: compiled(meshes[name]) for name in ("8", "4x2")},
                "bytes": {name: bytes_on_first_device(state) for name, state in states.items()},
                "saved": flat(states["8"]),
                "moved": [flat(state) for state in moved],
                "many": {name: many(meshes[name]) for name in ("1", "8")},
                "evaluation": {name: evaluation(meshes[name]) for name in ("1", "8")},
            }
        )
    )


def placement(mesh):
    return functools.partial(state_sharding, mesh, min_size=64 * 64)


def fresh(mesh):
    return init_state(VAE.init, OPTIMIZER, jax.random.key(0), sharding=placement(mesh))


def like(mesh):
    """The shapes of a state and where it lies."""
    shapes = jax.eval_shape(functools.partial(init_state, VAE.init, OPTIMIZER), jax.random.key(0))
    return placed(shapes, placement(mesh)(shapes))


def train(mesh):
    losses, state, data = [], fresh(mesh), replicate(mesh, IMAGES)
    first = state
    state = fit(
        OBJECTIVE,
        OPTIMIZER,
        shard_batches(mesh, NEXT_BATCH),
        state,
        data,
        num_steps=NUM_STEPS,
        steps_per_call=10,
        after_call=lambda state, metrics: losses.extend(metrics["loss"].tolist()),
    )
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first)), "the state was copied, not updated in place"
    for leaf, begun in zip(jax.tree.leaves(state), jax.tree.leaves(like(mesh)), strict=True):
        assert leaf.sharding.is_equivalent_to(begun.sharding, leaf.ndim), "the state has moved"
    return state, losses


def streamed(mesh):
    """The losses of `train` with the images read in chunks, of which each device gets its part.

    A chunk that was read as a whole, by one process of several that all hold it, lies as the shares do.
    """
    losses, chunks = [], []
    shares = stream(IMAGES, 16, put=over_chunk(mesh))

    @contextlib.contextmanager
    def seen(*opened_at):
        with shares(*opened_at) as of_calls:
            yield (chunks.append(chunk) or chunk for chunk in of_calls)

    fit(
        OBJECTIVE,
        OPTIMIZER,
        shard_batches(mesh, streamed_batches(binarize)),
        fresh(mesh),
        seen,
        num_steps=NUM_STEPS,
        steps_per_call=10,
        after_call=lambda state, metrics: losses.extend(metrics["loss"].tolist()),
    )
    assert {part.data.shape for part in chunks[0].addressable_shards} == {(10, 16 // mesh.size, 8, 8, 1)}
    whole = spread_chunk(mesh, np.asarray(chunks[0]))
    assert whole.sharding == chunks[0].sharding
    np.testing.assert_array_equal(whole, chunks[0])
    return losses


def compiled(mesh):
    """What the program of ten scanned steps sends, and whether it updates the state in place."""
    state, data = like(mesh), replicate(mesh, IMAGES)
    step = functools.partial(train_step, objective=OBJECTIVE, optimizer=OPTIMIZER)
    run = scan_steps(step, shard_batches(mesh, NEXT_BATCH), 10, state_sharding=placement(mesh)(state))
    program = run.lower(state, data).compile()
    memory = program.memory_analysis()
    return {"collectives": collectives(program.as_text()), "aliased": memory.alias_size_in_bytes}


def move(folder, state, meshes):
    """The state saved from its devices, restored on each mesh in turn and saved from there."""
    states = []
    for i, mesh in enumerate(meshes):
        with open_checkpoints(folder / f"move{i}") as checkpointer:
            save(checkpointer, state, {"elbo": 0.0})
        with open_checkpoints(folder / f"move{i}") as checkpointer:
            state = restore(checkpointer, like(mesh))
        assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(state)} == {mesh.size}
        states.append(state)
    return states


def evaluation(mesh):
    """The ELBO of 61 examples in batches of 10, and annealed importance sampling of 11 in batches of 4."""
    params, key = replicate(mesh, PARAMS), jax.random.key(1)
    common = {"transform": binarize, "mesh": mesh}
    values = evaluate(elbo, VAE, params, key, IMAGES, batch_size=10, **common)["elbo"]
    annealing = {"num_temperatures": 5, "num_chains": 2, "num_leapfrog": 2}
    eleven = replicate(mesh, IMAGES[:11])
    bounds = evaluate(annealed_log_likelihood, VAE, params, key, eleven, batch_size=4, **common, **annealing)
    return {"elbo": values.tolist(), "annealed": bounds["log_likelihood"].tolist()}


def many(mesh):
    """Eight runs of ten steps, the runs spread over the devices: their last losses."""
    states = init_many(VAE.init, OPTIMIZER, jax.random.split(jax.random.key(0), 8))
    first = states = place_runs(mesh, states)
    losses = []
    train_many(
        lambda beta: (per_example(elbo, VAE, beta=beta), OPTIMIZER),
        NEXT_BATCH,
        states,
        replicate(mesh, IMAGES),
        {"beta": np.linspace(0.5, 4.0, 8)},
        num_steps=10,
        after_call=lambda states, metrics: losses.append(metrics["loss"][:, -1].tolist()),
    )
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first.params)), "the states were copied"
    return losses[-1]


def bytes_on_first_device(state):
    return sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(state))


def flat(tree):
    """All numbers of a tree in one list; floats survive JSON exactly."""
    is_key = lambda leaf: jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    leaves = [jax.random.key_data(leaf) if is_key(leaf) else leaf for leaf in jax.tree.leaves(tree)]
    return [number for leaf in leaves for number in np.asarray(leaf).ravel().tolist()]


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""What a run trains, and on what; how a finished run is read again."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vae_jax import InputError
from vae_jax.paths import as_path
from vae_jax.runs.folder import MAY_CHANGE, from_json, read_config
from vae_jax.training import NextBatch, Objective
from vae_jax.training.checkpoints import read_checkpoints, restore_params

# Evaluation draws the same binarizations and the same eps whatever the seed of the run, so that runs compare.
EVALUATION_SEED = 20131220
# Of a chunk of a stream; several are in memory at once.
CHUNK_BYTES = 2**26
EXPERIMENTS = ("sprites", "mnist", "conditional")


class Task(NamedTuple):
    """What a run trains, and on what."""

    name: str  # of the experiment
    vae: Any  # a VAE or a ConditionalVAE
    objective: Objective
    next_batch: NextBatch
    transform: Callable  # (key, example) -> example, as evaluation sees it
    train: Any  # arrays with a leading axis, or a function: what puts a chunk on the devices -> `Stream`
    validation: Any
    test: Any
    num_steps: int
    eval_every: int  # steps
    factors: Any = None  # of the test examples, integers [num_test, k], where they are known


def train_arrays(task: Task, num_batches: int) -> Any:
    """The training arrays; of a stream, the first batches of a fixed order, which tell its size and content."""
    if not callable(task.train):
        return task.train
    with task.train(lambda chunk: chunk)(jax.random.key(0), 0, num_batches) as chunks:
        return next(chunks)


def batches_in_chunk(task: Task, most: int) -> int:
    """How many batches of a stream are read at once: at most `most`, and no more than 64 MiB, but at least one."""
    if not callable(task.train):
        return most
    batch_bytes = sum(array.nbytes for array in jax.tree.leaves(train_arrays(task, 1)))
    return max(1, min(most, CHUNK_BYTES // batch_bytes))


def content_hash(arrays: Any) -> str:
    """What tells that resumed work has the data, or the parameters, it began with."""
    digest = hashlib.sha256()
    for array in jax.tree.leaves(arrays):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def test_examples(task: Task, num: int) -> Any:
    """The first test examples as the evaluation of the run saw them: the same binarization."""

    def transformed(i: jax.Array, example: Any) -> Any:
        key, _ = jax.random.split(jax.random.fold_in(jax.random.key(EVALUATION_SEED), i))
        return task.transform(key, example)

    first = jax.tree.map(lambda a: jnp.asarray(a[:num]), task.test)
    return jax.vmap(transformed)(jnp.arange(jax.tree.leaves(first)[0].shape[0]), first)


def beta_schedule(beta: float, warmup: int) -> Any:
    """The weight of the rate: beta, after a linear growth from 0 over the first `warmup` steps."""
    if not (beta >= 0 and warmup >= 0):
        raise InputError(f"beta {beta} after {warmup} steps: expected a weight and a number of steps from 0 up")
    return optax.linear_schedule(0.0, beta, warmup) if warmup else beta


def load_run(folder: str | Path) -> tuple[Task, Any]:
    """The task of a finished run, built again from its config, and the averaged parameters it ended with.

    The folders that the config names for prepared data and originals are not used, for a stranger may have named
    them: nothing is made or downloaded there.
    """
    content = read_config(as_path(folder))
    name = content.get("experiment")
    if name not in EXPERIMENTS:
        raise InputError(f"{folder}: a run of {name!r}; expected one of {', '.join(EXPERIMENTS)}")
    module = importlib.import_module(f"experiments.{name}")
    own = {key: value for key, value in content.items() if key not in ("data_dir", "manual_dir")}
    task = module.make_task(from_json(module.Config, own | {"out": str(folder)}))
    checkpoints = as_path(folder) / "checkpoints"
    with read_checkpoints(checkpoints, config=content, may_change=MAY_CHANGE) as checkpointer:
        params = restore_params(checkpointer, jax.eval_shape(task.vae.init, jax.random.key(0)))
    return task, params


def steps_per_epoch(num_examples: int, batch_size: int) -> int:
    """The number of whole batches in the data; raises InputError where there is none."""
    if not 1 <= batch_size <= num_examples:
        raise InputError(
            f"batch size {batch_size}: expected between 1 and the number of training examples, {num_examples}"
        )
    return num_examples // batch_size

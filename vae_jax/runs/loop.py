"""What all experiments share: the run folder, the training loop with its progress, exact resume, and errors.

A run writes one folder: config.json, metrics.jsonl (one row a call in training, one an evaluation),
checkpoints/, figures/ and summary.json.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from vae_jax import InputError, elbo
from vae_jax.evaluation import evaluator, mean_and_error
from vae_jax.paths import as_path
from vae_jax.runs.folder import (
    MAY_CHANGE,
    append_row,
    keep_rows,
    prepare_folder,
    read_rows,
    to_json,
    write_json,
)
from vae_jax.runs.lock import locked
from vae_jax.runs.processes import any_process, first_only
from vae_jax.runs.progress import Progress
from vae_jax.runs.starting import seconds_since_start
from vae_jax.runs.stopping import sigterm_noted
from vae_jax.runs.tasks import EVALUATION_SEED, Task, batches_in_chunk, content_hash, train_arrays
from vae_jax.training import NonFiniteLossError, TrainState, fit, init_state
from vae_jax.training.checkpoints import latest_step, open_checkpoints, restore, save
from vae_jax.training.sharding import make_mesh, replicate, shard_batches, spread_chunk, state_sharding, to_host

# A state that gives nothing else would otherwise train for ever without moving.
MAX_SKIPPED = 100


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Where a run is written and how it is trained."""

    out: str
    """Folder of the run, also gs://bucket/folder."""
    resume: bool = False
    """Go on with the run in that folder, if there is one, exactly as if it had never stopped."""
    seed: int = 0
    """Seed of the initial parameters, the order of the data and all noise."""
    batch_size: int = 128
    learning_rate: float = 1e-3
    """Of Adam."""
    ema_decay: float = 0.999
    """Of the moving average of the parameters, which evaluation and figures use."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the computation inside the networks; parameters, likelihoods and sums are float32 in both."""
    on_nan: Literal["stop", "skip"] = "stop"
    """What a loss or gradient that is not finite does: end the run, or skip that update, up to 100 in a row."""
    distributed: bool = False
    """One of several processes that train together, each with its own devices; on a TPU pod start it on all."""
    model_devices: int = 1
    """Devices over which wide layers are split; 1 gives every device the whole model."""


def train(config: Any, run: RunConfig, task: Task) -> tuple[Any, dict[str, Any]]:
    """Trains a task in its run folder, from the start or the last checkpoint, and evaluates it on the test set.

    Returns the averaged parameters and the summary: the test ELBO, its parts and standard errors in nats per
    example at these parameters, and the run's cost. All devices of all processes share the work. SIGTERM ends it by
    SystemExit(0) after the compiled call it came in (the first, during the start), with the state saved, so that
    the run goes on from there; in the final evaluation after it, with no summary.
    """
    with sigterm_noted() as stop:
        return _train(config, run, task, stop)


def _train(config: Any, run: RunConfig, task: Task, stop: list[int]) -> tuple[Any, dict[str, Any]]:
    mesh = make_mesh(model=run.model_devices)
    _check(run, task, mesh)
    data_hash = content_hash((train_arrays(task, batches_in_chunk(task, 20)), task.test))
    content = {"experiment": task.name, **to_json(config), "data_sha256": data_hash}
    with locked(as_path(run.out)):
        return _train_in(as_path(run.out), content, mesh, run, task, stop)


def _train_in(
    folder: Any, content: dict[str, Any], mesh: Mesh, run: RunConfig, task: Task, stop: list[int]
) -> tuple[Any, dict[str, Any]]:
    first_only(lambda: prepare_folder(folder, content, resume=run.resume))
    optimizer = optax.adam(run.learning_rate)
    data = task.train(partial(spread_chunk, mesh)) if callable(task.train) else replicate(mesh, task.train)
    validation, test = replicate(mesh, (task.validation, task.test))
    begin = time.perf_counter()

    per_example_metrics = evaluator(elbo, task.vae, transform=task.transform, mesh=mesh)

    def mean_metrics(state: TrainState, data: Any) -> dict[str, float]:
        named = {}
        for name, value in per_example_metrics(state.ema, jax.random.key(EVALUATION_SEED), data).items():
            named[name], named[f"{name}_standard_error"] = mean_and_error(value)
        return named

    with open_checkpoints(folder / "checkpoints", config=content, may_change=MAY_CHANGE) as checkpointer:
        place = partial(state_sharding, mesh)
        state = init_state(task.vae.init, optimizer, jax.random.key(run.seed), sharding=place)
        if run.resume and latest_step(checkpointer) is not None:
            state = restore(checkpointer, state)
        first = int(state.step)
        seconds_to_first: list[float] = []
        first_only(lambda: keep_rows(folder, first))
        with Progress(first, task.num_steps) as progress:

            def after_call(state: TrainState, metrics: dict[str, np.ndarray]) -> None:
                step, calls = int(state.step), len(metrics["loss"])
                if step - calls == first:
                    seconds_to_first.append(round(seconds_since_start(), 2))
                    progress.started(calls, seconds_to_first[0])
                row = {"step": step, **_summed_up(metrics)}
                progress.update(row)
                due = step // task.eval_every > (step - calls) // task.eval_every or step == task.num_steps
                held_out = mean_metrics(state, validation) if due else {}
                row |= {f"validation_{name}": value for name, value in held_out.items()}
                # The row comes before the checkpoint: a resumed run drops rows beyond its checkpoint, but could
                # not make up for one that is missing.
                first_only(lambda: append_row(folder, row))
                if due:
                    if not np.isfinite(held_out["elbo"]):
                        raise NonFiniteLossError(step, -held_out["elbo"])
                    save(checkpointer, state, {"elbo": held_out["elbo"]})
                    progress.evaluated(step, held_out)
                if any_process(bool(stop)):
                    if not due:
                        save(checkpointer, state)
                    print(f"stopped by SIGTERM at step {step}, where --resume goes on", flush=True)
                    sys.exit(0)

            try:
                state = fit(
                    task.objective,
                    optimizer,
                    shard_batches(mesh, task.next_batch),
                    state,
                    data,
                    num_steps=task.num_steps,
                    steps_per_call=batches_in_chunk(task, min(task.eval_every, 100)),
                    ema_decay=run.ema_decay,
                    max_skipped=MAX_SKIPPED if run.on_nan == "skip" else 0,
                    after_call=after_call,
                )
            except NonFiniteLossError as error:
                checkpointer.wait()
                good = latest_step(checkpointer)
                where = (
                    f"the last good checkpoint is {folder / 'checkpoints' / str(good)}"
                    if good
                    else ("there is no checkpoint yet")
                )
                raise InputError(f"{error}; {where}") from error
    trained = time.perf_counter() - begin
    tested = mean_metrics(state, test)
    if any_process(bool(stop)):
        print("stopped by SIGTERM in the final evaluation, which --resume makes again", flush=True)
        sys.exit(0)
    summary = {
        "steps": int(state.step),
        **{f"test_{name}": value for name, value in tested.items()},
        "num_test": jax.tree.leaves(task.test)[0].shape[0],
        "estimator": "ELBO, one sample of z per example, moving average of the parameters, nats per example",
        "seconds_this_time": round(trained, 2),
        "steps_this_time": int(state.step) - first,
        # Since the process began, in which a notebook may have done other things before.
        "seconds_to_first_steps": seconds_to_first[0] if seconds_to_first else None,
        "skipped_steps": sum(row.get("skipped", 0) for row in read_rows(folder)),
    }
    first_only(lambda: write_json(folder / "summary.json", summary))
    spread = summary["test_elbo_standard_error"]
    print(
        f"test ELBO {summary['test_elbo']:.2f} +- {spread:.2f} nats (distortion {summary['test_distortion']:.2f}, "
        f"rate {summary['test_rate']:.2f}; {summary['num_test']} examples) after {summary['steps']} steps; "
        f"training took {trained:.0f} s"
    )
    return to_host(mesh, state.ema), summary


def _summed_up(metrics: dict[str, np.ndarray]) -> dict[str, float]:
    """The means over the steps that were made, none where all were skipped, and how many were skipped."""
    made = metrics["skipped"] == 0
    # JSON has no NaN.
    means = {name: float(np.mean(values[made])) for name, values in metrics.items()} if made.any() else {}
    return means | {"skipped": int(np.sum(~made))}


def _check(run: RunConfig, task: Task, mesh: Mesh) -> None:
    """Raises InputError for what cannot be trained, before anything is written."""
    if not (run.learning_rate > 0 and 0 <= run.seed < 2**32 and 0 <= run.ema_decay < 1):
        raise InputError(
            f"learning rate {run.learning_rate}, seed {run.seed}, EMA decay {run.ema_decay}: expected a rate above "
            "0, a seed in 0..2^32 - 1, and a decay in [0, 1)"
        )
    if task.num_steps < 1 or task.eval_every < 1:
        raise InputError(
            f"{task.num_steps} steps, evaluation every {task.eval_every}: expected at least 1 of each; train longer"
        )
    batch_size = run.batch_size
    if batch_size % mesh.size:
        raise InputError(
            f"batch size {batch_size}: expected a multiple of the number of devices, {mesh.size}; choose another"
        )

    def first_step(key: jax.Array, data: Any) -> Any:
        step = jnp.int32(0)
        return task.objective(task.vae.init(key), key, task.next_batch(data, key, step), step)

    jax.eval_shape(first_step, jax.random.key(0), train_arrays(task, 1))

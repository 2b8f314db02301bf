"""Checkpoints of a run, on Orbax; nothing else knows Orbax.

A checkpoint holds three parts, so that parameters can be read without the optimizer that trained them:
`params`, `ema` and `progress` (step, key, optimizer state). It is written to a temporary folder in the
background and renamed when it is complete: a process killed at any moment leaves whole checkpoints only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from vae_jax.errors import InputError
from vae_jax.paths import as_path
from vae_jax.training.state import TrainState


@contextlib.contextmanager
def open_checkpoints(
    folder: str | Path, *, config: dict[str, Any] | None = None, best: str = "elbo", keep: int = 2
) -> Iterator[ocp.training.Checkpointer]:
    """The checkpoints of a run that writes them; at the end of the `with` block a save in flight is completed.

    `folder` may be in a bucket, gs://bucket/folder. Keeps the latest `keep` and the one with the highest metric
    named `best`. `config`, JSON, is stored beside them, but not in a bucket. Removes what a killed run left
    half-written, so only one run, with all of its processes, may have them open; others read with
    `read_checkpoints`. Raises InputError for a folder that cannot be written or read.
    """
    policies = ocp.training.preservation_policies
    latest = policies.LatestN(keep)
    highest = policies.BestN(
        get_metric_fn=lambda metrics: metrics[best], n=1, keep_checkpoints_without_metrics=False
    )
    path = _absolute(folder)
    try:
        checkpointer = ocp.training.Checkpointer(
            path,
            preservation_policy=policies.AnyPreservationPolicy([latest, highest]),
            # In a bucket Orbax would take its folder for a checkpoint that is not complete.
            custom_metadata=config if isinstance(path, Path) else None,
            cleanup_tmp_directories=True,
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"checkpoint folder {folder}: {_one_line(error)}; expected whole checkpoints in a folder that can be "
            "written; delete the damaged one, choose another folder, or free some space"
        ) from error
    try:
        yield checkpointer
    finally:
        with _named_write_errors(checkpointer):
            checkpointer.close()


@contextlib.contextmanager
def read_checkpoints(folder: str | Path) -> Iterator[ocp.training.Checkpointer]:
    """The checkpoints in a folder, to be read only: a run that is writing there is not disturbed.

    Raises InputError where there is no such folder.
    """
    if not as_path(folder).is_dir():
        raise InputError(f"{folder}: expected a folder of checkpoints; train first")
    try:
        checkpointer = ocp.training.Checkpointer(_absolute(folder))
    except (OSError, ValueError) as error:
        raise InputError(
            f"checkpoint folder {folder}: {_one_line(error)}; delete the damaged checkpoint"
        ) from error
    with checkpointer:
        yield checkpointer


def save(
    checkpointer: ocp.training.Checkpointer, state: TrainState, metrics: dict[str, float] | None = None
) -> None:
    """Starts to save the state under its step and returns; the state may be donated right after.

    A save in flight is waited for first. `metrics` must hold the metric by which the best is kept; a state saved
    without them is kept while it is among the latest. Raises InputError where this save, or the one in flight,
    could not be written (a full or read-only disk).
    """
    parts = {"params": state.params, "ema": state.ema, "progress": _progress(state)}
    with _named_write_errors(checkpointer):
        checkpointer.save_checkpointables_async(int(state.step), parts, force=True, metrics=metrics)


@contextlib.contextmanager
def _named_write_errors(checkpointer: ocp.training.Checkpointer) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # OSError, or what TensorStore makes of it
        raise InputError(
            f"a checkpoint in {checkpointer.directory} could not be written ({type(error).__name__}: "
            f"{_one_line(error)}): expected free space and permission to write; the checkpoints before it are whole"
        ) from error


def latest_step(checkpointer: ocp.training.Checkpointer) -> int | None:
    """The step of the newest complete checkpoint, or None."""
    return checkpointer.latest.step if checkpointer.latest else None


def best_step(checkpointer: ocp.training.Checkpointer, best: str = "elbo") -> int | None:
    """The step of the checkpoint with the highest metric named `best`, or None."""
    scored = [c for c in checkpointer.checkpoints if c.metrics]
    return max(scored, key=lambda c: c.metrics[best]).step if scored else None


def restore(checkpointer: ocp.training.Checkpointer, like: TrainState, *, step: int | None = None) -> TrainState:
    """The full state saved at `step`, by default the latest.

    like: a state of the shapes, dtypes and shardings wanted (arrays, or the result of `jax.eval_shape`).
    Raises InputError for a checkpoint of another model and for one that cannot be read.
    """
    parts = {"params": like.params, "ema": like.ema, "progress": _progress(like)}
    loaded = _load(checkpointer, parts, step)
    progress = loaded["progress"]
    return TrainState(progress["step"], progress["key"], loaded["params"], progress["opt_state"], loaded["ema"])


def restore_params(
    checkpointer: ocp.training.Checkpointer, like: Any, *, step: int | None = None, ema: bool = True
) -> Any:
    """The parameters alone (their moving average unless `ema` is false), saved at `step`, by default the latest.

    like: parameters of the shapes wanted, for example `jax.eval_shape(vae.init, key)`. Errors as `restore`.
    """
    part = "ema" if ema else "params"
    return _load(checkpointer, {part: like}, step)[part]


def _absolute(folder: str | Path) -> Any:
    path = as_path(folder)
    return path.absolute() if isinstance(path, Path) else path  # a bucket has no other paths


def _progress(state: TrainState) -> dict[str, Any]:
    return {"step": state.step, "key": state.key, "opt_state": state.opt_state}


def _load(checkpointer: ocp.training.Checkpointer, parts: dict[str, Any], step: int | None) -> dict[str, Any]:
    step = latest_step(checkpointer) if step is None else step
    folder = checkpointer.directory / str(step)
    if step is None:
        raise InputError(f"no complete checkpoint in {checkpointer.directory}: expected one; train first")
    try:
        saved = checkpointer.checkpointables_metadata(step).metadata
        for name, tree in parts.items():
            if saved.get(name) is None:
                raise FileNotFoundError(f"the part '{name}' is missing or cut short")
            _check_same_shapes(folder, name, saved[name], tree)
        return checkpointer.load_checkpointables(step, jax.tree.map(_abstract, parts))
    except InputError:
        raise
    except Exception as error:  # Orbax raises errors of many types for files that are missing or cut short
        raise InputError(
            f"checkpoint {folder} cannot be read ({type(error).__name__}: {_one_line(error)}): expected a complete "
            "checkpoint; delete that folder to go on from the one before"
        ) from error


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _check_same_shapes(folder: Any, part: str, saved: Any, wanted: Any) -> None:
    # A typed key is stored as its data, of another shape.
    wanted = jax.tree.map(lambda a: jax.eval_shape(jax.random.key_data, a) if _is_key(a) else a, wanted)
    saved_shapes, wanted_shapes = (
        {_path(path): tuple(leaf.shape) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (saved, wanted)
    )
    for path in sorted(saved_shapes.keys() | wanted_shapes.keys()):
        if saved_shapes.get(path) != wanted_shapes.get(path):
            raise InputError(
                f"checkpoint {folder} is of another model: {part}{path} has shape {saved_shapes.get(path)} there, "
                f"expected {wanted_shapes.get(path)}; use the config it was trained with"
            )


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _path(path: tuple) -> str:
    # Orbax gives NamedTuples back as dicts, whose keys print otherwise: compare the bare names.
    names = (getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))) for key in path)
    return "".join(f"/{name}" for name in names)


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__

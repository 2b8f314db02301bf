"""Checkpoints of a run, on Orbax; nothing else knows Orbax.

A checkpoint holds three parts, so that parameters can be read without the optimizer that trained them:
`params`, `ema` and `progress` (step, key, optimizer state). It is written to a temporary folder in the
background and renamed when it is complete: a process killed at any moment leaves whole checkpoints only.

With the parts it holds a hash of each and the config of its run, which are compared when it is read. Checkpoints
written before there were such are read without. A part that is spread over several processes has no hash.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from vae_jax.errors import InputError, one_line
from vae_jax.files import check_contents
from vae_jax.hashes import is_key, is_readable, tree_hash, tree_path
from vae_jax.paths import as_path
from vae_jax.training.state import TrainState


@contextlib.contextmanager
def open_checkpoints(
    folder: str | Path,
    *,
    config: dict[str, Any] | None = None,
    may_change: Collection[str] = (),
    best: str = "elbo",
    keep: int = 2,
) -> Iterator[ocp.training.Checkpointer]:
    """The checkpoints of a run that writes them; at the end of the `with` block a save in flight is completed.

    `folder` may be in a bucket, gs://bucket/folder. Keeps the latest `keep` and the one with the highest metric
    named `best`. `config`, JSON, is stored beside them, but not in a bucket; where one is stored already, the two
    must agree wherever both have a name, at any depth, that is not in `may_change`. Removes what a killed run left
    half-written, so only one run, with all of its processes, may have them open; others read with
    `read_checkpoints`. Raises InputError for a folder that cannot be written or read, and for another config.
    """
    policies = ocp.training.preservation_policies
    latest = policies.LatestN(keep)
    highest = policies.BestN(
        get_metric_fn=lambda metrics: metrics[best], n=1, keep_checkpoints_without_metrics=False
    )
    path = _absolute(folder)
    check_contents(path)
    try:
        checkpointer = ocp.training.Checkpointer(
            path,
            preservation_policy=policies.AnyPreservationPolicy([latest, highest]),
            # In a bucket Orbax would take its folder for a checkpoint that is not complete.
            custom_metadata=config if isinstance(path, Path) else None,
            cleanup_tmp_directories=True,
        )
        stored = _stored_config(checkpointer)
    except Exception as error:  # of many types, for Orbax reads the JSON and the metrics of every checkpoint
        raise InputError(
            f"checkpoint folder {folder}: {one_line(error)}; expected whole checkpoints in a folder that can be "
            "written; delete the damaged one, choose another folder, or free some space"
        ) from error
    try:
        _check_same_config(folder, stored, config, may_change)
        yield checkpointer
    finally:
        with _named_write_errors(checkpointer):
            checkpointer.close()


@contextlib.contextmanager
def read_checkpoints(
    folder: str | Path, *, config: dict[str, Any] | None = None, may_change: Collection[str] = ()
) -> Iterator[ocp.training.Checkpointer]:
    """The checkpoints in a folder, to be read only: a run that is writing there is not disturbed.

    Raises InputError where there is no such folder, and as `open_checkpoints` for those of another config.
    """
    path = _absolute(folder)
    if not path.is_dir():
        raise InputError(f"{folder}: expected a folder of checkpoints; train first")
    check_contents(path)
    try:
        checkpointer = ocp.training.Checkpointer(path)
        stored = _stored_config(checkpointer)
    except Exception as error:
        raise InputError(f"checkpoint folder {folder}: {one_line(error)}; delete the damaged checkpoint") from error
    with checkpointer:
        _check_same_config(folder, stored, config, may_change)
        yield checkpointer


def save(
    checkpointer: ocp.training.Checkpointer, state: TrainState, metrics: dict[str, float] | None = None
) -> None:
    """Starts to save the state under its step and returns; the state may be donated right after.

    A save in flight is waited for first. `metrics` must hold the metric by which the best is kept; a state saved
    without them is kept while it is among the latest. Raises InputError where this save, or the one in flight,
    could not be written (a full or read-only disk).
    """
    step, parts = int(state.step), {"params": state.params, "ema": state.ema, "progress": _progress(state)}
    hashes = {name: tree_hash((step, tree)) for name, tree in parts.items() if is_readable(tree)}
    with _named_write_errors(checkpointer):
        about = {"sha256": hashes, "config": _stored_config(checkpointer)}
        checkpointer.save_checkpointables_async(step, parts, force=True, metrics=metrics, custom_metadata=about)


@contextlib.contextmanager
def _named_write_errors(checkpointer: ocp.training.Checkpointer) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # OSError, or what TensorStore makes of it
        raise InputError(
            f"a checkpoint in {checkpointer.directory} could not be written ({type(error).__name__}: "
            f"{one_line(error)}): expected free space and permission to write; the checkpoints before it are whole"
        ) from error


def latest_step(checkpointer: ocp.training.Checkpointer) -> int | None:
    """The step of the newest complete checkpoint, or None."""
    return checkpointer.latest.step if checkpointer.latest else None


def best_step(checkpointer: ocp.training.Checkpointer, best: str = "elbo") -> int | None:
    """The step of the checkpoint with the highest metric named `best`, of equal ones the last, or None."""
    scored = [c for c in checkpointer.checkpoints if c.metrics]
    return max(scored, key=lambda c: (c.metrics[best], c.step)).step if scored else None


def restore(checkpointer: ocp.training.Checkpointer, like: TrainState, *, step: int | None = None) -> TrainState:
    """The full state saved at `step`, by default the latest.

    like: a state of the shapes, dtypes and shardings wanted (arrays, or the result of `jax.eval_shape`).
    Raises InputError for a checkpoint of another model or another run, for one that cannot be read, and for a part
    whose values are not those that were saved; where another dtype is wanted, they are converted, not compared.
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
        metadata = checkpointer.checkpointables_metadata(step)
        saved, about = metadata.metadata, metadata.custom_metadata or {}
        _check_same_config(folder, about.get("config"), _stored_config(checkpointer), ())
        for name, tree in parts.items():
            if saved.get(name) is None:
                raise FileNotFoundError(f"the part '{name}' is missing or cut short")
            _check_same_shapes(folder, name, saved[name], tree)
        loaded: dict[str, Any] = checkpointer.load_checkpointables(step, jax.tree.map(_abstract, parts))
        for name, tree in loaded.items():
            wanted = about.get("sha256", {}).get(name)
            comparable = wanted and is_readable(tree) and _dtypes(saved[name]) == _dtypes(_with_key_data(tree))
            if comparable and tree_hash((step, tree)) != wanted:
                raise ValueError(f"the part '{name}' is not what was saved")
        return loaded
    except InputError:
        raise
    except Exception as error:  # Orbax raises errors of many types for files that are missing or cut short
        raise InputError(
            f"checkpoint {folder} cannot be read ({type(error).__name__}: {one_line(error)}): expected a complete "
            "checkpoint; delete that folder to go on from the one before"
        ) from error


def _stored_config(checkpointer: ocp.training.Checkpointer) -> Any:
    # As JSON gives it back: Orbax answers with the object itself where it has just been stored.
    return json.loads(json.dumps(checkpointer.root_metadata().custom_metadata))


def _check_same_config(where: Any, stored: Any, config: Any, may_change: Collection[str]) -> None:
    """Raises InputError where both have a name, not in `may_change`, with another value."""
    if isinstance(stored, dict) and isinstance(config, dict):
        ours = json.loads(json.dumps({name: config[name] for name in config.keys() - set(may_change)}))
        for at, value, other in _differences(stored, ours):
            raise InputError(
                f"checkpoints of another run in {where}: theirs was begun with {at} = {value}, not {other}; put "
                "back its own, or delete the folder"
            )


def _differences(stored: Any, config: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    # A run that was begun before a field existed lacks its name, and has the field's default.
    if isinstance(stored, dict) and isinstance(config, dict):
        for name in sorted(stored.keys() & config.keys()):
            yield from _differences(stored[name], config[name], f"{at}.{name}")
    elif stored != config:
        yield at[1:], stored, config


def _with_key_data(tree: Any) -> Any:
    """Shapes and dtypes of a tree as it is stored: a typed key as its data."""

    def stored(leaf: Any) -> Any:
        return jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf

    return jax.tree.map(stored, tree)


def _dtypes(tree: Any) -> dict[str, str]:
    return {tree_path(path): str(leaf.dtype) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _check_same_shapes(folder: Any, part: str, saved: Any, wanted: Any) -> None:
    saved_shapes, wanted_shapes = (
        {tree_path(path): tuple(leaf.shape) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (saved, _with_key_data(wanted))
    )
    for path in sorted(saved_shapes.keys() | wanted_shapes.keys()):
        if saved_shapes.get(path) != wanted_shapes.get(path):
            raise InputError(
                f"checkpoint {folder} is of another model: {part}{path} has shape {saved_shapes.get(path)} there, "
                f"expected {wanted_shapes.get(path)}; use the config it was trained with"
            )

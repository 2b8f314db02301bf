"""What a run takes from the one before it, whose folder --from names, and when it needs that folder no longer."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from vae_jax.cli.facts import Facts, read_facts
from vae_jax.errors import InputError
from vae_jax.paths import as_path
from vae_jax.runs.begun import read_data_json
from vae_jax.runs.config import stored_config
from vae_jax.training.checkpoints import latest_step, read_checkpoints


def is_begun(out: str) -> bool:
    """Whether the folder of a run holds its config."""
    return bool(out) and (as_path(out) / "config.json").exists()


def has_checkpoint(out: str) -> bool:
    """Whether the folder of a run holds parameters, with which it goes on."""
    if not is_begun(out) or not (as_path(out) / "checkpoints").is_dir():
        return False
    with read_checkpoints(as_path(out) / "checkpoints") as kept:
        return latest_step(kept) is not None


def facts_before(folder: str, out: str) -> Facts:
    """The facts of the run before, in `folder`; once a run has begun in `out`, its own, of the same layout.

    Raises InputError where there are none.
    """
    if is_begun(out):
        own = read_data_json(as_path(out)).get("facts")
        if own is not None:
            return read_facts(own)
    facts = read_data_json(as_path(folder)).get("facts")
    if facts is None:
        raise InputError(f"from {folder}: expected the folder of a run, with its data.json")
    return read_facts(facts)


def classes_before(before: Facts, conditional: bool, num_classes: int | None) -> int | None:
    """The number of classes of the run before, None of one without; InputError where others are asked for."""
    if conditional != (before.num_classes is not None):
        asked, had = ("--conditional", "without") if conditional else ("--no-conditional", "with")
        raise InputError(f"{asked} from a run {had} labels: expected a run of the same model; leave it out")
    if num_classes is not None and num_classes != before.num_classes:
        raise InputError(
            f"--num-classes {num_classes}: expected {before.num_classes}, as in the run before; leave it out"
        )
    return before.num_classes


def reason_before(config: Any, *names: str) -> str | None:
    """Why these fields of a `TrainConfig` are as they are, where it goes on from a run; None where it does not."""
    if config.from_run is None:
        return None
    if not has_checkpoint(config.run.out):  # else that run may be there no longer
        stored = stored_config(config.from_run, type(config))
        if stored is not None and any(getattr(config, name) != getattr(stored, name) for name in names):
            return "as asked for"
    return "as in the run before"


def parameters_of(folder: str, vae: Any, config_type: type) -> Any:
    """An `init` that gives the parameters of a finished run. Raises InputError where they are of another model."""
    # Here: a finished run is built by the module that imports this one.
    from vae_jax.runs import load_run

    if not is_begun(folder):
        raise InputError(
            f"from {folder}: expected the folder of a run, whose parameters this one starts with; where it has "
            "moved, give its new path by --from"
        )
    params = load_run(folder, config_type).params
    found, wanted = (
        jax.tree.map(jnp.shape, params),
        jax.tree.map(jnp.shape, jax.eval_shape(vae.init, jax.random.key(0))),
    )
    if found != wanted:
        raise InputError(
            f"from {folder}: expected a run of the same model; leave out the options of the model, which are then "
            "those of that run"
        )
    return lambda key: jax.tree.map(jnp.asarray, params)

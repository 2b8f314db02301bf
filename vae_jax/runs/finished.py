"""A finished run, read again from its folder: without its training data, and with them where they are asked for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Key, Num

from vae_jax.errors import InputError
from vae_jax.paths import as_path
from vae_jax.runs import gaps, using
from vae_jax.runs.begun import identity, read_data_json
from vae_jax.runs.config import stored_config
from vae_jax.runs.fields import field_hints, is_of_this_start
from vae_jax.runs.folder import read_config, read_json
from vae_jax.runs.patience import evaluated_step
from vae_jax.runs.size import check_parameters
from vae_jax.runs.task import Data, Units, check_same_data
from vae_jax.training.checkpoints import read_checkpoints, restore_params


class Finished(NamedTuple):
    """A run at its last checkpoint, or with a patience at its best, which serves other examples.

    The methods take and give arrays in the units of the data, in batches, compiled once. c: the conditions of a
    conditional run, one an example.
    """

    folder: str
    config: Any
    model: Any  # the VAE or ConditionalVAE that was trained
    params: Any  # the moving average, which evaluation and figures use
    transform: Callable[[Key[jax.Array, ""], Any], Any]  # key, stored example -> example of the model
    facts: dict[str, Any]  # what the model knows of the data
    summary: dict[str, Any]  # of the final evaluation; empty for a run that has not come to it
    units: Units = Units()

    def encode(self, x: Any, c: Any = None) -> Any:
        """Posterior means, or centres, [N, *z]. x: [N, *event]."""
        return using.encode(self, x, c)

    def decode(self, z: Any, c: Any = None) -> Float[np.ndarray, " N *event"]:
        """The mean, or centre, of p(x|z): [N, *event]. z: [N, *z]."""
        return using.decode(self, z, c)

    def sample(self, key: Key[jax.Array, ""], num: int, c: Any = None) -> Num[np.ndarray, " num *event"]:
        """Samples of the model, z ~ p(z) and x ~ p(x|z): [num, *event], as data are stored."""
        return using.sample(self, key, num, c)

    def reconstruct(self, x: Any, c: Any = None) -> Float[np.ndarray, " N *event"]:
        """`decode` of `encode`: [N, *event]."""
        return using.reconstruct(self, x, c)

    def interpolate(
        self, x0: Any, x1: Any, c: Any = None, *, num_steps: int = 10
    ) -> Float[np.ndarray, " _ *event"]:
        """`decode` along the line between the codes of two examples [*event]: [num_steps, *event]."""
        return using.interpolate(self, x0, x1, c, num_steps=num_steps)

    def elbo(self, x: Any, c: Any = None) -> Float[np.ndarray, " N"]:
        """The evidence lower bound of each example, with one sample of z, in nats: [N]."""
        return using.bound(self, x, c)

    def log_likelihood(self, x: Any, c: Any = None, *, num_samples: int = 1000) -> Float[np.ndarray, " N"]:
        """log p(x) of each example by importance sampling, in nats: [N]."""
        return using.log_likelihood(self, x, c, num_samples=num_samples)

    def impute(
        self, key: Key[jax.Array, ""], x: Any, c: Any = None, *, num_draws: int = 10, num_samples: int = 1000
    ) -> Float[np.ndarray, " draws N *event"]:
        """Draws of each example whose gaps, NaN in x, are filled: [num_draws, N, *event]."""
        return gaps.impute(self, key, x, c, num_draws=num_draws, num_samples=num_samples)


def load_run(folder: str | os.PathLike[str], config_type: type) -> Finished:
    """A run from its folder alone, at its last checkpoint, with a patience at its best; its data need not be there.

    config_type: the class of its config. A run that was begun before data.json was kept needs its data after all.
    Nothing that the folder names is imported or run: the file can choose among the parts that `config_type` names.
    Raises InputError for a folder that holds no run, another one, or a damaged one.
    """
    path = as_path(folder)
    config = stored_config(path, config_type)
    if config is None:
        read_config(path)  # says what is missing
    facts = read_data_json(path).get("facts")
    if facts is None:
        facts = dict(config.load_data().facts)
    task = config.make_task(facts)
    shapes = check_parameters(task.vae.init)
    with read_checkpoints(path / "checkpoints", config=identity(config)) as checkpointer:
        step = evaluated_step(checkpointer, config.run.patience)
        params = restore_params(checkpointer, shapes, step=step)
    return Finished(str(folder), config, task.vae, params, task.transform, facts, _summary(path), task.units)


def data_of(run: Finished, data: str | None = None, **folders: str | None) -> Data:
    """The data of a finished run, read anew and compared with those that it was trained on.

    data: where they are now, in place of the path that the config names. folders: other fields of the config that
    say where things are on this machine. Raises InputError where they cannot be read, and for other data.
    """
    config, names = run.config, {field.name for field in dataclasses.fields(run.config)}
    changes = {name: value for name, value in {"data": data, **folders}.items() if value is not None}
    unknown = sorted(changes.keys() - names)
    if unknown:
        raise InputError(f"{run.folder}: {type(config).__name__} has no option {unknown[0]}; leave it out")
    config = dataclasses.replace(config, **changes)
    try:
        found: Data = config.load_data()
    except InputError as error:
        if data is None and "data" in names:
            raise InputError(
                f"{error}; where the data of {run.folder} have moved, give their path by --data"
            ) from error
        raise
    began = read_data_json(as_path(run.folder)).get("sha256")
    if began:
        check_same_data(run.folder, began, found, config.run.batch_size)
    return found


def given_anew(options: Any, config_type: type) -> dict[str, Any]:
    """What the options of a command say of the fields of a config that are `OfThisStart`, as folders of data."""
    hints = field_hints(config_type)
    return {n: getattr(options, n) for n, hint in hints.items() if is_of_this_start(hint) and hasattr(options, n)}


def _summary(path: Any) -> dict[str, Any]:
    try:
        content = read_json(path / "summary.json")
    except (FileNotFoundError, InputError):
        return {}
    return content if isinstance(content, dict) else {}

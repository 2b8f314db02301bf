"""The commands of a finished run: encode, sample, reconstruct, interpolate, score, impute."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from vae_jax.cli.facts import Facts, read_facts
from vae_jax.cli.outputs import check_out, write_array, write_examples, write_rows
from vae_jax.cli.train import TrainConfig
from vae_jax.data import Part, load_like, to_own_units
from vae_jax.errors import InputError, check_at_least, printable
from vae_jax.latents import linear, spherical
from vae_jax.runs import Finished, load_run, using


@dataclasses.dataclass(frozen=True)
class OnRun:
    """What every command of a finished run asks for."""

    run: str
    """Folder of the run."""
    out: str
    """What is written, by its ending."""


@dataclasses.dataclass(frozen=True)
class OnData(OnRun):
    """What a command of a finished run on other data asks for."""

    data: str
    """The path of examples such as the run was trained on."""


@dataclasses.dataclass(frozen=True)
class EncodeConfig(OnData):
    """Writes the codes of examples, posterior means, as .npy [N, latents], or as .csv with the name of each."""


@dataclasses.dataclass(frozen=True)
class SampleConfig(OnRun):
    """Writes samples of the model: .npy, .csv of a table, or a folder of PNG files."""

    num: int = 100
    """How many."""
    seed: int = 0
    """Of the noise."""
    label: int | None = None
    """Of a run that models examples given their labels; by default all in turn."""


@dataclasses.dataclass(frozen=True)
class ReconstructConfig(OnData):
    """Writes the reconstruction of each example: .npy, .csv of a table, or a folder of PNG files."""


@dataclasses.dataclass(frozen=True)
class InterpolateConfig(OnData):
    """Writes the way between two examples through the latents: .npy, .csv of a table, or a folder of PNG files."""

    between: tuple[int, int] = (0, 1)
    """The numbers of the two examples, from 0 up."""
    num_steps: int = 10
    """Examples on the way, both ends included."""
    on_sphere: bool = False
    """On the great circle in place of the straight line."""


def encode(config: EncodeConfig) -> None:
    """Does what `EncodeConfig` says."""
    path = check_out(config.out, endings=(".npy", ".csv"))
    run = load_run(config.run, TrainConfig)
    part, values = read(run, config)
    codes = run.encode(values, part.labels)
    if not isinstance(codes, np.ndarray):
        raise InputError("the codes of this run are no single array: load it in Python by vae_jax.load_run")
    codes = codes.reshape(len(codes), -1)
    if path.suffix == ".npy":
        write_array(path, codes)
    else:
        header = ["name", *(f"z_{j + 1}" for j in range(codes.shape[1]))]
        write_rows(
            path, header, [[n, *row.tolist()] for n, row in zip(names_of(part, len(codes)), codes, strict=True)]
        )
    print(f"{len(codes)} codes of {codes.shape[1]} latents: {printable(path)}")


def sample(config: SampleConfig) -> None:
    """Does what `SampleConfig` says."""
    path = check_out(config.out, endings=(".npy", ".csv"), folder=True)
    check_at_least("num", config.num, 1)
    run = load_run(config.run, TrainConfig)
    known = read_facts(run.facts)
    drawn = run.sample(jax.random.key(config.seed), config.num, _labels(known, config))
    written(path, np.asarray(drawn), known, [f"{i:05d}" for i in range(config.num)], "samples")


def reconstruct(config: ReconstructConfig) -> None:
    """Does what `ReconstructConfig` says."""
    path = check_out(config.out, endings=(".npy", ".csv"), folder=True)
    run = load_run(config.run, TrainConfig)
    part, values = read(run, config)
    found = run.reconstruct(values, part.labels)
    written(path, found, read_facts(run.facts), file_names(part, len(found)), "reconstructions")


def interpolate(config: InterpolateConfig) -> None:
    """Does what `InterpolateConfig` says."""
    path = check_out(config.out, endings=(".npy", ".csv"), folder=True)
    run = load_run(config.run, TrainConfig)
    part, values = read(run, config)
    for number in config.between:
        if not 0 <= number < len(values):
            raise InputError(f"between {number}: expected the number of an example, 0 to {len(values) - 1}")
    first, last = config.between
    labels = None if part.labels is None else part.labels[first]
    way = spherical if config.on_sphere else linear
    found = using.interpolate(run, values[first], values[last], labels, num_steps=config.num_steps, path=way)
    written(path, found, read_facts(run.facts), [f"{i:03d}" for i in range(len(found))], "steps")


def read(run: Finished, config: OnData) -> tuple[Part, Any]:
    """The data of a command, and their values in own units."""
    known = read_facts(run.facts)
    if known.look == "rendered":
        raise InputError(
            f"{config.run} was trained on sprites, which are rendered: expected a run on data of a file"
        )
    part = load_like(config.data, known.layout, labels=known.num_classes is not None)
    return part, to_own_units(part.values, known.layout)


def names_of(part: Part, num: int) -> list[str]:
    """The name of each example: its file, or its number."""
    return [printable(name) for name in part.names] if part.names else [str(i) for i in range(num)]


def file_names(part: Part, num: int) -> list[str]:
    """A name for a file of each example: that of its own without folders and ending, or its number."""
    if not part.names:
        return [f"{i:05d}" for i in range(num)]
    return [f"{i:05d}-{name.rpartition('/')[2].rpartition('.')[0]}"[:100] for i, name in enumerate(part.names)]


def written(path: Any, values: np.ndarray, known: Facts, names: list[str], what: str) -> None:
    """Writes examples and says so."""
    write_examples(path, values, known.layout, names)
    print(f"{len(values)} {what}: {printable(path)}")


def _labels(known: Facts, config: SampleConfig) -> Any:
    if known.num_classes is None:
        if config.label is not None:
            raise InputError(f"label {config.label}: {config.run} has no labels; leave it out")
        return None
    if config.label is None:
        return np.arange(config.num) % known.num_classes
    if not 0 <= config.label < known.num_classes:
        raise InputError(f"label {config.label}: expected 0 to {known.num_classes - 1}")
    return np.full(config.num, config.label)

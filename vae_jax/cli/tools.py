"""The commands of a finished run that need no likelihood: encode, sample, reconstruct, interpolate."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Num, Shaped

from vae_jax.cli.facts import Facts, read_facts
from vae_jax.cli.outputs import check_examples, check_out, write_array, write_examples, write_rows
from vae_jax.cli.train import TrainConfig
from vae_jax.data import Part
from vae_jax.data.like import read_like
from vae_jax.errors import InputError, check_at_least, printable
from vae_jax.latents import linear, spherical
from vae_jax.runs import Finished, load_run, using
from vae_jax.runs.kept import in_pieces

# A name of a file has at most 255 bytes: a number goes before these, and an ending after.
_LONGEST_NAME = 200


@dataclasses.dataclass(frozen=True)
class OnRun:
    """What every command of a finished run asks for."""

    run: str
    """Folder of the run."""
    out: str
    """What is written: a file, by its ending, or a folder, new or empty, of pictures."""


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
    label: str | None = None
    """Name or number of the class, of a run that models examples given their labels; by default all in turn."""


@dataclasses.dataclass(frozen=True)
class ReconstructConfig(OnData):
    """Writes the reconstruction of each example: .npy, .csv of a table, or a folder of PNG files."""


@dataclasses.dataclass(frozen=True)
class InterpolateConfig(OnData):
    """Writes the way between two examples through the latents: .npy, .csv of a table, or a folder of PNG files."""

    between: tuple[int, int] = (0, 1)
    """The numbers of the two examples, from 0 up; of two with labels, the way has that of the first."""
    num_steps: int = 10
    """Examples on the way, both ends included."""
    on_sphere: bool = False
    """On the great circle in place of the straight line."""


def encode(config: EncodeConfig) -> None:
    """Does what `EncodeConfig` says."""
    path = check_out(config.out, endings=(".npy", ".csv"), data=config.data)
    run = load_run(config.run, TrainConfig)
    part, values = read(run, config)
    codes = _of_all(using.encode, run, part, values, "examples encoded")
    codes = codes.reshape(len(codes), -1)
    if path.suffix.lower() == ".npy":
        write_array(path, codes)
    else:
        header = ["name", *(f"z_{j + 1}" for j in range(codes.shape[1]))]
        # As text each float32 is the shortest that reads back as it.
        rows = [[name, *map(str, row)] for name, row in zip(names_of(part, len(codes)), codes, strict=True)]
        write_rows(path, header, rows)
    print(f"{len(codes)} codes of {codes.shape[1]} latents: {printable(path)}")


def sample(config: SampleConfig) -> None:
    """Does what `SampleConfig` says."""
    path = check_out(config.out, endings=(".npy", ".csv"), folder=True)
    check_at_least("num", config.num, 1)
    run = load_run(config.run, TrainConfig)
    known = read_facts(run.facts)
    check_examples(path, known.layout)
    key, labels = jax.random.key(config.seed), _labels(known, config)

    def drawn(rows: slice) -> dict[str, np.ndarray]:
        c = None if labels is None else labels[rows]
        return {"found": using.sample(run, key, rows.stop - rows.start, c, first=rows.start)}

    found = in_pieces(drawn, config.num, "samples drawn", piece=using.BATCH_SIZE)["found"]
    written(path, found, known, [f"{i:05d}" for i in range(config.num)], "samples")


def reconstruct(config: ReconstructConfig) -> None:
    """Does what `ReconstructConfig` says."""
    path = check_out(config.out, endings=(".npy", ".csv"), folder=True, data=config.data)
    run = load_run(config.run, TrainConfig)
    known = read_facts(run.facts)
    check_examples(path, known.layout)
    part, values = read(run, config)
    found = _of_all(using.reconstruct, run, part, values, "examples reconstructed")
    written(path, found, known, file_names(part, len(found)), "reconstructions")


def interpolate(config: InterpolateConfig) -> None:
    """Does what `InterpolateConfig` says."""
    path = check_out(config.out, endings=(".npy", ".csv"), folder=True, data=config.data)
    check_at_least("num_steps", config.num_steps, 2)
    run = load_run(config.run, TrainConfig)
    known = read_facts(run.facts)
    check_examples(path, known.layout)
    part, values = read(run, config)
    for number in config.between:
        if not 0 <= number < len(values):
            raise InputError(f"between {number}: expected the number of an example, 0 to {len(values) - 1}")
    first, last = config.between
    labels = (None, None) if part.labels is None else (part.labels[first], part.labels[last])
    way = spherical if config.on_sphere else linear
    found = using.interpolate(run, values[first], values[last], *labels, num_steps=config.num_steps, path=way)
    written(path, found, known, [f"{i:03d}" for i in range(len(found))], "steps")


def read(run: Finished, config: OnData) -> tuple[Part, Shaped[np.ndarray, " N *event"]]:
    """The data of a command, and their values in own units, to the last digit."""
    known = read_facts(run.facts)
    if known.look == "rendered":
        raise InputError(
            f"{config.run} was trained on sprites, which are rendered: expected a run on data of a file"
        )
    part = read_like(config.data, known.layout, labels=known.num_classes is not None)
    return part, part.values


def labels_of(part: Part, rows: slice) -> Any:
    """The labels of some rows, None where there are none."""
    return None if part.labels is None else part.labels[rows]


def names_of(part: Part, num: int) -> list[str]:
    """The name of each example: its file, or its number from 0 up."""
    return [printable(name) for name in part.names] if part.names else [str(i) for i in range(num)]


def file_names(part: Part, num: int) -> list[str]:
    """A name for a file of each example: its number, and that of its own file without folders and ending."""
    if not part.names:
        return [f"{i:05d}" for i in range(num)]
    stems = [os.path.splitext(os.path.basename(name))[0] for name in part.names]
    return [f"{i:05d}-{_shortened(printable(stem))}" for i, stem in enumerate(stems)]


def written(path: Any, values: Num[np.ndarray, " N *event"], known: Facts, names: list[str], what: str) -> None:
    """Writes examples and says so."""
    write_examples(path, values, known.layout, names)
    print(f"{len(values)} {what}: {printable(path)}")


def _shortened(name: str) -> str:
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore")


def _of_all(f: Callable[..., Any], run: Finished, part: Part, values: np.ndarray, what: str) -> np.ndarray:
    def work(rows: slice) -> dict[str, np.ndarray]:
        return {"found": f(run, values[rows], labels_of(part, rows), first=rows.start)}

    return in_pieces(work, len(values), what, piece=using.BATCH_SIZE)["found"]


def _labels(known: Facts, config: SampleConfig) -> Any:
    if known.num_classes is None:
        if config.label is not None:
            raise InputError(f"label {config.label}: {config.run} has no labels; leave it out")
        return None
    if config.label is None:
        return np.arange(config.num) % known.num_classes
    classes = known.layout.classes or ()
    numbers = [str(i) for i in range(known.num_classes)]
    for names in (classes, numbers):
        if config.label in names:
            return np.full(config.num, names.index(config.label))
    some = ", ".join(printable(name) for name in classes[:8]) + (", ..." if len(classes) > 8 else "")
    also = f", or one of {some}" if classes else ""
    raise InputError(f"label {config.label}: expected 0 to {known.num_classes - 1}{also}")

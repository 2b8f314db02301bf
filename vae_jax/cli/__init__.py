"""The command `vae-jax`: train a model on any data, and use the finished run."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vae_jax.cli.finished import EvaluateImages, LikelihoodOfImages
from vae_jax.cli.ignored import OF_THE_DATA
from vae_jax.cli.scoring import ImputeConfig, ScoreConfig, impute, score
from vae_jax.cli.tools import (
    EncodeConfig,
    InterpolateConfig,
    ReconstructConfig,
    SampleConfig,
    encode,
    interpolate,
    reconstruct,
    sample,
)
from vae_jax.cli.train import TrainConfig as TrainConfig
from vae_jax.ending import INPUT_ERROR, end
from vae_jax.errors import InputError, one_line, printable
from vae_jax.runs.command import run_command
from vae_jax.runs.config import RunConfig, stored_config
from vae_jax.runs.programs import COMMANDS, command_line

_OVERVIEW = """usage: vae-jax COMMAND ...

  vae-jax train DATA --out RUN                      train a VAE on any data, and evaluate it
  vae-jax evaluate RUN                              scores of a finished run: ELBO, active units, disentanglement
  vae-jax likelihood RUN                            bounds on log p(x) of a finished run, from both sides
  vae-jax encode RUN --data DATA --out FILE         codes of examples: .npy, or .csv with their names
  vae-jax sample RUN --num 100 --out FILE           samples: .npy, .csv of a table, or a folder of pictures
  vae-jax reconstruct RUN --data DATA --out FILE    reconstructions, likewise
  vae-jax interpolate RUN --data DATA --between 3 17 --out FILE
  vae-jax score RUN --data DATA --out FILE.csv      how likely each example is, the least likely first
  vae-jax impute RUN --data DATA --out FILE         draws of missing values

DATA: sprites, mnist, fashion_mnist, digits, breast_cancer, dsprites, shapes3d, or a path: a folder of images, or a
.npy, .npz or .csv file of images, a table, counts or series.
`vae-jax COMMAND --help` shows the options of a command."""

TOOLS: dict[str, tuple[type, Callable[[Any], None]]] = {
    "encode": (EncodeConfig, encode),
    "sample": (SampleConfig, sample),
    "reconstruct": (ReconstructConfig, reconstruct),
    "interpolate": (InterpolateConfig, interpolate),
    "score": (ScoreConfig, score),
    "impute": (ImputeConfig, impute),
}

AGAIN = "call it again"


def main(arguments: Sequence[str] | None = None) -> None:
    """Does what the arguments say, by default those of the process."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        try:
            print(_OVERVIEW, flush=True)
        except OSError as error:
            end(INPUT_ERROR, f"error: {one_line(error)}")
        return
    names = ("train", *COMMANDS, *TOOLS)
    if given[0] not in names:
        known = ", ".join(names)
        end(INPUT_ERROR, f"error: command {given[0]!r}: expected one of {known}; see vae-jax --help")
    if given[0] in TOOLS:
        options, does = TOOLS[given[0]]
        run_command(
            does, options, arguments=given[1:], positional=("run",), prog=f"vae-jax {given[0]}", again=AGAIN
        )
        return
    command_line(
        TrainConfig,
        _with_out(given),
        default=_of_run(given),
        positional=("data",),
        prog="vae-jax",
        evaluate=EvaluateImages,
        likelihood=LikelihoodOfImages,
    )


def _of_run(given: list[str]) -> TrainConfig | None:
    """With --from RUN the model of that run, trained as the data want it."""
    # Help would print the texts of that run, which may be a stranger's.
    if given[0] != "train" or {"--resume", "-h", "--help"} & set(given):
        return None
    folder = _folder_before(given)
    if folder is None:
        return None
    try:
        stored = stored_config(folder, TrainConfig)
    except (InputError, OSError) as error:
        end(INPUT_ERROR, f"error: --from {printable(folder)}: {one_line(error)}")
    if stored is None:
        end(INPUT_ERROR, f"error: --from {printable(folder)}: expected the folder of a run")
    of_its_data: dict[str, Any] = {
        field.name: field.default for field in dataclasses.fields(TrainConfig) if field.name in OF_THE_DATA
    }
    found: TrainConfig = dataclasses.replace(
        stored, run=RunConfig(out=""), from_run=folder, validation=None, test=None, num_classes=None, **of_its_data
    )
    return found


def _folder_before(given: list[str]) -> str | None:
    """RUN of --from RUN or --from=RUN, of several the last; None without."""
    folder = None
    for argument, following in zip(given, [*given[1:], None], strict=True):
        option, equals, value = argument.partition("=")
        if option == "--from":
            folder = value if equals else following
    return folder


def _with_out(given: list[str]) -> list[str]:
    """`train DATA` without a folder: into runs/, by the name of the data."""
    if len(given) < 2 or given[0] != "train" or given[1].startswith("-"):
        return given
    if {"-h", "--help"} & set(given) or any(argument.partition("=")[0] == "--out" for argument in given):
        return given
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(given[1]).resolve().stem)
    return [*given, "--out", f"runs/{name or 'run'}"]

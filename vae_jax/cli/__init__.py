"""The command `vae-jax`: train, evaluate, likelihood."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vae_jax.cli.finished import EvaluateImages, LikelihoodOfImages
from vae_jax.cli.train import TrainConfig as TrainConfig
from vae_jax.ending import INPUT_ERROR, end
from vae_jax.errors import one_line
from vae_jax.runs.programs import COMMANDS, command_line

_OVERVIEW = """usage: vae-jax COMMAND ...

  vae-jax train DATA --out RUN      train a VAE on images, evaluate it and draw what it has learned
  vae-jax evaluate RUN              scores of a finished run: ELBO, active units, disentanglement
  vae-jax likelihood RUN            bounds on log p(x) of a finished run, from both sides

DATA: sprites, mnist, fashion_mnist, a .npy or .npz file of images, or a folder of images.
`vae-jax COMMAND --help` shows the options of a command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Does what the arguments say, by default those of the process."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        try:
            print(_OVERVIEW, flush=True)
        except OSError as error:
            end(INPUT_ERROR, f"error: {one_line(error)}")
        return
    names = ("train", *COMMANDS)
    if given[0] not in names:
        known = ", ".join(names)
        end(INPUT_ERROR, f"error: command {given[0]!r}: expected one of {known}; see vae-jax --help")
    command_line(
        TrainConfig,
        given,
        positional=("data",),
        prog="vae-jax",
        evaluate=EvaluateImages,
        likelihood=LikelihoodOfImages,
    )

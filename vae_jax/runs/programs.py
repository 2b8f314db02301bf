"""The commands that every kind of run has: train, evaluate, likelihood."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from vae_jax.runs.bounds import LikelihoodConfig, likelihood_of_run
from vae_jax.runs.command import run_command
from vae_jax.runs.figures import write_figures
from vae_jax.runs.finished import Finished
from vae_jax.runs.loop import train
from vae_jax.runs.processes import first_only
from vae_jax.runs.scored import EvaluateConfig, evaluate_run

COMMANDS: dict[str, tuple[type, Callable[[Any, type], Any], tuple[str, ...]]] = {
    "evaluate": (EvaluateConfig, evaluate_run, ("run",)),
    "likelihood": (LikelihoodConfig, likelihood_of_run, ("run",)),
}


def train_and_draw(config: Any) -> Finished:
    """Trains, evaluates and draws."""
    finished = train(config)
    first_only(lambda: write_figures(finished, config.load_data()))
    return finished


def command_line(
    config_type: type,
    arguments: Sequence[str] | None = None,
    *,
    default: Any = None,
    positional: Sequence[str] = (),
    prog: str | None = None,
    description: str | None = None,
) -> None:
    """The command line of a script whose runs are of `config_type`, the user's own or `TrainConfig`.

        python mine.py train --out runs/mine --num-steps 5000     (`train` may be left out)
        python mine.py evaluate runs/mine
        python mine.py likelihood runs/mine

    config_type: a frozen dataclass as `vae_jax.runs.Config` says. default: one of them whose values stand in for
    those of the type. positional: fields that `train` takes without a name. Ends by SystemExit, with 2 and one line
    for bad input.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = given[0] if given and given[0] in ("train", *COMMANDS) else None
    called = f"{prog} {name or ''}".strip() if prog else None
    if name in COMMANDS:
        options, main, where = COMMANDS[name]
        run_command(
            functools.partial(_with_type, main, config_type),
            options,
            arguments=given[1:],
            positional=where,
            prog=called,
        )
        return
    run_command(
        train_and_draw,
        config_type,
        description,
        given[1:] if name else given,
        default=default,
        positional=positional,
        prog=called,
    )


def _with_type(main: Callable[[Any, type], Any], config_type: type, options: Any) -> Any:
    return main(options, config_type)

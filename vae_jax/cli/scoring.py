"""The commands `score`, how likely other examples are, and `impute`, what stands in their gaps."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from vae_jax.cli.facts import read_facts
from vae_jax.cli.outputs import as_cells, check_examples, check_out, rounded, write_array, write_rows
from vae_jax.cli.tools import OnData, labels_of, names_of, read
from vae_jax.cli.train import TrainConfig
from vae_jax.errors import InputError, check_at_least, printable
from vae_jax.paths import as_path
from vae_jax.runs import Finished, load_run, using
from vae_jax.runs.begun import identity
from vae_jax.runs.folder import read_json
from vae_jax.runs.gaps import impute as imputed
from vae_jax.runs.kept import forget, in_pieces


@dataclasses.dataclass(frozen=True)
class ScoreConfig(OnData):
    """Writes how likely each example is, the least likely first: anomalies.

    A .csv with the name of each example, its ELBO and the importance-weighted bound L_k in nats, and the share of
    the validation examples whose ELBO is lower. An infinite or undefined bound comes first. The same call again
    goes on where one was stopped.
    """

    num_samples: int = 100
    """Importance samples of each example, the k of L_k."""


@dataclasses.dataclass(frozen=True)
class ImputeConfig(OnData):
    """Writes examples whose missing values are filled by draws from the model, given what is seen.

    .npy [draws, N, ...], or .csv of a table with the numbers of the draw and of the example in front. What is seen
    stays to the last digit. The same call again goes on where one was stopped.
    """

    num_draws: int = 5
    """Draws of each example: how far they differ is how little is known."""
    num_samples: int = 1000
    """Importance samples from which they are drawn."""
    seed: int = 0
    """Of the noise."""


def score(config: ScoreConfig) -> None:
    """Does what `ScoreConfig` says."""
    path = check_out(config.out, endings=(".csv",), data=config.data)
    check_at_least("num_samples", config.num_samples, 1)
    run = load_run(config.run, TrainConfig)
    part, values = read(run, config)
    known = _validation(run)

    def scored(rows: slice) -> dict[str, np.ndarray]:
        x, c, first = values[rows], labels_of(part, rows), rows.start
        weighed = using.log_likelihood(run, x, c, num_samples=config.num_samples, first=first)
        return {"elbo": using.bound(run, x, c, first=first), "log_likelihood": weighed}

    found = in_pieces(
        scored,
        len(values),
        "examples scored",
        piece=using.batch_of(run, config.num_samples),
        path=path,
        of=_all_of("score", run, values, part.labels, config.num_samples),
    )
    elbo, weighed = (np.asarray(found[name], np.float64) for name in ("elbo", "log_likelihood"))
    # A bound that is undefined is of an example so far off that its density has no number.
    order = np.argsort(np.where(np.isnan(weighed), -np.inf, weighed), kind="stable")
    names = names_of(part, len(values))
    quantile = ["" if known is None else f"{np.mean(known < e):.4f}" for e in elbo]
    rows = [[names[i], f"{elbo[i]:.8g}", f"{weighed[i]:.8g}", quantile[i]] for i in order]
    write_rows(path, ["name", "elbo", f"L_{config.num_samples}", "quantile"], rows)
    forget(path)
    finite = np.isfinite(elbo) & np.isfinite(weighed)
    odd = "" if finite.all() else f", of {int(finite.sum())} with finite bounds"
    means = [f"{values[finite].mean() if finite.any() else np.nan:.2f}" for values in (elbo, weighed)]
    print(
        f"{len(values)} examples, mean ELBO {means[0]}, mean L_{config.num_samples} {means[1]} nats{odd}; "
        f"least likely: {', '.join(names[i] for i in order[:3])}: {printable(path)}"
    )


def impute(config: ImputeConfig) -> None:
    """Does what `ImputeConfig` says."""
    path = check_out(config.out, endings=(".npy", ".csv"), data=config.data)
    check_at_least("num_draws", config.num_draws, 1)
    check_at_least("num_samples", config.num_samples, 1)
    run = load_run(config.run, TrainConfig)
    layout = read_facts(run.facts).layout
    check_examples(path, layout)
    if not layout.missing:
        raise InputError(
            f"{config.run} was trained on examples without gaps: expected a run on examples with some, whose "
            "encoder can read them"
        )
    part, values = read(run, config)
    key = jax.random.key(config.seed)

    def filled(rows: slice) -> dict[str, np.ndarray]:
        draws = imputed(
            run,
            key,
            values[rows],
            labels_of(part, rows),
            num_draws=config.num_draws,
            num_samples=config.num_samples,
            first=rows.start,
        )
        return {"draws": np.moveaxis(draws, 0, 1)}

    found = in_pieces(
        filled,
        len(values),
        "examples filled",
        piece=using.batch_of(run, config.num_samples),
        path=path,
        of=_all_of("impute", run, values, part.labels, config.num_draws, config.num_samples, config.seed),
    )
    draws, gaps = np.moveaxis(found["draws"], 1, 0), np.isnan(values)
    if path.suffix.lower() == ".npy":
        write_array(path, draws)
    else:
        assert layout.columns is not None  # of every table
        cells = [as_cells(np.where(gaps, rounded(draw, layout), values), layout) for draw in draws]
        rows = [[k, i, *row] for k, draw in enumerate(cells) for i, row in enumerate(draw)]
        write_rows(path, ["draw", "example", *(column.name for column in layout.columns)], rows)
    forget(path)
    print(
        f"{int(gaps.sum())} missing values of {len(values)} examples, {config.num_draws} draws: {printable(path)}"
    )


def _all_of(command: str, run: Finished, *given: Any) -> Any:
    """All that the numbers of a command depend on, for `in_pieces`."""
    said = json.dumps([command, identity(run.config), run.facts], sort_keys=True)
    return (np.frombuffer(said.encode(), np.uint8), run.params, [np.asarray(g) for g in given if g is not None])


def _validation(run: Finished) -> Float[np.ndarray, " N"] | None:
    """The ELBO of the validation examples at the end of training; None, which is said, for a run that has none."""
    try:
        content = read_json(as_path(run.folder) / "validation.json")
        elbo = np.asarray(content["elbo"], np.float64)
        if elbo.ndim == 1 and elbo.size and np.isfinite(elbo).all():
            return elbo
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        pass
    print("the run has no scores of its validation examples: no quantiles are written")
    return None

"""The commands `score`, how likely other examples are, and `impute`, what stands in their gaps."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from vae_jax.cli.facts import read_facts
from vae_jax.cli.outputs import as_cells, check_out, write_array, write_rows
from vae_jax.cli.tools import OnData, names_of, read
from vae_jax.cli.train import TrainConfig
from vae_jax.errors import InputError, check_at_least, printable
from vae_jax.paths import as_path
from vae_jax.runs import Finished, load_run, using
from vae_jax.runs.folder import read_json
from vae_jax.runs.gaps import impute as imputed
from vae_jax.runs.kept import kept


@dataclasses.dataclass(frozen=True)
class ScoreConfig(OnData):
    """Writes how likely each example is, the least likely first: anomalies.

    A .csv with the name of each example, its ELBO and the importance-weighted bound L_k in nats, and the share of
    the validation examples whose ELBO is lower. A second call goes on where the first stopped.
    """

    num_samples: int = 100
    """k, importance samples of each example."""


@dataclasses.dataclass(frozen=True)
class ImputeConfig(OnData):
    """Writes examples whose missing values are filled by draws from the model, given what is seen.

    .npy [draws, N, ...], or .csv of a table with the number of the draw in front. A second call goes on where the
    first stopped.
    """

    num_draws: int = 5
    """Draws of each example: how far they differ is how little is known."""
    num_samples: int = 1000
    """Importance samples from which they are drawn."""
    seed: int = 0
    """Of the noise."""


def score(config: ScoreConfig) -> None:
    """Does what `ScoreConfig` says."""
    path = check_out(config.out, endings=(".csv",))
    check_at_least("num_samples", config.num_samples, 1)
    run = load_run(config.run, TrainConfig)
    part, values = read(run, config)
    known = _validation(run)

    def scored(rows: slice) -> Any:
        x, c = values[rows], None if part.labels is None else part.labels[rows]
        weighed = using.log_likelihood(run, x, c, num_samples=config.num_samples)
        return {"elbo": using.bound(run, x, c), "log_likelihood": weighed}

    found = kept(
        path, scored, len(values), (run.params, values, part.labels, config.num_samples), "examples scored"
    )
    order = np.argsort(found["log_likelihood"], kind="stable")
    header = ["name", "elbo", f"L_{config.num_samples}", "quantile"]
    names, elbo, weighed = names_of(part, len(values)), found["elbo"], found["log_likelihood"]
    quantile = ["" if known is None else f"{np.mean(known < e):.4f}" for e in elbo]
    write_rows(path, header, [[names[i], f"{elbo[i]:.6g}", f"{weighed[i]:.6g}", quantile[i]] for i in order])
    print(
        f"{len(values)} examples, mean ELBO {elbo.mean():.2f}, mean L_{config.num_samples} {weighed.mean():.2f} "
        f"nats; least likely: {', '.join(names[i] for i in order[:3])}: {printable(path)}"
    )


def impute(config: ImputeConfig) -> None:
    """Does what `ImputeConfig` says."""
    path = check_out(config.out, endings=(".npy", ".csv"))
    run = load_run(config.run, TrainConfig)
    layout = read_facts(run.facts).layout
    if path.suffix == ".csv" and layout.form != "table":
        raise InputError(f"out {printable(path)}: {layout.form} are no table; expected a name ending in .npy")
    part, values = read(run, config)
    key = jax.random.key(config.seed)

    def filled(rows: slice) -> Any:
        x, c = values[rows], None if part.labels is None else part.labels[rows]
        draws = imputed(
            run,
            jax.random.fold_in(key, rows.start),
            x,
            c,
            num_draws=config.num_draws,
            num_samples=config.num_samples,
        )
        return {"draws": np.moveaxis(draws, 0, 1)}

    settings = (config.num_draws, config.num_samples, config.seed)
    found = kept(path, filled, len(values), (run.params, values, part.labels, *settings), "examples filled")
    draws = np.moveaxis(found["draws"], 1, 0)
    if path.suffix == ".npy":
        write_array(path, draws)
    else:
        assert layout.columns is not None  # of every table
        header = ["draw", *(column.name for column in layout.columns)]
        write_rows(path, header, [[k, *row] for k, draw in enumerate(draws) for row in as_cells(draw, layout)])
    gaps = int(np.isnan(values).sum())
    print(f"{gaps} missing values of {len(values)} examples, {config.num_draws} draws: {printable(path)}")


def _validation(run: Finished) -> Float[np.ndarray, " N"] | None:
    """The ELBO of the validation examples at the end of training; None for a run that kept none."""
    try:
        content = read_json(as_path(run.folder) / "validation.json")
        return np.asarray(content["elbo"], np.float64)
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        print("the run kept no scores of its validation examples: no quantiles are written")
        return None

"""Tables of real numbers: the test log-likelihood beside a Gaussian and a Gaussian mixture, on the same split.

    python -m experiments.tables
    python -m experiments.tables --folder folder/of/uci --tables breast_cancer red.csv white.csv concrete.csv
    python -m experiments.tables --tables known

Each is trained by the command with no option. `breast_cancer` comes with scikit-learn; the others are the UCI wine
quality (red, white; without the quality) and concrete compressive strength, as comma-separated files. `known` is
made here: 6,000 rows of a mixture of two normals in 20 dimensions, whose log-density is exact. The mixture of
scikit-learn is chosen on the validation rows among components, kinds of covariance and regularisation. It is given
counts with uniform noise, for ours are masses, of which such a density is a bound. Of a column where one value
recurs, as the 0 of a substance that is not there, no density is comparable: a component as narrow as its
regularisation allows sits on that value.
experiments/results.md has the numbers: on `known` L_1000 is within 0.3 nats of the exact log-likelihood.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import logsumexp

from experiments.reporting import report, trained
from vae_jax.cli.train import TrainConfig
from vae_jax.data import find, to_own_units
from vae_jax.errors import InputError
from vae_jax.runs import RunConfig, run_command

KNOWN, KNOWN_WEIGHT = "known", 0.4
COVARIANCES = ("full", "diag")

Rows = Float64[np.ndarray, "N d"]
Nats = Float64[np.ndarray, " N"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Log-likelihoods of tables beside those of scikit-learn."""

    tables: tuple[str, ...] = ("breast_cancer", KNOWN)
    """`breast_cancer`, `known`, or names of files in the folder."""
    folder: str = "."
    """Where the files are."""
    out: str = "runs/tables"
    """Folder of the runs and of the table. What is finished there is not trained again."""
    seed: int = 0
    """Of each run, and of the mixtures."""
    num_samples: int = 1000
    """Importance samples of L."""
    num_steps: int | None = None
    """Updates; by default those of the command."""
    components: tuple[int, ...] = (1, 2, 3, 5, 8, 12, 20)
    """Numbers of components of the mixtures that are tried."""
    regularisations: tuple[float, ...] = (1e-6, 1e-3, 1e-2)
    """Variances added to those of the mixtures' components, of standardised columns, that are tried."""
    known_rows: int = 6000
    """Rows of `known`."""


class Mixture(NamedTuple):
    """A mixture of scikit-learn: its log-density of each test row in own units, and what it is."""

    test: Nats
    named: str


def main(config: Config) -> dict[str, float]:
    """Trains all, writes the table; returns the mean of L_K on the test rows by table."""
    begin, found, rows = time.perf_counter(), {}, []
    for table in config.tables:
        path = _path_of(config, table)
        run = RunConfig(out=f"{config.out}/{table}", resume=True, seed=config.seed, num_steps=config.num_steps)
        finished, seconds = trained(TrainConfig(path, run))
        parts, noisy = _parts(path)
        ours = np.asarray(finished.log_likelihood(parts[2], num_samples=config.num_samples), np.float64)
        gaussian = mixtures(noisy, (1,), ("full",), (1e-6,), config.seed)
        mixture = mixtures(noisy, config.components, COVARIANCES, config.regularisations, config.seed)
        found[table] = float(ours.mean())
        rows.append(
            (
                table.removesuffix(".csv"),
                f"{sum(map(len, parts)):,} x {parts[0].shape[1]}",
                f"{_recurring(parts[0]):.0%}",
                _with_error(gaussian.test),
                f"{_with_error(mixture.test)} ({mixture.named})",
                _with_error(ours),
                _with_error(ours - mixture.test),
                _with_error(ours - known_log_density(parts[2])) if table == KNOWN else "",
                f"{seconds:.0f}",
            )
        )
    titles = (
        *(
            "table",
            "rows x columns",
            "most of one value",
            "Gaussian",
            "Gaussian mixture",
            f"ours, L_{config.num_samples}",
        ),
        *("ours - mixture", "ours - exact", "seconds of training"),
    )
    notes = (
        "Nats a row in own units, with the standard error over the test rows; of differences, their own.",
        f"L_{config.num_samples} is a lower bound on the log-likelihood of the model. Seed {config.seed}.",
    )
    report(config.out, "tables", titles, rows, begin=begin, notes=notes)
    return found


def mixtures(
    parts: tuple[Rows, Rows, Rows],
    components: tuple[int, ...],
    covariances: tuple[str, ...],
    regularisations: tuple[float, ...],
    seed: int,
) -> Mixture:
    """The Gaussian mixture of the highest likelihood on the validation rows among those that are asked for.

    parts: training, validation and test rows in own units, which are standardised for the fit.
    """
    from sklearn.mixture import GaussianMixture

    loc, scale = parts[0].mean(axis=0), parts[0].std(axis=0)
    train, validation, test = ((part - loc) / scale for part in parts)
    best: tuple[float, Any, str] = (-np.inf, None, "")
    for k, covariance, regularisation in itertools.product(components, covariances, regularisations):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of those that have not converged, which validation judges as they are
            fitted = GaussianMixture(
                k, covariance_type=covariance, reg_covar=regularisation, random_state=seed
            ).fit(train)
        score = float(fitted.score(validation))
        if score > best[0]:
            best = score, fitted, f"{k} {covariance}, {regularisation:g}"
    return Mixture(best[1].score_samples(test) - np.log(scale).sum(), best[2])


def make_known(rows: int, seed: int = 0) -> Rows:
    """Draws of 0.4 N(mean_0, I) + 0.6 N(mean_1, I): [rows, 20]."""
    generator = np.random.default_rng(seed)
    means = _known_means(generator)
    first = generator.random(rows) < KNOWN_WEIGHT
    return np.where(first[:, None], means[0], means[1]) + generator.normal(size=(rows, 20))


def known_log_density(x: Rows, seed: int = 0) -> Nats:
    """The log-density of `make_known` at each row, nats."""
    means = _known_means(np.random.default_rng(seed))
    each = [-0.5 * ((x - mean) ** 2).sum(axis=1) - 10 * np.log(2 * np.pi) for mean in means]
    density: Nats = logsumexp([np.log(KNOWN_WEIGHT) + each[0], np.log1p(-KNOWN_WEIGHT) + each[1]], axis=0)
    return density


def _known_means(generator: np.random.Generator) -> Float64[np.ndarray, "2 20"]:
    return 2 * generator.normal(size=(2, 20))


def _path_of(config: Config, table: str) -> str:
    if table != KNOWN:
        return table if table == "breast_cancer" else str(Path(config.folder) / table)
    if config.known_rows < 100:
        raise InputError(f"known_rows {config.known_rows}: expected at least 100")
    path = Path(config.out) / "known.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    header = ",".join(f"x{i}" for i in range(20))
    np.savetxt(path, make_known(config.known_rows), fmt="%.8g", delimiter=",", header=header, comments="")
    return str(path)


def _parts(path: str) -> tuple[tuple[Rows, Rows, Rows], tuple[Rows, Rows, Rows]]:
    """Training, validation and test rows in own units, as the run has them; the same with noise on their counts."""
    found, generator = find(path), np.random.default_rng(0)
    train, validation, test = (
        to_own_units(np.asarray(part.values), found.layout) for part in (found.train, found.validation, found.test)
    )
    counts = np.array([column.kind == "count" for column in found.layout.columns or ()])
    noisy = [part + counts * generator.random(part.shape) for part in (train, validation, test)]
    return (train, validation, test), (noisy[0], noisy[1], noisy[2])


def _recurring(rows: Rows) -> float:
    """The largest share of the rows that have the same value in some column."""
    return max(np.unique(column, return_counts=True)[1].max() for column in rows.T) / len(rows)


def _with_error(nats: Nats) -> str:
    return f"{nats.mean():.2f} +- {nats.std(ddof=1) / np.sqrt(len(nats)):.2f}"


if __name__ == "__main__":
    run_command(main, Config, __doc__)

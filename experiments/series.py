"""Series of two channels in units of their own, whose density is known, by the command with no option.

    python -m experiments.series

Damped oscillators: x_1(t) = e^(-g t) (a cos wt + b sin wt) + noise, and x_2(t) = 300 + 40 e^(-g t) (b cos wt -
a sin wt) + noise, with a, b ~ N(0, 1), a frequency of 1 to 4 cycles in a series, a damping g of 0 to 2 a series,
and normal noise of 0.25 and 20. Given frequency and damping a series is a linear-Gaussian draw, so that log p(x) is
an integral over these two, which is summed on a grid. No model can be above it; the entropy of the noise alone,
which needs the true curve, is above both. experiments/results.md has the numbers.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64
from scipy.special import logsumexp

from experiments.reporting import report, trained
from vae_jax.cli.train import TrainConfig
from vae_jax.data import find, to_own_units
from vae_jax.errors import InputError
from vae_jax.likelihoods import Likelihood
from vae_jax.paths import as_path
from vae_jax.runs import Finished, RunConfig, run_command

OFFSET, FACTOR, NOISE = np.array([0.0, 300.0]), np.array([1.0, 40.0]), np.array([0.25, 20.0])
FREQUENCIES, DAMPINGS = (1.0, 4.0), (0.0, 2.0)


@dataclasses.dataclass(frozen=True)
class Config:
    """Series of a known density."""

    out: str = "runs/series"
    """Folder of the data, the run and the table. A run that is finished there is not trained again."""
    num: int = 4000
    """Number of series."""
    length: int = 64
    """Points in time."""
    seed: int = 0
    """Of the run."""
    num_steps: int | None = None
    """Updates; by default those of the command."""
    likelihood: Likelihood | None = None
    """p(x|z); by default the one that the command chooses."""
    num_samples: int = 1000
    """Importance samples of L."""
    grid: tuple[int, int] = (800, 80)
    """Points of the grid over frequency and damping."""


class Bounds(NamedTuple):
    """Means over the test series, nats."""

    elbo: float
    log_likelihood: float
    exact: float
    noise: float


def main(config: Config) -> Bounds:
    """Trains, draws, writes the table; returns the numbers."""
    begin = time.perf_counter()
    if config.num < 100 or config.length < 2 or min(config.grid) < 1:
        raise InputError(
            f"num {config.num}, length {config.length}, grid {config.grid}: expected at least 100 series, of at "
            "least 2 points, and a grid"
        )
    path = Path(config.out) / "series.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, make_series(config.num, config.length))
    run = RunConfig(out=f"{config.out}/run", resume=True, seed=config.seed, num_steps=config.num_steps)
    finished, seconds = trained(TrainConfig(str(path), run, likelihood=config.likelihood))
    found = find(str(path))
    test = to_own_units(np.asarray(found.test.values), found.layout)
    _draw(finished, test, Path(finished.folder) / "figures" / "series.png")
    ours = np.asarray(finished.log_likelihood(test, num_samples=config.num_samples), np.float64)
    elbo = np.asarray(finished.elbo(test), np.float64)
    exact = log_density(test, config.grid)
    coarse = log_density(test, (config.grid[0] // 2, config.grid[1] // 2))
    noise = np.full(len(test), -config.length * (np.log(NOISE) + 0.5 * np.log(2 * np.pi * np.e)).sum())
    rows = [
        ("ELBO", *_cells(elbo, exact)),
        (f"L_{config.num_samples}", *_cells(ours, exact)),
        ("exact log p(x)", *_cells(exact, exact)),
        ("minus the entropy of the noise", *_cells(noise, exact)),
    ]
    notes = (
        f"Nats a series of {config.length} points and 2 channels, over {len(test)} test series.",
        f"Training took {seconds:.0f} s, {finished.summary['evaluated_step']:,} updates; seed {config.seed}.",
        f"Half the grid in both directions changes the exact number by {abs(exact - coarse).max():.2g} at most.",
    )
    report(config.out, "series", ("number", "nats", "less the exact one"), rows, begin=begin, notes=notes)
    return Bounds(elbo.mean(), ours.mean(), exact.mean(), noise.mean())


def make_series(num: int, length: int, seed: int = 0) -> Float64[np.ndarray, "num length 2"]:
    """Draws of the oscillators: [num, length, 2]."""
    generator = np.random.default_rng(seed)
    frequency, damping = generator.uniform(*FREQUENCIES, num), generator.uniform(*DAMPINGS, num)
    weights = generator.normal(size=(num, 2, 1))
    curves = (_basis(frequency, damping, length) @ weights).reshape(num, length, 2)
    return OFFSET + FACTOR * curves + NOISE * generator.normal(size=curves.shape)


def log_density(x: Float64[np.ndarray, "N T 2"], grid: tuple[int, int]) -> Float64[np.ndarray, " N"]:
    """The log-density of `make_series` at each series, nats, by the midpoint rule over frequency and damping.

    With B the curves at one frequency and damping, over the noise: x ~ N(0, I + B B^T), of which the determinant is
    that of the 2 x 2 matrix I + B^T B. x: [N, T, 2].
    """
    num, length = x.shape[:2]
    scaled = ((x - OFFSET) / NOISE).reshape(num, -1)
    f, g = (
        low + (high - low) * (np.arange(n) + 0.5) / n
        for n, (low, high) in zip(grid, (FREQUENCIES, DAMPINGS), strict=True)
    )
    squares, constant = (scaled**2).sum(axis=1), length * (np.log(2 * np.pi) + np.log(NOISE).sum())
    total = np.full(num, -np.inf)
    for damping in g:
        basis = _basis(f, np.full(len(f), damping), length) * np.tile(FACTOR / NOISE, length)[:, None]
        inner = np.eye(2) + np.swapaxes(basis, 1, 2) @ basis
        projected = np.einsum("nd,fdk->fnk", scaled, basis, optimize=True)
        solved = np.linalg.solve(inner[:, None], projected[..., None])[..., 0]
        fit = (projected * solved).sum(axis=-1)
        each = 0.5 * (fit - squares) - 0.5 * np.linalg.slogdet(inner)[1][:, None] - constant
        total = np.logaddexp(total, logsumexp(each, axis=0))
    return total - np.log(grid[0] * grid[1])


def _basis(
    frequency: Float64[np.ndarray, " n"], damping: Float64[np.ndarray, " n"], length: int
) -> Float64[np.ndarray, "n d 2"]:
    """What a and b are multiplied by: [n, length * 2 channels, 2]."""
    t = np.arange(length) / length
    angle, envelope = 2 * np.pi * frequency[:, None] * t, np.exp(-damping[:, None] * t)
    cos, sin = envelope * np.cos(angle), envelope * np.sin(angle)
    by_channel = np.stack([np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)], axis=2)
    return by_channel.reshape(len(frequency), 2 * length, 2)


def _cells(nats: Float[np.ndarray, " N"], exact: Float[np.ndarray, " N"]) -> tuple[str, str]:
    def mean(a: Any) -> str:
        return f"{a.mean():.2f} +- {a.std(ddof=1) / np.sqrt(len(a)):.2f}"

    return mean(nats), "" if nats is exact else mean(nats - exact)


def _draw(run: Finished, test: Float64[np.ndarray, "N T 2"], path: Any) -> None:
    """Test series with their reconstructions, and samples of the model, one column each."""
    import jax
    import matplotlib.pyplot as plt

    from vae_jax import plots

    shown = test[:5]
    again, drawn = run.reconstruct(shown), run.sample(jax.random.key(0), 5)
    figure, axes = plt.subplots(4, 5, figsize=(14, 7), sharex=True, sharey="row", layout="constrained")
    for column in range(5):
        for channel in range(2):
            axes[channel, column].plot(shown[column, :, channel], ".", color="0.6", markersize=3)
            axes[channel, column].plot(again[column, :, channel])
            axes[2 + channel, column].plot(drawn[column, :, channel], ".", markersize=3)
    for row, title in enumerate(("data and mean, x_1", "data and mean, x_2", "sample, x_1", "sample, x_2")):
        axes[row, 0].set_ylabel(title)
    plots.save(figure, as_path(path))


if __name__ == "__main__":
    run_command(main, Config, __doc__)

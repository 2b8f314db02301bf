"""The binned mutual information gap of 10,000 codes, against a loop of scikit-learn's mutual_info_score.

python -m experiments.benchmarks.scores
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np
import tyro

from experiments.benchmarks.timing import Side, Table, interleaved, report
from vae_jax import mutual_information_gap
from vae_jax.data.sprites import FACTOR_SIZES


@dataclasses.dataclass(frozen=True)
class Config:
    """Codes and factors."""

    num: int = 10_000
    latent_size: int = 10
    bins: int = 20
    repeats: int = 9


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the table and returns it by its title."""
    assert abs(_ours(config)() - _loop(config)()) < 1e-5, "the two sides must compute the same score"
    sides: dict[str, Side] = {"vae_jax": partial(_ours, config), "scikit-learn loop": partial(_loop, config)}
    seconds = interleaved(sides, repeats=config.repeats)
    sizes = f"{config.num} codes x {config.latent_size} latents x {len(FACTOR_SIZES)} factors"
    title = f"MIG of {sizes}, {config.bins} bins"
    return {title: report(title, seconds, of="vae_jax")}


def _data(config: Config) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(0, n, config.num) for n in FACTOR_SIZES], axis=1)
    mixing = rng.normal(size=(len(FACTOR_SIZES), config.latent_size))
    noise = rng.normal(size=(config.num, config.latent_size))
    return (factors @ mixing + noise).astype(np.float32), factors


def _ours(config: Config) -> Callable[[], float]:
    codes, factors = map(jnp.asarray, _data(config))
    return lambda: float(mutual_information_gap(codes, factors, num_bins=config.bins)[0])


def _loop(config: Config) -> Callable[[], float]:
    from sklearn.metrics import mutual_info_score

    codes, factors = _data(config)

    def loop() -> float:
        edges = [np.histogram(c, config.bins)[1][:-1] for c in codes.T]
        binned = [np.digitize(c, e) for c, e in zip(codes.T, edges, strict=True)]
        information = np.array([[mutual_info_score(f, b) for f in factors.T] for b in binned])
        entropy = np.array([mutual_info_score(f, f) for f in factors.T])
        best = np.sort(information, axis=0)[::-1]
        return float(np.mean((best[0] - best[1]) / entropy))

    return loop


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))

"""MNIST as 256 grey levels: bits per dimension under every likelihood that images of levels can have.

    python -m experiments.grey
    python -m experiments.grey --manual-dir folder/of/the/idx/files --num-steps 2000 --out runs/grey

The network is 784-400-20 in all of them, with Adam 1e-3 and batches of 128, and the numbers are of the test ELBO,
so upper bounds on the bits of log p. The discretized logistic gets 1.65 after 2,000 updates; the normal is the
worst, for its one scale serves black and grey alike. experiments/results.md has all numbers.
"""

from __future__ import annotations

import dataclasses
import math
import time

from experiments.reporting import mean_and_range, report, trained
from vae_jax.cli.train import TrainConfig
from vae_jax.errors import InputError
from vae_jax.likelihoods import (
    Categorical,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Likelihood,
    LogisticMixture,
    NormalPixels,
)
from vae_jax.runs import RunConfig, run_command
from vae_jax.runs.shown import name_of

LIKELIHOODS: tuple[Likelihood, ...] = (
    ContinuousBernoulli(),
    NormalPixels("learned"),
    DiscretizedLogistic(),
    LogisticMixture(),
    Categorical(),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Bits per dimension of grey images under several likelihoods."""

    data: str = "mnist"
    """A name or a path, as of `vae-jax train`: images of 8-bit levels."""
    out: str = "runs/grey"
    """Folder of the runs and of the table. What is finished there is not trained again."""
    manual_dir: str | None = None
    """Folder that holds the original files of a data set by name, where there is no network."""
    num_steps: int = 5000
    """Updates of each model."""
    batch_size: int = 128
    """Examples an update."""
    hidden: tuple[int, ...] = (400,)
    """Dense layers of the encoder, mirrored by the decoder."""
    latent_size: int = 20
    """Number of latents."""
    leave_out: tuple[str, ...] = ()
    """Names of likelihoods, as `categorical`, whose last layer of 80 million weights takes most of the time."""
    seeds: tuple[int, ...] = (0,)
    """A run each, of every likelihood."""


def main(config: Config) -> dict[str, list[float]]:
    """Trains all, writes the table; returns bits per dimension by likelihood, of each seed."""
    begin = time.perf_counter()
    bits: dict[str, list[float]] = {}
    about: dict[str, tuple[str, float]] = {}
    likelihoods = {name_of(type(likelihood)): likelihood for likelihood in LIKELIHOODS}
    unknown = sorted(set(config.leave_out) - likelihoods.keys())
    if unknown:
        raise InputError(f"leave_out {unknown[0]}: expected one of {', '.join(likelihoods)}")
    for name, likelihood in likelihoods.items():
        if name in config.leave_out:
            continue
        for seed in config.seeds:
            finished, seconds = trained(_run(config, likelihood, name, seed))
            bits.setdefault(name, []).append(finished.summary["test_bits_per_dimension"])
            how = "masses of the levels" if finished.units.log_levels == 0 else "a density of dequantized levels"
            about[name] = (how, about.get(name, ("", 0.0))[1] + seconds)
    rows = [
        (name, mean_and_range(bits[name], 4), about[name][0], f"{about[name][1]:.0f}")
        for name in sorted(bits, key=lambda name: math.fsum(bits[name]))
    ]
    notes = (
        "Bits per dimension are of the test ELBO, and so upper bounds on those of log p(x).",
        "A density of levels dequantized by uniform noise bounds the masses of the levels once more: from above.",
        f"Seeds {', '.join(map(str, config.seeds))}; {config.num_steps:,} updates of {config.batch_size}.",
    )
    titles = ("likelihood", "bits per dimension", "what it is", "seconds of training")
    report(config.out, "grey", titles, rows, begin=begin, notes=notes)
    return bits


def _run(config: Config, likelihood: Likelihood, name: str, seed: int) -> TrainConfig:
    return TrainConfig(
        config.data,
        RunConfig(
            out=f"{config.out}/{name}_{seed}",
            resume=True,
            seed=seed,
            num_steps=config.num_steps,
            batch_size=config.batch_size,
            patience=0,
        ),
        likelihood=likelihood,
        network="mlp",
        hidden=config.hidden,
        latent_size=config.latent_size,
        binarization="none",
        manual_dir=config.manual_dir,
    )


if __name__ == "__main__":
    run_command(main, Config, __doc__)

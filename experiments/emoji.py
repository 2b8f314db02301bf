"""3,786 emoji of 64x64 in colour, by the command with no option but a limit on its updates.

    npm pack emoji-datasource-google && tar xzf emoji-datasource-google-*.tgz
    python -m experiments.emoji --folder package/img/google/64
    python -m experiments.emoji --folder package/img/google/64 --networks conv residual

A colour set of real images that any machine gets. The first is the same as `vae-jax train package/img/google/64
--num-steps 1500`; what is transparent is laid on white. Look at `figures/reconstructions.png` and
`figures/samples.png` in the folder of each run. experiments/results.md has the numbers, and what there is to see.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Literal

from experiments.reporting import report, trained
from vae_jax.cli.train import TrainConfig
from vae_jax.errors import InputError
from vae_jax.runs import RunConfig, run_command


@dataclasses.dataclass(frozen=True)
class Config:
    """Photos of a folder under one network or several."""

    folder: str = ""
    """Of images of one size, as `package/img/google/64`."""
    out: str = "runs/emoji"
    """Folder of the runs and of the table. What is finished there is not trained again."""
    networks: tuple[Literal["mlp", "conv", "residual"], ...] = ()
    """By default the one that the command chooses."""
    num_steps: int = 1500
    """Updates of each model, unless its patience ends it."""
    seed: int = 0
    """Of each run."""


def main(config: Config) -> dict[str, float]:
    """Trains and draws each, writes the table; returns bits per dimension by network."""
    if not config.folder:
        raise InputError("no --folder: expected one of images; see --help for where to get the emoji")
    bits: dict[str, float] = {}
    begin, rows = time.perf_counter(), []
    for network in config.networks or (None,):
        name = network or "by default"
        run = RunConfig(
            out=f"{config.out}/{network or 'default'}", resume=True, seed=config.seed, num_steps=config.num_steps
        )
        finished, seconds = trained(TrainConfig(config.folder, run, network=network))
        found = finished.summary
        bits[name] = found["test_bits_per_dimension"]
        rows.append(
            (
                name,
                f"{bits[name]:.3f}",
                f"{found['test_rate']:.1f}",
                f"{found['evaluated_step']:,} of {found['steps']:,}",
                f"{seconds:.0f}",
            )
        )
    titles = ("network", "bits per dimension", "rate, nats", "updates", "seconds of training")
    notes = ("Bits per dimension are of the test ELBO, and so upper bounds on those of log p(x).",)
    report(config.out, "emoji", titles, rows, begin=begin, notes=notes)
    return bits


if __name__ == "__main__":
    run_command(main, Config, __doc__)

"""The scores of a finished run, as `vae-jax evaluate`, or of a model of a study.

    python -m experiments.evaluate runs/sprites
    python -m experiments.evaluate runs/disentanglement --method beta-TCVAE --strength 6 --seed 0

Of a study the row of the model is written into evaluation.json in the folder of the study.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.disentanglement.__main__ import StudyConfig, load_model
from vae_jax.cli.finished import EvaluateImages
from vae_jax.cli.train import TrainConfig
from vae_jax.errors import InputError
from vae_jax.paths import as_path
from vae_jax.runs import evaluate_run, run_command
from vae_jax.runs.folder import read_config
from vae_jax.runs.scored import scores, write_scores


@dataclasses.dataclass(frozen=True)
class Config(EvaluateImages):
    """The scores of a finished run, or of a model of a study."""

    method: str | None = None
    """Of a study: the method of the model; by default the model of the highest MIG is taken."""
    strength: float | None = None
    """Of a study: the strength of the model's penalty, as its table names it."""
    seed: int | None = None
    """Of a study: the seed of the model."""


def main(config: Config) -> dict[str, Any]:
    """Prints and writes the scores; returns them by name."""
    chosen = (config.method, config.strength, config.seed)
    if not _is_study(config.run):
        if any(part is not None for part in chosen):
            raise InputError(f"{config.run} holds one model: --method, --strength and --seed are for a study")
        return evaluate_run(config, TrainConfig)
    found, *model = load_model(config.run, *chosen, data_dir=config.data_dir, manual_dir=config.manual_dir)
    found |= scores(*model, num_resamples=config.num_resamples, fast=config.fast)
    write_scores(config.run, found)
    return found


def _is_study(folder: str) -> bool:
    content = read_config(as_path(folder))
    return content.get("type") == StudyConfig.__name__ or content.get("experiment") == "disentanglement"


if __name__ == "__main__":
    run_command(main, Config, __doc__, positional=("run",))

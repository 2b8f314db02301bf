"""A preset: the command `vae-jax train` with other values, and `data` as an option like any other."""

from __future__ import annotations

from typing import Any

from vae_jax.cli.train import TrainConfig
from vae_jax.runs import run_command
from vae_jax.runs.programs import train_and_draw

# What a published protocol did not do, whatever data it is given: RunConfig(..., **PUBLISHED).
PUBLISHED: dict[str, Any] = {"lr_warmup": 0, "clip_norm": 0.0, "patience": 0}


def run_preset(preset: TrainConfig, description: str | None, arguments: list[str] | None = None) -> None:
    """Trains as the preset and the arguments say."""
    run_command(train_and_draw, TrainConfig, description, arguments, default=preset)

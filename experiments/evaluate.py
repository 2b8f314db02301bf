"""The scores of a finished run: bounds, active units, and how disentangled its latents are.

    python -m experiments.evaluate runs/sprites
    python -m experiments.evaluate runs/disentanglement --method beta-TCVAE --strength 6 --seed 0

Where the factors of the test examples are known (sprites, and every model of a study) all the scores are printed;
elsewhere those that need no factors. A back-end that a score depends on is part of its name. Writes
evaluation.json into the folder of the run (of a study: the row of the model, in the same file).
"""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Annotated, Any

import jax
import numpy as np
import tyro

from experiments.disentanglement.__main__ import load_model
from vae_jax import InputError, mutual_information_gap
from vae_jax.disentanglement import bootstrap_interval
from vae_jax.paths import as_path
from vae_jax.runs.command import command_line
from vae_jax.runs.folder import read_config, write_json
from vae_jax.runs.scores import encoder, fast_scores, scores_of_codes, slow_scores
from vae_jax.runs.tasks import EVALUATION_SEED, load_run


@dataclasses.dataclass(frozen=True)
class Config:
    """The scores of a finished run."""

    run: Annotated[str, tyro.conf.Positional]
    """Folder of the run, or of a study."""
    method: str | None = None
    """Of a study: the method of the model; by default the model of the highest MIG is taken."""
    strength: float | None = None
    seed: int | None = None
    num_resamples: int = 200
    """Of the test examples, for the interval of the MIG; 0 for none."""
    fast: bool = False
    """Leave out the scores that train a classifier."""


def main(config: Config) -> dict[str, Any]:
    """Prints and writes the scores; returns them by name."""
    chosen = (config.method, config.strength, config.seed)
    found: dict[str, Any] = {}
    if read_config(as_path(config.run)).get("experiment") == "disentanglement":
        found, vae, params, transform, examples, factors = load_model(config.run, *chosen)
    elif any(part is not None for part in chosen):
        raise InputError(f"{config.run} holds one model: --method, --strength and --seed are for a study")
    else:
        task, params = load_run(config.run)
        vae, transform, examples, factors = task.vae, task.transform, task.test, task.factors
    key = jax.random.key(EVALUATION_SEED)
    encoded = encoder(vae, transform)(params, key, examples)
    loc, scale = encoded["loc"], encoded["scale"]
    found |= {name: float(np.mean(encoded[name])) for name in ("elbo", "distortion", "rate")}
    found["num_latents"], found["num_examples"] = loc.shape[1], loc.shape[0]
    found["rate_per_latent"] = [float(rate) for rate in encoded["rates"].mean(axis=0)]
    if factors is None:
        found |= scores_of_codes(loc)
    else:
        found |= fast_scores(loc, factors)
        if config.num_resamples:
            interval = bootstrap_interval(
                mutual_information_gap, key, loc, factors, num_resamples=config.num_resamples
            )
            found["mig_interval_95"] = [interval.lower, interval.upper]
        if not config.fast and importlib.util.find_spec("sklearn") is None:
            print("scikit-learn is not installed: the scores that need it are left out (vae-jax[metrics])")
        elif not config.fast:
            found |= slow_scores(loc, scale, factors)
    write_json(as_path(config.run) / "evaluation.json", found)
    for name, value in found.items():
        print(f"{name:40s} {_text(value)}")
    return found


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(f"{v:.4f}" for v in value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    command_line(main, Config, __doc__)

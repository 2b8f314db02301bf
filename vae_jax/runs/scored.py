"""The scores of a finished run: bounds, active units, and how disentangled its latents are."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Any

import jax
import numpy as np

from vae_jax.disentanglement import bootstrap_interval, mutual_information_gap
from vae_jax.paths import as_path
from vae_jax.runs.finished import data_of, given_anew, load_run
from vae_jax.runs.folder import write_json
from vae_jax.runs.scores import encoder, fast_scores, scores_of_codes, slow_scores
from vae_jax.runs.task import EVALUATION_SEED, Transform


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """Scores of a finished run on its test examples.

    Where their factors are known (sprites) all the scores are printed; elsewhere those that need no factors. A
    back-end that a score depends on is part of its name. Writes evaluation.json into the folder of the run.
    """

    run: str
    """Folder of the run."""
    data: str | None = None
    """Where its data are now, if they have moved."""
    num_resamples: int = 200
    """Of the test examples, for the interval of the MIG; 0 for none."""
    fast: bool = False
    """Leave out the scores that train a classifier."""


def evaluate_run(config: EvaluateConfig, config_type: type) -> dict[str, Any]:
    """Prints the scores of a run, writes them into its folder, and returns them by name.

    A subclass of `EvaluateConfig` may have fields of `config_type` that are `OfThisStart`; they take their place.
    """
    run = load_run(config.run, config_type)
    data = data_of(run, config.data, **given_anew(config, config_type))
    found = scores(
        run.model,
        run.params,
        run.transform,
        data.test,
        data.factors,
        num_resamples=config.num_resamples,
        fast=config.fast,
    )
    write_scores(run.folder, found)
    return found


def scores(
    vae: Any,
    params: Any,
    transform: Transform,
    examples: Any,
    factors: Any,
    *,
    num_resamples: int = 200,
    fast: bool = False,
) -> dict[str, Any]:
    """The scores of a model by name: bounds in nats, and of its codes what can be said without or with factors.

    factors: integers [N, k], or None.
    """
    key = jax.random.key(EVALUATION_SEED)
    encoded = encoder(vae, transform)(params, key, examples)
    loc = encoded["loc"]
    found: dict[str, Any] = {name: float(np.mean(encoded[name])) for name in ("elbo", "distortion", "rate")}
    found["num_latents"], found["num_examples"] = loc.shape[1], loc.shape[0]
    if "rates" in encoded:
        found["rate_per_latent"] = [float(rate) for rate in encoded["rates"].mean(axis=0)]
    if factors is None:
        return found | scores_of_codes(loc)
    found |= fast_scores(loc, factors)
    if num_resamples:
        interval = bootstrap_interval(mutual_information_gap, key, loc, factors, num_resamples=num_resamples)
        found["mig_interval_95"] = [interval.lower, interval.upper]
    if not fast and importlib.util.find_spec("sklearn") is None:
        print("scikit-learn is not installed: the scores that need it are left out (vae-jax[metrics])")
    elif not fast:
        found |= slow_scores(loc, encoded.get("scale"), factors)
    return found


def write_scores(folder: str, found: dict[str, Any]) -> None:
    """Writes evaluation.json into a folder and prints a line for each score."""
    write_json(as_path(folder) / "evaluation.json", found)
    for name, value in found.items():
        print(f"{name:40s} {_text(value)}")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(f"{v:.4f}" for v in value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)

"""Runs that were begun before there were parts: their config.json had one level, and an experiment's name."""

from __future__ import annotations

from typing import Any

from vae_jax.errors import InputError

_OF_THE_RUN = ("seed", "num_steps", "epochs", "batch_size", "learning_rate", "ema_decay", "eval_every", "on_nan")
_NOT_KEPT = ("experiment", "data_sha256", "manual_dir", "data_dir")
_EXPERIMENTS: dict[str, dict[str, Any]] = {
    "sprites": {
        "data": "sprites",
        "size": 32,
        "network": "mlp",
        "latent_size": 10,
        "num_steps": 15_000,
        "batch_size": 64,
        "eval_every": 3000,
    },
    "mnist": {"data": "mnist", "hidden": [400], "epochs": 20, "batch_size": 128, "binarization": "dynamic"},
    "conditional": {
        **{"data": "mnist", "hidden": [400], "epochs": 20, "batch_size": 128, "binarization": "dynamic"},
        **{"conditional": True, "num_classes": 10},
    },
}


def nested(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a flat config.json in the form that `TrainConfig` has now, its gaps filled with old defaults.

    Raises InputError for an experiment that there was not.
    """
    name = content.get("experiment")
    if not isinstance(name, str) or name not in _EXPERIMENTS:
        raise InputError(f"a run of the experiment {name!r}: expected one of {', '.join(_EXPERIMENTS)}")
    flat = _EXPERIMENTS[name] | {key: value for key, value in content.items() if key not in _NOT_KEPT}
    if name == "sprites" and flat["network"] == "mlp":
        flat.setdefault("hidden", [512, 256])
    beta, steps = flat.pop("beta", 1.0), flat.pop("beta_warmup", 0)
    warmup = {"type": "Linear", "steps": steps} if steps else None
    return {
        "run": {key: flat.pop(key) for key in _OF_THE_RUN if key in flat},
        "likelihood": {"type": "BernoulliPixels"},
        "objective": {"type": "ELBO", "beta": beta, "warmup": warmup},
        **flat,
    }

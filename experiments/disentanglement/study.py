"""Training and scoring one method of the study: all its strengths and seeds in one compiled program."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.disentanglement.data import FactorData, scored_examples
from experiments.disentanglement.methods import Method, Setting, model_and_optimizer
from vae_jax.data.batches import shuffled_batches
from vae_jax.disentanglement import udr_spearman
from vae_jax.runs import EVALUATION_SEED, train_in_folder
from vae_jax.runs.folder import read_json, read_rows, write_json
from vae_jax.runs.scores import encoder, fast_scores
from vae_jax.runs.stopping import sigterm_noted
from vae_jax.training import TrainState
from vae_jax.training.checkpoints import (
    read_checkpoints,
    restore_params,
)
from vae_jax.training.many import init_many, run_of, train_many


class Run(NamedTuple):
    """One model of the study."""

    strength: float
    seed: int


class Unit(NamedTuple):
    """Runs of one method that are trained together."""

    name: str
    method: Method
    runs: tuple[Run, ...]


class Training(NamedTuple):
    """How long, and how."""

    num_steps: int
    batch_size: int
    save_every: int  # steps
    study: Mapping[str, Any]  # what tells this study from others, JSON


def units(method: Method, strengths: Sequence[float], seeds: int, strengths_at_once: int) -> list[Unit]:
    """The runs of a method in groups of all seeds of `strengths_at_once` strengths (0: all of them)."""
    size = strengths_at_once or len(strengths)
    parts = [strengths[i : i + size] for i in range(0, len(strengths), size)]
    groups = [tuple(Run(s, seed) for s, seed in itertools.product(part, range(seeds))) for part in parts]
    names = [method.name if len(groups) == 1 else f"{method.name}-{i}" for i in range(len(groups))]
    return [Unit(name, method, group) for name, group in zip(names, groups, strict=True)]


def train_unit(
    folder: Path, unit: Unit, vae: Any, data: FactorData, setting: Setting, training: Training
) -> list[dict[str, Any]]:
    """Trains and scores the runs of a unit; returns a row for each. Goes on where an earlier call was stopped.

    `folder`/<unit> has checkpoints, metrics.jsonl with the values of every run, and, once complete, scores.json.
    """
    folder = folder / unit.name
    if (folder / "scores.json").exists():
        found: list[dict[str, Any]] = read_json(folder / "scores.json")
        return found
    model, optimizer = model_and_optimizer(unit.method, vae, setting)

    def of_strength(strength: jax.Array) -> tuple[Any, Any]:
        return unit.method.objective(model, strength, setting), optimizer

    def advance(states: TrainState, after_call: Any) -> TrainState:
        return train_many(
            of_strength,
            shuffled_batches(training.batch_size, data.transform),
            states,
            jnp.asarray(data.examples),
            {"strength": np.array([run.strength for run in unit.runs], np.float32)},
            num_steps=training.num_steps,
            steps_per_call=min(training.save_every, 100),
            after_call=after_call,
        )

    with sigterm_noted() as stop:
        states = train_in_folder(
            folder,
            init_many(model.init, optimizer, _keys(unit)),
            advance,
            num_steps=training.num_steps,
            save_every=training.save_every,
            num_runs=len(unit.runs),
            identity=_identity(training.study, unit),
            keep=1,
            stop=stop,
        )
        if stop:  # it came after the last call
            sys.exit(0)
    skipped = read_rows(folder, len(unit.runs))[-1]["skipped"]
    rows = _score(unit, model, states.ema, data, diverged=np.array(skipped) > 0)
    write_json(folder / "scores.json", rows)
    return rows


def _keys(unit: Unit) -> jax.Array:
    return jnp.stack([jax.random.key(run.seed) for run in unit.runs])


def _identity(study: Mapping[str, Any], unit: Unit) -> dict[str, Any]:
    """What the checkpoints of a unit are of: the config of the study, and which unit."""
    return {**study, "unit": unit.name}


def _score(unit: Unit, model: Any, params: Any, data: FactorData, diverged: np.ndarray) -> list[dict[str, Any]]:
    """Scores of all runs of a unit at their averaged parameters; none for a run that skipped steps at the end."""
    examples, factors = scored_examples(data)
    encode = encoder(model, data.transform)
    key = jax.random.key(EVALUATION_SEED)
    encoded = [encode(run_of(params, i), key, examples) for i in range(len(unit.runs))]
    ranks: dict[int, float] = {}
    for strength in {run.strength for run in unit.runs}:
        alike = [i for i, run in enumerate(unit.runs) if run.strength == strength and not diverged[i]]
        if len(alike) >= 2 and "rates" in encoded[alike[0]]:
            rates = np.stack([encoded[i]["rates"].mean(axis=0) for i in alike])
            found = udr_spearman(np.stack([encoded[i]["loc"] for i in alike]), rates).score
            ranks |= {i: float(rank) for i, rank in zip(alike, found, strict=True)}
    rows = []
    for i, (run, e) in enumerate(zip(unit.runs, encoded, strict=True)):
        row: dict[str, Any] = {"method": unit.method.name, "strength": run.strength, "seed": run.seed}
        row |= {name: float(np.mean(e[name])) for name in ("elbo", "distortion", "rate")}
        if not diverged[i]:
            row |= fast_scores(e["loc"], factors)
        if i in ranks:
            row["udr_spearman"] = ranks[i]
        rows.append(row)
    return rows


def trained_params(
    folder: Path, unit: Unit, vae: Any, setting: Setting, run: Run, study: Mapping[str, Any]
) -> tuple[Any, Any]:
    """The model and the averaged parameters of one finished run of the study, whose identity is `study`."""
    model, _ = model_and_optimizer(unit.method, vae, setting)
    shapes = jax.eval_shape(jax.vmap(model.init), _keys(unit))
    with read_checkpoints(folder / unit.name / "checkpoints", config=_identity(study, unit)) as checkpointer:
        return model, run_of(restore_params(checkpointer, shapes), unit.runs.index(run))

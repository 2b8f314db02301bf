"""What training and the estimators gave when they were last checked by hand, number by number.

`python -m tests.programs.golden` prints it as JSON; `tests/golden.json` is that output on the machine it names.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import platform
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.disentanglement import __main__ as study
from experiments.disentanglement.methods import model_and_optimizer
from vae_jax import (
    annealed_log_likelihood,
    bidirectional_bounds,
    elbo,
    evaluate,
    fit,
    importance_log_likelihood,
    init_state,
    mutual_information_gap,
    train_many,
)
from vae_jax.cli.train import TrainConfig
from vae_jax.data.batches import shuffled_batches
from vae_jax.likelihoods import BernoulliPixels
from vae_jax.runs import Data, RunConfig, Task
from vae_jax.runs.task import loss_of, starting_examples, test_examples
from vae_jax.training.many import init_many

STEPS = 200
BATCH_SIZE = 32
KEY = 7


def environment() -> dict[str, str]:
    """What the last bit of a number depends on besides the program."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    features = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return {
        "jax": jax.__version__,
        "numpy": np.__version__,
        "optax": optax.__version__,
        "machine": platform.machine(),
        "processor_features": hashlib.sha256(features.encode()).hexdigest()[:12],
    }


def write_stand_in(path: Path, num: int = 400) -> Path:
    """Images of 28x28 with three labels, blurred bars in grey: what MNIST stands for here."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, num)
    u = np.linspace(-1, 1, 28)
    place, width = rng.uniform(-0.5, 0.5, num), rng.uniform(0.1, 0.3, num)
    across = np.stack([np.broadcast_to(u, (28, 28)), np.broadcast_to(u[:, None], (28, 28)), u + u[:, None]])
    images = np.exp(-(((across[labels] - place[:, None, None]) / width[:, None, None]) ** 2))
    np.savez(path, images=(255 * images).astype(np.uint8), labels=labels)
    return path


class Prepared(NamedTuple):
    """A model and its data, as a run has them."""

    task: Task
    data: Data


def prepared(folder: Path) -> dict[str, Prepared]:
    """The three experiments, small."""
    run = RunConfig(out="", batch_size=BATCH_SIZE)
    images = TrainConfig(
        data=str(write_stand_in(folder / "stand_in.npz")),
        run=run,
        hidden=(64,),
        latent_size=5,
        likelihood=BernoulliPixels(),
    )
    configs = {
        "sprites": TrainConfig(data="sprites", run=run, size=16, hidden=(512, 256), latent_size=10),
        "mnist": images,
        "conditional": dataclasses.replace(images, conditional=True, num_classes=3),
    }
    found = {}
    for name, config in configs.items():
        data = config.load_data()
        found[name] = Prepared(config.make_task(data.facts, starting_examples(data)), data)
    return found


def trained(of: Prepared) -> Any:
    """The state after 200 steps of Adam at 1e-3, from seed 0."""
    optimizer = optax.adam(1e-3)
    state = init_state(of.task.vae.init, optimizer, jax.random.key(0))
    next_batch = shuffled_batches(BATCH_SIZE, of.task.transform)
    data = jax.tree.map(jnp.asarray, of.data.train)
    return fit(loss_of(of.task), optimizer, next_batch, state, data, num_steps=STEPS)


def digest(tree: Any) -> str:
    """A hash of the parameters, leaf after leaf."""
    content = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        content.update(np.ascontiguousarray(leaf).tobytes())
    return content.hexdigest()[:16]


def parameters(tree: Any) -> dict[str, Any]:
    """Their hash, and their norm for a machine whose last bits differ."""
    return {"hash": digest(tree), "norm": float(optax.tree.norm(tree))}


def of_study() -> dict[str, Any]:
    """Two seeds of two methods in one program each, one of them with a discriminator."""
    small = {"levels": (1, 3, 1, 8, 8), "size": 8, "hidden": (32,), "latent_size": 3, "discriminator": (16,)}
    config = study.StudyConfig(**small, seeds=2)
    data = study.make_data(config)
    vae, setting, groups = study.make_study(config, data)
    found = {}
    for unit in (unit for unit in groups if unit.method.name in ("VAE", "FactorVAE")):
        model, optimizer = model_and_optimizer(unit.method, vae, setting)
        runs = unit.runs[:2]

        def of_strength(
            strength: jax.Array, unit: Any = unit, model: Any = model, optimizer: Any = optimizer
        ) -> Any:
            return unit.method.objective(model, strength, setting), optimizer

        states = init_many(model.init, optimizer, jnp.stack([jax.random.key(run.seed) for run in runs]))
        batches = shuffled_batches(16, data.transform)
        strengths = {"strength": np.array([run.strength for run in runs], np.float32)}
        examples = jnp.asarray(data.examples)
        states = train_many(of_strength, batches, states, examples, strengths, num_steps=STEPS)
        found[unit.method.name] = parameters(states.params)
    return found


def of_estimators(of: Prepared, params: Any) -> dict[str, list[float]]:
    """ELBO, L_k, AIS, BDMC and MIG at fixed keys, in nats."""
    key = jax.random.key(KEY)
    task, test = of.task, of.data.test
    x = test_examples(task.transform, of.data, 4)
    keys = jax.random.split(key, 4)
    each = lambda f: jax.jit(jax.vmap(f))  # noqa: E731
    annealing = {"num_temperatures": 10, "num_chains": 4, "num_leapfrog": 2}
    importance = functools.partial(importance_log_likelihood, num_samples=50, chunk_size=20)
    ais = each(lambda k, x: annealed_log_likelihood(task.vae, params, k, x, **annealing).value)(keys, x)
    bounds = each(lambda k: bidirectional_bounds(task.vae, params, k, **annealing).value)(keys)
    codes = each(lambda x: task.vae.encode(params, x).mean())(test_examples(task.transform, of.data, 80))
    levels = np.arange(80)[:, None] // np.array([1, 20]) % 4
    return {
        "elbo": evaluate(elbo, task.vae, params, key, test[:8], transform=task.transform)["elbo"].tolist(),
        "importance": each(lambda k, x: importance(task.vae, params, k, x).value)(keys, x).tolist(),
        "annealed": ais.tolist(),
        "bidirectional": np.asarray(bounds).ravel().tolist(),
        "mig": [float(mutual_information_gap(codes, levels).score)],
    }


def main() -> dict[str, Any]:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        of = prepared(Path(folder))
        states = {name: trained(one) for name, one in of.items()}
        estimates = of_estimators(of["mnist"], states["mnist"].ema)
    found = {name: parameters((state.params, state.ema)) for name, state in states.items()}
    return {"environment": environment(), "parameters": found | of_study(), "estimates": estimates}


if __name__ == "__main__":
    print(json.dumps(main()))

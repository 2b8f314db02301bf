"""What training and the estimators gave when they were last checked by hand, number by number.

`python -m tests.programs.golden` prints it as JSON; `tests/golden.json` is that output on the machine it names.
"""

from __future__ import annotations

import functools
import hashlib
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import conditional, mnist, sprites
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
from vae_jax.data.batches import shuffled_batches
from vae_jax.runs.loop import RunConfig
from vae_jax.runs.tasks import Task, test_examples
from vae_jax.training.many import init_many

STEPS = 200
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


def tasks(folder: Path) -> dict[str, Task]:
    """The three experiments, small."""
    data = mnist.DataConfig(data=str(write_stand_in(folder / "stand_in.npz")))
    run = RunConfig(out="", batch_size=32)
    return {
        "sprites": sprites.make_task(sprites.Config(run=run, size=16, num_steps=STEPS)),
        "mnist": mnist.make_task(mnist.Config(run=run, images=data, hidden=(64,), latent_size=5)),
        "conditional": conditional.make_task(
            conditional.Config(run=run, images=data, hidden=(64,), latent_size=5, num_classes=3)
        ),
    }


def trained(task: Task) -> Any:
    """The state after 200 steps of Adam at 1e-3, from seed 0."""
    optimizer = optax.adam(1e-3)
    state = init_state(task.vae.init, optimizer, jax.random.key(0))
    data = jax.tree.map(jnp.asarray, task.train)
    return fit(task.objective, optimizer, task.next_batch, state, data, num_steps=STEPS)


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
    config = study.Config(levels=(1, 3, 1, 8, 8), size=8, hidden=(32,), latent_size=3, discriminator=(16,), seeds=2)
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


def of_estimators(task: Task, params: Any) -> dict[str, list[float]]:
    """ELBO, L_k, AIS, BDMC and MIG at fixed keys, in nats."""
    key = jax.random.key(KEY)
    x = test_examples(task, 4)
    keys = jax.random.split(key, 4)
    each = lambda f: jax.jit(jax.vmap(f))  # noqa: E731
    annealing = {"num_temperatures": 10, "num_chains": 4, "num_leapfrog": 2}
    importance = functools.partial(importance_log_likelihood, num_samples=50, chunk_size=20)
    ais = each(lambda k, x: annealed_log_likelihood(task.vae, params, k, x, **annealing).value)(keys, x)
    bounds = each(lambda k: bidirectional_bounds(task.vae, params, k, **annealing).value)(keys)
    codes = each(lambda x: task.vae.encode(params, x).mean())(test_examples(task, 80))
    levels = np.arange(80)[:, None] // np.array([1, 20]) % 4
    return {
        "elbo": evaluate(elbo, task.vae, params, key, task.test[:8], transform=task.transform)["elbo"].tolist(),
        "importance": each(lambda k, x: importance(task.vae, params, k, x).value)(keys, x).tolist(),
        "annealed": ais.tolist(),
        "bidirectional": np.asarray(bounds).ravel().tolist(),
        "mig": [float(mutual_information_gap(codes, levels).score)],
    }


def main() -> dict[str, Any]:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        of = tasks(Path(folder))
        states = {name: trained(task) for name, task in of.items()}
        estimates = of_estimators(of["mnist"], states["mnist"].ema)
    found = {name: parameters((state.params, state.ema)) for name, state in states.items()}
    return {"environment": environment(), "parameters": found | of_study(), "estimates": estimates}


if __name__ == "__main__":
    print(json.dumps(main()))

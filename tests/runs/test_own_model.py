"""A model, an objective and data of one's own, in a script outside the repository, get all that a run has."""

import json
import os
import subprocess
import sys

import numpy as np

from tests.runs.commands import CACHE, ROOT
from tests.runs.own import X, own
from vae_jax.runs import Data
from vae_jax.runs.programs import train_and_draw

SCRIPT = '''
from __future__ import annotations

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import VAE, Normal, elbo, per_example, standard_normal
from vae_jax.runs import Data, RunConfig, Task, command_line


def make_vae(width):
    def init(key):
        return {"in": 0.1 * jax.random.normal(key, (5, 4)), "out": jnp.zeros((2, 5)), "scale": jnp.ones(width)}

    def encode(params, x):
        loc, log_scale = jnp.split(x @ params["in"], 2)
        return Normal(loc, jnp.exp(log_scale))

    return VAE(init, encode, lambda p, z: Normal(z @ p["out"], jnp.ones(5)), lambda p: standard_normal((2,)))


@dataclasses.dataclass(frozen=True)
class Spread:
    """Prior weight that is my own."""

    beta: float = 2.0


@dataclasses.dataclass(frozen=True)
class MyConfig:
    """My model of tables."""

    run: RunConfig = RunConfig(out="mine", num_steps=40, batch_size=16)
    part: Spread | None = None
    num_rows: int = 120

    def load_data(self):
        x = np.random.default_rng(0).normal(size=(self.num_rows, 5)).astype(np.float32)
        return Data(x[:80], x[80:100], x[100:], facts={"width": 3})

    def make_task(self, facts, examples=None):
        vae = make_vae(facts["width"])
        return Task(vae, per_example(elbo, vae, beta=1.0 if self.part is None else self.part.beta))


if __name__ == "__main__":
    command_line(MyConfig)
'''

TOGETHER = """
import sys
from mine import MyConfig, Spread
from vae_jax.runs import command_line, load_run

command_line(MyConfig, ["part:spread", "--part.beta", "3.0", "--out", "runs/a"])
command_line(MyConfig, ["--resume", "--out", "runs/a", "--num-steps", "50"])
run = load_run("runs/a", MyConfig)
assert run.config.part == Spread(3.0) and run.facts == {"width": 3} and run.summary["steps"] == 50
assert run.model.encode(run.params, run.transform(None, run.config.load_data().test[0])).mean().shape == (2,)
command_line(MyConfig, ["evaluate", "runs/a"])
small = ["--num-images", "4", "--num-temperatures", "4", "--num-chains", "2", "--num-leapfrog", "1"]
command_line(MyConfig, ["likelihood", "runs/a", *small])
"""


def test_from_a_script_to_likelihoods(tmp_path):
    """Fails if one's own four functions, part and data do not train, resume, load, and give scores and bounds."""
    (tmp_path / "mine.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": CACHE}
    ended = subprocess.run(
        [sys.executable, "-c", TOGETHER], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "of the figures only the training curves are drawn" in ended.stdout
    folder = tmp_path / "runs" / "a"
    assert [path.name for path in (folder / "figures").iterdir()] != []
    config = json.loads((folder / "config.json").read_text())
    assert config["part"] == {"type": "Spread", "beta": 3.0}
    scores = json.loads((folder / "evaluation.json").read_text())
    assert scores["num_examples"] == 20
    assert np.isfinite(scores["elbo"])
    bounds = json.loads((folder / "likelihood" / "table.json").read_text())
    assert len(bounds) == 14
    assert all(np.isfinite(row["nats"]) for row in bounds.values())
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"mine.py", "runs"}


def test_data_are_read_once(tmp_path, monkeypatch):
    """Fails if the figures are drawn of data that are read anew, which may be others, and noticed twice."""
    config, read = own(tmp_path / "run", num_steps=4, eval_every=4), []

    def load_data(self):
        read.append("notice")
        return Data(X, X, X if len(read) == 1 else X[:1])

    monkeypatch.setattr(type(config), "load_data", load_data)
    train_and_draw(config)
    assert read == ["notice"]
    assert (tmp_path / "run" / "figures" / "training.png").exists()

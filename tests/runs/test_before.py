"""A run that an earlier version began, with a config.json of one level, goes on and ends where it would have."""

import json

import optax
import pytest

from tests.earlier import unpack
from tests.programs.golden import environment
from tests.runs.commands import ROOT, run
from vae_jax import InputError, load_run
from vae_jax.cli import before
from vae_jax.cli.train import TrainConfig
from vae_jax.data import content_hash
from vae_jax.likelihoods import BernoulliPixels
from vae_jax.objectives import ELBO, Linear
from vae_jax.runs import from_json


def test_ends_bit_identical(tmp_path, monkeypatch):
    """Fails if an old folder is not read, its data are taken for others, or a number of the rest changes.

    Another processor or version of JAX rounds otherwise, as in tests/test_golden.py.
    """
    unpack(ROOT / "tests" / "runs_before" / "before_parts.tar.xz", tmp_path)
    monkeypatch.setenv("XLA_FLAGS", "")  # the tests compile otherwise than users do
    expected = json.loads((tmp_path / "expected.json").read_text())
    code, out, err = run("vae_jax", "train", tmp_path / "data.npz", "--resume", "--out", tmp_path / "run")
    assert code == 0, err
    assert "28/28" in out
    finished = load_run(tmp_path / "run")
    if environment() == json.loads((ROOT / "tests" / "golden.json").read_text())["environment"]:
        assert content_hash(finished.params)[:16] == expected["ema_hash"]
    assert float(optax.tree.norm(finished.params)) == pytest.approx(expected["norm"], rel=1e-3)
    assert finished.summary["test_elbo"] == pytest.approx(expected["test_elbo"], rel=1e-3)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["type"] == "TrainConfig"


def test_flat_configs():
    """Fails if an option of the old experiments is lost, or has another default than it had."""
    sprites = {"experiment": "sprites", "seed": 1, "beta": 4.0, "beta_warmup": 9, "network": "conv"}
    read = from_json(TrainConfig, with_out(before.nested(sprites)))
    assert (read.data, read.size, read.latent_size, read.hidden) == ("sprites", 32, 10, None)
    assert (read.run.seed, read.run.batch_size, read.run.num_steps) == (1, 64, 15_000)
    assert read.objective == ELBO(4.0, Linear(9))
    assert from_json(TrainConfig, with_out(before.nested({"experiment": "sprites"}))).hidden == (512, 256)
    read = from_json(
        TrainConfig, with_out(before.nested({"experiment": "conditional", "data": "x", "hidden": [3]}))
    )
    assert (read.conditional, read.num_classes, read.hidden, read.run.epochs) == (True, 10, (3,), 20)
    assert read.likelihood == BernoulliPixels()
    for name in ("GAN", ["mnist"], None):
        with pytest.raises(InputError, match="expected one of sprites, mnist, conditional"):
            before.nested({"experiment": name})
    with pytest.raises(InputError, match="unknown key 'other'"):
        from_json(TrainConfig, with_out(before.nested({"experiment": "mnist", "other": 1})))


def with_out(content):
    return content | {"run": content["run"] | {"out": ""}}

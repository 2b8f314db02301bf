"""The likelihood experiment, tiny: from a trained run to its table, resumable, with bad values named."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae_jax
from tests.runs.commands import write_images
from vae_jax import InputError, elbo, evaluate
from vae_jax.cli.train import TrainConfig
from vae_jax.likelihoods import BernoulliPixels
from vae_jax.runs import EVALUATION_SEED, LikelihoodConfig, RunConfig, data_of, likelihood_of_run, train

SMALL = {"num_images": 6, "num_temperatures": 8, "num_chains": 3, "num_leapfrog": 2}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    run = RunConfig(out=str(folder / "run"), batch_size=8, epochs=2)
    data = str(write_images(folder / "x.npz", num=160))
    train(TrainConfig(data, run, hidden=(16,), latent_size=2, likelihood=BernoulliPixels()))
    return folder / "run"


def estimated(folder, **options):
    return likelihood_of_run(LikelihoodConfig(run=str(folder), **SMALL | options), TrainConfig)


def test_table(finished):
    """Fails if an estimator is missing, unordered where order is certain, or not over the images asked for."""
    table = estimated(finished)
    assert [row["num_images"] for row in table.values()] == [6] * 14
    bounds = [table[f"L_{k}"] for k in (1, 10, 100, 1000, 5000)]
    assert [b["decoder_evaluations_per_image"] for b in bounds] == [1, 10, 100, 1000, 5000]
    assert bounds[0]["nats"] < bounds[2]["nats"] <= bounds[4]["nats"] + 0.01
    text = (finished / "likelihood" / "table.md").read_text()
    assert "AIS from the encoder, 8 temperatures, 3 chains, 2 leapfrog steps" in text
    assert "latents are active" in text
    assert json.loads((finished / "likelihood" / "table.json").read_text()) == table
    assert (finished / "figures" / "likelihood.png").stat().st_size > 10_000


def test_second_call_computes_nothing_and_other_sizes_are_computed(finished, capsys, monkeypatch):
    """Fails if finished work is done or compiled again, or if what is kept of other sizes is believed or lost."""
    estimated(finished)
    file = finished / "likelihood" / "annealed_prior_8_3_2.npz"
    written = file.stat().st_mtime_ns
    capsys.readouterr()
    monkeypatch.setattr("vae_jax.evaluation.over_data._within", None)
    first = estimated(finished)
    monkeypatch.undo()
    assert file.stat().st_mtime_ns == written
    assert not re.search(r"\d+/6 images, ", capsys.readouterr().out)
    again = estimated(finished, num_chains=4)
    assert file.stat().st_mtime_ns == written
    assert (finished / "likelihood" / "annealed_prior_8_4_2.npz").exists()
    assert again["L_100"] == first["L_100"] | {"seconds": again["L_100"]["seconds"]}


def test_loaded_run_is_the_run(finished):
    """Fails if a run loaded from its folder is another model, or other data, than the one that was trained."""
    run = vae_jax.load_run(finished)
    data = data_of(run)
    assert data.test.shape == (32, 8, 8, 1)
    assert run.model.encode(run.params, jnp.zeros((8, 8, 1))).loc.shape == (2,)
    key = jax.random.key(EVALUATION_SEED)
    values = evaluate(elbo, run.model, run.params, key, data.test, transform=run.transform)["elbo"]
    assert values.mean() == pytest.approx(run.summary["test_elbo"], rel=1e-6)


def test_conditional_run(tmp_path, monkeypatch):
    """Fails if the condition is lost between a conditional run and the estimators."""
    monkeypatch.setattr("vae_jax.runs.bounds.SAMPLE_COUNTS", (1, 10))
    data = str(write_images(tmp_path / "x.npz", num=160))
    run = RunConfig(out=str(tmp_path / "run"), batch_size=8, epochs=1)
    train(TrainConfig(data, run, hidden=(8,), latent_size=2, conditional=True))
    table = estimated(tmp_path / "run")
    assert len(table) == 1 + 2 + 2 + 3 + 3
    assert all(np.isfinite(row["nats"]) for row in table.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_images": 0}, "0 images"),
        ({"num_images": 10_000}, "at most the 32 of the test set"),
        ({"num_chains": 0}, "num_chains 0"),
        ({"num_temperatures": 1}, "num_temperatures 1"),
    ],
)
def test_bad_sizes(finished, options, message):
    """Fails if an estimate of nothing is printed."""
    with pytest.raises(InputError, match=message):
        estimated(finished, **options)


def test_folder_without_a_run(tmp_path):
    """Fails if the message does not say what is expected there."""
    with pytest.raises(InputError, match="expected the folder of a run"):
        estimated(tmp_path)

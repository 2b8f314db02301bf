"""The likelihood experiment, tiny: from a trained run to its table, resumable, with bad values named."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vae_jax.runs.tasks import load_run

from experiments import conditional, likelihood, mnist
from tests.runs.commands import write_images
from vae_jax import InputError
from vae_jax.evaluation.resumable import estimate_images
from vae_jax.runs.loop import RunConfig

SMALL = {"num_images": 6, "num_temperatures": 8, "num_chains": 3, "num_leapfrog": 2}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    data = mnist.DataConfig(data=str(write_images(folder / "x.npz", num=160)))
    run = RunConfig(out=str(folder / "run"), batch_size=8)
    mnist.main(mnist.Config(run=run, images=data, epochs=2, hidden=(16,), latent_size=2))
    return folder / "run"


def test_table(finished):
    """Fails if an estimator is missing, unordered where order is certain, or not over the images asked for."""
    table = likelihood.main(likelihood.Config(run=str(finished), **SMALL))
    assert [row["num_images"] for row in table.values()] == [6] * 14
    bounds = [table[f"L_{k}"] for k in (1, 10, 100, 1000, 5000)]
    assert [b["decoder_evaluations_per_image"] for b in bounds] == [1, 10, 100, 1000, 5000]
    assert bounds[0]["nats"] < bounds[2]["nats"] <= bounds[4]["nats"] + 0.01
    text = (finished / "likelihood" / "table.md").read_text()
    assert "AIS from the encoder, 8 temperatures, 3 chains, 2 leapfrog steps" in text
    assert "latents are active" in text
    assert json.loads((finished / "likelihood" / "table.json").read_text()) == table
    assert (finished / "figures" / "likelihood.png").stat().st_size > 10_000


def test_second_call_computes_nothing_and_more_images_keep_the_first(finished):
    """Fails if finished work is done again, or if the value of an image depends on how many there are."""
    likelihood.main(likelihood.Config(run=str(finished), **SMALL))
    file = finished / "likelihood" / "importance_100.npz"
    before = np.load(file)["log_likelihood"]
    written = file.stat().st_mtime_ns
    likelihood.main(likelihood.Config(run=str(finished), **SMALL))
    assert file.stat().st_mtime_ns == written
    likelihood.main(likelihood.Config(run=str(finished), **SMALL | {"num_images": 9}))
    np.testing.assert_array_equal(np.load(file)["log_likelihood"][:6], before)


def test_loaded_run_is_the_run(finished):
    """Fails if a run loaded from its folder is another model, or other data, than the one that was trained."""
    task, params = load_run(finished)
    assert task.name == "mnist"
    assert task.test.shape == (32, 8, 8, 1)
    assert task.vae.encode(params, jnp.zeros((8, 8, 1))).loc.shape == (2,)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_conditional_run(tmp_path):
    """Fails if the condition is lost between a conditional run and the estimators."""
    data = mnist.DataConfig(data=str(write_images(tmp_path / "x.npz", num=160)))
    run = RunConfig(out=str(tmp_path / "run"), batch_size=8)
    conditional.main(conditional.Config(run=run, images=data, epochs=1, hidden=(8,), latent_size=2, num_classes=3))
    table = likelihood.main(likelihood.Config(run=str(tmp_path / "run"), **SMALL))
    assert all(np.isfinite(row["nats"]) for row in table.values())


def estimator(params, key, x):
    return {"value": params * x + jax.random.uniform(key)}


def test_images_are_estimated_whatever_the_memory(tmp_path):
    """Fails if the batches, which the bound on memory sets, change a value, or if one image is left out."""
    x, key = jnp.arange(11.0), jax.random.key(0)

    def run(name, memory, most):
        return estimate_images(estimator, 2.0, key, x, name=name, folder=tmp_path, memory=memory, most=most)[0][
            "value"
        ]

    whole = run("whole", 2**30, 11)
    expected = 2 * np.arange(11) + [float(jax.random.uniform(jax.random.fold_in(key, i))) for i in range(11)]
    np.testing.assert_allclose(whole, expected, rtol=1e-6)
    np.testing.assert_allclose(run("one by one", 1, 11), whole, rtol=1e-6)
    np.testing.assert_allclose(run("by four", 2**30, 4), whole, rtol=1e-6)


def test_values_of_other_parameters_are_not_kept(tmp_path):
    """Fails if a run that was trained further shows the values of its earlier parameters."""
    x, key = jnp.arange(3.0), jax.random.key(0)
    first, second = (
        estimate_images(estimator, p, key, x, name="value", folder=tmp_path, memory=2**30)[0]["value"]
        for p in (jnp.float32(2.0), jnp.float32(3.0))
    )
    np.testing.assert_allclose(second - first, x, atol=1e-6)


def test_images_without_a_finite_value_are_named(tmp_path):
    """Fails if NaN goes into a mean, or if the message does not say which images."""
    x = jnp.array([1.0, jnp.nan, 2.0, jnp.inf])
    with pytest.raises(InputError, match=r"value is not finite for images \[1, 3\]"):
        estimate_images(estimator, 2.0, jax.random.key(0), x, name="bad", folder=tmp_path, memory=2**30)
    assert not (tmp_path / "bad.npz").exists()


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
        likelihood.main(likelihood.Config(run=str(finished), **SMALL | options))


def test_folder_without_a_run(tmp_path):
    """Fails if the message does not say what is expected there."""
    with pytest.raises(InputError, match="expected the folder of a run"):
        likelihood.main(likelihood.Config(run=str(tmp_path)))

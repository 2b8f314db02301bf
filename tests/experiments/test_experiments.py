"""Every experiment run tiny, end to end, in this process."""

import dataclasses
import json

import jax
import matplotlib.image
import numpy as np
import pytest

from experiments import conditional, mnist, sprites
from tests.runs.commands import write_images
from tests.runs.own import own
from vae_jax import InputError
from vae_jax.likelihoods import BernoulliPixels
from vae_jax.runs import RunConfig, load_run, read_rows, train
from vae_jax.runs.programs import train_and_draw
from vae_jax.runs.task import batches_in_chunk, hash_of


def check_folder(folder, figures, steps):
    """Fails if a file that the README promises is missing, empty, or not what it says."""
    rows = read_rows(folder)
    assert rows[-1]["step"] == steps
    assert {"loss", "elbo", "distortion", "rate", "grad_norm", "validation_elbo"} <= rows[-1].keys()
    assert json.loads((folder / "config.json").read_text())["run"]["seed"] == 3
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["test_elbo"] == pytest.approx(-summary["test_distortion"] - summary["test_rate"], rel=1e-5)
    assert {path.stem for path in (folder / "figures").iterdir()} == figures
    for path in (folder / "figures").iterdir():
        assert matplotlib.image.imread(path).std() > 0
    assert list((folder / "checkpoints").iterdir())


STANDARD = {"reconstructions", "samples", "interpolations", "traversals", "training"}


def test_sprites(tmp_path):
    """Fails if the main job does not run from data to figures."""
    run = RunConfig(out=str(tmp_path / "run"), seed=3, batch_size=8, num_steps=40, eval_every=20)
    finished = train_and_draw(dataclasses.replace(sprites.PRESET, run=run, size=8, hidden=(16,)))
    check_folder(tmp_path / "run", STANDARD, steps=40)
    assert finished.summary["num_test"] == 5000


def on_own_images(tmp_path, data, name="run", **options):
    run = RunConfig(out=str(tmp_path / name), seed=3, batch_size=8, epochs=2)
    return dataclasses.replace(mnist.PRESET, run=run, data=str(data), hidden=(16,), **options)


def test_mnist_on_own_images(tmp_path):
    """Fails if a user's own file does not train; 160 images: 32 to test, 12 to validate, 116 to learn from."""
    finished = train_and_draw(on_own_images(tmp_path, write_images(tmp_path / "x.npz", num=160)))
    check_folder(tmp_path / "run", STANDARD, steps=2 * (116 // 8))
    assert finished.summary["num_test"] == 32


def write_npy(path, **options):
    np.save(path, np.load(write_images(path.with_suffix(".npz"), **{"num": 160} | options))["images"])
    return path


def test_mnist_streamed_is_mnist_in_memory(tmp_path):
    """Fails if streaming changes the images, their order, the initial biases or the scores of a run."""
    data, rows = write_npy(tmp_path / "x.npy"), []
    for streamed in (False, True):
        config = on_own_images(tmp_path, data, str(streamed), stream=streamed, likelihood=BernoulliPixels())
        train_and_draw(config) if streamed else train(config)
        rows.append([row["validation_elbo"] for row in read_rows(tmp_path / str(streamed))])
    check_folder(tmp_path / "True", STANDARD, steps=2 * ((160 - 32 - 12) // 8))
    assert rows[0] == pytest.approx(rows[1], rel=1e-6)


def test_a_run_tells_streamed_data_that_changed(tmp_path):
    """Fails if a run would go on with a file of other images, or of another number of them."""
    hashes = []
    for num, seed in ((160, 0), (160, 0), (165, 0), (160, 1)):
        config = on_own_images(tmp_path, write_npy(tmp_path / "x.npy", num=num, seed=seed), stream=True)
        hashes.append(hash_of(config.load_data()))
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_chunks_have_a_limit_in_bytes(tmp_path, monkeypatch):
    """Fails if a chunk of large images, or of large batches, takes any amount of memory, or has no batch."""
    data = on_own_images(tmp_path, write_npy(tmp_path / "x.npy"), stream=True).load_data()
    sizes = []
    for most_bytes in (2**26, 3 * 8 * 64 + 1, 1):
        monkeypatch.setattr("vae_jax.runs.task.CHUNK_BYTES", most_bytes)
        sizes.append(batches_in_chunk(data, 8, 100))
    assert sizes == [100, 3, 1]


def test_streams_need_a_file_and_noise_that_is_drawn_anew(tmp_path):
    """Fails if what cannot be streamed trains on something else."""
    data = write_npy(tmp_path / "x.npy")
    for options, message in (
        ({"binarization": "static"}, "a set drawn once are kept in memory"),
        ({"conditional": True}, "labels and a set drawn once are kept in memory"),
        ({"size": 4}, "expected no size of what is streamed"),
    ):
        with pytest.raises(InputError, match=message):
            on_own_images(tmp_path, data, stream=True, **options).load_data()
    with pytest.raises(InputError, match=r"'mnist' is not streamed: expected a \.npy file"):
        on_own_images(tmp_path, "mnist", stream=True).load_data()


def test_conditional_on_own_images(tmp_path):
    """Fails if labels do not reach the model, or its figures are not drawn."""
    data = write_images(tmp_path / "x.npz", num=160)
    run = RunConfig(out=str(tmp_path / "run"), seed=3, batch_size=8, epochs=2)
    train_and_draw(dataclasses.replace(conditional.PRESET, run=run, data=str(data), hidden=(16,)))
    check_folder(tmp_path / "run", {"samples_by_class", "style_in_all_classes", "training"}, steps=28)


def test_non_finite_loss_leaves_the_last_good_checkpoint(tmp_path):
    """Fails if the message does not name step and checkpoint, or if that checkpoint is of a broken state."""
    config = own(tmp_path / "run", num_steps=40, eval_every=10, broken=lambda step: step == 25)
    with pytest.raises(InputError, match=r"loss inf .* at step 25: .* last good checkpoint is \S+checkpoints/20"):
        train(config)
    params = load_run(tmp_path / "run", type(config)).params
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


@pytest.mark.slow
def test_mnist_one_epoch(tmp_path, mnist_dir):
    """Fails if the model on the real files learns more slowly than it did: -117.3 nats after one epoch."""
    run = RunConfig(out=str(tmp_path / "run"), seed=3, epochs=1)
    folders = {"manual_dir": str(mnist_dir), "data_dir": str(tmp_path / "data")}
    summary = train(dataclasses.replace(mnist.PRESET, run=run, **folders)).summary
    assert summary["num_test"] == 10000
    assert -120.2 < summary["test_elbo"] < -109.2

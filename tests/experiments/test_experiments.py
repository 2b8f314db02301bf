"""Every experiment run tiny, end to end, in this process."""

import json

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest
from vae_jax.runs.tasks import Task, batches_in_chunk, content_hash, train_arrays

from experiments import conditional, mnist, sprites
from tests.runs.commands import write_images
from vae_jax import InputError, elbo, make_vae, per_example
from vae_jax.data.batches import shuffled_batches
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.runs.folder import read_rows
from vae_jax.runs.loop import RunConfig, train
from vae_jax.training.checkpoints import open_checkpoints, restore_params


def check_folder(folder, figures, steps):
    """Fails if a file that the README promises is missing, empty, or not what it says."""
    rows = read_rows(folder)
    assert rows[-1]["step"] == steps
    assert {"loss", "elbo", "distortion", "rate", "grad_norm", "validation_elbo"} <= rows[-1].keys()
    assert json.loads((folder / "config.json").read_text())["seed"] == 3
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["test_elbo"] == pytest.approx(-summary["test_distortion"] - summary["test_rate"], rel=1e-5)
    assert {path.stem for path in (folder / "figures").iterdir()} == figures
    for path in (folder / "figures").iterdir():
        assert matplotlib.image.imread(path).std() > 0
    assert list((folder / "checkpoints").iterdir())


STANDARD = {"reconstructions", "samples", "interpolations", "traversals", "training"}


def test_sprites(tmp_path):
    """Fails if the main job does not run from data to figures."""
    run = RunConfig(out=str(tmp_path / "run"), seed=3, batch_size=8)
    summary = sprites.main(sprites.Config(run=run, size=8, num_steps=40, eval_every=20))
    check_folder(tmp_path / "run", STANDARD, steps=40)
    assert summary["num_test"] == 5000


def test_mnist_on_own_images(tmp_path):
    """Fails if a user's own file does not train; 60 images: 12 to test, 4 to validate, 44 to learn from."""
    data = write_images(tmp_path / "x.npz", num=160)
    run = RunConfig(out=str(tmp_path / "run"), seed=3, batch_size=8)
    config = mnist.Config(run=run, images=mnist.DataConfig(data=str(data)), epochs=3, hidden=(16,))
    summary = mnist.main(config)
    steps = 3 * ((160 - 32 - 12) // 8)
    check_folder(tmp_path / "run", STANDARD, steps)
    assert summary["num_test"] == 32


def write_npy(path, **options):
    np.save(path, np.load(write_images(path.with_suffix(".npz"), **{"num": 160} | options))["images"])
    return path


def test_mnist_streamed_is_mnist_in_memory(tmp_path):
    """Fails if streaming changes the images, their order, the initial biases or the scores of a run."""
    images = mnist.DataConfig(data=str(write_npy(tmp_path / "x.npy")))
    rows = []
    for streamed in (False, True):
        run = RunConfig(out=str(tmp_path / str(streamed)), seed=3, batch_size=8)
        mnist.main(mnist.Config(run=run, images=images, epochs=2, hidden=(16,), stream=streamed))
        check_folder(tmp_path / str(streamed), STANDARD, steps=2 * ((160 - 32 - 12) // 8))
        rows.append([row["validation_elbo"] for row in read_rows(tmp_path / str(streamed))])
    assert rows[0] == pytest.approx(rows[1], rel=1e-6)


def test_a_run_tells_streamed_data_that_changed(tmp_path):
    """Fails if a run would go on with a file of other images, or of another number of them."""
    hashes = []
    for num, seed in ((160, 0), (160, 0), (165, 0), (160, 1)):
        images = mnist.DataConfig(data=str(write_npy(tmp_path / "x.npy", num=num, seed=seed)))
        task = mnist.make_task(mnist.Config(RunConfig(out="", batch_size=8), images, stream=True))
        hashes.append(content_hash(train_arrays(task, 20)))
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_chunks_have_a_limit_in_bytes(tmp_path, monkeypatch):
    """Fails if a chunk of large images, or of large batches, takes any amount of memory, or has no batch."""
    images = mnist.DataConfig(data=str(write_npy(tmp_path / "x.npy")))
    task = mnist.make_task(mnist.Config(RunConfig(out="", batch_size=8), images, stream=True))
    sizes = []
    for most_bytes in (2**26, 3 * 8 * 64 + 1, 1):
        monkeypatch.setattr("vae_jax.runs.tasks.CHUNK_BYTES", most_bytes)
        sizes.append(batches_in_chunk(task, 100))
    assert sizes == [100, 3, 1]


def test_streams_need_a_file_and_noise_that_is_drawn_anew(tmp_path):
    """Fails if what cannot be streamed trains on something else."""
    data = str(write_npy(tmp_path / "x.npy"))
    with pytest.raises(InputError, match="binarization static: expected dynamic or none"):
        mnist.load_images(mnist.DataConfig(data=data, binarization="static"), streamed=True)
    with pytest.raises(InputError, match="mnist cannot be streamed"):
        mnist.load_images(mnist.DataConfig(), streamed=True)


def test_conditional_on_own_images(tmp_path):
    """Fails if labels do not reach the model, or its figures are not drawn."""
    data = write_images(tmp_path / "x.npz", num=160)
    run = RunConfig(out=str(tmp_path / "run"), seed=3, batch_size=8)
    images = mnist.DataConfig(data=str(data))
    config = conditional.Config(run=run, images=images, epochs=2, hidden=(16,), num_classes=3)
    conditional.main(config)
    check_folder(tmp_path / "run", {"samples_by_class", "style_in_all_classes", "training"}, steps=28)


def test_non_finite_loss_leaves_the_last_good_checkpoint(tmp_path):
    """Fails if the message does not name step and checkpoint, or if that checkpoint is of a broken state."""
    vae = make_vae(MLPEncoder(2, hidden=(4,)), MLPDecoder((3,), hidden=(4,)))

    def breaks_at_25(params, key, batch, step):
        loss, metrics = per_example(elbo, vae)(params, key, batch, step)
        return jnp.where(step == 25, jnp.inf, loss), metrics

    x = np.ones((20, 3), np.float32)
    task = Task(
        name="mnist",
        vae=vae,
        objective=breaks_at_25,
        next_batch=shuffled_batches(4),
        transform=lambda key, x: x,
        train=x,
        validation=x,
        test=x,
        num_steps=40,
        eval_every=10,
    )
    run = RunConfig(out=str(tmp_path / "run"))
    with pytest.raises(InputError, match=r"loss inf .* at step 25: .* last good checkpoint is \S+checkpoints/20"):
        train(run, run, task)
    with open_checkpoints(tmp_path / "run" / "checkpoints") as checkpointer:
        params = restore_params(checkpointer, jax.eval_shape(vae.init, jax.random.key(0)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


@pytest.mark.slow
def test_mnist_two_epochs(tmp_path, mnist_dir):
    """Fails if the model on the real files learns more slowly than it did: -113.1 nats after two epochs."""
    run = RunConfig(out=str(tmp_path / "run"), seed=3)
    images = mnist.DataConfig(manual_dir=str(mnist_dir), data_dir=str(tmp_path / "data"))
    summary = mnist.main(mnist.Config(run=run, images=images, epochs=2))
    assert summary["num_test"] == 10000
    assert -116 < summary["test_elbo"] < -105

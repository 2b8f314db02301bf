"""What bad input gets: one line that says what to do, exit code 2, and nothing half-written."""

import json
import os
import resource
import shutil

import numpy as np
import pytest

from tests.runs.commands import TINY_SPRITES, called, refused, run, write_images

MNIST = ("experiments.mnist", "--epochs", "1", "--hidden", "8", "--batch-size", "8")
BERNOULLI = "likelihood:bernoulli-pixels"
CONDITIONAL = ("experiments.conditional", "--epochs", "1", "--hidden", "8", "--batch-size", "8")


@pytest.fixture(autouse=True)
def _keep_hook(monkeypatch):
    """The command line silences the hook for its process, which here is everybody's."""
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: None)


def images(path, values, **others):
    np.savez(path, images=values, **others)
    return path


def with_value(value):
    values = np.full((20, 8, 8), 0.5, np.float32)
    values[3, 0, 0] = value
    return values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (with_value(1.5), "1.5"),
        (with_value(-0.25), "-0.25"),
        (with_value(np.nan), "nan"),
        (np.zeros((0, 8, 8), np.uint8), "0 images|empty|no images"),
    ],
    ids=["above the support", "below the support", "nan", "empty"],
)
def test_values_that_are_no_images(tmp_path, values, message):
    """Fails if values outside [0, 1], or NaN, are trained on."""
    error = refused(*MNIST, "--data", images(tmp_path / "x.npz", values), "--out", tmp_path / "run")
    assert any(word in error for word in message.split("|")), error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("caller", [called, run], ids=["here", "in a process of its own"])
def test_unknown_data_set(tmp_path, caller):
    """Fails if the message does not list what there is."""
    error = refused(*MNIST, "--data", "minst", "--out", tmp_path / "run", caller=caller)
    assert "'minst'" in error
    assert "fashion_mnist" in error


def test_missing_and_corrupt_files(tmp_path):
    """Fails if a missing or cut file is not named."""
    error = refused(*MNIST, "--manual-dir", tmp_path, "--data-dir", tmp_path / "d", "--out", tmp_path / "run")
    assert "train-images-idx3-ubyte" in error
    whole = write_images(tmp_path / "x.npz")
    os.truncate(whole, whole.stat().st_size // 2)
    assert "x.npz" in refused(*MNIST, "--data", whole, "--out", tmp_path / "run")


def test_corrupt_mnist(tmp_path, mnist_dir):
    """Fails if changed bytes pass for MNIST, or if a refused file leaves a prepared data set behind."""
    for name in os.listdir(mnist_dir):
        shutil.copy(os.path.join(mnist_dir, name), tmp_path)
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size // 2)
    command = (*MNIST, "--manual-dir", tmp_path, "--data-dir", tmp_path / "d", "--out", tmp_path / "run")
    assert "t10k-labels-idx1-ubyte" in refused(*command)
    assert "t10k-labels-idx1-ubyte" in refused(*command)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--latent-size", "0"), "latent size 0"),
        (("--batch-size", "100"), "100"),
        (("--batch-size", "0"), "0"),
        (("--epochs", "0"), "0"),
        (("--learning-rate", "-1"), "learning rate -1"),
        (("--hidden", "0"), "0"),
        (("--learning-rate", "nan"), "learning rate nan"),
        (("--seed", str(2**64)), "seed 18446744073709551616"),
        (("--ema-decay", "1"), "EMA decay 1"),
        (("objective:elbo", "--objective.beta", "-3"), "beta -3"),
        (("objective:elbo", "objective.warmup:linear", "--objective.warmup.steps", "-5"), "steps -5"),
        (("--epochs", "3", "--num-steps", "5"), "num_steps 5 and epochs 3: expected one"),
        (("--latent-size", "1000000000000"), "parameters take"),
        (("prior:mixture", "--prior.components", "1000000000000"), "parameters take"),
        (("prior:conditional-normal",), "expected a conditional model"),
        (("prior:vamp", "--prior.components", "1000"), "expected at least one for each of the 1000"),
    ],
)
def test_sizes(tmp_path, options, message):
    """Fails if an impossible size gives a traceback, or a run."""
    data = write_images(tmp_path / "x.npz")
    error = refused(*MNIST, "--data", data, "--out", tmp_path / "run", *options)
    assert message in error


def test_size_that_the_network_does_not_fit(tmp_path):
    """Fails if a convolutional network is built for an image that cannot be halved."""
    assert "image of 31 x 31" in refused(*TINY_SPRITES, "--out", tmp_path / "run", "--size", "31")
    assert "image size -8" in refused(*TINY_SPRITES, "--out", tmp_path / "run", "--size", "-8")


def test_condition_outside_its_range_or_missing(tmp_path):
    """Fails if a label without a class, or no label, trains a conditional model."""
    data = write_images(tmp_path / "x.npz")
    error = refused(*CONDITIONAL, "--data", data, "--out", tmp_path / "run", "--num-classes", "2")
    assert "label 2" in error
    data = write_images(tmp_path / "y.npz", labels=False)
    assert "no labels" in refused(*CONDITIONAL, "--data", data, "--out", tmp_path / "run")


def test_existing_run_is_not_overwritten(tmp_path):
    """Fails if a second start overwrites a run, or resumes one with another config."""
    out = ("--out", tmp_path / "run", "--data", write_images(tmp_path / "x.npz"))
    assert called(*MNIST, *out)[0] == 0
    assert "--resume" in refused(*MNIST, *out)
    assert "learning_rate = 0.001, not 0.01" in refused(*MNIST, *out, "--resume", "--learning-rate", "0.01")
    code, _, err = called(*MNIST, *out, "--resume")
    assert code == 0, err
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps_this_time"] == 0


def test_checkpoint_of_another_config(tmp_path):
    """Fails if the checkpoint of one model is loaded into another, where config.json was changed."""
    out = ("--out", tmp_path / "run", "--data", write_images(tmp_path / "x.npz"))
    assert called(*MNIST, *out)[0] == 0
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"latent_size": 20', '"latent_size": 7'))
    assert "begun with latent_size = 20, not 7" in refused(*MNIST, *out, "--resume", "--latent-size", "7")


def test_truncated_checkpoint(tmp_path):
    """Fails if a cut checkpoint is resumed, or its error is a page."""
    out = ("--out", tmp_path / "run", "--data", write_images(tmp_path / "x.npz"))
    assert called(*MNIST, *out)[0] == 0
    for folder in (tmp_path / "run" / "checkpoints").iterdir():
        for path in folder.glob("*/d/*"):
            os.truncate(path, path.stat().st_size // 2)
    error = refused(*MNIST, *out, "--resume")
    assert "cannot be read" in error
    assert "delete that folder" in error


def test_read_only_folder(tmp_path):
    """Fails if a place that cannot be written gives a traceback."""
    (tmp_path / "file").write_text("")
    assert "file" in refused(*TINY_SPRITES, "--out", tmp_path / "file" / "run")


def test_checkpoints_without_config(tmp_path):
    """Fails if checkpoints of an unknown config are taken up, or overwritten."""
    out = ("--out", tmp_path / "run", "--data", write_images(tmp_path / "x.npz"))
    assert called(*MNIST, *out)[0] == 0
    (tmp_path / "run" / "config.json").unlink()
    for options in ((), ("--resume",)):
        assert "no config.json" in refused(*MNIST, *out, *options)


def test_other_data_are_not_resumed(tmp_path):
    """Fails if a run goes on with data that changed under it."""
    data = write_images(tmp_path / "x.npz")
    out = ("--out", tmp_path / "run", "--data", data)
    assert called(*MNIST, *out)[0] == 0
    write_images(data, seed=1)
    assert "was begun with data of hash" in refused(*MNIST, *out, "--resume")


@pytest.mark.parametrize(
    ("shape", "message"), [((12, 8, 8), "12 images"), ((40, 8, 8, 2), "(8, 8, 2)"), ((40, 8, 8, 4), "(8, 8, 4)")]
)
def test_too_few_images_and_channels_that_are_no_picture(tmp_path, shape, message):
    """Fails if training begins on what cannot be validated, or drawn."""
    data = images(tmp_path / "x.npz", np.full(shape, 7, np.uint8))
    assert message in refused(*MNIST, "--data", data, "--out", tmp_path / "run", "--batch-size", "2")
    assert not (tmp_path / "run").exists()


def test_full_disk(tmp_path):
    """Fails if a save that cannot be written passes for one, or damages the run.

    A limit on the size of files stands for the full disk: both make the write of a large file fail.
    """

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))

    out = ("--out", tmp_path / "run", "--data", write_images(tmp_path / "x.npz"), "--hidden", "600")
    error = refused(*MNIST, *out, caller=run, preexec_fn=limit)
    assert "could not be written" in error
    code, _, err = called(*MNIST, *out, "--resume")
    assert code == 0, err


def test_loss_that_becomes_infinite_names_the_last_good_checkpoint(tmp_path):
    """Fails if a diverged run goes on, or does not say where the last good state is, or damages it."""
    data = write_images(tmp_path / "x.npz", num=400)
    out = ("--out", tmp_path / "run", "--data", data)
    error = refused(*MNIST, *out, "--learning-rate", "1e30", "--epochs", "3")
    assert "at step" in error
    assert "checkpoint" in error


def test_grey_images_are_warned_about(tmp_path):
    """Fails if the loss on grey images is called an ELBO without a word."""
    data = write_images(tmp_path / "x.npz")
    code, out, err = called(*MNIST, "--data", data, "--binarization", "none", "--out", tmp_path / "run", BERNOULLI)
    assert code == 0, err
    assert "warning: grey images under a Bernoulli likelihood" in out


@pytest.mark.parametrize("experiment", ["sprites", "mnist", "conditional"])
def test_help(experiment):
    """Fails if the options have no names or no explanation."""
    code, out, _ = called(f"experiments.{experiment}", "--help")
    assert code == 0
    assert "--resume" in out
    assert "--seed" in out
    assert "run.seed" not in out

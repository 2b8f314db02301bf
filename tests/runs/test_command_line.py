"""What bad input gets: one line that says what to do, exit code 2, and nothing half-written."""

import contextlib
import dataclasses
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from jax.errors import JaxRuntimeError

from tests.runs.commands import CACHE, ROOT, TINY_SPRITES, called, refused, run, start, write_images
from vae_jax import InputError, load_run
from vae_jax.ending import come_again
from vae_jax.runs import run_command
from vae_jax.runs.lock import locked

MNIST = ("experiments.mnist", "--epochs", "1", "--hidden", "8", "--batch-size", "8")
BERNOULLI = "likelihood:bernoulli-pixels"
CONDITIONAL = ("experiments.conditional", "--epochs", "1", "--hidden", "8", "--batch-size", "8")


@pytest.fixture(autouse=True)
def _keep_hook(monkeypatch):
    """The command line silences the hook for its process, which here is everybody's."""
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: None)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", CACHE)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    """A finished run in `run`, and its data."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_images(folder / "x.npz")
    assert called(*MNIST, "--out", folder / "run", "--data", data)[0] == 0
    return folder


@pytest.fixture
def trained(trained_once, tmp_path):
    """The options of a finished run in `tmp_path`, which a test may damage."""
    shutil.copytree(trained_once / "run", tmp_path / "run")
    return "--out", tmp_path / "run", "--data", shutil.copy(trained_once / "x.npz", tmp_path)


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
        (with_value(1.5), "bernoulli-pixels of real numbers: expected"),
        (with_value(-0.25), "bernoulli-pixels of real numbers: expected"),
        (with_value(np.inf), "inf"),
        (np.zeros((0, 8, 8), np.uint8), "0 images|empty|no images"),
    ],
    ids=["above the support", "below the support", "infinite", "empty"],
)
def test_values_that_are_no_black_and_white_images(tmp_path, values, message):
    """Fails if values outside [0, 1] are trained on under a Bernoulli, or infinite ones under any likelihood."""
    data = images(tmp_path / "x.npz", values)
    error = refused(*MNIST, "--data", data, "--form", "images", "--out", tmp_path / "run", BERNOULLI)
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
    assert "1 x 1" in refused(*TINY_SPRITES, "--out", tmp_path / "run", "--size", "1")
    assert "image size -8" in refused(*TINY_SPRITES, "--out", tmp_path / "run", "--size", "-8")


def test_condition_outside_its_range_or_missing(tmp_path):
    """Fails if a label without a class, or no label, trains a conditional model."""
    data = write_images(tmp_path / "x.npz")
    error = refused(*CONDITIONAL, "--data", data, "--out", tmp_path / "run", "--num-classes", "2")
    assert "label 2" in error
    data = write_images(tmp_path / "y.npz", labels=False)
    assert "no labels" in refused(*CONDITIONAL, "--data", data, "--out", tmp_path / "run")


def test_existing_run_is_not_overwritten(trained, tmp_path):
    """Fails if a second start overwrites a run, or resumes one with another config."""
    assert "--resume" in refused(*MNIST, *trained)
    assert "learning_rate = 0.001, not 0.01" in refused(*MNIST, *trained, "--resume", "--learning-rate", "0.01")
    code, _, err = called(*MNIST, *trained, "--resume")
    assert code == 0, err
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps_this_time"] == 0


def test_checkpoint_of_another_config(trained, tmp_path):
    """Fails if the checkpoint of one model is loaded into another, where config.json was changed."""
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"latent_size": 20', '"latent_size": 7'))
    assert "begun with latent_size = 20, not 7" in refused(*MNIST, *trained, "--resume", "--latent-size", "7")
    with pytest.raises(InputError, match="begun with latent_size = 20, not 7"):
        load_run(tmp_path / "run")


def test_a_run_that_trains_and_one_that_leads_elsewhere(tmp_path):
    """Fails if a second start disturbs a run that trains, or if one goes on in a folder with links out of it."""
    out = ("--out", tmp_path / "run", "--data", write_images(tmp_path / "x.npz"), "--resume")
    with locked(tmp_path / "run"):
        assert f"run is being trained by process {os.getpid()} on " in refused(*MNIST, *out)
    (tmp_path / "run" / "figures").symlink_to(tmp_path)
    assert "figures is a link out of" in refused(*MNIST, *out)
    assert os.listdir(tmp_path / "run") == ["figures"]


@pytest.mark.parametrize(("path", "message"), [("", "an empty path"), ("a\udcff", r"path a\udcff: expected UTF-8")])
def test_paths_of_a_run_that_name_nothing(tmp_path, monkeypatch, path, message):
    """Fails if a run is written into the working folder, or the name is a traceback."""
    monkeypatch.chdir(tmp_path)
    data = write_images(tmp_path / "x.npz")
    assert message in refused(*MNIST, "--data", data, "--out", path)
    assert os.listdir(tmp_path) == ["x.npz"]


@dataclasses.dataclass(frozen=True)
class Nothing:
    """No options."""


def ended(main, capsys):
    """What a command does whose experiment is `main`: exit code, and what it prints on stderr."""
    with pytest.raises(SystemExit) as error:
        run_command(main, Nothing, "", [])
    return error.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a\x1b[2Jb: expected\nc"), 2, r"error: a\x1b[2Jb: expected c"),
        (FileNotFoundError(2, "No such file", "a\u202eb"), 2, r"error: [Errno 2] No such file: 'a\u202eb'"),
        (BrokenPipeError(32, "Broken pipe"), 2, "error: standard output was closed: expected a reader"),
        (KeyboardInterrupt(), 130, "stopped; go on with --resume"),
        (
            JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 29 bytes.\nmore"),
            *(2, "error: the memory is full (Out of memory allocating 29 bytes. more): expected what fits"),
        ),
        (MemoryError("Unable to allocate 9 GiB"), 2, "error: the memory is full (Unable to allocate 9 GiB): "),
    ],
    ids=["input", "system", "pipe", "Ctrl-C", "device memory", "memory"],
)
def test_every_end_is_one_line(capsys, error, code, line):
    """Fails if the exit code is another, if there is a page, or if a terminal would obey what is printed."""

    def main(config):
        raise error

    found, err = ended(main, capsys)
    assert found == code
    assert err.strip().startswith(line)
    assert len(err.strip().splitlines()) == 1


def test_an_error_of_the_library_is_no_bad_input():
    """Fails if an error of JAX that is not about memory is hidden behind a line about input."""

    def main(config):
        raise JaxRuntimeError("INTERNAL: a bug")

    with pytest.raises(JaxRuntimeError, match="a bug"):
        run_command(main, Nothing, "", [])


def test_output_that_has_no_room_left(capsys, monkeypatch):
    """Fails if what was printed last, and could not be written, is an error that only Python's own end meets."""
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        code, err = ended(lambda config: print("a line"), capsys)
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()
    assert code == 2
    assert err.startswith("error: [Errno 28]")


@pytest.mark.parametrize("arguments", [("--help",), ("evaluate", "--help")])
def test_help_that_has_no_room(arguments):
    """Fails if help that cannot be written is a traceback, or passes for written."""
    command, environment = [sys.executable, "-m", "vae_jax", *arguments], os.environ | {"PYTHONPATH": str(ROOT)}
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (2, b"error: [Errno 28] No space left on device\n")


WAITING = """
import os, threading
from vae_jax import InputError
from vae_jax.ending import come_again
from vae_jax.runs import run_command
from tests.runs.test_command_line import Nothing
def main(config):
    print("to nobody", os.fstat(1))
    threading.Thread(target=threading.Event().wait).start()
    raise InputError("one line")
run_command(main, Nothing, "")
"""


def test_a_command_ends_though_a_thread_waits_and_stdout_is_closed():
    """Fails if a pool that never gets its last item keeps the process for ever, or if no output is an error."""
    command, environment = [sys.executable, "-c", WAITING], os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, env=environment, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1), timeout=300, check=False
    )
    assert (ended.returncode, ended.stderr) == (2, b"error: one line\n")


@pytest.mark.slow
def test_few_file_handles(tmp_path):
    """Fails if a run that cannot open its files does not end after the line that says so."""

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))

    out = ("--out", tmp_path / "run", "--data", write_images(tmp_path / "x.npz"))
    assert "Too many open files" in refused(*MNIST, *out, caller=run, preexec_fn=limit)


@pytest.mark.parametrize("form", ["experiment", "module", "script"])
def test_interrupted_in_the_imports(tmp_path, form):
    """Fails if Ctrl-C in the first second of a command gives a traceback, another code, or a process that stays."""
    (tmp_path / "vae-jax").write_text("from vae_jax.cli import main\nmain()\n")
    forms = {
        "experiment": ("-m", "experiments.sprites"),
        "module": ("-m", "vae_jax", "train", "sprites"),
        "script": (tmp_path / "vae-jax", "train", "sprites"),
    }
    process = subprocess.Popen(
        [sys.executable, *map(str, forms[form]), "--out", str(tmp_path / "run")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while "_multiarray_umath" not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None
        time.sleep(0.001)  # numpy is there, the rest is not
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (130, "\nstopped before anything was done\n")


def test_an_interrupt_that_a_callback_loses_comes_again(monkeypatch):
    """Fails if Ctrl-C that comes in a callback, whose errors Python cannot raise, is lost."""

    class Lost:
        def __del__(self):
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.unraisablehook", come_again)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        Lost()
        time.sleep(10)


@pytest.mark.slow
def test_interrupted_in_the_final_evaluation(tmp_path):
    """Fails if Ctrl-C gives a traceback, another exit code than 130, or a process that stays."""
    out = ("--out", tmp_path / "run", "--data", write_images(tmp_path / "x.npz"))
    # A size of its own: what is compiled already would be over before the signal comes.
    process = start(*MNIST, *out, "--hidden", "9", bufsize=1)
    while "validation ELBO" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert re.fullmatch(r"\nstopped.*\n", err)


def test_truncated_checkpoint(trained, tmp_path):
    """Fails if a cut checkpoint is resumed, or its error is a page."""
    for folder in (tmp_path / "run" / "checkpoints").iterdir():
        for path in folder.glob("*/d/*"):
            os.truncate(path, path.stat().st_size // 2)
    error = refused(*MNIST, *trained, "--resume")
    assert "cannot be read" in error
    assert "delete that folder" in error


def test_read_only_folder(tmp_path):
    """Fails if a place that cannot be written gives a traceback."""
    (tmp_path / "file").write_text("")
    assert "file" in refused(*TINY_SPRITES, "--out", tmp_path / "file" / "run")


def test_checkpoints_without_config(trained, tmp_path):
    """Fails if checkpoints of an unknown config are taken up, or overwritten."""
    (tmp_path / "run" / "config.json").unlink()
    for options in ((), ("--resume",)):
        assert "no config.json" in refused(*MNIST, *trained, *options)


def test_other_data_are_not_resumed(trained, tmp_path):
    """Fails if a run goes on with data that changed under it."""
    write_images(tmp_path / "x.npz", seed=1)
    assert "was begun with data of hash" in refused(*MNIST, *trained, "--resume")


def test_too_few_images(tmp_path):
    """Fails if training begins on what cannot be validated."""
    data = images(tmp_path / "x.npz", np.full((12, 8, 8), 7, np.uint8))
    assert "12 examples; expected at least 20" in refused(*MNIST, "--data", data, "--out", tmp_path / "run")
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
    out = ("--out", tmp_path / "run", "--data", write_images(tmp_path / "x.npz"))
    error = refused(*MNIST, *out, "--learning-rate", "1e30", "--epochs", "3")
    assert "at step" in error
    assert "checkpoint" in error


def test_grey_images_are_warned_about(tmp_path):
    """Fails if the loss on grey images is called an ELBO without a word."""
    data = write_images(tmp_path / "x.npz")
    code, out, err = called(*MNIST, "--data", data, "--binarization", "none", "--out", tmp_path / "run", BERNOULLI)
    assert code == 0, err
    assert "warning: not binarized, so that the loss is a cross-entropy and its numbers are no log-lik" in out


@pytest.mark.parametrize("experiment", ["sprites", "mnist", "conditional"])
def test_help(experiment):
    """Fails if the options have no names or no explanation."""
    code, out, _ = called(f"experiments.{experiment}", "--help")
    assert code == 0
    assert "--resume" in out
    assert "--seed" in out
    assert "run.seed" not in out

"""Two processes that train together, as two hosts of a pod would: real ones, that talk over gloo."""

import os
import socket
import time
from unittest import mock

import jax
import numpy as np
import pytest

from tests.runs.commands import called, run, start, write_images
from vae_jax import load_run
from vae_jax.runs.folder import read_rows

pytestmark = pytest.mark.slow

SIZES = (
    *("--hidden", "8", "--latent-size", "2", "--batch-size", "8", "--num-steps", "60", "--eval-every", "20"),
    *("--patience", "3"),  # which both ask for, and which does not end it
)


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """A run of 60 steps, all but its folder and the number of its processes."""
    return "experiments.mnist", "--data", write_images(tmp_path_factory.mktemp("data") / "x.npz"), *SIZES


def start_both(folder, *command):
    """The two processes of one run, as JAX finds them where no cluster tells."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    processes = []
    for i in range(2):
        names = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(i)}
        with mock.patch.dict(os.environ, names):
            processes.append(start(*command, "--out", folder, "--distributed"))
    return processes


def run_both(folder, *command):
    """Runs both to their ends; returns exit code, stdout and stderr of each."""
    ended = []
    for process in start_both(folder, *command):
        out, err = process.communicate(timeout=600)
        ended.append((process.returncode, out, err))
    return ended


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, command):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    return folder, run_both(folder, *command)


def test_first_process_writes(unbroken):
    """Fails if the second prints too, if both write rows, or if a process ends badly."""
    folder, ((code0, out0, err0), (code1, out1, err1)) = unbroken
    assert (code0, code1) == (0, 0), err0 + err1
    assert out0.count("test ELBO") == 1
    assert not [line for line in out1.splitlines() if "Gloo" not in line]
    assert [row["step"] for row in read_rows(folder)] == [20, 40, 60]
    assert len(list((folder / "figures").iterdir())) == 5


def test_one_process_killed_and_both_resumed_is_bit_identical(command, unbroken, tmp_path):
    """Fails if a kill leaves half a checkpoint, if the other process goes on alone, or if any number changes."""
    folder = tmp_path / "run"
    first, second = start_both(folder, *command)
    while second.poll() is None and not (folder / "checkpoints" / "20").exists():
        time.sleep(0.01)
    second.kill()
    second.communicate()
    _, err = first.communicate(timeout=300)
    assert first.returncode != 0, err
    assert not (folder / "summary.json").exists(), "the run ended before it could be killed"
    for code, _, err in run_both(folder, *command, "--resume"):
        assert code == 0, err
    jax.tree.map(np.testing.assert_array_equal, load_run(folder).params, load_run(unbroken[0]).params)
    time_left_out = [
        [{k: v for k, v in row.items() if "second" not in k} for row in read_rows(f)] for f in (folder, unbroken[0])
    ]
    assert time_left_out[0] == time_left_out[1]


def test_streamed_run_is_that_of_one_process(tmp_path):
    """Fails if two processes cannot share a stream, or train on other batches than one.

    Sums are taken in another order: 1e-4.
    """
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (100, 8, 8), dtype=np.uint8))
    command = ("experiments.mnist", "--data", tmp_path / "x.npy", "--stream", "--epochs", "3", "--hidden", "8")
    command = (*command, "--batch-size", "16")
    code, _, err = called(*command, "--out", tmp_path / "one")
    assert code == 0, err
    for code, _, err in run_both(tmp_path / "two", *command):
        assert code == 0, err
    one, two = ([row["loss"] for row in read_rows(tmp_path / name)] for name in ("one", "two"))
    assert len(one) == 3
    np.testing.assert_allclose(two, one, rtol=1e-4)


def test_refusal_of_the_first_is_that_of_both(command, unbroken):
    """Fails if the second process waits for ever where the first refuses a folder."""
    for code, _, err in run_both(unbroken[0], *command):
        assert code == 2, err
        assert "holds a run already" in err


def test_alone_in_no_cluster(command, tmp_path):
    """Fails if a flag that cannot work here gives a traceback, or leaves a folder."""
    code, _, err = run(*command, "--out", tmp_path / "run", "--distributed")
    assert code == 2
    assert err.splitlines()[-1].startswith("error: --distributed: ")
    assert not (tmp_path / "run").exists()


def test_batch_that_devices_cannot_share(command, tmp_path):
    """Fails if examples are left out, or if the message does not say what divides."""
    with mock.patch.dict(os.environ, {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}):
        code, _, err = run(*command, "--out", tmp_path / "run")
    assert code == 2
    assert "batch size 8: expected a multiple of the number of devices, 3" in err
    assert not (tmp_path / "run").exists()

"""A run killed with SIGKILL and started again ends as one that was never killed: real processes, bit for bit."""

import signal
import time
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from tests.runs.commands import TINY_SPRITES, run, start
from vae_jax import init_state, load_run, make_vae
from vae_jax.networks import ConvDecoder, ConvEncoder
from vae_jax.runs.folder import read_rows
from vae_jax.training.checkpoints import open_checkpoints, restore

pytestmark = pytest.mark.slow


def final_state(folder):
    vae = make_vae(ConvEncoder(10), ConvDecoder((8, 8, 1)))
    like = jax.eval_shape(lambda: init_state(vae.init, optax.adam(1e-3), jax.random.key(0)))
    with open_checkpoints(folder / "checkpoints") as checkpointer:
        state = restore(checkpointer, like)
    return jax.tree.map(np.array, state._replace(key=jax.random.key_data(state.key)))


def rows_without_time(folder):
    return [{k: v for k, v in row.items() if "second" not in k} for row in read_rows(folder)]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    code, _, err = run(*TINY_SPRITES, "--out", folder)
    assert code == 0, err
    return folder


def kill_when(folder: Path, moment, command=TINY_SPRITES) -> bool:
    """Starts or resumes the run and kills it as soon as `moment(folder)`; false if it ended before."""
    process = start(*command, "--out", folder, "--resume")
    while process.poll() is None and not moment(folder):
        time.sleep(0.0005)
    ended = process.poll() is not None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return not ended


def saving(folder):
    return any("tmp" in path.name for path in folder.glob("checkpoints/*"))


def rows_reach(step):
    return lambda folder: any(row["step"] >= step for row in read_rows(folder))


def complete(step):
    return lambda folder: (folder / "checkpoints" / str(step)).exists()


@pytest.mark.parametrize(
    "moments",
    [
        [lambda folder: (folder / "config.json").exists()],
        [saving],
        [saving, rows_reach(60)],
        [rows_reach(20), complete(40), saving, complete(80)],
    ],
    ids=["before the first step", "a save in flight", "in flight, then later", "four times"],
)
def test_killed_and_resumed_is_bit_identical(unbroken, tmp_path, moments):
    """Fails if a kill leaves half a checkpoint, or if resuming changes any number of the state or the log."""
    folder = tmp_path / "run"
    killed = [kill_when(folder, moment) for moment in moments]
    assert any(killed), "the run ended before it could be killed"
    code, out, err = run(*TINY_SPRITES, "--out", folder, "--resume")
    assert code == 0, err
    jax.tree.map(np.testing.assert_array_equal, final_state(folder), final_state(unbroken))
    assert rows_without_time(folder) == rows_without_time(unbroken)
    assert "test ELBO" in out


def test_sigterm_ends_in_order_and_resumes_bit_identical(unbroken, tmp_path):
    """Fails if a process that is asked to end does not leave with 0 and its state saved, to go on from there."""
    folder = tmp_path / "run"
    process = start(*TINY_SPRITES, "--out", folder)
    while process.poll() is None and not rows_reach(40)(folder):
        time.sleep(0.0005)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopped by SIGTERM at step" in out
    assert not (folder / "summary.json").exists()
    code, _, err = run(*TINY_SPRITES, "--out", folder, "--resume")
    assert code == 0, err
    jax.tree.map(np.testing.assert_array_equal, final_state(folder), final_state(unbroken))
    assert rows_without_time(folder) == rows_without_time(unbroken)


def test_a_streamed_run_killed_and_resumed_is_bit_identical(tmp_path):
    """Fails if a resumed run reads other images, or the same ones in another order, than an unbroken one."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (4000, 8, 8), dtype=np.uint8))
    command = ("experiments.mnist", "--data", tmp_path / "x.npy", "--stream", "--epochs", "20", "--hidden", "8")
    command = (*command, "--batch-size", "16")
    assert kill_when(tmp_path / "killed", rows_reach(600), command), "the run ended before it could be killed"
    for name in ("killed", "whole"):
        code, _, err = run(*command, "--out", tmp_path / name, "--resume")
        assert code == 0, err
    killed, whole = (load_run(tmp_path / name).params for name in ("killed", "whole"))
    jax.tree.map(np.testing.assert_array_equal, killed, whole)
    assert rows_without_time(tmp_path / "killed") == rows_without_time(tmp_path / "whole")


def test_another_generator_killed_and_resumed_is_bit_identical(unbroken, tmp_path, monkeypatch):
    """Fails if JAX's choice of the generator is not heard, or if its keys do not survive a checkpoint."""
    monkeypatch.setenv("JAX_DEFAULT_PRNG_IMPL", "rbg")
    assert kill_when(tmp_path / "killed", rows_reach(40)), "the run ended before it could be killed"
    for name in ("killed", "whole"):
        code, _, err = run(*TINY_SPRITES, "--out", tmp_path / name, "--resume")
        assert code == 0, err
    assert rows_without_time(tmp_path / "killed") == rows_without_time(tmp_path / "whole")
    assert rows_without_time(tmp_path / "whole") != rows_without_time(unbroken)

"""A run killed with SIGKILL and started again ends as one that was never killed: real processes, bit for bit."""

import json
import signal
import time
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from tests.runs.commands import TINY_SPRITES, called, run, start, write_images
from vae_jax import init_state, load_run
from vae_jax.runs.folder import read_rows
from vae_jax.training.checkpoints import open_checkpoints, restore

pytestmark = pytest.mark.slow


def final_state(folder, generator="threefry2x32"):
    """The whole state at the end of a run, whose key must be of that generator."""
    vae = load_run(folder).model
    like = jax.eval_shape(lambda: init_state(vae.init, optax.adam(1e-3), jax.random.key(0, impl=generator)))
    with open_checkpoints(folder / "checkpoints") as checkpointer:
        state = restore(checkpointer, like)
    return jax.tree.map(np.array, state._replace(key=jax.random.key_data(state.key)))


def rows_without_time(folder):
    return [{k: v for k, v in row.items() if "second" not in k} for row in read_rows(folder)]


def check_same(folder, unbroken, **options):
    """Fails if any number of the state or the log differs."""
    jax.tree.map(np.testing.assert_array_equal, final_state(folder, **options), final_state(unbroken, **options))
    assert rows_without_time(folder) == rows_without_time(unbroken)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The command of a run of 120 steps, all but its folder."""
    data = write_images(tmp_path_factory.mktemp("data") / "x.npz")
    sizes = ("--hidden", "8", "--latent-size", "2", "--batch-size", "8", "--num-steps", "120", "--eval-every", "20")
    return "experiments.mnist", "--data", data, *sizes


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, small):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    code, _, err = run(*small, "--out", folder)
    assert code == 0, err
    return folder


def kill_when(folder: Path, moment, command) -> bool:
    """Starts or resumes the run and kills it as soon as `moment(folder)`; false if it ended before."""
    process = start(*command, "--out", folder, "--resume")
    while process.poll() is None and not moment(folder):
        time.sleep(0.002)
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


MOMENTS = {
    "before the first step": lambda folder: (folder / "config.json").exists(),
    "in the first save": saving,
    "after a row": rows_reach(20),
    "after a save": complete(40),
    "in a later save": saving,
}


def test_killed_and_resumed_is_bit_identical(small, unbroken, tmp_path):
    """Fails if a kill leaves half a checkpoint, or if resuming changes any number of the state or the log."""
    folder = tmp_path / "run"
    for name, moment in MOMENTS.items():
        assert kill_when(folder, moment, small), f"the run ended before it could be killed {name}"
    code, out, err = called(*small, "--out", folder, "--resume")
    assert code == 0, err
    check_same(folder, unbroken)
    assert "test ELBO" in out


def test_sigterm_ends_in_order_and_resumes_bit_identical(small, unbroken, tmp_path):
    """Fails if a process that is asked to end does not leave with 0 and its state saved, to go on from there."""
    folder = tmp_path / "run"
    process = start(*small, "--out", folder)
    while process.poll() is None and not rows_reach(40)(folder):
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopped by SIGTERM at step" in out
    assert not (folder / "summary.json").exists()
    code, _, err = called(*small, "--out", folder, "--resume")
    assert code == 0, err
    check_same(folder, unbroken)


def test_a_streamed_run_killed_and_resumed_is_bit_identical(tmp_path):
    """Fails if a resumed run reads other images, or the same ones in another order, than an unbroken one."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (1000, 8, 8), dtype=np.uint8))
    command = ("experiments.mnist", "--data", tmp_path / "x.npy", "--stream", "--epochs", "8", "--hidden", "8")
    command = (*command, "--batch-size", "16")
    assert kill_when(tmp_path / "killed", rows_reach(100), command), "the run ended before it could be killed"
    for name in ("killed", "whole"):
        code, _, err = called(*command, "--out", tmp_path / name, "--resume")
        assert code == 0, err
    check_same(tmp_path / "killed", tmp_path / "whole")


def test_convolutions_of_another_generator_killed_and_resumed_are_bit_identical(tmp_path, monkeypatch):
    """Fails if JAX's choice of the generator is not heard, if its keys do not survive a checkpoint, or if sums in a
    convolution depend on the process."""
    command = (*TINY_SPRITES, "--num-steps", "60", "--steps-per-call", "20")
    with monkeypatch.context() as changed:
        changed.setenv("JAX_DEFAULT_PRNG_IMPL", "rbg")
        assert kill_when(tmp_path / "killed", rows_reach(20), command), "the run ended before it could be killed"
    for name in ("killed", "whole"):
        with jax.default_prng_impl("rbg"):
            code, _, err = called(*command, "--out", tmp_path / name, "--resume")
        assert code == 0, err
    check_same(tmp_path / "killed", tmp_path / "whole", generator="rbg")


def test_a_run_that_ends_by_patience_killed_at_its_end(small, tmp_path):
    """Fails if a kill in the last evaluation lets a run end elsewhere, or with another checkpoint as its result."""
    command = (*small, "--learning-rate", "0.3", "--patience", "2", "optimizer:adam-w", "--lr-warmup", "10")
    command = (*command, "likelihood:normal-pixels")
    code, out, err = called(*command, "--out", tmp_path / "whole")
    assert code == 0, err
    assert "no better validation ELBO for 2 evaluations" in out
    whole = json.loads((tmp_path / "whole" / "summary.json").read_text())
    assert whole["evaluated_step"] < whole["steps"] < 120
    killed = kill_when(tmp_path / "killed", rows_reach(whole["steps"]), command)
    assert killed, "the run ended before it could be killed"
    code, _, err = called(*command, "--out", tmp_path / "killed", "--resume")
    assert code == 0, err
    again = json.loads((tmp_path / "killed" / "summary.json").read_text())
    numbers = ("steps", "evaluated_step", "test_elbo", "test_rate")
    assert [again[name] for name in numbers] == [whole[name] for name in numbers]
    assert rows_without_time(tmp_path / "killed") == rows_without_time(tmp_path / "whole")
    params = [load_run(tmp_path / name).params for name in ("killed", "whole")]
    jax.tree.map(np.testing.assert_array_equal, *params)

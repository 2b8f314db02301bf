"""Runs that meet SIGTERM, numbers that are not finite, a full disk and a clock put back."""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.runs.commands import ROOT, called, start, write_images
from tests.runs.own import VAE, own, run
from vae_jax import InputError, init_state
from vae_jax.cli.train import TrainConfig
from vae_jax.evaluation import evaluator
from vae_jax.runs import RunConfig, to_json, train
from vae_jax.runs.config import stored_config
from vae_jax.runs.folder import read_rows, write_json
from vae_jax.runs.progress import Progress
from vae_jax.runs.stopping import sigterm_noted
from vae_jax.training.checkpoints import latest_step, open_checkpoints, read_checkpoints, restore, save


def last_state(folder):
    like = jax.eval_shape(lambda: init_state(VAE.init, optax.adam(1e-3), jax.random.key(0)))
    with open_checkpoints(folder / "checkpoints") as checkpointer:
        state = restore(checkpointer, like)
    return jax.tree.map(np.array, state._replace(key=jax.random.key_data(state.key)))


def checkpoints(folder):
    with read_checkpoints(folder / "checkpoints") as checkpointer:
        return [c.step for c in checkpointer.checkpoints]


def test_sigterm_saves_and_the_run_goes_on_bit_identical(tmp_path, monkeypatch, capsys):
    """Fails if SIGTERM loses steps, moves a boundary between calls, changes a number, or keeps its handler."""
    train(own(tmp_path / "unbroken"))
    update = Progress.update

    def terminated(self, row):
        update(self, row)
        if row["step"] in (200, 300):  # one between evaluations, one where a checkpoint is due anyway
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Progress, "update", terminated)
    before = signal.getsignal(signal.SIGTERM)
    folder, saved = tmp_path / "run", []
    for resume in (False, True):
        with pytest.raises(SystemExit) as ended:
            train(own(folder, resume=resume))
        assert ended.value.code == 0
        assert signal.getsignal(signal.SIGTERM) is before
        saved.append(checkpoints(folder))
    assert saved == [[200], [200, 300]]
    assert "stopped by SIGTERM at step 200" in capsys.readouterr().out
    train(own(folder, resume=True))
    jax.tree.map(np.testing.assert_array_equal, last_state(folder), last_state(tmp_path / "unbroken"))
    assert read_rows(folder) == read_rows(tmp_path / "unbroken")
    assert checkpoints(folder) == checkpoints(tmp_path / "unbroken")


def test_sigterm_in_the_start_and_in_the_final_evaluation(tmp_path, monkeypatch):
    """Fails if SIGTERM ends a run at once where it does not train, or if what is left is not made by --resume."""
    config, moments = own(tmp_path / "run", resume=True, test=np.ones((21, 3), np.float32)), []

    def terminated(*arguments, **options):
        evaluate = evaluator(*arguments, **options)

        def evaluated(params, key, data):
            moments.append(len(data))
            if len(data) == 21:
                signal.raise_signal(signal.SIGTERM)
            return evaluate(params, key, data)

        if len(moments) == 0:
            signal.raise_signal(signal.SIGTERM)
        return evaluated

    monkeypatch.setattr("vae_jax.runs.loop.evaluator", terminated)
    for saved in ([100], [300, 500]):
        with pytest.raises(SystemExit) as ended:
            train(config)
        assert ended.value.code == 0
        assert checkpoints(tmp_path / "run") == saved
        assert not (tmp_path / "run" / "summary.json").exists()
        moments.append(0)
    monkeypatch.setattr("vae_jax.runs.loop.evaluator", evaluator)
    summary = train(config).summary
    assert (summary["steps"], summary["num_test"]) == (500, 21)


def test_no_handler_outside_the_main_thread():
    """Fails if a run in a thread, where Python allows no handler, cannot start."""
    seen = []

    def note():
        with sigterm_noted() as stop:
            seen.append(list(stop))

    thread = threading.Thread(target=note)
    thread.start()
    thread.join()
    assert seen == [[]]


LONG = """
import hashlib
from vae_jax.runs.stopping import sigterm_noted
with sigterm_noted():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2 * 10**9)
"""


def test_a_second_sigterm_ends_at_once():
    """Fails if a run that does not come to its next call, as in a long compilation, can only be killed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", LONG], env=environment, **pipes) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert err.startswith(b"ended at once by a second SIGTERM; --resume goes on")


def test_one_sigterm_each_in_two_runs_ends_neither_at_once():
    """Fails if signals are counted over the runs of one process, or if the files between threads are left open."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        with sigterm_noted() as stop:
            signal.raise_signal(signal.SIGTERM)
            assert stop == [signal.SIGTERM]
    assert len(os.listdir("/proc/self/fd")) == before


def test_folders_that_a_strangers_config_names_are_not_used(tmp_path):
    """Fails if a run that is read makes folders, or downloads, where its config says, old or new."""
    before = {"experiment": "mnist", "data_dir": "/made", "manual_dir": "/read"}
    now = to_json(TrainConfig("mnist", RunConfig(str(tmp_path)))) | {"data_dir": "/made", "manual_dir": "/read"}
    for content in (before, now):
        write_json(tmp_path / "config.json", content)
        config = stored_config(tmp_path, TrainConfig)
        assert (config.data_dir, config.manual_dir) == (None, None)
        assert config.run.out == str(tmp_path)


def test_skipped_steps_are_counted_and_the_state_stays_finite(tmp_path):
    """Fails if NaN reaches the log's means or the state, or if what was skipped is not told."""
    broken = lambda step: (step % 10 == 3) | ((step >= 105) & (step < 200))  # noqa: E731
    summary = train(own(tmp_path / "run", on_nan="skip", broken=broken)).summary
    assert summary["skipped_steps"] == 10 * 4 + 1 + 95
    rows = read_rows(tmp_path / "run")
    assert [row["skipped"] for row in rows] == [10, 96, 10, 10, 10]
    assert all(np.isfinite(value) for row in rows for value in row.values())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(last_state(tmp_path / "run").ema))


def test_a_call_in_which_all_steps_are_skipped(tmp_path):
    """Fails if its row has means of nothing, NaN, which JSON does not know."""
    train(own(tmp_path / "run", on_nan="skip", broken=lambda step: (step >= 100) & (step < 200)))
    assert read_rows(tmp_path / "run")[1] == {"step": 200, "skipped": 100}
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_skipping_does_not_freeze(tmp_path):
    """Fails if a run in which every step is skipped trains on; stopped, it may go on with other handling."""
    config = own(tmp_path / "run", on_nan="skip", broken=lambda step: step >= 320)
    with pytest.raises(InputError, match=r"loss inf .* at step 420: .* last good checkpoint is .*/300"):
        train(config)
    stop = dataclasses.replace(config, run=run(tmp_path / "run", resume=True))
    with pytest.raises(InputError, match="at step 320"):
        train(stop)


def test_disk_that_fills_up_during_the_run(tmp_path):
    """Fails if a save that cannot be completed passes for one, or damages the checkpoints before it.

    A limit on the size of files, set while the run goes, stands for the full disk: both make a write fail.
    """
    sizes = ("--hidden", "64", "--batch-size", "8", "--num-steps", "200", "--eval-every", "20")
    data = write_images(tmp_path / "x.npz")
    command = ("experiments.mnist", "--data", data, *sizes, "--out", tmp_path / "run")
    process = start(*command)
    while process.poll() is None and not (tmp_path / "run" / "checkpoints" / "20").exists():
        time.sleep(0.001)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    _, err = process.communicate(timeout=600)
    assert process.returncode == 2, err
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 1, err
    assert "could not be written" in lines[0]
    assert "the checkpoints before it are whole" in lines[0]
    kept = checkpoints(tmp_path / "run")
    code, _, err = called(*command, "--resume")
    assert code == 0, err
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps_this_time"] == 200 - kept[-1]


@pytest.mark.parametrize("seconds", [[100.0, 40.0, 101.0], [100.0, 100.0, 100.0]], ids=["put back", "standing"])
def test_clock_that_does_not_go_forward(monkeypatch, capsys, seconds):
    """Fails if progress divides by no time, or shows a time left that is negative or infinite."""
    times = iter(seconds)
    monkeypatch.setattr("vae_jax.runs.progress.time.perf_counter", lambda: next(times))
    progress = Progress(0, 300)
    for step in (100, 200):
        progress.update({"step": step, "loss": 1.0})
        progress.evaluated(step, {"elbo": -1.0})
    out = capsys.readouterr().out
    assert "step 100/300  loss 1.0  validation ELBO -1.00\n" in out
    assert "inf" not in out
    assert " -" not in out.replace("ELBO -1.00", "")
    assert ("200 steps/s  0 s left" in out) == (seconds[-1] == 101)


def test_checkpoints_keep_their_order_when_the_clock_is_put_back(tmp_path, monkeypatch):
    """Fails if what is newest is decided by the time of day."""
    state = jax.tree.map(jnp.copy, init_state(VAE.init, optax.adam(1e-3), jax.random.key(0)))
    now = iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr("time.time", lambda: float(next(now)))
    monkeypatch.setattr("time.time_ns", lambda: next(now) * 10**9)
    with open_checkpoints(tmp_path) as checkpointer:
        for step in (10, 20, 30):
            save(checkpointer, state._replace(step=jnp.int32(step)), {"elbo": -float(step)})
        checkpointer.wait()
        assert latest_step(checkpointer) == 30
    with open_checkpoints(tmp_path) as checkpointer:
        assert latest_step(checkpointer) == 30
        assert [c.step for c in checkpointer.checkpoints] == [10, 20, 30]

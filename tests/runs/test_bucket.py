"""A run whose folder is in a bucket: nothing of it is on this machine, and it resumes from there."""

import json
import signal

import jax
import numpy as np
import pytest

from tests.buckets import bucket
from tests.runs.own import VAE, X, own
from tests.runs.test_faults import checkpoints, last_state
from vae_jax import InputError, elbo, evaluate, load_run, plots
from vae_jax.paths import as_path
from vae_jax.runs import train
from vae_jax.runs.folder import read_rows
from vae_jax.runs.progress import Progress


@pytest.mark.slow
def test_a_run_in_a_bucket_is_stopped_and_resumes(tmp_path, monkeypatch):
    """Fails if gs:// becomes a folder here, if a file of the run is elsewhere, or if a number changes."""
    monkeypatch.chdir(tmp_path)
    train(own(tmp_path / "unbroken"))
    update = Progress.update

    def terminated(self, row):
        update(self, row)
        if row["step"] == 200:
            signal.raise_signal(signal.SIGTERM)

    with bucket(monkeypatch) as objects:
        config = own("gs://somewhere/runs/a", resume=True)
        with monkeypatch.context() as patched:
            patched.setattr(Progress, "update", terminated)
            with pytest.raises(SystemExit):
                train(config)
        folder = as_path(config.run.out)
        assert checkpoints(folder) == [200]
        summary = train(config).summary
        assert summary["steps_this_time"] == 300
        assert checkpoints(folder) == checkpoints(tmp_path / "unbroken")
        jax.tree.map(np.testing.assert_array_equal, last_state(folder), last_state(tmp_path / "unbroken"))
        assert read_rows(folder) == read_rows(tmp_path / "unbroken")
        plots.save(plots.training_curves(read_rows(folder)), f"{config.run.out}/figures/training.png")
        params, done = load_run(config.run.out, type(config)).params, []
        for _ in range(2):
            file = folder / "likelihood" / "elbo.npz"
            evaluate(elbo, VAE, params, jax.random.key(0), X, file=file, report=lambda *what: done.append(what))
        assert len(done) == 1
        names = {name.removeprefix("/somewhere/runs/a/") for name in objects}
        assert {"config.json", "metrics.jsonl", "summary.json"} <= names
        assert {"figures/training.png", "likelihood/elbo.npz"} <= names
        assert json.loads(objects["/somewhere/runs/a/summary.json"].getvalue())["steps"] == 500
        assert not [name for name in names if "partial" in name]
    assert [path.name for path in tmp_path.iterdir()] == ["unbroken"]


@pytest.mark.parametrize("path", ["s3://somewhere/a", "http://somewhere/a"])
def test_other_storage_is_refused(path):
    """Fails if a scheme that checkpoints cannot be written to becomes a folder, or a traceback."""
    with pytest.raises(InputError, match=r"expected a folder of this machine or gs://"):
        as_path(path)


def test_missing_package_is_named(monkeypatch):
    """Fails if gs:// without a package that writes there ends in an ImportError."""
    monkeypatch.setattr("vae_jax.paths._installed", lambda name: False)
    with pytest.raises(InputError, match=r"install vae-jax\[gcs\]"):
        as_path("gs://somewhere/a")

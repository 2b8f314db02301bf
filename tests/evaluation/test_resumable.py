"""What is kept of a long estimate: read again where it is of the same, computed again where it is anything else."""

import io
import os

import jax
import numpy as np
import pytest

from vae_jax.evaluation.resumable import estimate_images, load_done, save_done

VALUES = {"log_likelihood": np.array([-1.5, -2.5]), "effective_sample_size": np.array([3.0, 4.0])}


def test_what_was_kept_is_read_and_said(tmp_path, capsys):
    """Fails if values, seconds or the line that says so differ from what was kept."""
    path = tmp_path / "likelihood" / "elbo.npz"
    assert load_done(path, "a") is None
    assert capsys.readouterr().out == ""
    save_done(path, VALUES, 7.5, "a")
    done = load_done(path, "a")
    assert done is not None
    assert done.pop("seconds") == 7.5
    jax.tree.map(np.testing.assert_array_equal, done, VALUES)
    assert capsys.readouterr().out == f"{path}: 2 values of an earlier call are read, not computed\n"
    assert load_done(path, "b") is None
    assert "of other parameters, examples or settings, computed again" in capsys.readouterr().out


def archive(compressed=False, **arrays):
    content = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(content, **arrays)
    return content.getvalue()


def kept(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def damaged(path):
    whole, arrays = path.read_bytes(), kept(path)
    yield "empty", b""
    yield "cut", whole[: len(whole) // 2]
    yield "other values", archive(**arrays | {"log_likelihood": np.zeros(2)})
    yield "no hash", archive(**{name: values for name, values in arrays.items() if name != "sha256"})
    yield "of an earlier version", archive(seconds=1.0, parameters="a", log_likelihood=np.zeros(2))
    yield "one array", archive(arr=np.zeros(3))
    yield "pickled", archive(**arrays | {"log_likelihood": np.array([None, {}], object)})
    yield "compressed", archive(compressed=True, **arrays)
    yield "text", b"no archive"
    at = whole.index(np.float64(-1.5).tobytes())
    yield "one bit", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]


def test_what_is_damaged_counts_as_not_done(tmp_path, capsys):
    """Fails if it is believed, or is a traceback."""
    save_done(tmp_path / "whole.npz", VALUES, 1.0, "a")
    for name, content in damaged(tmp_path / "whole.npz"):
        path = tmp_path / f"{name}.npz"
        path.write_bytes(content)
        assert load_done(path, "a") is None, name
        out = capsys.readouterr().out
        assert out.startswith(f"{path}: damaged ("), out
        assert out.count("\n") == 1, out


def test_what_is_no_file_counts_as_not_done(tmp_path, capsys):
    """Fails if a pipe is waited for, or a link that leads nowhere, a folder or its target is written to."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        assert load_done(tmp_path / name, "a") is None
        assert "no regular file" in capsys.readouterr().out
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    assert load_done(tmp_path / "link", "a") is None
    save_done(tmp_path / "link", VALUES, 1.0, "a")
    assert not (tmp_path / "outside").exists()


OTHERS = {
    "examples": ({"examples": np.full((3, 4), 3, np.float32)}, 6.0),
    "parameters": ({"params": 3.0}, 3.0),
    "key": ({"key": jax.random.key(1)}, 2.0),
    "name": ({"name": "another"}, 2.0),
    "nothing": ({}, 2.0),
}


@pytest.mark.parametrize("other", OTHERS)
def test_estimates_of_something_else_are_not_taken(tmp_path, other, capsys):
    """Fails if old and new numbers come into one table, or if the same call computes again."""
    traced, (change, expected) = [], OTHERS[other]

    def estimator(params, key, x):
        traced.append(x)
        return {"mean": params * x.mean()}

    first = {"params": 2.0, "key": jax.random.key(0), "examples": np.ones((3, 4), np.float32), "name": "mean"}
    for call in (first, first | change):
        del traced[:]
        values, _ = estimate_images(estimator, folder=tmp_path, memory=1e9, **call)
    assert bool(traced) == (other != "nothing")
    assert ("read, not computed" in capsys.readouterr().out) == (other == "nothing")
    np.testing.assert_array_equal(values["mean"], np.full(3, expected))

"""The hashes by which a run knows its data again."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from vae_jax.data.arrays import Split
from vae_jax.data.hashing import content_hash, split_hash
from vae_jax.data.npy import NpyImages

X = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)


def test_content_hash_is_the_one_that_runs_hold():
    """Fails if a run begun with an earlier version could not be resumed."""
    expected = hashlib.sha256(X.tobytes() + X[::-1].tobytes()).hexdigest()
    assert content_hash((X, {"a": X[::-1]})) == expected
    assert content_hash(X.reshape(-1)) == content_hash(X)


def changed(value):
    other = X.copy()
    other[-1, -1, -1] = value
    return other


@pytest.mark.parametrize(
    "parts",
    [
        (X, X[:2], X[1:2]),
        (X[:3], X[:2], X[:1]),
        (changed(0), X[:2], X[:1]),
        (X.reshape(4, 2, 3), X[:2], X[:1]),
        (X.view(np.int8), X[:2], X[:1]),
        (np.concatenate([X, X[:2]]), X[:0], X[:1]),
        ((X, X[:2]), X[:1]),
        ({"x": X}, X[:2], X[:1]),
    ],
)
def test_split_hash_tells_every_change(parts):
    """Fails if another value, shape, dtype, place of the cut or structure has the same hash."""
    assert split_hash(*parts) != split_hash(X, X[:2], X[:1])


def test_split_hash_of_the_same_data():
    """Fails if byte order, or the layout in memory, changes the hash."""
    wide = X.astype(np.int32)
    assert split_hash(wide.astype(">i4"), X) == split_hash(wide, np.asfortranarray(X))
    assert split_hash(Split(X, None, ("a", "b"))) != split_hash(Split(X, None, ("a", "c")))


def test_split_hash_of_a_source(tmp_path):
    """Fails if a streamed file that grew by one image has the same hash, or cannot be hashed."""
    np.save(tmp_path / "x.npy", X)
    whole = split_hash(NpyImages(tmp_path / "x.npy"))
    assert whole == split_hash(NpyImages(tmp_path / "x.npy"))
    assert whole != split_hash(NpyImages(tmp_path / "x.npy", np.arange(3)))
    np.save(tmp_path / "x.npy", changed(0))
    assert whole != split_hash(NpyImages(tmp_path / "x.npy"))

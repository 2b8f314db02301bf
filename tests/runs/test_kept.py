"""Long work in pieces: what is kept of it, and that a later call with the same work goes on from there."""

import os

import numpy as np
import pytest

from vae_jax.runs import kept
from vae_jax.runs.kept import forget, in_pieces

X = np.arange(10.0)


class Stopped(BaseException):
    pass


def squares(done, stop_at=None):
    def work(rows):
        if stop_at is not None and rows.stop > stop_at:
            raise Stopped
        done.append((rows.start, rows.stop))
        return {"square": X[rows] ** 2, "pair": np.stack([X[rows], -X[rows]], axis=1)}

    return work


def call(path, work, of=(X, 3)):
    return in_pieces(work, len(X), "numbers squared", piece=3, path=path, of=of)


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(kept, "SECONDS", 0.0)


def check(values):
    np.testing.assert_array_equal(values["square"], X**2)
    np.testing.assert_array_equal(values["pair"], np.stack([X, -X], axis=1))


def test_a_call_goes_on_where_one_was_stopped(tmp_path, often, capsys):
    """Fails if what was done is done again, or is lost, or if the numbers are not those of an unbroken call."""
    path, done = tmp_path / "out.csv", []
    with pytest.raises(Stopped):
        call(path, squares(done, stop_at=6))
    assert [name.name for name in tmp_path.iterdir()] == ["out.csv.partial.npz"]
    check(call(path, squares(done)))
    assert done == [(0, 3), (3, 6), (6, 10)]
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("3/10 numbers squared, ")
    assert out[0].endswith(" s left")
    assert out[-1] == f"{path}.partial.npz: 6 values of an earlier call are read, not computed"
    # Until the result is written, what it is made of is there.
    check(call(path, squares(done)))
    assert len(done) == 3
    forget(path)
    assert list(tmp_path.iterdir()) == []
    forget(path)


@pytest.mark.parametrize("of", [(X, 4), (X + 1, 3), (X[:, None], 3)])
def test_other_work_is_computed_anew(tmp_path, often, capsys, of):
    """Fails if what was kept under other settings or of other data is taken for this."""
    path, done = tmp_path / "out.csv", []
    with pytest.raises(Stopped):
        call(path, squares(done, stop_at=6), of)
    check(call(path, squares(done)))
    assert done[2:] == [(0, 3), (3, 6), (6, 10)]
    assert "of other parameters, examples or settings, computed again" in capsys.readouterr().out


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def forge(path):
    np.savez(path, of="x", sha256="y", seconds=np.float64(1), square=np.zeros(3), pair=np.zeros((3, 2)))


DAMAGES = {
    "a bit": damage,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:50]),
    "empty": lambda path: path.write_bytes(b""),
    "forged": forge,
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_is_computed_anew(tmp_path, often, capsys, damage):
    """Fails if a damaged file stops a call, is waited for, or is believed."""
    path, done = tmp_path / "out.csv", []
    with pytest.raises(Stopped):
        call(path, squares(done, stop_at=6))
    damage(tmp_path / "out.csv.partial.npz")
    check(call(path, squares(done)))
    assert done[2:] == [(0, 3), (3, 6), (6, 10)]
    assert "computed again" in capsys.readouterr().out


def test_a_link_of_a_stranger_is_replaced(tmp_path, often, capsys):
    """Fails if what is kept is written to where a link points, or if the target is removed with it."""
    path, secret = tmp_path / "out.csv", tmp_path / "secret"
    secret.write_text("mine")
    (tmp_path / "out.csv.partial.npz").symlink_to(secret)
    check(call(path, squares([])))
    forget(path)
    assert secret.read_text() == "mine"
    assert [name.name for name in tmp_path.iterdir()] == ["secret"]
    assert "damaged" in capsys.readouterr().out


def test_short_work_says_and_keeps_nothing(tmp_path, capsys):
    """Fails if a call of a second prints lines of progress, or leaves a file behind."""
    check(call(tmp_path / "out.csv", squares([])))
    check(in_pieces(squares([]), len(X), "numbers", piece=100))
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []

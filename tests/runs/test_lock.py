"""One process trains in a folder at a time, and one that was killed does not stand in the way."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.runs.commands import ROOT
from vae_jax import InputError
from vae_jax.paths import as_path
from vae_jax.runs.lock import NAME, locked

HOLDER = """
import sys
from pathlib import Path
from vae_jax.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_holder_is_named_and_a_killed_one_is_followed(tmp_path):
    """Fails if two processes train in one folder, if the second is not told who does, or if a kill blocks it."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, **pipes) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match=rf"is being trained by process {holder.pid} on \S+, started 2\d\d\d-"):
            locked(tmp_path).__enter__()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert json.loads((tmp_path / NAME).read_text())["process"] == holder.pid
    with locked(tmp_path):
        assert json.loads((tmp_path / NAME).read_text())["process"] == os.getpid()
    assert os.listdir(tmp_path) == []


def test_a_lock_of_this_process(tmp_path):
    """Fails if a second run in one process is let in, or if the end of the first, by an error, keeps it out."""

    def twice():
        with locked(tmp_path), locked(tmp_path):
            pytest.fail("locked twice")

    for _ in range(2):
        with pytest.raises(InputError, match=f"process {os.getpid()} "):
            twice()
    with locked(tmp_path):
        pass


@pytest.mark.parametrize(
    "content", ["", "[]", '{"process": 1}', '{"process": 1, "host": "\\u001b[2J", "started": 1}']
)
def test_a_lock_file_of_a_stranger(tmp_path, content):
    """Fails if a file of that name, which nobody holds, keeps a run out, or what it says reaches the terminal."""
    with locked(tmp_path):
        (tmp_path / NAME).write_text(content)
        with pytest.raises(InputError, match=r"is being trained by (another process|process 1 on \\x1b)"):
            locked(tmp_path).__enter__()
    (tmp_path / NAME).write_text(content)
    with locked(tmp_path):
        pass


def test_a_lock_is_not_followed(tmp_path):
    """Fails if a link or a pipe in its place is written to, or waited for."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / NAME).symlink_to(outside)
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "b" / NAME)
    for name in ("a", "b"):
        with pytest.raises(InputError, match=r"run folder|no regular file"), locked(tmp_path / name):
            pytest.fail("locked")
    assert outside.read_text() == "mine"


def test_a_place_that_cannot_be_written(tmp_path):
    """Fails if it gives a traceback, or if a bucket, which has no locks, is refused."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/run: .*choose another by --out"), locked(tmp_path / "file" / "run"):
        pytest.fail("locked")
    with locked(type("Bucket", (), {})()):
        pass
    with locked(as_path(str(tmp_path / "new" / "run"))):
        pass

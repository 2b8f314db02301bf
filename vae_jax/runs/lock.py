"""One process trains in a folder at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vae_jax.errors import InputError, printable
from vae_jax.files import read_bytes
from vae_jax.runs.processes import first_only
from vae_jax.runs.starting import seconds_since_start

NAME = "lock.json"
_HELD = (errno.EWOULDBLOCK, errno.EACCES)
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@contextlib.contextmanager
def locked(folder: Any) -> Iterator[None]:
    """Inside the `with` block no other process trains in `folder`, which is made if need be.

    Of several processes that train together the first holds the lock. lock.json names it, by host, process and
    start; the lock itself is the operating system's, which gives it up when the process ends, however it ends. So
    one that was killed never stands in the way, nor does another process that was given its number. The lock is not
    taken in a bucket, nor on a file system without locks.

    Raises InputError, in all processes, that names the holder where there is one.
    """
    with contextlib.ExitStack() as held:
        first_only(lambda: held.enter_context(_locked(folder)))
        yield


@contextlib.contextmanager
def _locked(folder: Any) -> Iterator[None]:
    if not isinstance(folder, Path):
        yield
        return
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _take(path)
        os.truncate(file, 0)
        os.write(file, json.dumps(_this_process()).encode())
    except OSError as error:
        raise InputError(
            f"run folder {printable(folder)}: {error.strerror}; expected a place that can be written; choose "
            "another by --out"
        ) from error
    try:
        yield
    finally:
        # While it is still held: who opened the file before finds out in `_take` that it is gone.
        path.unlink(missing_ok=True)
        os.close(file)


def _take(path: Path) -> int:
    """An open file that is at `path` and that this process has locked."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise InputError(f"{printable(path)} is no regular file: expected one; remove it")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except FileNotFoundError:  # whoever held it has ended since it was opened
            pass
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return file
            os.close(file)
            if error.errno in _HELD:
                raise _taken(path) from error
            raise
        os.close(file)


def _taken(path: Path) -> InputError:
    try:
        holder = json.loads(read_bytes(path))
        named = f"process {holder['process']} on {holder['host']}, started {holder['started']}"
    except (OSError, ValueError, TypeError, KeyError):  # it is about to be written
        named = "another process"
    return InputError(
        f"{printable(path.parent)} is being trained by {printable(named)}: expected one process a folder; wait "
        "until it has ended, end it, or choose another folder by --out"
    )


def _this_process() -> dict[str, Any]:
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - seconds_since_start()))
    return {"host": socket.gethostname(), "process": os.getpid(), "started": started}

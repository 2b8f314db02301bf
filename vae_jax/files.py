"""Files that are there whole or not at all, in folders that may be a stranger's.

A run folder can hold links and pipes that somebody put there: what is written replaces them, what is read is asked
first whether it is a file. Paths are those of `as_path`; an object in a bucket has no links and appears when whole.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Any

from vae_jax.errors import InputError, printable

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
# An open that would wait for the other end of a pipe fails instead.
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


def write_bytes_atomically(path: Any, content: bytes) -> None:
    """Writes a file that is there whole or not at all, and its folder if need be. Raises InputError if it cannot.

    The content goes to a new file of a name that nobody knew, which is then renamed: a link in the place of `path`
    is replaced and not followed. A process killed in between leaves a file .partial-..., which nothing reads.
    """
    if not isinstance(path, Path):
        path.write_bytes(content)
        return
    fresh = path.with_name(f".partial-{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(fresh, "xb", opener=lambda name, flags: os.open(name, flags | _NO_FOLLOW, 0o666)) as file:
                file.write(content)
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _not_written(path, error) from error


def write_text_atomically(path: Any, content: str) -> None:
    """`write_bytes_atomically` of UTF-8."""
    write_bytes_atomically(path, content.encode())


def append_text(path: Path, text: str) -> None:
    """Appends to a regular file of this machine, which is made if need be. Raises InputError where it cannot.

    A link is refused, and so is a pipe.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | _NO_FOLLOW | _NO_WAIT, 0o666)

    try:
        with open(path, "ab", opener=opener) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(f"{printable(path)} is no regular file: expected one; remove it")
            file.write(text.encode())
    except OSError as error:
        raise _not_written(path, error) from error


def read_bytes(path: Any) -> bytes:
    """The content of a regular file. Raises FileNotFoundError where there is none, InputError for anything else."""
    if not isinstance(path, Path):
        return bytes(path.read_bytes())
    try:
        # Asked before it is opened: the open of a pipe waits for its other end, the read of a device never ends.
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{printable(path)} is no regular file: expected one; remove it")
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(
            f"{printable(path)} cannot be read ({error.strerror}): expected a file with permission to read"
        ) from error


def check_contents(folder: Any) -> None:
    """Raises InputError for a folder from which something would be written, or waited for, elsewhere.

    That is a link to a folder outside or to nothing, and a pipe, a socket or a device, at any depth. Links to files
    are read through, and replaced when the file is written anew. A folder that is not there has nothing of it.
    """
    if not isinstance(folder, Path):
        return
    whole, waiting = folder.resolve(), [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                entries = list(found)
        except (FileNotFoundError, NotADirectoryError):  # also a checkpoint that its run just deleted
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.is_symlink():
                inside = path.is_file() or (path.is_dir() and path.resolve().is_relative_to(whole))
                if not inside and path.is_symlink():
                    raise InputError(
                        f"{printable(path)} is a link out of {printable(folder)}: expected files and folders of "
                        "its own there; remove the link, or choose another folder"
                    )
            elif entry.is_dir():
                waiting.append(entry.path)
            elif path.exists() and not path.is_file():
                raise InputError(
                    f"{printable(path)} is no regular file: expected files and folders in {printable(folder)}; "
                    "remove it"
                )


def _not_written(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{printable(path)} could not be written ({error.strerror}): expected free space, no link in its place and "
        "permission to write there"
    )

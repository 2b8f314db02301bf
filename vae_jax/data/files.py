"""Files and memory, as every reader of files in this folder needs them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from vae_jax.errors import InputError, one_line, printable

_GIB = 2**30


def notice(text: str) -> None:
    """Tells the user, in one line, what was decided for them. text: names in it went through `printable`."""
    print(text, flush=True)


def counted(number: int, noun: str) -> str:
    """A number and its noun: 1 column, 2 columns."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def is_file(path: Path) -> bool:
    """Whether there is a regular file, or a link to one: a pipe would be waited for, a device never ends."""
    with contextlib.suppress(OSError):
        return path.is_file()
    return False


def check_file(path: Path, expected: str) -> None:
    """Raises InputError where there is no regular file; `expected` says what should be there."""
    if is_file(path):
        return
    try:
        path.lstat()
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        problem = "does not exist" if missing else f"cannot be opened ({one_line(error)})"
    else:
        problem = "is no regular file"
    raise InputError(f"{printable(path)} {problem}: expected {expected}")


@contextlib.contextmanager
def readable(path: str | os.PathLike[str], remedy: str) -> Iterator[None]:
    """Turns whatever a damaged or a foreign file provokes into one InputError that names the file and a remedy."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # which types the libraries below raise changes with their versions
        raise InputError(f"{printable(path)} cannot be read ({one_line(error)}): {remedy}") from error


def check_memory(name: str, num_bytes: int, remedy: str) -> None:
    """Raises InputError, before anything is read, where `num_bytes` are more than the memory that is available."""
    available = available_memory()
    if available is not None and num_bytes > available:
        raise InputError(
            f"{name} would take {gib(num_bytes)} of memory, of which {gib(available)} are available: {remedy}"
        )


def gib(num_bytes: int) -> str:
    """So many bytes in GiB, as they are printed; a number of any size, for a user may have written it."""
    return f"{num_bytes / _GIB:,.3g} GiB" if num_bytes < 2**80 else "more than 10^15 GiB"


def available_memory() -> int | None:
    """Bytes that this process may still take, by the system's own account; None where it gives none."""
    limits = []
    with contextlib.suppress(OSError, ValueError, IndexError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    # A container has less than the machine.
    for limit, used in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", None)):
        with contextlib.suppress(OSError, ValueError):
            group = Path("/sys/fs/cgroup")
            taken = int((group / used).read_text()) if used else 0
            limits.append(int((group / limit).read_text()) - taken)
    if not limits:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(limits, default=None)

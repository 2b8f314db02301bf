"""Arrays in .npy files and .npz archives, of which nothing is believed that their size does not bear out."""

from __future__ import annotations

import contextlib
import io
import math
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from vae_jax.data.files import check_file, check_memory, readable
from vae_jax.errors import InputError, printable
from vae_jax.paths import local_path

_HEADER_BYTES = 2**16
_COPIES = 2  # of an array: what was read, and its parts when it is cut or cast
NPY_MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK"
SAVE_AGAIN = "save it again by numpy.save or numpy.savez, without pickled objects"
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class Header(NamedTuple):
    """What a .npy file says of its array."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    offset: int  # bytes before the array

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes], size: int, name: str) -> Header:
    """The header at the beginning of `file`, known to describe what the file has: `size` bytes.

    Raises InputError, which calls the file `name`, where the header is damaged or fits another size.
    """
    with readable(name, SAVE_AGAIN):
        start = file.read(12)
        version = np.lib.format.read_magic(io.BytesIO(start))
        if version not in _READERS:
            raise ValueError(f"format version {version}, expected (1, 0) or (2, 0)")
        length = int.from_bytes(start[8 : 10 if version == (1, 0) else 12], "little")
        # Before NumPy reads as many bytes as the header claims to have.
        if length > _HEADER_BYTES:
            raise ValueError(f"a header of {length} bytes")
        content = io.BytesIO(start + file.read(length))
        content.seek(8)
        shape, fortran_order, dtype = _READERS[version](content)
        header = Header(tuple(int(n) for n in shape), fortran_order, dtype, content.tell())
    if dtype.hasobject:
        raise InputError(f"{name} has dtype {dtype}, Python objects, which are not opened: {SAVE_AGAIN}")
    if min(header.shape, default=0) < 0 or header.offset + header.num_bytes != size:
        raise InputError(
            f"{name} has {size} bytes, but its header describes {header.offset + header.num_bytes}, shape "
            f"{header.shape} of {dtype}: expected a whole file; copy or save it again"
        )
    return header


def check_array_memory(header: Header, name: str) -> None:
    """Raises InputError where the array, twice, is more than the memory that is available."""
    remedy = "keep fewer or smaller examples, or stream a .npy file (--stream)"
    check_memory(f"{name}, shape {header.shape} of {header.dtype},", _COPIES * header.num_bytes, remedy)


class Archive:
    """A .npy file, or the arrays of an .npz file by their keys; each is read when it is asked for, no other.

    The one array of a .npy file has the key "". Raises InputError for a file that is missing, damaged or encrypted.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = local_path(path)
        check_file(self.path, "a .npy or .npz file, or a folder of images")
        self._zip: zipfile.ZipFile | None = None
        with readable(self.path, SAVE_AGAIN):
            self._file = self.path.open("rb")
        try:
            with readable(self.path, SAVE_AGAIN):
                magic = self._file.read(len(NPY_MAGIC))
                if magic.startswith(ZIP_MAGIC):
                    self._zip = zipfile.ZipFile(self._file)
                elif magic != NPY_MAGIC:
                    raise ValueError(f"it begins with {magic!r}")
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def keys(self) -> list[str]:
        if self._zip is None:
            return [""]
        return [name.removesuffix(".npy") for name in self._zip.namelist() if name.endswith(".npy")]

    def called(self, key: str) -> str:
        """The array as messages call it."""
        return f"{printable(self.path)}[{key!r}]" if key else printable(self.path)

    def header(self, key: str) -> Header:
        with readable(self.called(key), SAVE_AGAIN), self._open(key) as (file, size):
            return read_header(file, size, self.called(key))

    def read(self, key: str) -> Shaped[np.ndarray, "..."]:
        """The whole array; raises InputError where it is damaged, or more than the memory that is available."""
        check_array_memory(self.header(key), self.called(key))
        with readable(self.called(key), SAVE_AGAIN), self._open(key) as (file, _):
            array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
            file.read(1)  # at its end an archive compares the sum of the bytes
        return array

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[tuple[IO[bytes], int]]:
        if self._zip is None:
            self._file.seek(0)
            yield self._file, os.fstat(self._file.fileno()).st_size
        else:
            info = self._zip.getinfo(f"{key}.npy")
            with self._zip.open(info) as member:
                yield member, info.file_size


class NpyRows:
    """Examples of a .npy file, [N, *event] of numbers, read one by one when they are asked for: a `Source`.

    `rows`: which of them, int [n]; by default all. The file is not mapped into memory, so what was read does not
    count as the memory of the process. Raises InputError for a file that cannot be read, is in Fortran order, or
    holds no numbers.
    """

    def __init__(self, path: str | os.PathLike[str], rows: np.ndarray | None = None):
        self.path = local_path(path)
        name = printable(self.path)
        check_file(self.path, "a .npy file as numpy.save writes it")
        with readable(self.path, "expected a .npy file as numpy.save writes it"):
            self._file = self.path.open("rb", buffering=0)
        self.header = read_header(self._file, os.fstat(self._file.fileno()).st_size, name)
        if self.header.dtype.kind not in "buif" or not self.header.shape or self.header.num_bytes == 0:
            raise InputError(
                f"{name} has dtype {self.header.dtype} and shape {self.header.shape}: expected numbers to stream, "
                "[N, ...]; save them so"
            )
        if self.header.fortran_order:
            raise InputError(f"{name} is in Fortran order: expected examples to stream in C order; save them so")
        self.rows = np.arange(self.header.shape[0]) if rows is None else rows
        self._size = math.prod(self.header.shape[1:]) * self.header.dtype.itemsize

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> np.ndarray:
        row: np.ndarray = self.block(int(self.rows[index]), 1)[0]
        return row

    def block(self, first: int, num: int) -> Shaped[np.ndarray, " num *event"]:
        """Rows `first`, `first` + 1, ... of the file, whatever `rows` are: [num, *event]."""
        # Unlike seek and read, this may be called from several threads.
        data = os.pread(self._file.fileno(), num * self._size, self.header.offset + first * self._size)
        if len(data) != num * self._size:
            raise InputError(
                f"{printable(self.path)} ends inside example {first + len(data) // self._size}: expected it whole; "
                "copy it again"
            )
        array: np.ndarray = np.frombuffer(data, self.header.dtype).reshape(num, *self.header.shape[1:])
        return array


class NpyImages:
    """Images of a .npy file, uint8 [N, H, W] or [N, H, W, C], read one by one when they are asked for: a `Source`.

    `rows`: which of them, int [n]; by default all. An axis C = 1 is added to [N, H, W]. Raises InputError for other
    dtypes and shapes, and where `NpyRows` does.
    """

    def __init__(self, path: str | os.PathLike[str], rows: np.ndarray | None = None):
        self._all = NpyRows(path, rows)
        header = self._all.header
        if header.dtype != np.uint8 or len(header.shape) not in (3, 4):
            raise InputError(
                f"{printable(self._all.path)} has dtype {header.dtype} and shape {header.shape}: expected "
                "images to stream, uint8 [N, H, W] or [N, H, W, C]; save them so"
            )
        self.path, self.rows = self._all.path, self._all.rows
        self.event = header.shape[1:] if len(header.shape) == 4 else (*header.shape[1:], 1)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> np.ndarray:
        image: np.ndarray = self._all[index].reshape(self.event)
        return image


def is_archive(path: Path) -> bool:
    """Whether the name is that of a .npy or .npz file, in capitals or not."""
    return path.suffix.lower() in (".npy", ".npz")

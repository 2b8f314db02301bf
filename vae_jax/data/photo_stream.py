"""Photos that do not fit into memory: decoded by several threads when they are wanted, then kept on disk."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile

import numpy as np
from jaxtyping import UInt8

from vae_jax.data.photos import Album
from vae_jax.data.threads import in_threads


class AlbumImages:
    """The images of an album, uint8 [H, W, C], decoded when they are asked for: a `Source`.

    `rows`: which of them, int [n]. Each is decoded once: its pixels stay in a file without a name in the folder for
    temporary files, which the system removes with the process. Where that has no room, each visit decodes anew.
    """

    def __init__(self, album: Album, rows: np.ndarray):
        self.album, self.rows = album, rows
        self._size = math.prod(album.shape)
        self._kept = np.zeros(len(album.headers), bool)
        self._cache = None
        with contextlib.suppress(OSError):
            if shutil.disk_usage(tempfile.gettempdir()).free > 2 * self._size * len(rows):
                self._cache = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as this source)

    @property
    def cached(self) -> bool:
        """Whether there is room for the pixels of all images."""
        return self._cache is not None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "H W C"]:
        return self._image(int(self.rows[index]))

    def __getitems__(self, index: list[int], /) -> list[UInt8[np.ndarray, "H W C"]]:
        rows = [int(self.rows[i]) for i in index]
        if self._kept[rows].all():
            return [self._image(row) for row in rows]
        return list(in_threads(self._image, rows))

    def _image(self, row: int) -> np.ndarray:
        if self._cache is not None and self._kept[row]:
            data = os.pread(self._cache.fileno(), self._size, row * self._size)
            if len(data) == self._size:
                return np.frombuffer(data, np.uint8).reshape(self.album.shape)
        image = self.album.decoded(row)
        if self._cache is not None:
            # A disk that is full meanwhile is no reason to stop.
            with contextlib.suppress(OSError):
                written = os.pwrite(self._cache.fileno(), image.tobytes(), row * self._size)
                self._kept[row] = written == self._size
        return image

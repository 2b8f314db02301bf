"""The files that dSprites and 3D Shapes come in, read a block of images at a time.

A reader takes the file and the shape [N, H, W, C] that its images have, and returns labels [N, k], one column a
factor, and blocks of images, each uint8 [n, H, W, C], in the order of the file. It raises whatever the libraries
below raise, or ValueError, for a file with other content: the caller knows what the user can do about it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from vae_jax.errors import InputError

_BLOCK_BYTES = 2**24
_CHUNK_BYTES = 2**29  # the most that is read at once to meet each compressed chunk of an HDF5 file only once


class Content(NamedTuple):
    """What a file has; the images are read as they are asked for."""

    labels: Int[np.ndarray, "N k"]
    blocks: Iterator[UInt8[np.ndarray, "n H W C"]]


def read_dsprites(path: Path, shape: tuple[int, ...]) -> Content:
    """dSprites: a .npz with `imgs` uint8 [N, H, W] of 0 and 1, and `latents_classes` [N, 6].

    The images become 0 and 255. The first class, the colour, is white throughout and left out.
    """
    with np.load(path, allow_pickle=False) as archive:
        classes = archive["latents_classes"]
    if classes.ndim != 2 or np.any(classes[:, 0] != classes[0, 0]):
        raise ValueError(
            f"latents_classes of shape {classes.shape}, expected [N, 6] with the colour, constant, first"
        )
    return Content(classes[:, 1:], _dsprites_blocks(path, shape))


def _dsprites_blocks(path: Path, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    # Not archive["imgs"], which is 3 GB in one piece.
    with np.load(path, allow_pickle=False) as archive, archive.zip.open("imgs.npy") as member:
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[np.lib.format.read_magic(member)]
        found, fortran_order, dtype = read_header(member)
        _check_images("imgs", found, dtype, shape[:-1])
        if fortran_order:
            raise ValueError("imgs are in Fortran order, expected C order")
        for rows in _lengths(shape[0], _rows(shape, _BLOCK_BYTES)):
            block = np.frombuffer(member.read(rows * math.prod(shape[1:])), np.uint8).reshape(rows, *shape[1:])
            if block.max() > 1:
                raise ValueError(f"imgs have the value {block.max()}, expected 0 and 1")
            yield 255 * block


def read_shapes3d(path: Path, shape: tuple[int, ...]) -> Content:
    """3D Shapes: an HDF5 file with `images` uint8 [N, H, W, C] and `labels` float64 [N, k], the factors' values.

    Raises: InputError if h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            f"reading {path} needs h5py, which is not installed: pip install 'vae-jax[shapes3d]'"
        ) from error
    with h5py.File(path, "r") as file:
        labels = file["labels"][()]

    def blocks() -> Iterator[np.ndarray]:
        with h5py.File(path, "r") as file:
            images = file["images"]
            _check_images("images", images.shape, images.dtype, shape)
            rows = _rows(shape, _BLOCK_BYTES)
            if images.chunks:
                # A slice that ends inside a chunk costs decompressing all of that chunk, and again for the next.
                whole = images.chunks[0] * max(1, rows // images.chunks[0])
                rows = min(whole, _rows(shape, _CHUNK_BYTES))
            start = 0
            for length in _lengths(shape[0], rows):
                yield images[start : start + length]
                start += length

    return Content(labels, blocks())


def _rows(shape: tuple[int, ...], num_bytes: int) -> int:
    return max(1, num_bytes // math.prod(shape[1:]))


def _lengths(total: int, rows: int) -> Iterator[int]:
    for start in range(0, total, rows):
        yield min(rows, total - start)


def _check_images(name: str, found: tuple[int, ...], dtype: np.dtype, expected: tuple[int, ...]) -> None:
    if found != expected or dtype != np.uint8:
        raise ValueError(f"{name} of shape {found} and dtype {dtype}, expected {expected} and uint8")

"""One entry for every image data set: a known name or a path, in; training, validation and test arrays, out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae_jax.data.arrays import as_images, load_arrays
from vae_jax.data.builders import DATA_SETS, load
from vae_jax.data.stream import NpyImages, gather
from vae_jax.errors import InputError


class Split(NamedTuple):
    """Images, uint8 or float32 in [0, 1], [N, H, W, C]; labels int32 [N], or None where there are none."""

    images: Any
    labels: np.ndarray | None


class Splits(NamedTuple):
    """What a model learns from, what decides which checkpoint is best, and what the reported numbers are of."""

    train: Split
    validation: Split
    test: Split


def load_splits(
    data: str, *, data_dir: str | None = None, manual_dir: str | None = None, num_validation: int = 5000
) -> Splits:
    """Training, validation and test images of `mnist`, `fashion_mnist`, or of a user's own file or folder.

    The validation images are `num_validation` of the training images, drawn with a fixed seed (a tenth of
    them, where that is fewer). Own data, as `load_arrays` reads them, are cut 80:20 into training and test
    images by the same seed. Raises InputError for an unknown name, and for what the loaders raise it.
    """
    if data in DATA_SETS:
        train, test = (Split(*load(data, s, data_dir=data_dir, manual_dir=manual_dir)) for s in ("train", "test"))
    elif Path(data).exists():
        whole = Split(*load_arrays(data))
        _check_images(data, *whole.images.shape)
        test, train = _cut(whole, len(whole.images) // 5)
    else:
        raise InputError(
            f"unknown data set {data!r}: expected {', '.join(DATA_SETS)}, or the path of an .npz or .npy file "
            "or of a folder of images (no such file here)"
        )
    validation, train = _cut(train, _size_of_validation(len(train.images), num_validation))
    return Splits(train, validation, test)


def stream_splits(
    path: str, *, num_validation: int = 5000, num_test: int = 10_000, max_bytes: int = 2**28
) -> Splits:
    """The splits of a .npy file too large for memory: `train.images` are `NpyImages`, the others arrays.

    Up to 50,000 images the splits are those of `load_splits`; of more, no more than `num_test` are test images.
    Of large images, validation and test hold fewer: `max_bytes` (256 MiB) each, but at least one image.
    Raises InputError for what `NpyImages` raises it, and for fewer than 20 images.
    """
    whole = NpyImages(path)
    _check_images(path, len(whole), *whole.event)
    most = max(1, max_bytes // int(np.prod(whole.event)))
    test, rest = _cut_rows(len(whole), min(len(whole) // 5, num_test, most))
    size = min(_size_of_validation(len(rest), num_validation), most)
    validation, train = (rest[i] for i in _cut_rows(len(rest), size))
    held_out = (Split(as_images(gather(whole, rows), path), None) for rows in (validation, test))
    return Splits(Split(NpyImages(path, train), None), *held_out)


def check_labels(split: Split, num_classes: int) -> np.ndarray:
    """The labels, [N]; raises InputError where they are missing or outside 0..num_classes - 1, naming the first."""
    if num_classes < 1:
        raise InputError(f"num_classes {num_classes}: expected at least 1")
    if split.labels is None:
        raise InputError(
            "the data have no labels: expected one per image as the condition (key `labels` in an .npz)"
        )
    bad = np.flatnonzero((split.labels < 0) | (split.labels >= num_classes))
    if bad.size:
        raise InputError(
            f"label {split.labels[bad[0]]} of image {bad[0]}: expected a condition in 0..{num_classes - 1}; "
            "set --num-classes"
        )
    return split.labels


def _check_images(name: str, num: int, *event: int) -> None:
    if num < 20:
        raise InputError(f"{name}: {num} images; expected at least 20, to train, to validate and to test")
    if event[-1] not in (1, 3):
        raise InputError(
            f"{name}: images of shape {event}; expected [H, W], [H, W, 1] or [H, W, 3]; drop the other channels"
        )


def _size_of_validation(num: int, wanted: int) -> int:
    return min(wanted, max(2, num // 10))


def _cut(split: Split, first: int) -> tuple[Split, Split]:
    parts = _cut_rows(len(split.images), first)
    return tuple(Split(split.images[i], None if split.labels is None else split.labels[i]) for i in parts)  # type: ignore[return-value]


def _cut_rows(num: int, first: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(0).permutation(num)
    return np.sort(order[:first]), np.sort(order[first:])

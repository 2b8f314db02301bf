"""One entry for every image data set: a known name or a path, in; training, validation and test arrays, out."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from vae_jax.data.arrays import Split as Split
from vae_jax.data.arrays import as_images, load_parts
from vae_jax.data.builders import DATA_SETS, load
from vae_jax.data.cutting import cut_rows, size_of_validation
from vae_jax.data.images import UNIT, resized
from vae_jax.data.npy import NpyImages
from vae_jax.data.streaming import gather
from vae_jax.errors import InputError, printable
from vae_jax.paths import local_path


class Splits(NamedTuple):
    """What a model learns from, what decides which checkpoint is best, and what the reported numbers are of."""

    train: Split
    validation: Split
    test: Split


def load_splits(
    data: str,
    *,
    data_dir: str | None = None,
    manual_dir: str | None = None,
    num_validation: int = 5000,
    size: int | None = None,
    support: tuple[float, float] = UNIT,
) -> Splits:
    """Training, validation and test images of `mnist`, `fashion_mnist`, or of a user's own file or folder.

    The validation images are `num_validation` of the training images, drawn with a fixed seed (a tenth of
    them, where that is fewer). Own data, as `load_arrays` reads them, are cut 80:20 into training and test
    images by the same seed. Parts that the data bring along (`x_test`, a folder `val`) are kept as they are.
    `size`: side of the squares that images are resized to, and `support`, as in `load_arrays`. Labels that cannot
    be used are no error until `check_labels`. Raises InputError for an unknown name, and for what the loaders raise
    it.
    """
    if data in DATA_SETS:
        parts = {}
        for name in ("train", "test"):
            images, labels = load(data, name, data_dir=data_dir, manual_dir=manual_dir)
            parts[name] = Split(resized(images, size, f"{data} {name}"), labels, DATA_SETS[data].classes)
    elif data and os.path.lexists(local_path(data)):
        parts = load_parts(data, size=size, support=support)
        total = sum(len(split.images) for split in parts.values())
        _check_images(data, total, *next(iter(parts.values())).images.shape[1:])
    else:
        raise InputError(
            f"unknown data set {data!r}: expected {', '.join(DATA_SETS)}, or the path of an .npz or .npy file "
            "or of a folder of images (no such file here)"
        )
    train = parts["all" if "all" in parts else "train"]
    test, validation = parts.get("test"), parts.get("validation")
    if test is None:
        test, train = _cut(train, len(train.images) // 5)
    if validation is None:
        validation, train = _cut(train, size_of_validation(len(train.images), num_validation))
    if not len(train.images) or not len(test.images):
        raise InputError(f"{printable(data)}: too few training images to be cut; expected at least 5")
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
    test, rest = cut_rows(np.arange(len(whole)), min(len(whole) // 5, num_test, most), "random")
    size = min(size_of_validation(len(rest), num_validation), most)
    validation, train = cut_rows(rest, size, "random")
    held_out = (Split(as_images(gather(whole, rows), path), None) for rows in (validation, test))
    return Splits(Split(NpyImages(path, train), None), *held_out)


def check_labels(split: Split, num_classes: int) -> Int[np.ndarray, " N"]:
    """The labels, [N]; raises InputError where they are missing or outside 0..num_classes - 1, naming the first."""
    if num_classes < 1:
        raise InputError(f"num_classes {num_classes}: expected at least 1")
    if split.problem is not None:
        raise InputError(split.problem)
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
        raise InputError(
            f"{printable(name)}: {num} images; expected at least 20, to train, to validate and to test"
        )
    if event[-1] not in (1, 3):
        raise InputError(
            f"{printable(name)}: images of shape {event}; expected [H, W], [H, W, 1] or [H, W, 3]; drop the other "
            "channels"
        )


def _cut(split: Split, first: int) -> tuple[Split, Split]:
    def rows(i: np.ndarray) -> Split:
        return split._replace(images=split.images[i], labels=None if split.labels is None else split.labels[i])

    ours, others = cut_rows(np.arange(len(split.images)), first, "random")
    return rows(ours), rows(others)

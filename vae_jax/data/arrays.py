"""A user's own images: a .npy or .npz file, or a folder, and the split that they come with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Num, Shaped

from vae_jax.data.files import check_file
from vae_jax.data.images import UNIT, check_form, check_size, resized
from vae_jax.data.images import as_images as as_images
from vae_jax.data.images import check_images as check_images
from vae_jax.data.images import is_grey as is_grey
from vae_jax.data.labels import as_labels, check_label_form
from vae_jax.data.npy import Archive, is_archive
from vae_jax.data.photos import load_photos
from vae_jax.errors import InputError, printable
from vae_jax.paths import local_path

_IMAGE_WORDS = ("images", "image", "x")
_LABEL_WORDS = ("labels", "label", "y")
VALUE_WORDS = (*_IMAGE_WORDS, "data", "values", "counts", "series", "table")
_PARTS = {
    **{"train": "train", "training": "train", "test": "test"},
    **{"val": "validation", "valid": "validation", "validation": "validation"},
}


class Split(NamedTuple):
    """Images, uint8 or float32 in a `support`, [N, H, W, C]; labels int32 [N], or None where there are none.

    `classes`: what the labels stand for, where the data name it. `problem`: why labels cannot be used, for a run
    that uses them; other runs need not know.
    """

    images: Any
    labels: Int[np.ndarray, " N"] | None
    classes: tuple[str, ...] | None = None
    problem: str | None = None


def load_arrays(
    path: str | os.PathLike[str], *, size: int | None = None, support: tuple[float, float] = UNIT
) -> tuple[Num[np.ndarray, "N H W C"], Int[np.ndarray, " N"] | None]:
    """All images, and labels where there are any, from one of

    - `.npy`: the images;
    - `.npz`: the images under `images` or `x` or as the only array, the labels under `labels` or `y`; or parts, as
      Keras (`x_train`, `y_test`) and MedMNIST (`train_images`, `val_labels`) name them;
    - a folder of images; where they lie in sub-folders, these are the classes 0, 1, ..., sorted by name, numbers by
      value. Images in grey alone give one channel, otherwise all become RGB; what is transparent is
      laid on white.

    Parts, of an archive or as the folders `train`, `val` and `test`, follow one another; see `load_parts`.

    Args:
      size: every image is cut to its middle square and resized to size x size. By default images stay as they are,
        and photos that differ in size get one that is printed.
      support: of the likelihood, as `as_images` has it.

    Returns:
      images: uint8 [N, H, W, C] of 0..255, or float32 [N, H, W, C] in `support`; an axis C = 1 is added to
        [N, H, W]. Booleans become 0.0 and 1.0.
      labels: int32 [N], or None. Names are numbered in their order.

    Raises:
      InputError: the file is missing, damaged, pickled, larger than the memory, or holds something else; Pillow is
        not installed.
    """
    parts = list(load_parts(path, size=size, support=support).values())
    if parts[0].problem is not None:
        raise InputError(parts[0].problem)
    images = [part.images for part in parts]
    labels = [part.labels for part in parts if part.labels is not None]
    if len(parts) == 1:
        return images[0], parts[0].labels
    return np.concatenate(images), np.concatenate(labels) if labels else None


def load_parts(
    path: str | os.PathLike[str], *, size: int | None = None, support: tuple[float, float] = UNIT
) -> dict[str, Split]:
    """As `load_arrays`, by part: "all", or where the data bring a split some of "train", "validation", "test".

    Labels that cannot be used are no error here: `Split.problem` says why, and `check_labels` raises it.
    """
    check_size(size)
    path = local_path(path)
    if path.is_dir():
        photos = load_photos(path, size)
        return {part: Split(images, labels, photos.classes) for part, (images, labels) in photos.parts.items()}
    expected = "a .npy or .npz file, or a folder of images"
    check_file(path, expected)
    if not is_archive(path):
        raise InputError(f"{printable(path)} is neither .npy, .npz nor a folder: expected {expected}")
    with Archive(path) as archive:
        return _from_archive(archive, size, support)


def _from_archive(archive: Archive, size: int | None, support: tuple[float, float]) -> dict[str, Split]:
    image_keys, label_keys = keys_by_part(archive)
    for key in image_keys.values():
        header = archive.header(key)
        check_form(header.shape, header.dtype, archive.called(key))
    images = {}
    for part, key in image_keys.items():
        called = archive.called(key)
        images[part] = resized(as_images(archive.read(key), called, support=support), size, called)
    _check_alike(archive, image_keys, images)
    labels: Mapping[str, np.ndarray] = {}
    classes, problem = None, None
    if label_keys:
        try:
            labels, classes = read_labels(archive, label_keys, images)
        except InputError as error:
            problem = str(error)
    return {part: Split(array, labels.get(part), classes, problem) for part, array in images.items()}


def keys_by_part(
    archive: Archive, words: tuple[str, ...] = _IMAGE_WORDS, *, beside: str | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """The keys of the images and of the labels, each by the part that they are of; the only array is images.

    words: what images, or other values, may be called. beside: an array that is no candidate. Raises InputError
    where that leaves a choice, or nothing.
    """
    found: dict[str, dict[str, str]] = {"images": {}, "labels": {}}
    names = {key: _meaning(key, words) for key in archive.keys}
    for key, meaning in names.items():
        if meaning is not None and key != beside:
            what, part = meaning
            if part in found[what]:
                one, other = printable(found[what][part]), printable(key)
                raise InputError(f"{archive.called('')} has the {what} {one!r} and {other!r}: expected one of them")
            found[what][part] = key
    named = {beside} if words == _IMAGE_WORDS else {"columns", "feature_names", beside}
    others = [
        key for key, meaning in names.items() if key not in named and (meaning is None or meaning[0] != "labels")
    ]
    if not found["images"] and len(others) == 1:
        found["images"]["all"] = others[0]
    parts = found["images"]
    if ("all" not in parts and "train" not in parts) or ("all" in parts and len(parts) > 1):
        some, more = sorted(archive.keys)[:8], " and more" if len(archive.keys) > 8 else ""
        what = "images under 'images'" if words == _IMAGE_WORDS else "examples under 'data'"
        raise InputError(
            f"{archive.called('')} has the arrays {some}{more}: expected the {what} or 'x', or "
            "parts under 'x_train' and 'x_test' (labels, if any, under 'labels' or 'y', or 'y_train' and 'y_test')"
        )
    order = [part for part in ("all", "train", "validation", "test") if part in parts]
    labels = {part: key for part, key in found["labels"].items() if part in parts}
    return {part: parts[part] for part in order}, labels


def _meaning(key: str, values: tuple[str, ...]) -> tuple[str, str] | None:
    """("images" or "labels", the part) of a key such as x_train, train_images or y; None for another."""
    words = key.lower().split("_")
    parts = [_PARTS[word] for word in words if word in _PARTS]
    rest = [word for word in words if word not in _PARTS]
    if len(rest) != 1 or len(parts) > 1:
        return None
    part = parts[0] if parts else "all"
    if values == VALUE_WORDS and rest[0] in ("target", "targets"):  # as scikit-learn calls them
        return "labels", part
    if rest[0] in values:
        return "images", part
    return ("labels", part) if rest[0] in _LABEL_WORDS else None


def read_labels(
    archive: Archive, keys: Mapping[str, str], images: Mapping[str, Shaped[np.ndarray, " _ *event"]]
) -> tuple[dict[str, Int[np.ndarray, " _"]], tuple[str, ...] | None]:
    """Labels int32 [N] for each part, and their names where they are names; raises InputError for what is none."""
    missing = [part for part in images if part not in keys]
    if missing:
        raise InputError(f"{archive.called('')} has no labels for the part {missing[0]!r}: expected them for all")
    for part, key in keys.items():
        header = archive.header(key)
        check_label_form(header.shape, header.dtype, len(images[part]), archive.called(key))
    named, classes = as_labels({archive.called(key): archive.read(key) for key in keys.values()})
    return {part: named[archive.called(key)] for part, key in keys.items()}, classes


def _check_alike(archive: Archive, keys: Mapping[str, str], images: Mapping[str, np.ndarray]) -> None:
    (first, one), *others = images.items()
    for part, other in others:
        if (other.shape[1:], other.dtype) != (one.shape[1:], one.dtype):
            raise InputError(
                f"{archive.called(keys[part])} has images {other.dtype}{list(other.shape[1:])}, but "
                f"{keys[first]!r} {one.dtype}{list(one.shape[1:])}: expected one kind in all parts"
            )

"""Classes as the numbers 0, 1, ..., from integers or from names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int, Shaped

from vae_jax.errors import InputError

_ONE_EACH = "expected one label an image, integers 0, 1, ... or names"


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A key for `sorted` by which 2 comes before 10, and class_2 before class_10."""
    pieces = re.split(r"([0-9]+)", name)
    # The whole name last, for 01 and 1 are two.
    return [*((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces if p), (2, 0, name)]


def number_classes(names: Sequence[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """The number of each class, its place in natural order, and the names in this order."""
    classes = tuple(sorted(set(names), key=natural_order))
    return {name: i for i, name in enumerate(classes)}, classes


def check_label_form(shape: tuple[int, ...], dtype: np.dtype, num_images: int, name: str) -> None:
    """Raises InputError for labels, called `name`, that are not one integer or one name an image."""
    if shape not in ((num_images,), (num_images, 1)):
        remedy = "; take the argmax of one-hot labels" if len(shape) == 2 and shape[0] == num_images else ""
        raise InputError(f"{name} has shape {shape}: expected ({num_images},), one label an image{remedy}")
    if dtype.kind not in "buiUS":
        raise InputError(f"{name} has dtype {dtype}: {_ONE_EACH}")


def as_labels(
    parts: Mapping[str, Shaped[np.ndarray, " _ ..."]],
) -> tuple[dict[str, Int[np.ndarray, " _"]], tuple[str, ...] | None]:
    """Labels int32 [N] of each part of a data set, and the names of the classes where the labels are names.

    parts: by the name of the array, [N] or [N, 1], of which `check_label_form` holds. Names are numbered over all
    parts together. Raises InputError for integers that are negative or beyond 32 bits.
    """
    flat = {name: labels.reshape(-1) for name, labels in parts.items()}
    if all(labels.dtype.kind in "bui" for labels in flat.values()):
        for name, labels in flat.items():
            outside = (labels < 0) | (labels > np.iinfo(np.int32).max)
            if outside.any():
                place = int(np.argmax(outside))
                raise InputError(f"{name} has the value {labels[place]} at index ({place},): {_ONE_EACH}")
        return {name: labels.astype(np.int32) for name, labels in flat.items()}, None
    texts = {name: [_text(label) for label in labels.tolist()] for name, labels in flat.items()}
    number, classes = number_classes([text for found in texts.values() for text in found])
    return {name: np.array([number[t] for t in found], np.int32) for name, found in texts.items()}, classes


def _text(label: object) -> str:
    return label.decode(errors="backslashreplace") if isinstance(label, bytes) else str(label)

"""Data sets that are known by a name: images with a split of their own, and two that scikit-learn brings along."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vae_jax.data.builders import DATA_SETS, load
from vae_jax.data.columns import Column, Kind
from vae_jax.data.contents import Contents
from vae_jax.data.factors import FACTOR_DATA_SETS, load_factors
from vae_jax.data.files import check_memory, notice
from vae_jax.data.found import Part
from vae_jax.data.images import resized
from vae_jax.data.tables import find_table
from vae_jax.data.text_tables import RawTable
from vae_jax.errors import InputError

_BUNDLED = ("digits", "breast_cancer")
NAMED = (*DATA_SETS, *_BUNDLED, *FACTOR_DATA_SETS)
_COPIES = 2  # what is read, and the parts that it is cut into


def read_named(
    name: str,
    *,
    kinds: Mapping[str, Kind] | Kind | None,
    size: int | None,
    data_dir: str | None,
    manual_dir: str | None,
) -> Contents:
    """One of `NAMED`; arguments as of `find`. Raises InputError for a missing package, and where loaders do."""
    if kinds is not None and name != "breast_cancer":
        raise InputError(f"{name}: expected no kinds, which are of the columns of a table; leave them out")
    if name in DATA_SETS:
        parts = {}
        for part in ("train", "test"):
            images, labels = load(name, part, data_dir=data_dir, manual_dir=manual_dir)
            parts[part] = Part(resized(images, size, f"{name} {part}"), labels)
        return Contents(parts, "images", "a known data set", "levels", classes=DATA_SETS[name].classes)
    if name in FACTOR_DATA_SETS:
        return _with_factors(name, size, data_dir, manual_dir)
    if name == "digits":
        return _digits(size)
    if size is not None:
        raise InputError(f"{name} is a table: expected no size; leave it out")
    return _breast_cancer(kinds)


def _with_factors(name: str, size: int | None, data_dir: str | None, manual_dir: str | None) -> Contents:
    known = FACTOR_DATA_SETS[name]
    total = math.prod(known.factor_sizes)
    check_memory(
        f"{name}, {total} images,",
        _COPIES * total * math.prod(known.image_shape),
        "free some, or draw fewer by vae_jax.data.load_factors and save them as .npy",
    )
    images, factors = load_factors(name, data_dir=data_dir, manual_dir=manual_dir)
    part = Part(resized(images, size, name), np.arange(len(images), dtype=np.int32))
    return Contents({"all": part}, "images", "a known data set", "levels", factors=factors)


def _digits(size: int | None) -> Contents:
    found = _sklearn("digits").load_digits()
    # Of 16 steps; as bytes, so that dequantization bounds a density that would be unbounded on so few values.
    images = np.round(found.images * (255 / 16)).astype(np.uint8)[..., None]
    part = Part(resized(images, size, "digits"), found.target.astype(np.int32))
    classes = tuple(str(name) for name in found.target_names)
    notice("digits: 16 steps of grey as bytes, white is 255")
    return Contents({"all": part}, "images", "a known data set", "levels", classes=classes)


def _breast_cancer(kinds: Mapping[str, Kind] | Kind | None) -> Contents:
    found = _sklearn("breast_cancer").load_breast_cancer()
    names = tuple(str(name) for name in found.feature_names)
    table = find_table(RawTable(names, list(found.data.T)), "breast_cancer", kinds=kinds)
    columns: tuple[Column, ...] = table.columns
    part = Part(table.values, found.target.astype(np.int32))
    classes = tuple(str(name) for name in found.target_names)
    return Contents({"all": part}, "table", "a known data set", table.stored, columns, classes)


def _sklearn(what: str) -> Any:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise InputError(
            f"{what} comes with scikit-learn, which is not installed: pip install 'vae-jax[metrics]'"
        ) from error
    return datasets

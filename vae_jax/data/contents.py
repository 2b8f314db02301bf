"""What a file or a folder has: values in their own units by part, and their form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from vae_jax.data.arrays import VALUE_WORDS, keys_by_part, read_labels
from vae_jax.data.columns import Column, Kind
from vae_jax.data.files import check_file
from vae_jax.data.forms import Typed, typed
from vae_jax.data.found import Form, Part, Stored
from vae_jax.data.images import resized
from vae_jax.data.npy import Archive, is_archive
from vae_jax.data.photos import load_photos
from vae_jax.data.tables import as_table, find_table
from vae_jax.data.text_tables import is_text_table, read_text_table
from vae_jax.errors import InputError, printable

EXPECTED = "a .csv, .npy or .npz file, or a folder of images"
_NAMES_KEYS = ("columns", "feature_names")


class Contents(NamedTuple):
    """Values in their own units by part, "all" or of "train", "validation" and "test"; other fields as in `Found`.

    Where there are `factors`, int32 [N, k], the labels are the numbers of the examples.
    """

    parts: dict[str, Part]
    form: Form
    reason: str
    stored: Stored
    columns: tuple[Column, ...] | None = None
    classes: tuple[str, ...] | None = None
    label: str | None = None
    problem: str | None = None
    factors: Int[np.ndarray, "N k"] | None = None


def read_contents(
    path: Path,
    *,
    form: Form | None = None,
    kinds: Mapping[str, Kind] | Kind | None = None,
    label: str | None = None,
    size: int | None = None,
) -> Contents:
    """All of a file or a folder; arguments as of `find`. Raises InputError for what cannot be read or used so."""
    name = printable(path)
    if path.is_dir():
        other = form not in (None, "images") and form
        _refuse(name, "a folder of images", other, kinds and "kinds", label and "label")
        photos = load_photos(path, size)
        parts = {p: Part(images, labels, photos.names[p]) for p, (images, labels) in photos.parts.items()}
        return Contents(parts, "images", "a folder of images", "levels", classes=photos.classes)
    check_file(path, EXPECTED)
    if is_text_table(path):
        _refuse(name, "a table", form not in (None, "table") and form, size and "size")
        raw = read_text_table(path)
        table = find_table(raw, name, kinds=kinds, label=label)
        part = Part(table.values, table.labels)
        reason = "one example a line" if raw.header else "one example a line, no header"
        return Contents({"all": part}, "table", reason, table.stored, table.columns, table.classes, label)
    if not is_archive(path):
        raise InputError(f"{name} is neither .csv, .npy, .npz nor a folder: expected {EXPECTED}")
    with Archive(path) as archive:
        return _from_archive(archive, form, kinds, label, size)


def _refuse(name: str, what: str, *chosen: object) -> None:
    for option in chosen:
        if option:
            raise InputError(f"{name} is {what}: expected no {option}, which is not for it; leave it out")


def _from_archive(
    archive: Archive,
    form: Form | None,
    kinds: Mapping[str, Kind] | Kind | None,
    label: str | None,
    size: int | None,
) -> Contents:
    value_keys, label_keys = keys_by_part(archive, VALUE_WORDS, beside=label)
    column = label
    if label is not None and label in archive.keys and list(value_keys) == ["all"]:
        label_keys, column = {"all": label}, None
    arrays = {part: archive.read(key) for part, key in value_keys.items()}
    name = archive.called("")
    first, *others = arrays.items()
    for part, other in others:
        if other.shape[1:] != first[1].shape[1:] or other.dtype.kind != first[1].dtype.kind:
            raise InputError(
                f"{archive.called(value_keys[part])} has examples {other.dtype}{list(other.shape[1:])}, but "
                f"{value_keys[first[0]]!r} {first[1].dtype}{list(first[1].shape[1:])}: expected one kind "
                "in all parts"
            )
    whole = first[1] if len(arrays) == 1 else np.concatenate(list(arrays.values()))
    found = typed(whole, archive.called(value_keys[first[0]]), form)
    contents = _of_array(found, name, column_names(archive), kinds, column, size)
    ends = np.cumsum([len(array) for array in arrays.values()])
    labels: Mapping[str, np.ndarray] = {}
    classes, problem = contents.classes, None
    if label_keys and column is None:
        try:
            labels, classes = read_labels(archive, label_keys, arrays)
        except InputError as error:
            problem = str(error)
    values, own_labels, _ = contents.parts["all"]
    parts = {}
    for part, end in zip(arrays, ends, strict=True):
        rows = slice(end - len(arrays[part]), end)
        parts[part] = Part(values[rows], labels.get(part) if own_labels is None else own_labels[rows])
    return contents._replace(parts=parts, classes=classes, label=label, problem=problem)


def _of_array(
    found: Typed,
    name: str,
    names: tuple[str, ...] | None,
    kinds: Mapping[str, Kind] | Kind | None,
    label: str | None,
    size: int | None,
) -> Contents:
    if found.form == "table":
        _refuse(name, "a table", size and "size")
        names = names if names and len(names) == found.values.shape[1] else None
        raw = as_table(found.values, names)
        table = find_table(raw, name, kinds=kinds, label=label, matrix=found.values)
        part = Part(table.values, table.labels)
        return Contents({"all": part}, "table", found.reason, table.stored, table.columns, table.classes, label)
    _refuse(name, found.form, kinds and "kinds", label and "label", found.form == "series" and size and "size")
    assert found.stored is not None
    values = resized(found.values, size, name) if found.form == "images" else found.values
    return Contents({"all": Part(values)}, found.form, found.reason, found.stored)


def column_names(archive: Archive) -> tuple[str, ...] | None:
    """The names of the columns, from an array `columns` or `feature_names` of an .npz file; None without."""
    for key in _NAMES_KEYS:
        if key in archive.keys and archive.header(key).dtype.kind in "US" and len(archive.header(key).shape) == 1:
            names = tuple(
                n.decode(errors="replace") if isinstance(n, bytes) else n for n in archive.read(key).tolist()
            )
            return names if len(set(names)) == len(names) else None
    return None

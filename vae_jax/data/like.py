"""Other data read as the training data were: the same columns, classes, shape and size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped

from vae_jax.data.arrays import VALUE_WORDS, keys_by_part
from vae_jax.data.columns import Column
from vae_jax.data.contents import EXPECTED, column_names
from vae_jax.data.files import check_file
from vae_jax.data.forms import bounds, check_finite, check_stored
from vae_jax.data.found import Layout, Part
from vae_jax.data.kinds import encoded
from vae_jax.data.npy import Archive, is_archive
from vae_jax.data.photos import load_photos
from vae_jax.data.tables import as_table, table_like
from vae_jax.data.text_tables import RawTable, is_text_table, read_text_table
from vae_jax.errors import InputError, printable
from vae_jax.paths import local_path


def read_like(path: str, layout: Layout, *, labels: bool) -> Part:
    """All examples of a file or a folder in their own units, its parts one after another; see `load_like`."""
    parts = list(read_parts_like(path, layout, labels=labels).values())
    if len(parts) == 1:
        return parts[0]
    found = [part.labels for part in parts if part.labels is not None]
    names = [part.names for part in parts if part.names is not None]
    return Part(
        np.concatenate([part.values for part in parts]),
        np.concatenate(found) if found else None,
        tuple(name for of_part in names for name in of_part) if names else None,
    )


def read_parts_like(path: str, layout: Layout, *, labels: bool) -> dict[str, Part]:
    """As `read_like`, by part: "all", or those that the data bring along of "train", "validation" and "test"."""
    where = local_path(path)
    if where.is_dir():
        return _photos_like(where, layout, labels)
    check_file(where, EXPECTED)
    if is_text_table(where):
        if layout.form != "table":
            raise InputError(f"{printable(where)} is a table: expected {layout.form} of shape {layout.event}")
        values, found = table_like(read_text_table(where), layout, printable(where), labels=labels)
        return {"all": Part(check_stored(values, layout, printable(where)), found)}
    if not is_archive(where):
        raise InputError(f"{printable(where)} is neither .csv, .npy, .npz nor a folder: expected {EXPECTED}")
    with Archive(where) as archive:
        return _archive_like(archive, layout, labels)


def _photos_like(folder: Path, layout: Layout, labels: bool) -> dict[str, Part]:
    name = printable(folder)
    if layout.form != "images" or layout.stored != "levels" or layout.event[-1] not in (1, 3):
        raise InputError(
            f"{name} is a folder of photos: expected {layout.form} of shape {layout.event}, .npy or .npz"
        )
    height, width, channels = layout.event
    photos = load_photos(folder, (height, width), channels=channels)
    if not labels:
        return {p: Part(images, None, photos.names[p]) for p, (images, _) in photos.parts.items()}
    parts = {}
    for p, (images, of) in photos.parts.items():
        if of is None or photos.classes is None:
            raise InputError(
                f"{name} has no folders of classes: expected one for each class, as the training data have"
            )
        parts[p] = Part(images, renumbered(of, photos.classes, layout, name), photos.names[p])
    return parts


def renumbered(
    labels: Int[np.ndarray, " N"], classes: tuple[str, ...], layout: Layout, name: str
) -> Int[np.ndarray, " N"]:
    """Labels, places in `classes`, by the classes of the layout; InputError for a class that is not among them."""
    if layout.classes is None and classes == tuple(str(i) for i in range(len(classes))):
        return labels
    known = {called: i for i, called in enumerate(layout.classes or ())}
    for called in classes:
        if called not in known:
            some = ", ".join(printable(c) for c in (layout.classes or ())[:8]) or "none, for labels are numbers"
            raise InputError(f"{name} has the class {called!r}: expected one of {some}")
    numbers: np.ndarray = np.array([known[called] for called in classes], np.int32)
    return numbers.take(labels)


def _archive_like(archive: Archive, layout: Layout, labels: bool) -> dict[str, Part]:
    value_keys, label_keys = keys_by_part(archive, VALUE_WORDS, beside=layout.label)
    arrays = [archive.read(key) for key in value_keys.values()]
    name = archive.called("")
    for array in arrays:
        if array.dtype.kind not in "buif":
            raise InputError(f"{name} has dtype {array.dtype}: expected numbers")
        if array.ndim < 1 or (arrays[0].shape[1:] != array.shape[1:]):
            raise InputError(f"{name} has shape {array.shape}: expected examples of shape {layout.event}")
    whole = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    if layout.label is not None and layout.label in archive.keys and list(value_keys) == ["all"]:
        label_keys = {"all": layout.label}
    values, of = _values_like(whole, archive, layout, labels and not label_keys)
    if labels and of is None and not value_keys.keys() <= label_keys.keys():
        raise InputError(f"{name} has no labels: expected them, as the training data have (key `labels`)")
    parts, end = {}, 0
    for part, array in zip(value_keys, arrays, strict=True):
        start, end = end, end + len(array)
        found = None if of is None else of[start:end]
        if labels and of is None:
            key = label_keys[part]
            found = _labels_like(archive.read(key).reshape(-1), len(array), layout, archive.called(key))
        parts[part] = Part(values[start:end], found)
    return parts


def _values_like(
    whole: np.ndarray, archive: Archive, layout: Layout, labels: bool
) -> tuple[Shaped[np.ndarray, " N *event"], Int[np.ndarray, " N"] | None]:
    name = archive.called("")
    if layout.form == "table":
        table = whole.reshape(len(whole), -1) if whole.ndim == 1 else whole
        if table.ndim != 2 or 0 in table.shape:
            raise InputError(f"{name} has shape {whole.shape}: expected [N, {layout.event[0]}], one example a row")
        values, of = table_like(as_table(table, column_names(archive)), layout, name, labels=labels)
        return check_stored(values, layout, name), of
    if whole.shape[1:] == layout.event[:-1] and layout.event[-1] == 1:
        whole = whole[..., None]
    if whole.shape[1:] != layout.event or not len(whole):
        raise InputError(f"{name} has shape {whole.shape}: expected {['N', *layout.event]}, as the training data")
    low, high = bounds(whole)
    if low is not None and high is not None:
        check_finite(whole, low, high, name)
    return check_stored(whole, layout, name), None


def _labels_like(found: np.ndarray, num: int, layout: Layout, name: str) -> np.ndarray:
    if len(found) != num or found.dtype.kind not in "buiUS":
        raise InputError(
            f"{name} has {len(found)} labels of dtype {found.dtype}: expected {num}, integers or names"
        )
    if found.dtype.kind in "US":
        texts: list[str | None] = [
            t.decode(errors="backslashreplace") if isinstance(t, bytes) else t for t in found.tolist()
        ]
        if layout.classes is None:
            raise InputError(
                f"{name} has names, as {printable(texts[0] or '')!r}: expected the integers 0, 1, ..., as "
                "the labels of the training data"
            )
        known = Column("labels", "categorical", layout.classes)
        return encoded(RawTable(("labels",), [texts]), 0, known, name).astype(np.int32)
    bad = np.flatnonzero((found < 0) | (found >= 2**31))
    if bad.size:
        raise InputError(f"{name} has the value {found[bad[0]]} at index ({bad[0]},): expected integers 0, 1, ...")
    return found.astype(np.int32)

"""Other data of a layout that is known, in three parts: to go on from a model of the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Int

from vae_jax.data.columns import Kind
from vae_jax.data.contents import Contents
from vae_jax.data.finding import finished
from vae_jax.data.forms import check_stored
from vae_jax.data.found import Found, Layout, Part
from vae_jax.data.like import read_parts_like, renumbered
from vae_jax.data.named import NAMED, read_named
from vae_jax.data.tables import as_table, table_like
from vae_jax.errors import InputError, printable

_REASON = "as those of the run before"


def find_like(
    data: str,
    layout: Layout,
    *,
    labels: bool = False,
    num_classes: int | None = None,
    split: Literal["random", "time"] = "random",
    validation: str | None = None,
    test: str | None = None,
    num_validation: int = 5000,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> Found:
    """As `find`, of data stored as those of `layout`: with its columns, categories, classes, loc and scale.

    data: a path, or a name that `find` knows, of which images get the size of the event; data_dir, manual_dir: as
    `load` has them. labels: whether they are read. num_classes: of which they are, by default as many as there
    are. Raises InputError for what `load_like` raises it, for a label beyond them, for gaps where the layout has
    none, and for too few examples.
    """
    factors = None
    if data in NAMED:
        parts, factors = _read_named_like(data, layout, labels, data_dir, manual_dir)
    else:
        parts = read_parts_like(data, layout, labels=labels)
    contents = Contents(parts, layout.form, _REASON, layout.stored, layout.columns, layout.classes, layout.label)
    contents = contents._replace(factors=factors)

    def kept(layout: Layout, parts: Mapping[str, Part]) -> Layout:
        gaps = sum(int(np.isnan(part.values).sum()) for part in parts.values() if part.values.dtype.kind == "f")
        if gaps and not layout.missing:
            raise InputError(
                f"{printable(data)} has {gaps} missing values: expected none, for the model was trained without any"
            )
        return layout

    given = {part: other for part, other in (("validation", validation), ("test", test)) if other is not None}
    found = finished(data, contents, layout, kept, given, split, num_validation)
    return found if num_classes is None else _of_classes(found, num_classes)


def _read_named_like(
    name: str, layout: Layout, labels: bool, data_dir: str | None, manual_dir: str | None
) -> tuple[dict[str, Part], Int[np.ndarray, "N k"] | None]:
    """The parts in their own units, and the factors of all examples where they are known."""
    table = name == "breast_cancer"
    if layout.form != ("table" if table else "images"):
        raise InputError(
            f"{name}: expected {layout.form} of shape {layout.event}, as the training data; give the path of such"
        )
    size = None if table or layout.event[0] != layout.event[1] else layout.event[0]
    kinds: Kind | None = "real" if table else None
    read = read_named(name, kinds=kinds, size=size, data_dir=data_dir, manual_dir=manual_dir)
    parts = {}
    for key, part in read.parts.items():
        values, numbers = part.values, part.labels
        if table:
            assert read.columns is not None  # of every table
            names = tuple(column.name for column in read.columns)
            values, _ = table_like(as_table(values, names), layout, name, labels=False)
        elif values.shape[1:] != layout.event:
            raise InputError(
                f"{name} has images of shape {values.shape[1:]}: expected {layout.event}, as the training data; "
                "give the path of such"
            )
        if read.factors is None:
            numbers = (
                renumbered(numbers, read.classes or (), layout, name) if labels and numbers is not None else None
            )
        parts[key] = Part(check_stored(values, layout, name), numbers)
    return parts, read.factors


def _of_classes(found: Found, num_classes: int) -> Found:
    for part in (found.train, found.validation, found.test):
        if part.labels is not None and part.labels.size and part.labels.max() >= num_classes:
            raise InputError(
                f"{printable(found.data)} has the label {part.labels.max()}: expected one of 0..{num_classes - 1}, "
                "as the training data have"
            )
    return found._replace(num_classes=num_classes)

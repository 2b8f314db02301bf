"""Other data of a layout that is known, in three parts: to go on from a model of the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from vae_jax.data.contents import Contents
from vae_jax.data.finding import finished
from vae_jax.data.found import Found, Layout, Part
from vae_jax.data.like import read_parts_like
from vae_jax.errors import InputError, printable

_REASON = "as those of the run before"


def find_like(
    path: str,
    layout: Layout,
    *,
    labels: bool = False,
    num_classes: int | None = None,
    split: Literal["random", "time"] = "random",
    validation: str | None = None,
    test: str | None = None,
    num_validation: int = 5000,
) -> Found:
    """As `find`, of data stored as those of `layout`: with its columns, categories, classes, loc and scale.

    labels: whether they are read. num_classes: of which they are, by default as many as there are. Raises
    InputError for what `load_like` raises it, for a label beyond them, for gaps where the layout has none, and for
    too few examples.
    """
    parts = read_parts_like(path, layout, labels=labels)
    contents = Contents(parts, layout.form, _REASON, layout.stored, layout.columns, layout.classes, layout.label)

    def kept(layout: Layout, parts: Mapping[str, Part]) -> Layout:
        gaps = sum(int(np.isnan(part.values).sum()) for part in parts.values() if part.values.dtype.kind == "f")
        if gaps and not layout.missing:
            raise InputError(
                f"{printable(path)} has {gaps} missing values: expected none, for the model was trained without any"
            )
        return layout

    given = {part: other for part, other in (("validation", validation), ("test", test)) if other is not None}
    found = finished(path, contents, layout, kept, given, split, num_validation)
    return found if num_classes is None else _of_classes(found, num_classes)


def _of_classes(found: Found, num_classes: int) -> Found:
    for part in (found.train, found.validation, found.test):
        if part.labels is not None and part.labels.size and part.labels.max() >= num_classes:
            raise InputError(
                f"{printable(found.data)} has the label {part.labels.max()}: expected one of 0..{num_classes - 1}, "
                "as the training data have"
            )
    return found._replace(num_classes=num_classes)

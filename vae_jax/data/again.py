"""Other data of a layout that is known, in three parts: to go on from a model of the first."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from vae_jax.data.cutting import cut_parts
from vae_jax.data.finding import LEAST, load_like
from vae_jax.data.found import Found, Layout
from vae_jax.errors import InputError, printable


def find_like(
    path: str,
    layout: Layout,
    *,
    labels: bool = False,
    split: Literal["random", "time"] = "random",
    validation: str | None = None,
    test: str | None = None,
    num_validation: int = 5000,
) -> Found:
    """As `find`, of data stored as those of `layout`: with its columns, categories, classes, loc and scale.

    Raises InputError for what `load_like` raises it, for gaps where the layout has none, and for too few examples.
    """
    name = printable(path)
    given = {part: other for part, other in (("validation", validation), ("test", test)) if other is not None}
    others = {part: load_like(other, layout, labels=labels) for part, other in given.items()}
    whole = load_like(path, layout, labels=labels)
    parts, said = cut_parts({"all": whole}, others, split, num_validation, name)
    if sum(len(part.values) for part in parts.values()) < LEAST or not all(len(p.values) for p in parts.values()):
        raise InputError(f"{name}: {len(whole.values)} examples; expected at least {LEAST} in all")
    gaps = sum(int(np.isnan(part.values).sum()) for part in parts.values() if part.values.dtype.kind == "f")
    if gaps and not layout.missing:
        raise InputError(f"{name} has {gaps} missing values: expected none, for the model was trained without any")
    num_classes = None
    if whole.labels is not None:
        num_classes = len(layout.classes) if layout.classes is not None else int(whole.labels.max()) + 1
    reason = "as those of the run before"
    three = (parts["train"], parts["validation"], parts["test"])
    return Found(path, dataclasses.replace(layout), *three, reason, said, None, num_classes)

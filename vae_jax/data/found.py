"""What there is in a data set of any form: its parts, and all that is needed to read more of the same."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from vae_jax.data.columns import Column

Form = Literal["images", "table", "series"]
Stored = Literal["levels", "unit", "real", "counts", "columns"]


@dataclasses.dataclass(frozen=True)
class Layout:
    """How examples are stored: enough to read other data as these, without these.

    `event`: shape of one example, [d] of a table, [T, C] of a series, [H, W, C] of an image. `stored`: "levels"
    are uint8, "unit" float32 in [0, 1], "real" float32 less `loc`, "counts" integers from 0 up, "columns" float32
    with a kind for each column, real ones less their `loc`, categorical ones as codes. `columns`: of every table,
    also where they are all of one kind. `loc`, `scale`: mean and standard deviation of the training examples for
    each entry of the last axis, of "real" alone. `missing`: whether any value is NaN, for "not known". `classes`:
    what the labels stand for, where the data name it. `label`: the column that became the labels.
    """

    form: Form
    stored: Stored
    event: tuple[int, ...]
    columns: tuple[Column, ...] | None = None
    loc: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    missing: bool = False
    classes: tuple[str, ...] | None = None
    label: str | None = None


class Part(NamedTuple):
    """Examples as `Layout` says, [N, *event], an array or a `Source`; labels int32 [N] and names, or None.

    `names`: paths within the folder of photos; of other data None, for their row is their name.
    """

    values: Any
    labels: Int[np.ndarray, " N"] | None = None
    names: tuple[str, ...] | None = None


class Found(NamedTuple):
    """A data set in three parts, and what was found and decided about it.

    `reason`: why it has this form. `split`: where the parts come from. `problem`: why labels cannot be used, for a
    run that uses them. `num_classes`: of the labels. `low`, `high`: of all values but codes of categories, in
    their own units. `gaps`: the share of values that are missing. `factors`: of the test examples, int32 [N, k],
    where they are known.
    """

    data: str
    layout: Layout
    train: Part
    validation: Part
    test: Part
    reason: str
    split: str
    problem: str | None = None
    num_classes: int | None = None
    low: float | None = None
    high: float | None = None
    gaps: float = 0.0
    factors: Int[np.ndarray, "N k"] | None = None

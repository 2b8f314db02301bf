"""One entry for data of every form: a known name or a path, in; what it is and its three parts, out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from vae_jax.data.columns import Kind
from vae_jax.data.contents import EXPECTED, Contents, read_contents
from vae_jax.data.cutting import MOST_TEST, cut_parts
from vae_jax.data.factors import FACTOR_DATA_SETS
from vae_jax.data.files import counted
from vae_jax.data.forms import bounds
from vae_jax.data.found import Form, Found, Layout, Part
from vae_jax.data.images import check_size
from vae_jax.data.kinds import with_moments
from vae_jax.data.like import read_like
from vae_jax.data.named import NAMED, read_named
from vae_jax.data.streamed import find_factors_streamed, find_streamed
from vae_jax.data.tables import stored_kind
from vae_jax.data.units import as_stored, moments
from vae_jax.errors import InputError, printable
from vae_jax.paths import local_path

LEAST = 20


def find(
    data: str,
    *,
    form: Form | None = None,
    kinds: Mapping[str, Kind] | Kind | None = None,
    label: str | None = None,
    size: int | None = None,
    split: Literal["random", "time"] = "random",
    validation: str | None = None,
    test: str | None = None,
    stream: bool = False,
    num_validation: int = 5000,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> Found:
    """What `data` are, and their training, validation and test examples, as `Layout` says.

    Own data are a table of text (.csv, .tsv), a .npy or .npz file, or a folder of photos. A fifth are test
    examples and a tenth of the others, at most `num_validation`, for validation, drawn with a fixed seed; parts
    that the data bring along (`x_test`, a folder `val`) are kept. Kinds of columns, their categories, and what is
    left out are decided on all rows of our own split, test rows among them, not on `validation` and `test`; loc
    and scale are those of the training examples alone. What was decided is printed, a line for each kind of
    decision.

    Args:
      data: one of `mnist`, `fashion_mnist`, `digits`, `breast_cancer`, `dsprites`, `shapes3d`, or a path.
      form: in place of the one that is found: by `vae_jax.data.forms`.
      kinds: of columns by name, or of all columns, in place of those that are found: by `vae_jax.data.kinds`.
      label: the column of a table, or the array of an .npz file, that becomes the labels.
      size: side of the squares that images are resized to; by default as they are, and photos of several sizes, or
        beyond 128 pixels, get a power of two near the median of their shorter sides, from 16 to 64.
      split: "time" keeps the order: training first, then validation, and test last.
      validation, test: paths of data to take in place of ours; see `load_like`.
      stream: whether the training examples are a `Source` that is read while training, of a .npy file or a folder
        of photos larger than memory; else all are in memory.
      data_dir, manual_dir: as `load` has them.

    Raises:
      InputError: an unknown name; a file that cannot be read, or holds what is none of this; fewer than 20
        examples.
    """
    check_size(size)
    given = {part: path for part, path in (("validation", validation), ("test", test)) if path is not None}
    if stream:
        options = {"form": form, "kinds": kinds, "label": label, "size": size}
        folders = {"data_dir": data_dir, "manual_dir": manual_dir}
        return _find_streamed(data, options, split, given, num_validation, folders)
    if data in NAMED:
        for value, option in ((form, "form"), (label, "label")):
            if value is not None:
                raise InputError(f"{data}: expected no {option}, which is for files; leave it out")
        contents = read_named(data, kinds=kinds, size=size, data_dir=data_dir, manual_dir=manual_dir)
    elif data and os.path.lexists(local_path(data)):
        contents = read_contents(local_path(data), form=form, kinds=kinds, label=label, size=size)
    else:
        raise InputError(
            f"unknown data set {data!r}: expected sprites, {', '.join(NAMED)}, or the path of "
            f"{EXPECTED} (no such file here)"
        )
    event = next(iter(contents.parts.values())).values.shape[1:]
    layout = Layout(
        contents.form, contents.stored, event, contents.columns, classes=contents.classes, label=contents.label
    )
    return finished(data, contents, layout, _measured, given, split, num_validation)


def finished(
    data: str,
    contents: Contents,
    layout: Layout,
    measured: Callable[[Layout, Mapping[str, Part]], Layout],
    given: Mapping[str, str],
    split: Literal["random", "time"],
    num_validation: int,
) -> Found:
    """The parts as they are stored, from what was read.

    measured: the layout by which they are stored, from `layout` and the parts in their own units. Raises InputError
    for too few examples.
    """
    name, factors = printable(data), contents.factors
    with_labels = factors is None and all(part.labels is not None for part in contents.parts.values())
    others = {part: read_like(path, layout, labels=with_labels) for part, path in given.items()}
    most_test = None if factors is None else MOST_TEST
    parts, said = cut_parts(contents.parts, others, split, num_validation, name, most_test)
    total = sum(len(part.values) for part in parts.values())
    if total < LEAST:
        raise InputError(
            f"{name}: {counted(total, 'example')}; expected at least {LEAST} in all, to train, to "
            "validate and to test"
        )
    empty = next((key for key, part in parts.items() if not len(part.values)), None)
    if empty is not None:
        raise InputError(f"{name}: no {empty} examples are left of {total}; expected more, or other parts")
    layout = measured(layout, parts)
    low, high, gaps = _bounds(parts, layout)
    num_classes = _number_of_classes(parts, contents) if factors is None else None
    if factors is not None:
        # Factors are of single examples, whose numbers travelled as their labels.
        rows = parts["test"].labels
        factors = None if rows is None else factors[rows]
        parts = {key: part._replace(labels=None) for key, part in parts.items()}
    stored = {key: part._replace(values=as_stored(part.values, layout)) for key, part in parts.items()}
    three = (stored["train"], stored["validation"], stored["test"])
    found = Found(data, layout, *three, contents.reason, said, contents.problem, num_classes)
    return found._replace(low=low, high=high, gaps=gaps, factors=factors)


def _find_streamed(
    data: str,
    options: dict[str, Any],
    split: Literal["random", "time"],
    given: Mapping[str, str],
    num_validation: int,
    folders: dict[str, Any],
) -> Found:
    def reader(path: str) -> Callable[[Layout], Part]:
        return lambda layout: load_like(path, layout, labels=layout.classes is not None)

    others = {part: reader(path) for part, path in given.items()}
    of_factors = data in FACTOR_DATA_SETS
    refused = next((name for name in (options if of_factors else ["label"]) if options[name] is not None), None)
    if refused is not None or (data in NAMED and not of_factors):
        what = "" if refused is None else f" with {refused}"
        raise InputError(
            f"{data!r}{what} is not streamed: expected a .npy file, a folder of photos, dsprites or "
            "shapes3d, and no labels by name; leave out --stream"
        )
    if of_factors:
        return find_factors_streamed(data, split=split, num_validation=num_validation, given=others, **folders)
    del options["label"]
    return find_streamed(local_path(data), split=split, num_validation=num_validation, given=others, **options)


def load_like(path: str, layout: Layout, *, labels: bool = False) -> Part:
    """Other data of the same layout, stored as those: all parts of a file one after another.

    Columns go by their names, texts of categories by theirs, photos are cut to the size of the event and made grey
    or RGB as it is. labels: whether they are read, by the classes of the layout.

    Raises InputError for a column that is missing, a category or class that is unknown, another shape, values that
    cannot be stored so, labels that are asked for and missing, and for what `find` raises it.
    """
    part = read_like(path, layout, labels=labels)
    return part._replace(values=as_stored(part.values, layout))


def checked_labels(found: Found, num_classes: int | None = None) -> tuple[Int[np.ndarray, " _"], ...]:
    """The labels of the three parts, int32 [N] each, for a run that uses them; by default as many as were found.

    Raises InputError where they are missing, cannot be used, or are outside 0 ... num_classes - 1.
    """
    if found.problem is not None:
        raise InputError(found.problem)
    most = found.num_classes if num_classes is None else num_classes
    if most is not None and most < 1:
        raise InputError(f"num_classes {most}: expected at least 1")
    checked = []
    for part in (found.train, found.validation, found.test):
        if part.labels is None or most is None:
            raise InputError(
                f"{printable(found.data)}: no labels; expected one for each example as the condition: "
                "name a column (--label), or give a folder for each class, or the key `labels` in an .npz file"
            )
        bad = np.flatnonzero((part.labels < 0) | (part.labels >= most))
        if bad.size:
            raise InputError(
                f"label {part.labels[bad[0]]} of example {bad[0]}: expected a condition in 0..{most - 1}; set "
                "--num-classes"
            )
        checked.append(part.labels)
    return tuple(checked)


def _measured(layout: Layout, parts: Mapping[str, Part]) -> Layout:
    """The layout with loc and scale of the training examples."""
    train = parts["train"].values
    missing = any(part.values.dtype.kind == "f" and bool(np.isnan(part.values).any()) for part in parts.values())
    layout = dataclasses.replace(layout, missing=missing)
    if layout.columns is not None:
        columns = tuple(
            with_moments(c, np.asarray(x, np.float64)) for c, x in zip(layout.columns, train.T, strict=True)
        )
        layout = dataclasses.replace(layout, columns=columns)
        if stored_kind(columns) == "real" == layout.stored:
            return dataclasses.replace(
                layout, loc=tuple(c.loc for c in columns), scale=tuple(c.scale for c in columns)
            )
    elif layout.stored == "real":
        loc, scale = moments(train)
        return dataclasses.replace(layout, loc=loc, scale=scale)
    return layout


def _bounds(parts: Mapping[str, Part], layout: Layout) -> tuple[float | None, float | None, float]:
    """The least and the largest number, codes of categories aside, and the share of gaps."""
    arrays = [part.values for part in parts.values()]
    if layout.columns is not None and layout.stored == "columns":
        numbers = [j for j, column in enumerate(layout.columns) if column.kind != "categorical"]
        found = [bounds(array[:, j]) for array in arrays for j in numbers]
    else:
        found = [bounds(array) for array in arrays]
    lows, highs = [low for low, _ in found if low is not None], [high for _, high in found if high is not None]
    gaps = sum(int(np.isnan(array).sum()) for array in arrays if array.dtype.kind == "f")
    return min(lows, default=None), max(highs, default=None), gaps / sum(array.size for array in arrays)


def _number_of_classes(parts: Mapping[str, Part], contents: Contents) -> int | None:
    labels = [part.labels for part in parts.values() if part.labels is not None]
    if len(labels) < len(parts):
        return None
    if contents.classes is not None:
        return len(contents.classes)
    return max(int(found.max()) + 1 for found in labels)

"""Tables, from text or from arrays: which columns they have, and each as numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from vae_jax.data.columns import Column, Kind
from vae_jax.data.files import counted, notice
from vae_jax.data.found import Layout, Stored
from vae_jax.data.kinds import encoded, find_columns, is_row_number, number_name, shortened
from vae_jax.data.labels import number_classes
from vae_jax.data.text_tables import RawTable
from vae_jax.errors import InputError

# Of fewer columns each may be a count of another thing, as rooms and children are.
_LEAST_OF_A_MATRIX = 16
_MOST_TOLD = 8


class Table(NamedTuple):
    """Numbers [N, d] in their own units, codes for categories, NaN where missing; and labels, if asked for."""

    values: Shaped[np.ndarray, "N d"]
    columns: tuple[Column, ...]
    stored: Stored
    labels: Int[np.ndarray, " N"] | None = None
    classes: tuple[str, ...] | None = None


def as_table(values: Shaped[np.ndarray, "N d"], names: tuple[str, ...] | None = None) -> RawTable:
    """The columns of a matrix, as views of it."""
    called = names or tuple(f"column_{j}" for j in range(1, values.shape[1] + 1))
    return RawTable(called, list(values.T))


def matrix_of(values: Shaped[np.ndarray, "N d"]) -> Stored | None:
    """What a matrix of at least 16 columns is as a whole: 0 and 1 alone, counts, or None.

    Counts are integers from 0 up, and at least half of the columns have a 0, which a rating from 1 to 5 has not.
    """
    if values.shape[1] < _LEAST_OF_A_MATRIX:
        return None
    # Row by row in pieces, for a matrix of counts may be as large as the memory allows.
    zeros, high = np.zeros(values.shape[1], bool), 0.0
    for start in range(0, len(values), 1024):
        piece = values[start : start + 1024]
        seen = ~np.isnan(piece) if piece.dtype.kind == "f" else np.ones(piece.shape, bool)
        if not np.all((piece >= 0) & (piece == np.round(piece)) | ~seen):
            return None
        zeros |= ((piece == 0) & seen).any(axis=0)
        high = max(high, float(piece.max(where=seen, initial=0)))
    if high <= 1:
        return "unit"
    return "counts" if 2 * zeros.sum() >= len(zeros) and high < 2**31 else None


def find_table(
    table: RawTable,
    name: str,
    *,
    kinds: Mapping[str, Kind] | Kind | None = None,
    label: str | None = None,
    matrix: Shaped[np.ndarray, "N d"] | None = None,
) -> Table:
    """The columns of a table and their kinds, by the rules of `vae_jax.data.kinds`, or as a matrix of counts.

    kinds: in place of those, for the columns named, which are kept as row numbers too, or for all. label: the
    column that becomes the labels. matrix: the same numbers, where they came as an array. What is left out is said.
    Raises InputError for names that there are not, and for what `encoded` and `find_columns` do.
    """
    labels, classes = None, None
    if label is not None:
        labels, classes, table = _take_labels(table, label, name)
        matrix = None
    chosen = dict.fromkeys(table.names, kinds) if isinstance(kinds, str) else dict(kinds or {})
    for called in chosen:
        _check_name(called, table, name)
    table, row_numbers = _without_row_numbers(table, () if isinstance(kinds, str) else chosen)
    matrix = None if row_numbers else matrix
    _tell_left_out(row_numbers, name)
    numbers = [cells for cells in table.columns if not isinstance(cells, list)]
    if not chosen and 0 < len(numbers) == len(table.columns):
        whole = np.stack(numbers, axis=1) if matrix is None else matrix
        stored = matrix_of(whole)
        if stored is not None:
            _hint_at_pixels(whole, name)
            of_counts = stored == "counts"
            columns = tuple(
                Column(n, "count") if of_counts else Column(n, "categorical", ("0", "1")) for n in table.names
            )
            return Table(whole, columns, stored, labels, classes)
    found, reasons = find_columns(table, chosen, name)
    kept = [(j, column) for j, column in enumerate(found) if column is not None]
    _tell_left_out(reasons, name)
    if not kept:
        remedy = (
            "; separate fields by commas, semicolons or tabs"
            if len(reasons) == 1 and table.lines is not None
            else ""
        )
        raise InputError(
            f"{name} has no column of numbers or categories that differ: expected at least one{remedy}"
        )
    if matrix is not None and len(kept) == matrix.shape[1] and not any(column.categories for _, column in kept):
        for j, column in kept:
            encoded(table, j, column, name)  # for its checks: the numbers are as they came, and need no copy
        values = matrix
    else:
        values = np.stack([encoded(table, j, column, name) for j, column in kept], axis=1)
    columns = tuple(column for _, column in kept)
    return Table(values, columns, stored_kind(columns), labels, classes)


def stored_kind(columns: tuple[Column, ...]) -> Stored:
    """How columns are stored: as real numbers or counts where all are, else as columns of several kinds."""
    kinds = {column.kind for column in columns}
    if kinds == {"real"}:
        return "real"
    return "counts" if kinds == {"count"} and len(columns) >= _LEAST_OF_A_MATRIX else "columns"


def table_like(
    table: RawTable, layout: Layout, name: str, *, labels: bool
) -> tuple[Float[np.ndarray, "N d"], Int[np.ndarray, " N"] | None]:
    """Another table by the columns of `layout`: by name, or by place where one of the two has no names.

    Returns numbers [N, d] and, where asked for, labels. Raises InputError for a column that is missing, a category
    that is unknown, and a value that is none of its column's kind.
    """
    columns = layout.columns or ()
    place = {called: j for j, called in enumerate(table.names)}
    missing = [column.name for column in columns if column.name not in place]
    if missing and len(table.names) == len(columns) and (_are_numbered(table.names) or _are_numbered(missing)):
        order = list(range(len(columns)))
    elif missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{name} has no column {missing[0]!r}{more}: expected the {counted(len(columns), 'column')} of "
            f"the training data; it has {len(table.names)}"
        )
    else:
        order = [place[column.name] for column in columns]
    others = [n for j, n in enumerate(table.names) if j not in order and n != layout.label]
    if others:
        notice(f"{name}: {counted(len(others), 'column')} not of the training data left out, as {others[0]!r}")
    values = np.stack([encoded(table, j, column, name) for j, column in zip(order, columns, strict=True)], axis=1)
    if not labels or layout.label is None:
        return values, None
    _check_name(layout.label, table, name)
    known = Column(layout.label, "categorical", layout.classes or ())
    codes = encoded(table, place[layout.label], known, name)
    _check_labelled(codes, table, place[layout.label], name)
    return values, codes.astype(np.int32)


def _are_numbered(names: tuple[str, ...] | list[str]) -> bool:
    return all(name.startswith("column_") for name in names)


def _take_labels(table: RawTable, label: str, name: str) -> tuple[np.ndarray, tuple[str, ...], RawTable]:
    _check_name(label, table, name)
    j = table.names.index(label)
    cells = table.columns[j]
    if isinstance(cells, list):
        texts = [cell or "" for cell in cells]
        _check_labelled(np.array([np.nan if cell is None else 0.0 for cell in cells]), table, j, name)
    else:
        _check_labelled(cells, table, j, name)
        texts = [number_name(value) for value in cells.tolist()]
    number, classes = number_classes(texts)
    if len(classes) > max(20, len(texts) // 2):
        raise InputError(
            f"{name} has {len(classes)} different values in column {label!r} of {len(texts)} rows, as "
            f"{shortened(texts[0])}: expected classes as labels; choose another column"
        )
    rest = [i for i in range(len(table.names)) if i != j]
    if not rest:
        raise InputError(f"{name} has one column, {label!r}: expected others beside the labels")
    return np.array([number[text] for text in texts], np.int32), classes, _columns_of(table, rest)


def _without_row_numbers(table: RawTable, kept: Collection[str]) -> tuple[RawTable, dict[str, str]]:
    places = range(len(table.names))
    left_out = [j for j in places if table.names[j] not in kept and is_row_number(table, j)]
    why = "it numbers the rows; give it a kind to keep it"
    reasons = {table.names[j]: why for j in left_out}
    return _columns_of(table, [j for j in places if j not in left_out]) if left_out else table, reasons


def _columns_of(table: RawTable, places: list[int]) -> RawTable:
    names, columns = tuple(table.names[j] for j in places), [table.columns[j] for j in places]
    return table._replace(names=names, columns=columns)


def _check_name(called: str, table: RawTable, name: str) -> None:
    if called not in table.names:
        some = ", ".join(repr(n) for n in table.names[:8]) + (", ..." if len(table.names) > 8 else "")
        raise InputError(f"{name} has no column {called!r}: expected one of {some}")


def _check_labelled(codes: np.ndarray, table: RawTable, j: int, name: str) -> None:
    missing = np.flatnonzero(np.isnan(codes))
    if missing.size:
        raise InputError(
            f"{name} has no label in {table.place(int(missing[0]), j)}: expected one for each row; remove this row"
        )


def _tell_left_out(reasons: Mapping[str, str], name: str) -> None:
    told = list(reasons.items())
    if len(told) > _MOST_TOLD:
        (called, why), *others = told
        notice(
            f"{name}: {len(told)} columns are left out, as {called!r}: {why}; and {others[0][0]!r}: {others[0][1]}"
        )
        return
    for called, why in told:
        notice(f"{name}: column {called!r} is left out: {why}")


def _hint_at_pixels(values: Shaped[np.ndarray, "N d"], name: str) -> None:
    for channels in (1, 3):
        side = math.isqrt(values.shape[1] // channels)
        if side >= 8 and channels * side**2 == values.shape[1] and 100 < np.nanmax(values) <= 255:
            shape = [len(values), side, side, channels]
            notice(f"{name}: rows of {values.shape[1]} counts up to 255; pixels are for a .npy {shape}")
            return

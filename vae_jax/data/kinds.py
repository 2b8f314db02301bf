"""Which kind a column of a table is of, by what its values are, and the numbers that stand for them.

Rules, in this order. Texts are categories. Two values are a flag, a category of two. Few values (at most 20, and
one for every ten rows) are categories, for a density on them has no maximum; unless they are integers that are
spread out, or start at 0 and fall off as counts do: a negative binomial or Poisson of the same mean and variance
then loses at most 0.1 nat a cell to their frequencies. (Codes 0 ... k-1 of equal frequency lose 0.13 nat and more,
grades with a peak 0.25; Poisson counts 0.01, children a family 0.06.) Other integers from 0 up are counts where
their variance is at least half of their mean, and their median at most 1,000, beyond which a density is as good.
Numbers above 0 are positive where a log-normal density has at least 0.05 nat a cell more than a normal one, both
at their maximum and both of x itself: log sd(x) - log sd(log x) - mean(log x). The rest are real numbers.

A column of one value is left out, whatever its kind: a density on it has no maximum, and it says nothing.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from vae_jax.data.columns import Column, Kind
from vae_jax.data.labels import natural_order
from vae_jax.data.text_fields import DECIMAL_COMMA, as_numbers
from vae_jax.data.text_tables import RawTable
from vae_jax.errors import InputError, printable

_FEW, _ROWS_EACH = 20, 10
_LEAST_NUMBERED = 3
_LOSS_OF_COUNTS, _GAIN_OF_LOGARITHMS = 0.1, 0.05
_MOST_COUNTED = 1000
_MOST_CATEGORIES = 1000
LARGEST = 1e38  # float32 goes to 3.4e38, and has room for the difference of two such
SMALLEST = 1e-37  # float32 goes to 1.2e-38, and what is smaller is taken for 0
_LEAST_SCALE = 1e-30


def kind_of(values: Float[np.ndarray, " N"]) -> Kind | None:
    """The kind of a column of numbers, NaN where they are missing; None where all are. Rules: see the module."""
    x = values[~np.isnan(values)]
    unique, times = np.unique(x, return_counts=True)
    if len(unique) <= 1:
        return "real" if len(unique) else None
    if len(unique) == 2:
        return "categorical"
    whole = bool(np.all(unique == np.round(unique)) and np.abs(unique).max() < 2**53)
    if len(unique) <= _FEW and len(unique) * _ROWS_EACH <= len(x):
        near = not whole or unique[-1] - unique[0] < 2 * len(unique)
        if near and not (whole and unique[0] == 0 and _loss_of_counts(unique, times) <= _LOSS_OF_COUNTS):
            return "categorical"
    if whole and unique[0] >= 0 and np.median(x) <= _MOST_COUNTED and x.var() >= 0.5 * x.mean():
        return "count"
    return "positive" if unique[0] > 0 and _gain_of_logarithms(x) >= _GAIN_OF_LOGARITHMS else "real"


def _loss_of_counts(unique: np.ndarray, times: np.ndarray) -> float:
    """Nats a cell by which a negative binomial, or a Poisson, is below the frequencies of the values."""
    p = times / times.sum()
    mean = float(p @ unique)
    variance = float(p @ (unique - mean) ** 2)
    if variance > 1.0001 * mean:
        r = mean**2 / (variance - mean)
        log_q, log_rest = math.log(r / (r + mean)), math.log(mean / (r + mean))
        masses = [
            math.lgamma(k + r) - math.lgamma(r) - math.lgamma(k + 1) + r * log_q + k * log_rest for k in unique
        ]
    else:
        masses = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in unique]
    return float(p @ (np.log(p) - np.array(masses)))


def _gain_of_logarithms(x: np.ndarray) -> float:
    logs, top = np.log(x), float(x.max())
    # The gain is the same in all units; in these a square is not too small for float64.
    spread, of_x = float(logs.std()), float((x / top).std())
    return math.log(of_x / spread) + math.log(top) - float(logs.mean()) if spread > 0 and of_x > 0 else 0.0


def check_scale(scale: float, low: float, high: float, called: str) -> None:
    """Raises InputError for values from low to high that differ, but so little that float32 cannot tell."""
    if low < high and scale < _LEAST_SCALE:
        raise InputError(
            f"{called} has values from {low:.3g} to {high:.3g}, too close for float32: expected a standard "
            f"deviation of at least {_LEAST_SCALE:.3g}; multiply by a power of ten"
        )


def find_columns(table: RawTable, kinds: dict[str, Kind], name: str) -> tuple[list[Column | None], dict[str, str]]:
    """A `Column` for each column of a table, loc and scale not yet known; None where it is left out.

    kinds: those that the user chose, by column. The second result says why a column is left out, by name.
    Raises InputError for a text among numbers, and for decimal commas.
    """
    columns: list[Column | None] = []
    reasons: dict[str, str] = {}
    for j, cells in enumerate(table.columns):
        called, chosen = table.names[j], kinds.get(table.names[j])
        column: Column | None = None
        if isinstance(cells, list):
            column = _of_texts(table, j, cells, chosen, name)
            texts = set(cells) - {None}
            if len(texts) == 1 < len(cells):
                column, reasons[called] = None, _constant(texts.pop())
            elif column is None:
                reasons[called] = f"{len(texts)} different texts in {len(cells)} rows" if texts else "no values"
        else:
            numbers = encoded(table, j, Column(called, "real"), name)
            known = numbers[~np.isnan(numbers)]
            kind = chosen or kind_of(numbers)
            if kind is None or not known.size:
                reasons[called] = "no values"
            elif known.min() == known.max() and len(numbers) > 1:
                reasons[called] = _constant(number_name(float(known[0])))
            else:
                column = Column(called, kind, _number_names(numbers) if kind == "categorical" else ())
        columns.append(column)
    return columns, reasons


def is_row_number(table: RawTable, j: int) -> bool:
    """Whether column j counts the rows: integers that go up by 1, or that are all different and have no name."""
    cells = table.columns[j]
    if isinstance(cells, list) or len(cells) < _LEAST_NUMBERED:
        return False
    x = np.asarray(cells, np.float64)
    with np.errstate(invalid="ignore"):
        if not np.array_equal(x, np.round(x)) or np.abs(x).max() >= 2**53:
            return False
        rows = np.arange(len(x)) if table.rows is None else table.rows
        in_order = bool(np.all(x - rows == x[0] - rows[0]))
    return in_order or (table.names[j] in table.unnamed and len(np.unique(x)) == len(x))


def _constant(value: object) -> str:
    return f"one value throughout, {shortened(value)}"


def _of_texts(table: RawTable, j: int, cells: list[str | None], chosen: Kind | None, name: str) -> Column | None:
    texts = {cell for cell in cells if cell is not None}
    numbers = [i for i, cell in enumerate(cells) if cell is not None and as_numbers([cell]) is not None]
    filled = sum(cell is not None for cell in cells)
    odd = next((i for i, cell in enumerate(cells) if cell is not None and as_numbers([cell]) is None), None)
    if odd is not None and (
        chosen in ("real", "positive", "count") or (2 * len(numbers) > filled and len(texts) > _FEW)
    ):
        raise InputError(
            f"{name} has {shortened(cells[odd])} in {table.place(odd, j)}: expected a number; "
            "leave a missing value empty or write NA"
        )
    commas = sum(1 for text in texts if DECIMAL_COMMA.fullmatch(text))
    if commas > len(texts) / 2:
        raise InputError(
            f"{name} has {shortened(next(iter(sorted(texts))))} in column {table.names[j]!r}: expected "
            "decimal points; replace the decimal commas"
        )
    each_its_own = len(texts) == filled > _ROWS_EACH
    too_many = len(texts) > max(_FEW, min(_MOST_CATEGORIES, filled // _ROWS_EACH))
    if chosen != "categorical" and (each_its_own or too_many):
        return None
    return Column(table.names[j], "categorical", tuple(sorted(texts, key=natural_order))) if texts else None


def _number_names(values: np.ndarray) -> tuple[str, ...]:
    return tuple(number_name(v) for v in np.unique(values[~np.isnan(values)]).tolist())


def number_name(value: float) -> str:
    """A number as the name of a category: 3 for 3.0."""
    return str(int(value)) if float(value).is_integer() else repr(value)


def shortened(cell: object) -> str:
    """A cell as a message shows it."""
    text = str(cell)
    return repr(text if len(text) <= 40 else text[:40] + "...")


def encoded(table: RawTable, j: int, column: Column, name: str) -> Float[np.ndarray, " N"]:
    """Column j as numbers: codes of categories, else the values; NaN where they are missing.

    Raises InputError, with the place, for an infinite value, one that float32 has no room for, a category that is
    not among those of `column`, and what is none of its kind.
    """
    cells = table.columns[j]
    if column.kind == "categorical":
        return _codes(table, j, column, name)
    if isinstance(cells, list):
        numbers = np.empty(len(cells))
        for i, cell in enumerate(cells):
            number = np.array([np.nan]) if cell is None else as_numbers([cell])
            if number is None:
                raise InputError(f"{name} has {shortened(cell)} in {table.place(i, j)}: expected a number")
            numbers[i] = number[0]
        cells = numbers
    cells = np.asarray(cells, np.float64)
    expected: dict[Kind, tuple[Float[np.ndarray, " N"], str]] = {
        "real": (np.abs(cells) <= LARGEST, f"a finite number below {LARGEST:.3g}"),
        "positive": ((cells >= SMALLEST) & (cells <= LARGEST), "a number above 0, for the column is positive"),
        "count": ((cells >= 0) & (cells < 2**31) & (cells == np.round(cells)), "a count 0, 1, 2, ..."),
    }
    fits, what = expected[column.kind]
    bad = np.flatnonzero(~fits & ~np.isnan(cells))
    if bad.size:
        value, remedy = float(cells[bad[0]]), "correct it, or leave it empty where it is not known"
        if column.kind == "positive" and 0 < value < SMALLEST:
            what, remedy = f"at least {SMALLEST:.3g}, for float32", "multiply the column by a power of ten"
        raise InputError(f"{name} has {value:.9g} in {table.place(int(bad[0]), j)}: expected {what}; {remedy}")
    return cells


def _codes(table: RawTable, j: int, column: Column, name: str) -> np.ndarray:
    cells = table.columns[j]
    number = {category: float(code) for code, category in enumerate(column.categories)}
    if isinstance(cells, list):
        texts: list[str | None] = cells
        which = np.arange(len(cells))
    else:
        # Each number once, for its name takes longer than finding it.
        unique, which = np.unique(np.asarray(cells, np.float64), return_inverse=True)
        texts = [None if np.isnan(v) else number_name(v) for v in unique.tolist()]
    for i, text in enumerate(texts):
        if text is not None and text not in number:
            row = int(np.flatnonzero(which == i)[0])
            some = ", ".join(printable(c) for c in column.categories[:8])
            more = ", ..." if len(column.categories) > 8 else ""
            raise InputError(
                f"{name} has {shortened(text)} in {table.place(row, j)}: expected one of {some}{more}; correct it, "
                "or leave it empty where it is not known"
            )
    codes: np.ndarray = np.array([np.nan if text is None else number[text] for text in texts])
    return codes.take(which)


def with_moments(column: Column, values: Float[np.ndarray, " N"]) -> Column:
    """The column with loc and scale of its training values, of x where real and of log x where positive.

    Raises InputError where the scale is too small for float32.
    """
    if column.kind not in ("real", "positive"):
        return column
    x = values[~np.isnan(values)]
    x = np.log(x) if column.kind == "positive" else x
    loc = float(x.mean()) if x.size else 0.0
    scale = float(x.std()) if x.size else 0.0
    # Training rows may have one value where others have more; its mean is off by its rounding, and so its spread.
    constant = not x.size or bool(x.min() == x.max())
    if x.size:
        check_scale(scale, float(x.min()), float(x.max()), f"column {column.name!r}")
    return dataclasses.replace(column, loc=loc, scale=1.0 if constant else scale)

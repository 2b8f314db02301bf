"""Examples of a .npy file as they are stored, and the one pass over all of them that tells how."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from vae_jax.data.columns import Column
from vae_jax.data.files import notice
from vae_jax.data.forms import bounds, check_finite, check_stored
from vae_jax.data.found import Layout
from vae_jax.data.kinds import check_scale, encoded
from vae_jax.data.npy import NpyRows
from vae_jax.data.tables import as_table
from vae_jax.data.threads import Progress
from vae_jax.data.units import as_stored

_BLOCK_BYTES = 2**24
_CLOSE = 1e-20


class StoredRows:
    """Examples of a .npy file as a layout stores them, read when they are asked for: a `Source`."""

    def __init__(self, source: NpyRows, layout: Layout):
        self._source, self._layout = source, layout

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int, /) -> np.ndarray:
        stored: np.ndarray = as_stored(own_units(self._source[index][None], self._layout), self._layout)[0]
        return stored


def own_units(raw: Shaped[np.ndarray, " N *raw"], layout: Layout) -> Shaped[np.ndarray, " N *event"]:
    """Rows of a file in the shape of the layout: the columns that it has, with codes for categories."""
    values = _kept(raw, layout).reshape(len(raw), *layout.event)
    if layout.stored != "columns" or layout.columns is None:
        return values
    coded = values.astype(np.float64)
    for j, column in enumerate(layout.columns):
        if column.kind == "categorical":
            known = np.array([float(name) for name in column.categories])
            coded[:, j] = np.where(np.isnan(coded[:, j]), np.nan, np.searchsorted(known, coded[:, j]))
    return coded


def _kept(raw: Shaped[np.ndarray, " N *raw"], layout: Layout) -> Shaped[np.ndarray, " N *kept"]:
    """The columns of a table that were not left out, by the names that `as_table` gives them."""
    flat = raw.reshape(len(raw), -1)
    if layout.columns is None or flat.shape[1] == len(layout.columns):
        return raw
    names = as_table(flat).names
    chosen = {column.name for column in layout.columns}
    return flat[:, [j for j, name in enumerate(names) if name in chosen]]


class _Moments(NamedTuple):
    """Sums over training examples of x - shift and its square, and over all examples what is there."""

    shift: Float[np.ndarray, " C"]
    seen: Float[np.ndarray, " C"]
    total: Float[np.ndarray, " C"]
    squares: Float[np.ndarray, " C"]
    low: Float[np.ndarray, " C"]
    high: Float[np.ndarray, " C"]
    missing: int = 0


def measured(
    source: NpyRows, train: Int[np.ndarray, " n"], layout: Layout, name: str
) -> tuple[Layout, float | None, float | None, float]:
    """The layout with moments of the training rows, and the bounds and the share of gaps of all; reads all once."""
    notice(f"{name}: read once, to check every value and for the mean of the training examples")
    of_train = np.zeros(len(source), bool)
    of_train[train] = True
    rows = max(1, _BLOCK_BYTES // max(1, source[0].nbytes))
    sums: _Moments | None = None
    bar = Progress(f"{name}: reading", len(source))
    for first in range(0, len(source), rows):
        raw = source.block(first, min(rows, len(source) - first))
        _check(raw, first, layout, name)
        sums = _added(sums, own_units(raw, layout), of_train[first : first + len(raw)], layout)
        bar.step(len(raw))
    bar.close()
    assert sums is not None
    count = np.maximum(sums.seen, 1)
    scale = np.sqrt(np.maximum(sums.squares / count - (sums.total / count) ** 2, 0))
    of_reals = [layout.stored == "real"] * len(scale)
    if layout.columns is not None:
        of_reals = [column.kind == "real" for column in layout.columns]
    for j in np.flatnonzero(of_reals).tolist():
        # Where the values are far apart, a small scale is but the rounding of its sums.
        low, high = float(sums.low[j]), float(sums.high[j])
        if high - low < _CLOSE:
            called = layout.columns[j].name if layout.columns is not None else f"entry {j} of the last axis"
            check_scale(float(scale[j]), low, high, f"{name}, {called},")
    scale = np.where((sums.low >= sums.high) | (scale == 0), 1.0, scale)
    loc = sums.shift + sums.total / count
    layout = dataclasses.replace(layout, missing=sums.missing > 0)
    if layout.stored == "real":
        layout = dataclasses.replace(layout, loc=tuple(loc.tolist()), scale=tuple(scale.tolist()))
    if layout.columns is not None and layout.stored in ("real", "columns"):
        columns = tuple(_with(c, float(m), float(s)) for c, m, s in zip(layout.columns, loc, scale, strict=True))
        layout = dataclasses.replace(layout, columns=columns)
    total = len(source) * int(np.prod(layout.event))
    numbers = np.ones(len(sums.low), bool)
    if layout.columns is not None and layout.stored == "columns":
        numbers = np.array([column.kind != "categorical" for column in layout.columns])
    if not numbers.any():
        return layout, None, None, sums.missing / total
    return layout, float(sums.low[numbers].min()), float(sums.high[numbers].max()), sums.missing / total


def _with(column: Column, loc: float, scale: float) -> Column:
    return dataclasses.replace(column, loc=loc, scale=scale) if column.kind in ("real", "positive") else column


def _check(raw: np.ndarray, first: int, layout: Layout, name: str) -> None:
    if layout.stored != "columns" or layout.columns is None:
        where = f"{name}, of examples {first} to {first + len(raw) - 1},"
        kept = _kept(raw, layout)
        low, high = bounds(kept)
        if low is not None and high is not None:
            check_finite(kept, low, high, where)
        check_stored(kept, layout, where)
        return
    table = as_table(raw.reshape(len(raw), -1))._replace(first=first)
    place = {called: j for j, called in enumerate(table.names)}
    for column in layout.columns:
        encoded(table, place[column.name], column, name)


def _added(sums: _Moments | None, values: np.ndarray, train: np.ndarray, layout: Layout) -> _Moments:
    """The sums with those of a block; of logarithms where a column is positive."""
    x = np.asarray(values, np.float64)
    gaps = int(np.isnan(x).sum())
    flat = x.reshape(-1, x.shape[-1])
    low = np.nanmin(np.vstack([flat, np.full((1, flat.shape[1]), np.inf)]), axis=0)
    high = np.nanmax(np.vstack([flat, np.full((1, flat.shape[1]), -np.inf)]), axis=0)
    logs = [c.kind == "positive" for c in layout.columns or ()]
    if any(logs):
        x = np.where(np.array(logs), np.log(np.where(np.array(logs), x, 1.0)), x)
    known = x[train].reshape(-1, x.shape[-1])
    seen = ~np.isnan(known)
    if sums is None:
        with np.errstate(invalid="ignore"):
            shift = np.where(seen, known, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        zero = np.zeros(x.shape[-1])
        sums = _Moments(shift, zero, zero, zero, zero + np.inf, zero - np.inf)
    off = np.where(seen, known - sums.shift, 0)
    return _Moments(
        sums.shift,
        sums.seen + seen.sum(axis=0),
        sums.total + off.sum(axis=0),
        sums.squares + (off**2).sum(axis=0),
        np.minimum(sums.low, low),
        np.maximum(sums.high, high),
        sums.missing + gaps,
    )

"""What was found, in the words and numbers of a table that is read before training."""

from __future__ import annotations

import math
from collections import Counter

from vae_jax.data.columns import Kind
from vae_jax.data.files import counted
from vae_jax.data.found import Found
from vae_jax.errors import printable

_STORED = {
    "levels": "8-bit levels 0 to 255",
    "unit": "numbers in [0, 1]",
    "real": "real numbers, less their mean",
    "counts": "counts",
    "columns": "columns of several kinds",
}
_MOST_NAMED = 6
_KINDS: tuple[Kind, ...] = ("real", "positive", "count", "categorical")


def described(found: Found) -> list[tuple[str, str]]:
    """The rows of the table that is printed before training, each a name and a text on one line.

    Data, examples, form and why, kind, range, missing values, labels where there are any, and the split.
    """
    layout = found.layout
    numbers = [len(part.values) for part in (found.train, found.validation, found.test)]
    rows = [
        ("data", printable(found.data)),
        ("examples", f"{sum(numbers):,}"),
        ("form", f"{layout.form} {_shape(found)} ({found.reason})"),
        ("kind", _kind(found)),
    ]
    if found.low is not None and found.high is not None:
        rows.append(("range", f"{found.low:.6g} to {found.high:.6g}"))
    rows.append(("missing", f"{_percent(found.gaps)} of the values" if found.gaps else "none"))
    if found.num_classes is not None:
        rows.append(("labels", _classes(found)))
    train, validation, test = (f"{number:,}" for number in numbers)
    rows.append(("split", f"{train} train, {validation} validation, {test} test: {found.split}"))
    return rows


def _shape(found: Found) -> str:
    event = found.layout.event
    if found.layout.form == "table":
        return f"of {counted(event[0], 'column')}"
    if found.layout.form == "series":
        return f"of {counted(event[0], 'step')}, {counted(event[1], 'channel')}"
    return " x ".join(str(n) for n in event)


def _kind(found: Found) -> str:
    layout = found.layout
    if layout.columns is None or layout.stored != "columns":
        return "0 and 1" if layout.stored == "unit" and layout.columns is not None else _STORED[layout.stored]
    of_kind = Counter(column.kind for column in layout.columns)
    parts = []
    for kind in _KINDS:
        names = [printable(column.name) for column in layout.columns if column.kind == kind]
        if names:
            more = ", ..." if len(names) > _MOST_NAMED else ""
            parts.append(f"{of_kind[kind]} {kind} ({', '.join(names[:_MOST_NAMED])}{more})")
    return ", ".join(parts)


def _classes(found: Found) -> str:
    classes = found.layout.classes
    if classes is None:
        return f"{found.num_classes} classes"
    more = ", ..." if len(classes) > _MOST_NAMED else ""
    return f"{found.num_classes} classes ({', '.join(printable(c) for c in classes[:_MOST_NAMED])}{more})"


def _percent(share: float) -> str:
    """Two digits that are not zero, for one missing value in a million is not none."""
    digits = max(0, 1 - math.floor(math.log10(100 * share))) if share < 1 else 0
    return f"{100 * share:.{digits}f} %"

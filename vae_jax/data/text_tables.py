"""Tables as text, separated by commas, semicolons, tabs or blanks: a stranger may have written any line."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from vae_jax.data.files import check_file, check_memory, readable
from vae_jax.data.text_fields import (
    MISSING,
    SAVE_AGAIN,
    as_numbers,
    as_written,
    checked_lines,
    delimiter_of,
    has_decimal_commas,
    numbered_rows,
    opened,
    pointed,
    rows_of,
    sample_of,
)
from vae_jax.data.threads import Progress
from vae_jax.errors import InputError, printable

SUFFIXES = (".csv", ".tsv", ".txt")
MOST_COLUMNS = 2**16
_BLOCK_ROWS = 4096
_COPIES = 3  # of a number: in its block, in its column, and in the parts that the table is cut into
_NO_NAME = "Unnamed:"  # as pandas calls a column without a name when it saves it again

Cells = Shaped[np.ndarray, " N"] | list[str | None]


class RawTable(NamedTuple):
    """A table as it was read, by column: numbers [N] where every cell is one, else the texts.

    A missing value is NaN, or None among texts. `lines`: where in the file each row ends, int [N]; of an array
    None. `rows`: which of an array these are, where they are a sample. `header`: whether a text names its columns;
    `unnamed`: those that a header leaves without a name.
    """

    names: tuple[str, ...]
    columns: list[Cells]
    lines: Int[np.ndarray, " N"] | None = None
    first: int = 0  # the number of the first row, where these are some of many
    rows: Int[np.ndarray, " N"] | None = None
    header: bool = True
    unnamed: frozenset[str] = frozenset()

    def place(self, row: int, column: int) -> str:
        """Where a cell stands, as messages say it."""
        row_named = f"row {self.first + row}" if self.lines is None else f"line {self.lines[row]}"
        return f"{row_named}, column {self.names[column]!r}"


def is_text_table(path: Path) -> bool:
    """Whether the name is that of a table of text, in capitals or not."""
    return path.suffix.lower() in SUFFIXES


def read_text_table(path: Path) -> RawTable:
    """The columns of a file; separator, decimal sign and header are found.

    See `delimiter_of`, `has_decimal_commas` and `_has_header`.

    Raises InputError, with the line, for what is no table: rows of different lengths, zero bytes, other encodings,
    names that come twice; and for a table of no rows, or larger than the memory.
    """
    check_file(path, "a table of text, .csv or .tsv")
    name = printable(path)
    with readable(path, SAVE_AGAIN), path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise InputError(f"{name} is UTF-16: {SAVE_AGAIN}")
    with readable(path, SAVE_AGAIN), opened(path) as file:
        sample = list(sample_of(file, name))
    delimiter = delimiter_of(sample, path)
    rows = [[cell.strip() for cell in row] for row in rows_of(sample, delimiter, name)]
    if not rows:
        raise InputError(f"{name} has no rows: expected a table, one example a line")
    if len(rows[0]) > MOST_COLUMNS:
        raise InputError(f"{name} has {len(rows[0])} columns: expected at most {MOST_COLUMNS}; save it as .npy")
    cells = path.stat().st_size / max(1, sum(len(line) for line in sample)) * len(rows) * len(rows[0])
    check_memory(name, int(8 * _COPIES * cells), "keep fewer rows, or save it as .npy and stream it (--stream)")
    commas = has_decimal_commas(path, delimiter)
    header = _has_header([[pointed(cell) for cell in row] for row in rows] if commas else rows)
    names = _names(rows[0], header, name)
    texts: frozenset[int] = frozenset()
    while True:
        columns, lines, found = _columns(path, (delimiter, commas), header, len(names), texts)
        if found == texts:
            blank = [c in MISSING or c.startswith(_NO_NAME) for c in rows[0]] if header else []
            unnamed = frozenset(itertools.compress(names, blank))
            return RawTable(names, columns, lines, header=header, unnamed=unnamed)
        # Numbers were thrown away as texts: 01 and 1.0 are one number and two names.
        texts = found


def _columns(
    path: Path, signs: tuple[str, bool], header: bool, width: int, texts: frozenset[int]
) -> tuple[list[Cells], np.ndarray, frozenset[int]]:
    """The columns, the last line of each row, and which columns are texts, `texts` among them.

    signs: what separates fields, and whether a comma separates decimals.
    """
    name, found = printable(path), set(texts)
    delimiter, commas = signs
    texts_of: list[list[str | None]] = [[] for _ in range(width)]
    numbers_of: list[list[Float[np.ndarray, " _"]]] = [[] for _ in range(width)]
    lines: list[int] = []
    bar = Progress(f"{name}: reading", path.stat().st_size)
    with readable(path, SAVE_AGAIN), contextlib.closing(bar), opened(path) as file:
        rows = numbered_rows(checked_lines(file, name, bar), delimiter, width, name)
        for block in _batched(itertools.islice(rows, int(header), None), _BLOCK_ROWS):
            check_memory(name, 8 * _COPIES * width * _BLOCK_ROWS, "keep fewer rows")
            lines += [line for line, _ in block]
            for j, cells in enumerate(zip(*(row for _, row in block), strict=True)):
                written = list(map(pointed, cells)) if commas else cells
                numbers = None if j in found else as_numbers(written)
                if numbers is None:
                    found.add(j)
                    texts_of[j] += [None if c.strip() in MISSING else c.strip() for c in cells]
                else:
                    numbers_of[j].append(numbers)
    if not lines:
        raise InputError(f"{name} has a header and no rows: expected one example a line")
    if found != texts:
        return [], np.array(lines), frozenset(found)
    columns: list[Cells] = [
        (as_written(texts_of[j]) if commas else texts_of[j]) if j in found else np.concatenate(pieces)
        for j, pieces in enumerate(numbers_of)
    ]
    return columns, np.array(lines), frozenset(found)


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: it has no number, or a text above numbers alone."""
    first, rest = rows[0], rows[1:]
    if all(cell in MISSING or as_numbers([cell]) is None for cell in first):
        return any(cell not in MISSING for cell in first)
    for j, cell in enumerate(first):
        below = [row[j] for row in rest if j < len(row)]
        filled = [c for c in below if c not in MISSING]
        if cell not in MISSING and as_numbers([cell]) is None and filled and as_numbers(filled) is not None:
            return True
    return False


def _names(first: list[str], header: bool, name: str) -> tuple[str, ...]:
    names = tuple(
        cell if header and cell not in MISSING else f"column_{j}" for j, cell in enumerate(first, start=1)
    )
    twice = next((n for n in names if names.count(n) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise InputError(f"{name} has two columns {twice!r}: expected a name for each; rename one")
    return names


def _batched(rows: Iterator[tuple[int, list[str]]], size: int) -> Iterator[list[tuple[int, list[str]]]]:
    while block := list(itertools.islice(rows, size)):
        yield block

"""Tables as text, separated by commas, semicolons, tabs or blanks: a stranger may have written any line."""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from vae_jax.data.files import check_file, check_memory, counted, readable
from vae_jax.data.threads import Progress
from vae_jax.errors import InputError, one_line, printable

SUFFIXES = (".csv", ".tsv", ".txt")
MISSING = frozenset(
    {"", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "NaT", "null", "NULL", "None", "?", "-"}
)
MOST_COLUMNS = 2**16
_LONGEST_LINE = 2**24
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 50, 2**20
_BLOCK_ROWS = 4096
_COPIES = 3  # of a number: in its block, in its column, and in the parts that the table is cut into
_NO_NAME = "Unnamed:"  # as pandas calls a column without a name when it saves it again
_BLANKS = " "
DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?")
_SAVE_AGAIN = "save it as a table of text in UTF-8"

Cells = Num[np.ndarray, " N"] | list[str | None]


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

    See `_delimiter`, `_has_decimal_commas` and `_has_header`.

    Raises InputError, with the line, for what is no table: rows of different lengths, zero bytes, other encodings,
    names that come twice; and for a table of no rows, or larger than the memory.
    """
    check_file(path, "a table of text, .csv or .tsv")
    name = printable(path)
    with readable(path, _SAVE_AGAIN), path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise InputError(f"{name} is UTF-16: {_SAVE_AGAIN}")
    with readable(path, _SAVE_AGAIN), _opened(path) as file:
        sample = list(_sample(file, name))
    delimiter = _delimiter(sample, path)
    rows = [[cell.strip() for cell in row] for row in _rows(sample, delimiter, name)]
    if not rows:
        raise InputError(f"{name} has no rows: expected a table, one example a line")
    if len(rows[0]) > MOST_COLUMNS:
        raise InputError(f"{name} has {len(rows[0])} columns: expected at most {MOST_COLUMNS}; save it as .npy")
    cells = path.stat().st_size / max(1, sum(len(line) for line in sample)) * len(rows) * len(rows[0])
    check_memory(name, int(8 * _COPIES * cells), "keep fewer rows, or save it as .npy and stream it (--stream)")
    commas = _has_decimal_commas(path, delimiter)
    header = _has_header([[_pointed(cell) for cell in row] for row in rows] if commas else rows)
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
    with readable(path, _SAVE_AGAIN), contextlib.closing(bar), _opened(path) as file:
        rows = _numbered_rows(_lines(file, name, bar), delimiter, width, name)
        for block in _batched(itertools.islice(rows, int(header), None), _BLOCK_ROWS):
            check_memory(name, 8 * _COPIES * width * _BLOCK_ROWS, "keep fewer rows")
            lines += [line for line, _ in block]
            for j, cells in enumerate(zip(*(row for _, row in block), strict=True)):
                pointed = list(map(_pointed, cells)) if commas else cells
                numbers = None if j in found else as_numbers(pointed)
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
        (_as_written(texts_of[j]) if commas else texts_of[j]) if j in found else np.concatenate(pieces)
        for j, pieces in enumerate(numbers_of)
    ]
    return columns, np.array(lines), frozenset(found)


def as_numbers(cells: Sequence[str]) -> Float[np.ndarray, " N"] | None:
    """The cells as float64, NaN where they are missing; None where one is no number."""
    try:
        numbers = list(map(float, cells))
    except ValueError:
        try:
            numbers = [np.nan if cell.strip() in MISSING else float(cell) for cell in cells]
        except ValueError:
            return None
    # Python reads 1_000 as a number, which other programs write as a name.
    return None if "_" in "".join(cells) else np.array(numbers)


def _opened(path: Path) -> IO[str]:
    return path.open(encoding="utf-8-sig", newline="")


def _lines(file: IO[str], name: str, bar: Progress | None = None) -> Iterator[str]:
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if bar is not None:
            bar.step(len(line))
        if "\0" in line:
            raise InputError(f"{name} has a zero byte in line {number}: expected text; {_SAVE_AGAIN}")
        if len(line) == _LONGEST_LINE and not line.endswith("\n"):
            raise InputError(f"{name} has more than {_LONGEST_LINE} characters in line {number}: {_SAVE_AGAIN}")
        yield line


def _sample(file: IO[str], name: str) -> Iterator[str]:
    total = 0
    for line in itertools.islice(_lines(file, name), _SAMPLE_LINES):
        yield line
        total += len(line)
        if total > _SAMPLE_CHARACTERS:
            return


def _reader(lines: Iterable[str], delimiter: str, *, strict: bool) -> Any:
    if delimiter == _BLANKS:
        lines, delimiter = ("\t".join(line.split()) + "\n" for line in lines), "\t"
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)


def _rows(lines: Iterable[str], delimiter: str, name: str) -> list[list[str]]:
    try:
        # Not strict: a quoted field may go on where the sample ends.
        return [row for row in _reader(lines, delimiter, strict=False) if row]
    except csv.Error as error:
        raise InputError(f"{name} cannot be read ({one_line(error)}): {_SAVE_AGAIN}") from error


def _numbered_rows(lines: Iterator[str], delimiter: str, width: int, name: str) -> Iterator[tuple[int, list[str]]]:
    reader = _reader(lines, delimiter, strict=True)
    try:
        for row in reader:
            if row and len(row) != width:
                raise InputError(
                    f"{name} has {counted(len(row), 'field')} in line {reader.line_num}, but {width} in its first: "
                    "expected as many in each; leave a missing value empty between its separators"
                )
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(
            f"{name} cannot be read at line {reader.line_num} ({one_line(error)}): close its quotes, or "
            f"{_SAVE_AGAIN}"
        ) from error


def _delimiter(sample: list[str], path: Path) -> str:
    """The tab, semicolon or comma, the first that cuts all lines into equally many fields; else what cuts most.

    Blanks, as many as there are, where none of them cuts and they leave numbers alone, below one line of names.
    """
    lengths: dict[str, list[int]] = {}
    for delimiter in ("\t", ";", ","):
        try:
            lengths[delimiter] = sorted(len(row) for row in _rows(sample, delimiter, printable(path)))
        except InputError:  # the whole line may be one field, and too long for one
            lengths[delimiter] = []
        if lengths[delimiter] and lengths[delimiter][0] == lengths[delimiter][-1] > 1:
            return delimiter
    if all(found and found[-1] == 1 for found in lengths.values()) and _is_cut_by_blanks(sample):
        return _BLANKS
    return max(reversed(lengths), key=lambda d: lengths[d][len(lengths[d]) // 2] if lengths[d] else 0)


def _is_cut_by_blanks(sample: list[str]) -> bool:
    rows = [row for row in map(str.split, sample) if row]
    if len(rows) < 2 or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return False
    return all(as_numbers([_pointed(cell) for cell in row]) is not None for row in rows[1:])


def _has_decimal_commas(path: Path, delimiter: str) -> bool:
    """Whether commas, which separate no fields, stand for points: in one number at least, and no other has a point.

    Reads the whole file, for a number with a point may come late; of a file without commas its lines alone.
    """
    if delimiter == ",":
        return False
    name, found = printable(path), False
    with readable(path, _SAVE_AGAIN), _opened(path) as file:
        if not any("," in line for line in _lines(file, name)):
            return False
        file.seek(0)
        for row in _reader(_lines(file, name), delimiter, strict=False):
            for cell in map(str.strip, row):
                if "." in cell and as_numbers([cell]) is not None:
                    return False
                found = found or DECIMAL_COMMA.fullmatch(cell) is not None
    return found


def _pointed(cell: str) -> str:
    return cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell.strip()) else cell


def _as_written(texts: list[str | None]) -> list[str | None]:
    """Texts as they are, unless most of them are numbers, among which a text is a slip."""
    filled = [text for text in texts if text is not None]
    numbers = sum(as_numbers([_pointed(text)]) is not None for text in filled)
    return [None if t is None else _pointed(t) for t in texts] if 2 * numbers > len(filled) else texts


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

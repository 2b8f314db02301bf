"""Fields of tables of text: how lines are cut into them, and which of them are numbers."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Float

from vae_jax.data.files import counted, readable
from vae_jax.data.threads import Progress
from vae_jax.errors import InputError, one_line, printable

MISSING = frozenset(
    {"", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "NaT", "null", "NULL", "None", "?", "-"}
)
DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?")
SAVE_AGAIN = "save it as a table of text in UTF-8"
_LONGEST_LINE = 2**24
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 50, 2**20
_BLANKS = " "


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


def opened(path: Path) -> IO[str]:
    """A file of text in UTF-8, with a byte order mark or not."""
    return path.open(encoding="utf-8-sig", newline="")


def checked_lines(file: IO[str], name: str, bar: Progress | None = None) -> Iterator[str]:
    """The lines of a file; raises InputError for a zero byte, and for a line without end."""
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if bar is not None:
            bar.step(len(line))
        if "\0" in line:
            raise InputError(f"{name} has a zero byte in line {number}: expected text; {SAVE_AGAIN}")
        if len(line) == _LONGEST_LINE and not line.endswith("\n"):
            raise InputError(f"{name} has more than {_LONGEST_LINE} characters in line {number}: {SAVE_AGAIN}")
        yield line


def sample_of(file: IO[str], name: str) -> Iterator[str]:
    """Its first lines."""
    total = 0
    for line in itertools.islice(checked_lines(file, name), _SAMPLE_LINES):
        yield line
        total += len(line)
        if total > _SAMPLE_CHARACTERS:
            return


def _reader(lines: Iterable[str], delimiter: str, *, strict: bool) -> Any:
    if delimiter == _BLANKS:
        lines, delimiter = ("\t".join(line.split()) + "\n" for line in lines), "\t"
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)


def rows_of(lines: Iterable[str], delimiter: str, name: str) -> list[list[str]]:
    """Lines cut into fields, as many as there are in each."""
    try:
        # Not strict: a quoted field may go on where the sample ends.
        return [row for row in _reader(lines, delimiter, strict=False) if row]
    except csv.Error as error:
        raise InputError(f"{name} cannot be read ({one_line(error)}): {SAVE_AGAIN}") from error


def numbered_rows(lines: Iterator[str], delimiter: str, width: int, name: str) -> Iterator[tuple[int, list[str]]]:
    """Lines cut into `width` fields, each with the number of its line; raises InputError for another number."""
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
            f"{SAVE_AGAIN}"
        ) from error


def delimiter_of(sample: list[str], path: Path) -> str:
    """The tab, semicolon or comma, the first that cuts all lines into equally many fields; else what cuts most.

    Blanks, as many as there are, where none of them cuts and they leave numbers alone, below one line of names.
    """
    lengths: dict[str, list[int]] = {}
    for delimiter in ("\t", ";", ","):
        try:
            lengths[delimiter] = sorted(len(row) for row in rows_of(sample, delimiter, printable(path)))
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
    return all(as_numbers([pointed(cell) for cell in row]) is not None for row in rows[1:])


def has_decimal_commas(path: Path, delimiter: str) -> bool:
    """Whether commas, which separate no fields, stand for points: in one number at least, and no other has a point.

    Reads the whole file, for a number with a point may come late; of a file without commas its lines alone.
    """
    if delimiter == ",":
        return False
    name, found = printable(path), False
    with readable(path, SAVE_AGAIN), opened(path) as file:
        if not any("," in line for line in checked_lines(file, name)):
            return False
        file.seek(0)
        for row in _reader(checked_lines(file, name), delimiter, strict=False):
            for cell in map(str.strip, row):
                if "." in cell and as_numbers([cell]) is not None:
                    return False
                found = found or DECIMAL_COMMA.fullmatch(cell) is not None
    return found


def pointed(cell: str) -> str:
    """A number with a decimal comma as one with a point; any other text as it is."""
    return cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell.strip()) else cell


def as_written(texts: list[str | None]) -> list[str | None]:
    """Texts as they are, unless most of them are numbers, among which a text is a slip."""
    filled = [text for text in texts if text is not None]
    numbers = sum(as_numbers([pointed(text)]) is not None for text in filled)
    return [None if t is None else pointed(t) for t in texts] if 2 * numbers > len(filled) else texts

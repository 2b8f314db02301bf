"""Tables of text as people and programs write them, and what a stranger's file can do wrong."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from vae_jax.data import files, text_fields, text_tables
from vae_jax.data.text_tables import read_text_table
from vae_jax.errors import InputError

ROWS = [["1", "2.5", "red"], ["-3", "1e2", "blue"], ["0", "", "red"]]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_text_table(path)
    message = str(caught.value)
    assert message.isprintable()
    assert str(path) in message
    return message


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("header", [True, False])
def test_what_programs_write(tmp_path: Path, delimiter: str, end: str, mark: str, header: bool) -> None:
    """Fails if a separator, a line end, a byte order mark, quotes or a header change the table."""
    lines = [delimiter.join(row) for row in ([["a", '"b, or; c"', "d"]] if header else []) + ROWS]
    table = read_text_table(write(tmp_path / "x.csv", mark + end.join(lines) + end))
    assert table.names == (("a", "b, or; c", "d") if header else ("column_1", "column_2", "column_3"))
    np.testing.assert_array_equal(table.columns[0], [1, -3, 0])
    np.testing.assert_array_equal(table.columns[1], [2.5, 100, np.nan])
    assert table.columns[2] == ["red", "blue", "red"]
    assert table.lines is not None
    assert table.lines.tolist() == [1 + header, 2 + header, 3 + header]


def test_every_spelling_of_missing(tmp_path: Path) -> None:
    """Fails if a missing value makes a column of numbers one of texts, or a number of a missing one."""
    spelled = ["NA", "NaN", "nan", "null", "?", "-", " ", "NULL", "N/A", "None", "#N/A", "n/a", "<NA>", "NaT"]
    cells = ["1", *spelled, "2"]
    table = read_text_table(write(tmp_path / "x.csv", "a,b\n" + "".join(f"{c},{c}x\n" for c in cells)))
    np.testing.assert_array_equal(table.columns[0], [1, *[np.nan] * len(spelled), 2])
    table = read_text_table(write(tmp_path / "y.csv", "a,b\n" + "".join(f"{c},t\n" for c in ["u", *spelled])))
    assert table.columns[0] == ["u", *[None] * len(spelled)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", ("column_1", "column_2", "column_3")),
        ("id,2019,2020\n1,3,4\n2,5,6\n", ("id", "2019", "2020")),
        (",x\n0,1.5\n1,2.5\n", ("column_1", "x")),
        ("colour,shape\nred,round\n", ("colour", "shape")),
        ("7\n8\n", ("column_1",)),
        ("x\n7\n8\n", ("x",)),
        ("NA,1\n3,2\n", ("column_1", "column_2")),
    ],
)
def test_a_header_is_what_names_numbers(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    """Fails if the first example is lost as a header, or a header is read as an example."""
    table = read_text_table(write(tmp_path / "x.csv", text))
    assert table.names == names
    assert len(table.columns[0]) == text.count("\n") - (names[-1] != f"column_{len(names)}")


def test_a_text_after_thousands_of_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a column that turns out to be texts late has lost how its first cells were spelled."""
    monkeypatch.setattr(text_tables, "_BLOCK_ROWS", 4)
    cells = ["01", "1.0", "1"] * 5 + ["one"]
    table = read_text_table(write(tmp_path / "x.csv", "".join(f"{c},{i}\n" for i, c in enumerate(cells))))
    assert table.columns[0] == cells
    np.testing.assert_array_equal(table.columns[1], np.arange(16))


@pytest.mark.parametrize(
    ("text", "names", "columns"),
    [
        ("a;b\n1,5;2,5\n-3;,25\n", ("a", "b"), [[1.5, -3], [2.5, 0.25]]),
        ("1,5;2,5\n3;4\n", ("column_1", "column_2"), [[1.5, 3], [2.5, 4]]),
        ("a\tb\n1,5e2\tx\nNA\ty\n", ("a", "b"), [[150, np.nan], ["x", "y"]]),
        ("a;b\n" + "1;u\n" * 60 + "1,5;v,w\n", ("a", "b"), [[1] * 60 + [1.5], ["u"] * 60 + ["v,w"]]),
        ('a;b\n1,5;"u; 2.5"\n2;t\n', ("a", "b"), [[1.5, 2], ["u; 2.5", "t"]]),
        # A point in one number, early or late: commas then are none.
        ("a;b\n1,5;2.5\n2,5;3\n", ("a", "b"), [["1,5", "2,5"], [2.5, 3]]),
        (
            "a;b\n1,5;2\n" + "2,5;3\n" * 60 + "1;2.5\n",
            ("a", "b"),
            [["1,5", *["2,5"] * 60, "1"], [2, *[3] * 60, 2.5]],
        ),
        ("a;b\n1,5;1,2\n2;1,2,3\n3;x\n", ("a", "b"), [[1.5, 2, 3], ["1,2", "1,2,3", "x"]]),
    ],
)
def test_decimal_commas(tmp_path: Path, text: str, names: tuple[str, ...], columns: list[list[object]]) -> None:
    """Fails if 1,5 is a text where all numbers are written so, or a number where some have points."""
    table = read_text_table(write(tmp_path / "x.csv", text))
    assert table.names == names
    for found, expected in zip(table.columns, columns, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_slip_among_decimal_commas_is_one_text(tmp_path: Path) -> None:
    """Fails if one text in a column of decimal commas makes texts of its numbers."""
    table = read_text_table(write(tmp_path / "x.csv", "a;b\n1,5;1\n2,5;1\n3o;1\n"))
    assert table.columns[0] == ["1.5", "2.5", "3o"]


@pytest.mark.parametrize("name", ["x.txt", "x.csv"])
@pytest.mark.parametrize("header", ["", "a b c\n"])
def test_numbers_separated_by_blanks(tmp_path: Path, name: str, header: str) -> None:
    """Fails if what numpy.savetxt writes, or numbers set flush right, are one column of texts."""
    numbers = np.random.default_rng(0).normal(size=(60, 3))
    with (tmp_path / name).open("w") as file:
        file.write(header)
        np.savetxt(file, numbers)
        file.write("\n   1.5      2   NaN  \n")
    table = read_text_table(tmp_path / name)
    assert table.names == (("a", "b", "c") if header else ("column_1", "column_2", "column_3"))
    np.testing.assert_array_equal(np.stack(table.columns, axis=1), [*numbers, [1.5, 2, np.nan]])
    assert table.lines is not None
    assert table.lines[-1] == 62 + bool(header)
    with (tmp_path / name).open("a") as file:
        file.write("1 2\n")
    assert f"has 2 fields in line {63 + bool(header)}, but 3" in refused(tmp_path / name)
    texts = read_text_table(write(tmp_path / name, "red apple\ngreen pear\nblue plum\n"))
    assert texts.columns == [["green pear", "blue plum"]]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a,b\n1,2\n1,2,3\n", "has 3 fields in line 3, but 2 in its first"),
        ('a,b\n1,"x\ny"\n\n1\n', "has 1 field in line 5"),
        ("a,a\n1,2\n", "two columns 'a'"),
        ("a,b\n", "a header and no rows"),
        ("", "has no rows"),
        ("\n\n", "has no rows"),
        (b"a,b\n1,2\0\n", "zero byte in line 2"),
        (b"\0" * 100_000, "zero byte in line 1"),
        ("a,b\nä,1\n".encode("latin-1"), "cannot be read"),
        ("a,b\n1,2\n".encode("utf-16"), "is UTF-16"),
        ('a,b\n1,"2\n3,4\n', "close its quotes"),
        ("1," * 70_000 + "1\n", "70001 columns: expected at most 65536"),
        ("a,b\n" + "\n".join(["1,2"] * 60) + "\n1\x1b[2J,2,3\n", "has 3 fields in line 62"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_table(tmp_path: Path, text: str | bytes, part: str) -> None:
    """Fails if a damaged table is read in part, in silence, or ends in a traceback."""
    assert part in refused(write(tmp_path / "x.csv", text))


def test_files_that_are_none(tmp_path: Path) -> None:
    """Fails if a pipe is waited for, or a missing file is a traceback."""
    os.mkfifo(tmp_path / "x.csv")
    assert "is no regular file" in refused(tmp_path / "x.csv")
    assert "does not exist" in refused(tmp_path / "y.csv")


def test_a_line_without_end_and_a_table_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if two gigabytes of one line, or of zeros, are read before they are refused."""
    path = tmp_path / "x.csv"
    with path.open("wb") as file:
        file.truncate(2**31)
    tracemalloc.start()
    assert "zero byte in line 1" in refused(path)
    path.write_bytes(b"1" * 5 * 2**20)
    monkeypatch.setattr(text_fields, "_LONGEST_LINE", 2**20)
    assert "more than 1048576 characters in line 1" in refused(path)
    path.write_bytes(b"0,0\n" * 2**18)
    monkeypatch.setattr(files, "available_memory", lambda: 10**6)
    assert "of memory, of which" in refused(path)
    assert tracemalloc.get_traced_memory()[1] < 2**27
    tracemalloc.stop()


def test_numbers_of_other_languages_are_texts(tmp_path: Path) -> None:
    """Fails if 1_000, which Python alone takes for a number, is one."""
    table = read_text_table(write(tmp_path / "x.csv", "a,b\n1_000,1\n2_000,2\n"))
    assert table.columns[0] == ["1_000", "2_000"]

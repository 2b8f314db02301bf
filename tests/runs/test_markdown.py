"""Tables in Markdown."""

import re
from pathlib import Path

from vae_jax.runs.markdown import table_lines

ROOT = Path(__file__).parents[2]


def test_a_table_whose_answer_is_known():
    """Fails if a column stands on the wrong side, or if a line waits for the rows after it."""

    def rows():
        yield "a", "1", "x"
        raise RuntimeError("asked for the second row")

    lines = table_lines(("what", "number", "word"), rows(), words=(0, 2))
    assert [next(lines) for _ in range(3)] == ["| what | number | word |", "| --- | ---: | --- |", "| a | 1 | x |"]


def test_no_table_is_built_by_hand():
    """Fails if a file beside that of tables writes the line below a header."""
    files = [path for name in ("vae_jax", "experiments") for path in (ROOT / name).rglob("*.py")]
    found = [path.name for path in files if re.search(r"---:|\| ---", path.read_text())]
    assert found == ["markdown.py"]

"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence


def table_lines(
    titles: Sequence[str], rows: Iterable[Sequence[str]], *, words: Collection[int] = (0,)
) -> Iterator[str]:
    """The lines of a table, each row's when that row is there. words: the columns that stand on the left."""
    yield _line(titles)
    yield _line(["---" if i in words else "---:" for i in range(len(titles))])
    yield from map(_line, rows)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

"""What an experiment on own data leaves: its table in Markdown, printed and in its folder, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vae_jax.files import write_text_atomically
from vae_jax.runs import Finished
from vae_jax.runs.markdown import table_lines
from vae_jax.runs.programs import train_and_draw


def trained(config: Any) -> tuple[Finished, float]:
    """The finished run of a config, with its figures, and the seconds of its training.

    The seconds of starts that came to no end are lost; those of a run that had ended before are in its folder.
    """
    finished = train_and_draw(config)
    path = Path(config.run.out) / "seconds.txt"
    before = float(path.read_text()) if path.exists() else 0.0
    seconds = before + (finished.summary["seconds_this_time"] if finished.summary["steps_this_time"] else 0.0)
    write_text_atomically(path, f"{seconds}\n")
    return finished, seconds


def report(
    out: str, name: str, titles: Sequence[str], rows: Iterable[Sequence[str]], *, begin: float, notes: Sequence[str]
) -> str:
    """Prints the table, its notes and the seconds since `begin`; writes them to `out`/name.md. Returns them."""
    said = [*notes, f"This start took {time.perf_counter() - begin:.0f} s in all."]
    text = "\n".join([*table_lines(titles, rows), "", *said, ""])
    print(f"\n{text}", flush=True)
    path = Path(out) / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, text)
    return text


def mean_and_range(values: Sequence[float], digits: int) -> str:
    """The mean, and of several values their least and most: "1.234 (1.230 to 1.238)"."""
    mean = f"{sum(values) / len(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"

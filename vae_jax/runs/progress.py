"""Progress of a run: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress


class Progress:
    """Shows step, loss, distortion, rate, steps per second and time left; a context manager."""

    def __init__(self, first: int, total: int):
        self._first, self._total, self._begin = first, total, time.perf_counter()
        self._live = sys.stdout is not None and sys.stdout.isatty()
        self._bar = RichProgress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            disable=not self._live,
        )
        self._task = self._bar.add_task("train", total=total, completed=first, text="compiling")

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()

    def started(self, steps: int, seconds: float) -> None:
        """After the first call: how long the start took, steps of that call included."""
        self._print(f"first {steps} steps done {seconds:.1f} s after the start")

    def update(self, row: dict[str, float]) -> None:
        """After each call: the mean metrics of its steps, in nats per example."""
        self._text = self._describe(row)
        self._bar.update(self._task, completed=row["step"], text=self._text)

    def evaluated(self, step: int, held_out: dict[str, float]) -> None:
        """After each evaluation: the ELBO on the validation set."""
        self.reached(step, f"validation ELBO {held_out['elbo']:.2f}")

    def reached(self, step: int, what: str) -> None:
        """A line that stays: the step, the last training metrics, and what has been done there."""
        self._print(f"step {step}/{self._total}  {self._text}  {what}")

    def _print(self, line: str) -> None:
        self._bar.console.print(line, highlight=False) if self._live else print(line, flush=True)

    def _describe(self, row: dict[str, float]) -> str:
        parts = [f"{name} {row[name]:.1f}" for name in ("loss", "distortion", "rate") if name in row]
        if row.get("skipped"):
            parts.append(f"{row['skipped']:.0f} steps skipped")
        seconds = time.perf_counter() - self._begin
        if seconds > 0:  # a clock may stand still, or be put back
            speed = (row["step"] - self._first) / seconds
            parts += [f"{speed:.0f} steps/s", f"{(self._total - row['step']) / speed:.0f} s left"]
        return "  ".join(parts)

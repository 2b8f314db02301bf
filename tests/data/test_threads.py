"""Work in threads: in order, stopped by its first error, and quiet where nobody looks on."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from vae_jax.data import threads
from vae_jax.data.threads import Progress, in_threads


def test_results_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if results come as they are done, or what comes after a piece of the work is lost."""
    monkeypatch.setattr(threads, "_AT_ONCE", 7)
    monkeypatch.setattr(threads, "num_threads", lambda: 3)
    assert list(in_threads(lambda i: i * i, range(50))) == [i * i for i in range(50)]


def test_the_first_error_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if an error waits for a thousand others, is lost, or leaves a thread behind."""
    monkeypatch.setattr(threads, "num_threads", lambda: 2)
    done: list[int] = []

    def work(i: int) -> None:
        if i == 5:
            raise ValueError("five")
        done.append(i)

    before = threading.active_count()
    with pytest.raises(ValueError, match="five"):
        list(in_threads(work, range(10_000)))
    assert len(done) < 9_999
    assert threading.active_count() == before


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_progress_is_for_a_terminal(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, shown: bool) -> None:
    """Fails if a log is filled with lines, a terminal shows nothing, or the line stays when the work is done."""
    now = [0.0]
    monkeypatch.setattr(threads.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys, "stderr", stream)
    bar = Progress("x: decoding", 100)
    for _ in range(10):
        now[0] += 1
        bar.step(5)
    bar.close()
    text = stream.getvalue()
    assert ("\rx: decoding 50 %, 10 s left " in text) == shown
    assert text.endswith("\r\x1b[K") == shown

"""The measuring itself: turns are interleaved, and ratios are of calls made side by side."""

import numpy as np

from experiments.benchmarks.timing import interleaved, report


def test_calls_take_turns():
    """Fails if one side is measured after the other instead of beside it."""
    order = []
    seconds = interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3)
    assert order == ["a", "b"] * 4
    assert all(values.shape == (3,) for values in seconds.values())


def test_ratio_is_the_median_of_ratios(capsys):
    """Fails if the ratio is one of medians, which a slow minute of the machine can turn around."""
    table = report("t", {"a": np.array([1.0, 10.0, 2.0]), "b": np.array([2.0, 30.0, 2.0])}, of="a")
    assert table["b"] == {"median_ms": 2000.0, "ratio": 2.0}
    assert "| b | 2000.0 | 2.00 | 1.50 to 2.50 |" in capsys.readouterr().out

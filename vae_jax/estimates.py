"""What every estimator returns."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

Array = jax.Array
Metrics = dict[str, Array]


class Estimate(NamedTuple):
    """A number that was estimated, and what else is known about it.

    `value`: the loss of an objective, log p(x) of an estimator of the evidence, the pair (lower, upper) of
    `bidirectional_bounds`. `metrics`: {name: scalar}, what is worth a column in a table; an estimator of the
    evidence has `log_likelihood` and, where there are such, `effective_sample_size` and `standard_error`. `info`:
    a tree of arrays for who looks closer, which `evaluate` drops unless it is asked for them.
    """

    value: Any
    metrics: Metrics
    info: Any = ()

"""How sure a score is: the spread over resampled examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from vae_jax.disentanglement.arrays import check_codes, is_traced
from vae_jax.errors import InputError

Array = jax.Array


class BootstrapInterval(NamedTuple):
    """The score of the data, and the quantiles of the scores of resampled data."""

    score: float
    lower: float
    upper: float
    resamples: np.ndarray  # [num_resamples]


def bootstrap_interval(
    score_fn: Callable[[Any, Any], Any],
    key: Array,
    codes: Any,
    factors: Any,
    *,
    num_resamples: int = 200,
    level: float = 0.95,
) -> BootstrapInterval:
    """The percentile bootstrap interval of any score of (codes, factors).

    lower, upper = quantiles (1 - level) / 2 and (1 + level) / 2 of score(codes[i], factors[i]),
    i drawn N times, with replacement, from the N examples

    It holds the model and asks about the examples only: the spread over seeds of training is another and mostly
    larger one. Of codes that tell nothing, the plug-in scores of resampled examples are above that of the examples
    themselves, and the lower end is above 0: the interval measures noise, it does not test for independence.

    score_fn: (codes [N, d], factors [N, k]) -> a scalar, or a tuple with a scalar first, as all scores here; called
    num_resamples + 1 times on concrete arrays. Resample r depends on key and r alone. Raises InputError for a level
    outside (0, 1), num_resamples below 1 or arrays of different length. Source: Efron and Tibshirani 1993, "An
    introduction to the bootstrap", chapter 13.
    """
    if not 0 < level < 1 or num_resamples < 1:
        raise InputError(f"level {level} of {num_resamples} resamples: expected a level in (0, 1), and 1 or more")
    if is_traced(codes) or is_traced(factors):
        raise InputError("traced arrays: the bootstrap calls the score on the host; call it outside jit and vmap")
    codes, factors = np.asarray(check_codes(codes)), np.asarray(factors)
    num_examples = len(codes)
    if factors.ndim != 2 or len(factors) != num_examples:
        raise InputError(f"factors of shape {factors.shape}: expected [{num_examples}, k], one row per code")

    def score(codes: Any, factors: Any) -> float:
        found = score_fn(codes, factors)
        return float(found[0] if isinstance(found, tuple) else found)

    def resample(r: int) -> float:
        draw = jax.random.randint(jax.random.fold_in(key, r), (num_examples,), 0, num_examples)
        i = np.asarray(draw)
        return score(codes[i], factors[i])

    resamples = np.array([resample(r) for r in range(num_resamples)])
    lower, upper = np.quantile(resamples, [(1 - level) / 2, (1 + level) / 2])
    return BootstrapInterval(score(codes, factors), float(lower), float(upper), resamples)

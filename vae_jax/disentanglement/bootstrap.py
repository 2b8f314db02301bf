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
    score_fn: Callable[..., Any],
    key: Array,
    codes: Any,
    *others: Any,
    num_resamples: int = 200,
    level: float = 0.95,
) -> BootstrapInterval:
    """The percentile bootstrap interval of any score of arrays with one row per example.

    lower, upper = quantiles (1 - level) / 2 and (1 + level) / 2 of score(codes[i], others[i], ...),
    i drawn N times, with replacement, from the N examples

    It holds the model and asks about the examples only: the spread over seeds of training is another and mostly
    larger one. Of codes that tell nothing, the plug-in scores of resampled examples are above that of the examples
    themselves, and the lower end is above 0: the interval measures noise, it does not test for independence.

    score_fn: (codes [N, d], ...) -> a scalar, or a tuple with a scalar first, as all scores here; called
    num_resamples + 1 times on concrete arrays. `others`: the factors [N, k], or whatever the score takes beside the
    codes, with as many rows. For a score that fits a predictor pass the test set here and bind the other half,
    `lambda z, v: sap_linear_svm(codes, factors, test_codes=z, test_factors=v)`, for an example that is drawn twice
    must not be in both. Resample r depends on key and r alone. Raises InputError for a level outside (0, 1),
    num_resamples below 1 or arrays of different length. Source: Efron and Tibshirani 1993, "An
    introduction to the bootstrap", chapter 13.
    """
    if not 0 < level < 1 or num_resamples < 1:
        raise InputError(f"level {level} of {num_resamples} resamples: expected a level in (0, 1), and 1 or more")
    if any(is_traced(array) for array in (codes, *others)):
        raise InputError("traced arrays: the bootstrap calls the score on the host; call it outside jit and vmap")
    arrays = tuple(np.asarray(array) for array in (check_codes(codes), *others))
    num_examples = len(arrays[0])
    for array in arrays[1:]:
        if array.ndim < 1 or len(array) != num_examples:
            raise InputError(f"array of shape {array.shape}: expected [{num_examples}, ...], one row per code")

    def score(*arrays: Any) -> float:
        found = score_fn(*arrays)
        return float(found[0] if isinstance(found, tuple) else found)

    def resample(r: int) -> float:
        draw = jax.random.randint(jax.random.fold_in(key, r), (num_examples,), 0, num_examples)
        i = np.asarray(draw)
        return score(*(array[i] for array in arrays))

    resamples = np.array([resample(r) for r in range(num_resamples)])
    lower, upper = np.quantile(resamples, [(1 - level) / 2, (1 + level) / 2])
    return BootstrapInterval(score(*arrays), float(lower), float(upper), resamples)

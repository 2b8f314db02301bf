"""The bootstrap interval of a score, against the normal theory of a mean."""

import jax
import numpy as np
import pytest

from tests.disentanglement.examples import noise, noisy_codes, random_factors
from vae_jax import InputError
from vae_jax.disentanglement import bootstrap_interval, mutual_information_gap

KEY = jax.random.key(0)


def test_interval_of_a_mean():
    """Half width 1.96 sd / sqrt(N), to five standard errors of the quantiles. Fails without replacement: 0."""
    codes = noise(0, 400, 1)
    found = bootstrap_interval(lambda z, v: np.mean(z), KEY, codes, np.zeros((400, 1), int), num_resamples=1000)
    error = np.std(codes) / 20
    assert found.score == pytest.approx(np.mean(codes))
    # A 2.5 % quantile of 1000 normals has a standard error of sqrt(0.025 * 0.975 / 1000) / 0.0584 = 0.0845.
    tolerance = 5 * 0.0845 * error
    np.testing.assert_allclose(found.lower, np.mean(codes) - 1.96 * error, atol=tolerance)
    np.testing.assert_allclose(found.upper, np.mean(codes) + 1.96 * error, atol=tolerance)
    assert found.resamples.shape == (1000,)


def test_rows_stay_together_and_levels_nest():
    """Codes and factors are drawn by the same indices: else the score of a perfect code falls to that of noise."""
    factors = random_factors(1, 300, 3, 4)
    score = bootstrap_interval(mutual_information_gap, KEY, factors * 1.0, factors, num_resamples=20)
    assert score.lower > 0.9
    wide = bootstrap_interval(mutual_information_gap, KEY, noisy_codes(2, factors, 3), factors, num_resamples=20)
    narrow = bootstrap_interval(
        mutual_information_gap, KEY, noisy_codes(2, factors, 3), factors, num_resamples=20, level=0.5
    )
    np.testing.assert_array_equal(wide.resamples, narrow.resamples)
    assert wide.lower < narrow.lower < narrow.upper < wide.upper
    fewer = bootstrap_interval(mutual_information_gap, KEY, noisy_codes(2, factors, 3), factors, num_resamples=5)
    np.testing.assert_array_equal(fewer.resamples, wide.resamples[:5])


def test_bad_arguments():
    codes, factors = noise(0, 5, 1), np.zeros((5, 1), int)
    with pytest.raises(InputError, match="level 95"):
        bootstrap_interval(mutual_information_gap, KEY, codes, factors, level=95)
    with pytest.raises(InputError, match="0 resamples"):
        bootstrap_interval(mutual_information_gap, KEY, codes, factors, num_resamples=0)
    with pytest.raises(InputError, match=r"expected \[5, \.\.\.\]"):
        bootstrap_interval(mutual_information_gap, KEY, codes, factors[:4])

"""The bootstrap interval of a score, against the normal theory of a mean and a simulated coverage."""

import jax
import numpy as np
import pytest

from tests.disentanglement.examples import noise, noisy_codes, random_factors
from vae_jax import InputError
from vae_jax.disentanglement import bootstrap_interval, dci_gradient_boosting, mutual_information_gap

KEY = jax.random.key(0)


def test_interval_of_a_mean():
    """Fails if the half width is not 1.96 sd / sqrt(N), to five standard errors of a standard deviation of 1000
    resamples: without replacement it is 0."""
    codes = noise(0, 400, 1)
    found = bootstrap_interval(lambda z, v: np.mean(z), KEY, codes, np.zeros((400, 1), int), num_resamples=1000)
    error = np.std(codes) / 20
    assert found.score == pytest.approx(np.mean(codes))
    tolerance = 5 * 1.96 * error / np.sqrt(2 * 1000)
    np.testing.assert_allclose(found.lower, np.mean(codes) - 1.96 * error, atol=tolerance)
    np.testing.assert_allclose(found.upper, np.mean(codes) + 1.96 * error, atol=tolerance)
    assert found.resamples.shape == (1000,)
    assert found.standard_error == np.std(found.resamples, ddof=1)


def test_interval_of_mig_covers_the_mean_score_of_such_examples():
    """100 codes, of which two latents tell of a factor each: nominal 0.90, simulated over 40 sets of them. Fails if
    the interval does not hold its own score, or covers the mean MIG of such sets in less than 0.80, two standard
    errors below 0.90, or in all: the percentile interval covers 0.45."""
    score = jax.jit(lambda z, v: mutual_information_gap(z, v, num_values=8).score)

    def draw(seed):
        factors = random_factors(seed, 100, 3, 6)
        mixing = np.array([[1.0, 0.0, 0.1], [0.0, 0.5, 0.1]])
        return (factors @ mixing + 0.6 * noise(seed + 10_000, 100, 3)).astype(np.float32), factors

    fresh = jax.vmap(score)(*(np.stack(arrays) for arrays in zip(*map(draw, range(100, 500)), strict=True)))
    expected = float(np.mean(fresh))
    assert float(np.std(fresh)) / np.sqrt(400) < 0.003
    intervals = [bootstrap_interval(score, KEY, *draw(seed), num_resamples=20, level=0.9) for seed in range(40)]
    assert all(found.lower < found.score < found.upper for found in intervals)
    covered = np.mean([found.lower <= expected <= found.upper for found in intervals])
    assert 0.8 <= covered < 1


def test_rows_stay_together_and_levels_nest():
    """Fails if codes and factors are drawn by different indices (the score of a perfect code then falls to that of
    noise), or if a resample depends on the level or on how many there are."""
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


def test_fitted_score_by_the_test_half_only():
    """With the training half bound, accuracy on M = 200 examples spreads like a share of 200. Fails if rows are
    dropped or drawn without replacement, or the score is not that of the examples themselves."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    factors, test_factors = random_factors(3, 40, 2), random_factors(4, 200, 2)
    codes, test_codes = noisy_codes(5, factors, 2), noisy_codes(5, test_factors, 2)

    def accuracy(z, v):
        found = dci_gradient_boosting(codes, factors, test_codes=z, test_factors=v, n_estimators=1)
        return found.informativeness

    found = bootstrap_interval(accuracy, KEY, test_codes, test_factors, num_resamples=50)
    share = found.score
    assert share == pytest.approx(float(accuracy(test_codes, test_factors)))
    assert found.lower < share < found.upper
    # The spread of 50 resamples has a relative standard error of 1 / sqrt(100).
    expected = np.sqrt(share * (1 - share) / 200)
    np.testing.assert_allclose(np.std(found.resamples), expected, rtol=5 / np.sqrt(100))


def test_score_of_three_arrays():
    """Fails if one of three arrays of different rank is drawn by other indices, along another axis or not at all,
    or if what a score returns after its first number is not left out."""
    codes = np.arange(50.0)[:, None]
    distinct = []

    def score(z, scale, v):
        assert z.shape == (50, 1)
        assert v.shape == (50, 2, 1)
        np.testing.assert_array_equal(z[:, 0], scale)
        np.testing.assert_array_equal(z, v[:, 1])
        distinct.append(len(np.unique(z)))
        return np.mean(z * scale[:, None]), "whatever else it tells"

    found = bootstrap_interval(
        score, KEY, codes, codes[:, 0], np.stack([0 * codes, codes], axis=1), num_resamples=30
    )
    assert found.score == np.mean(codes**2)
    assert len(np.unique(found.resamples)) > 25
    # A resample holds 1 - 1/e of the examples, 32 of 50 with a standard deviation of 2.
    assert sum(num == 50 for num in distinct) == 1
    assert sum(20 < num < 45 for num in distinct) == 30


def test_bad_arguments():
    """Fails if a level in percent, a single resample or none, arrays of different length or a score that is NaN are
    taken without a word."""
    codes, factors = noise(0, 5, 1), np.zeros((5, 1), int)
    with pytest.raises(InputError, match="level 95"):
        bootstrap_interval(mutual_information_gap, KEY, codes, factors, level=95)
    for too_few in (0, 1):
        with pytest.raises(InputError, match=f"{too_few} resamples"):
            bootstrap_interval(mutual_information_gap, KEY, codes, factors, num_resamples=too_few)
    with pytest.raises(InputError, match="a score of nan"):
        bootstrap_interval(lambda z: np.nan, KEY, codes)
    with pytest.raises(InputError, match=r"expected \[5, \.\.\.\]"):
        bootstrap_interval(mutual_information_gap, KEY, codes, factors[:4])

"""The zero and the unit of a latent or a factor are conventions: scores do not change with them."""

import jax
import numpy as np
import pytest

from tests.disentanglement.examples import noisy_codes, random_factors
from vae_jax.disentanglement import (
    dci_gradient_boosting,
    dci_lasso,
    dci_random_forest,
    explicitness_logistic_regression,
    gaussian_total_correlation,
    gaussian_wasserstein_correlation,
    joint_entropy_gap,
    mean_mutual_information,
    mutual_information_gap,
    sampled_mutual_information_gap,
    sap_linear_svm,
    sap_squared_correlation,
    udr_lasso,
    udr_spearman,
)

FACTORS = random_factors(0, 120, 3, 4)
# Of three digits, so that codes around 1e10 in float64 are still the same.
CODES = np.round(noisy_codes(1, FACTORS, 3).astype(float), 3)
ONES = np.ones(3)
KEY = jax.random.key(0)


def _halves(score, **options):
    return lambda z, v, unit: score(z[:60], v[:60], test_codes=z[60:], test_factors=v[60:], **options)


def _sampled(z, v, unit):
    return sampled_mutual_information_gap(KEY, z, np.broadcast_to(0.3 * unit, z.shape), v, num_samples=120)


def _normalized_wasserstein(z, v, unit):
    return gaussian_wasserstein_correlation(z, normalized=True)


ALONE = {
    "mutual_information_gap": lambda z, v, unit: mutual_information_gap(z, v),
    "joint_entropy_gap": lambda z, v, unit: joint_entropy_gap(z, v),
    "sap_squared_correlation": lambda z, v, unit: sap_squared_correlation(z, v),
    "gaussian_total_correlation": lambda z, v, unit: gaussian_total_correlation(z),
    "gaussian_wasserstein_correlation": _normalized_wasserstein,
    "mean_mutual_information": lambda z, v, unit: mean_mutual_information(z),
    "udr_spearman": lambda z, v, unit: udr_spearman(np.stack([z, np.roll(z, 1, axis=0)])),
    "sampled_mutual_information_gap": _sampled,
}
WITH_SCIKIT_LEARN = {
    "udr_lasso": lambda z, v, unit: udr_lasso(np.stack([z, z[:, ::-1]])),
    "dci_lasso": _halves(dci_lasso),
    "dci_random_forest": _halves(dci_random_forest, n_estimators=3),
    "dci_gradient_boosting": _halves(dci_gradient_boosting, n_estimators=3),
    "explicitness_logistic_regression": _halves(explicitness_logistic_regression),
    "sap_linear_svm": _halves(sap_linear_svm),
}
SCORES = ALONE | WITH_SCIKIT_LEARN


def _score(name):
    if name in WITH_SCIKIT_LEARN:
        pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    return SCORES[name]


@pytest.mark.parametrize("name", SCORES)
def test_codes_and_factors_far_from_zero(name):
    """Codes in float64 around 1e6 and dates, factors that are dates. Fails if they are rounded to float32 before
    they are centred, where 1e6 has one digit after the point and two dates are the same."""
    score = _score(name)
    found = score(CODES + np.array([1e6, -20240101, 3e5]), FACTORS + 20240101, ONES)[0]
    np.testing.assert_allclose(found, score(CODES, FACTORS, ONES)[0], atol=2e-5)


@pytest.mark.parametrize(
    "name", [name for name in SCORES if name not in ("sap_linear_svm", "gaussian_wasserstein_correlation")]
)
def test_latents_in_any_unit(name):
    """Fails if a product of small or large numbers leaves the range of float32, or a threshold of a back-end takes
    small codes for constant ones: the total correlation would be infinite. The penalty of support vector machines
    depends on the unit, and Wasserstein correlation on the proportions of the latents, as their docstrings say."""
    score, units = _score(name), np.array([1e-19, 1e-10, 1e10])
    np.testing.assert_allclose(score(CODES * units, FACTORS, units)[0], score(CODES, FACTORS, ONES)[0], atol=2e-5)


def test_wasserstein_correlation_in_any_unit():
    """Fails if it is 2 or NaN where squares leave the range of float32, or is not in their unit by default."""
    codes = CODES + CODES[:, ::-1] * [0.5, 0, 0]
    expected = gaussian_wasserstein_correlation(codes).score
    share = gaussian_wasserstein_correlation(codes, normalized=True).score
    assert share > 0.01
    for unit in (1e-19, 1e-10, 1e10):
        found = gaussian_wasserstein_correlation(codes * unit, normalized=True).score
        np.testing.assert_allclose(found, share, rtol=1e-5)
    for unit in (1e-10, 1e10):
        np.testing.assert_allclose(
            gaussian_wasserstein_correlation(codes * unit).score, expected * unit**2, rtol=1e-5
        )


@pytest.mark.parametrize(
    "name", ["gaussian_total_correlation", "gaussian_wasserstein_correlation", "sap_squared_correlation"]
)
def test_any_unit_of_traced_codes(name):
    """Fails if the same is not so under jit, where nothing can be done on the host; and dates, which are integers,
    are the same there too."""
    score = jax.jit(lambda z, v: SCORES[name](z, v, ONES)[0])
    codes = CODES.astype(np.float32)
    expected = score(codes, FACTORS)
    for unit in np.float32([1e-19, 1e-10, 1e10]):
        np.testing.assert_allclose(score(codes * unit, FACTORS + 20240101), expected, atol=2e-5)


@pytest.mark.parametrize("factor", [[-(2**31), 2**31 - 1], [0, 255], [False, True]])
def test_traced_integers_of_any_range(factor):
    """Fails if the distance of two integers overflows under jit, or bits of bool are subtracted."""
    values = np.array(factor)
    values = values.astype({2: np.int32, 255: np.uint8, True: bool}.get(factor[1], np.int32))
    factors = values[FACTORS[:, :1] % 2]
    found = jax.jit(lambda z, v: sap_squared_correlation(z, v).predictability)(CODES, factors)
    expected = np.corrcoef(CODES, FACTORS[:, :1] % 2, rowvar=False)[:3, 3:] ** 2
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["joint_entropy_gap", "sap_squared_correlation", "gaussian_total_correlation"])
def test_in_double_precision(name):
    """Fails if a score breaks under jax_enable_x64, is another number there, or is rounded on the way."""
    expected = SCORES[name](CODES, FACTORS, ONES)[0]
    with jax.enable_x64(True):
        found = SCORES[name](CODES, FACTORS, ONES)[0]
        assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=2e-6)

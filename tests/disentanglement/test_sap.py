"""SAP in both forms, against reimplementations."""

import jax
import numpy as np
import pytest

from tests.disentanglement.examples import grid, noise, noisy_codes, random_factors
from vae_jax import InputError, disentanglement
from vae_jax.disentanglement import sap_linear_svm

# Compiled as a whole, which is quicker than one operation after the other, each new to the compiler.
sap_squared_correlation = jax.jit(disentanglement.sap_squared_correlation)


def test_squared_correlation_agrees_with_numpy():
    """Fails if correlations differ from those of np.corrcoef, with latents of very different scales and one far
    from 0, or the gap is not of the best two."""
    factors = random_factors(0, 1000, 3, 6, 40)
    codes = noisy_codes(1, factors, 5) * [1e-3, 1, 1e3, 1, 1] + [0, 0, 0, 50, 0]
    expected = np.corrcoef(codes.astype(np.float32), factors, rowvar=False)[:5, 5:] ** 2
    found = sap_squared_correlation(codes, factors)
    np.testing.assert_allclose(found.predictability, expected, atol=1e-6)
    ordered = np.sort(expected, axis=0)
    np.testing.assert_allclose(found.score, np.mean(ordered[-1] - ordered[-2]), atol=1e-6)


def test_squared_correlation_of_known_codes():
    """Fails if perfect codes do not score 1 and doubled ones 0, if constants count, or if one latent is not
    compared with nothing."""
    factors = grid(3, 4, 5)
    codes = factors * [-2.0, 3.0, 0.5] + 1
    np.testing.assert_allclose(sap_squared_correlation(codes, factors).score, 1, atol=1e-6)
    np.testing.assert_allclose(sap_squared_correlation(codes, factors + 0.5).score, 1, atol=1e-6)
    doubled = sap_squared_correlation(np.tile(codes, 2), factors).per_factor
    # The order in which a matrix product adds up may differ between two columns that are the same.
    np.testing.assert_allclose(doubled, 0, atol=8 * np.finfo(doubled.dtype).eps)
    found = sap_squared_correlation(np.insert(codes, 0, 0.1, axis=1), np.insert(factors, 3, 2, axis=1))
    np.testing.assert_allclose(found.score, 1, atol=1e-6)
    np.testing.assert_array_equal(found.active, [False, True, True, True])
    np.testing.assert_array_equal(found.varying, [True, True, True, False])
    np.testing.assert_allclose(sap_squared_correlation(codes[:, :1], factors).per_factor, [1, 0, 0], atol=1e-6)
    assert sap_squared_correlation(np.zeros((9, 2)), np.zeros((9, 2))).score == 0
    assert sap_squared_correlation(noise(2, 10_000, 10), random_factors(3, 10_000, 3, 6)).score < 2e-3


def test_linear_svm_agrees_with_scikit_learn():
    """Fails if a machine sees more than one latent, has other settings, is scored on the examples it was fitted on,
    or sees latents that are not centred on the mean of those."""
    svm = pytest.importorskip("sklearn.svm", reason="scikit-learn is not installed (extra: metrics)")
    factors, test_factors = random_factors(4, 300, 2, 4), random_factors(5, 200, 2, 4)
    codes, test_codes = noisy_codes(6, factors, 3), noisy_codes(6, test_factors, 3)
    mean = np.mean(codes.astype(float), axis=0)
    accuracy = np.zeros((3, 2))
    for j in range(3):
        for k in range(2):
            model = svm.LinearSVC(C=0.01, class_weight="balanced", random_state=0)
            model.fit((codes - mean)[:, [j]], factors[:, k])
            accuracy[j, k] = np.mean(model.predict((test_codes - mean)[:, [j]]) == test_factors[:, k])
    found = sap_linear_svm(codes, factors, test_codes=test_codes, test_factors=test_factors)
    np.testing.assert_allclose(found.predictability, accuracy, atol=1e-6)
    ordered = np.sort(accuracy, axis=0)
    np.testing.assert_allclose(found.score, np.mean(ordered[-1] - ordered[-2]), atol=1e-6)


def test_linear_svm_of_known_codes():
    """Two values. Fails if a perfect code does not score 1 - chance, doubled ones 0, one latent its gap to a
    constant, or if constant latents and factors count."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    factors = np.tile(grid(2, 2), (50, 1))
    codes = 4.0 * factors - 2
    test = {"test_factors": factors}
    perfect = sap_linear_svm(codes, factors, test_codes=codes, **test)
    np.testing.assert_allclose(perfect.score, 0.5, atol=1e-6)
    doubled = np.tile(codes, 2)
    assert sap_linear_svm(doubled, factors, test_codes=doubled, **test).score == 0
    alone = sap_linear_svm(codes[:, :1], factors, test_codes=codes[:, :1], **test)
    np.testing.assert_allclose(alone.per_factor, [0.5, 0.0], atol=1e-6)
    assert alone.predictability.shape == (1, 2)
    constant = sap_linear_svm(0 * codes, 0 * factors, test_codes=codes, **test)
    assert constant.score == 0
    assert not constant.active.any()
    assert not constant.varying.any()


def test_bad_arrays():
    """Fails if arrays of different length, or a test set of another width, give a score."""
    with pytest.raises(InputError, match="5 codes and 4 factors"):
        sap_squared_correlation(np.zeros((5, 2)), np.zeros((4, 1)))
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    factors = np.zeros((5, 1), int)
    with pytest.raises(InputError, match=r"test_factors of shape \(5, 1\)"):
        sap_linear_svm(np.zeros((5, 2)), factors, test_codes=np.zeros((4, 2)), test_factors=factors)
    with pytest.raises(InputError, match=r"\(3, 1\) latents and factors: expected \(2, 1\)"):
        sap_linear_svm(np.zeros((5, 2)), factors, test_codes=np.zeros((5, 3)), test_factors=factors)

"""DCI of known importances, and of the two predictors against scikit-learn and scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from tests.disentanglement.examples import noise, noisy_codes, random_factors
from vae_jax import InputError
from vae_jax.disentanglement import dci, dci_gradient_boosting, dci_lasso, dci_random_forest
from vae_jax.disentanglement._arrays import standardized

DIAGONAL = 5.0 * np.eye(5)
SHARED = 1 - math.log(2) / math.log(10)


@pytest.mark.parametrize(
    ("importance", "disentanglement", "completeness"),
    [
        (DIAGONAL, 1, 1),
        (np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 1, 1),
        (np.zeros((10, 10)), 0, 0),
        (np.ones((4, 6)), 0, 0),
        (np.concatenate([DIAGONAL, DIAGONAL]), 1, SHARED),
        (DIAGONAL[:2], 1, 1),
        (np.concatenate([DIAGONAL, DIAGONAL], axis=1), SHARED, 1),
        (np.array([[1.0, 2.0]]), 1 - (math.log(3) - 2 / 3 * math.log(2)) / math.log(2), 1),
        (np.array([[1.0], [1.0]]), 1, 0),
    ],
)
def test_known_importances(importance, disentanglement, completeness):
    """Fails if the values differ from those of disentanglement_lib, or those for a single latent or factor from
    what the docstring says: a logarithm to the wrong base, 0 / 0, an unweighted mean."""
    found = dci(importance)
    np.testing.assert_allclose(found.disentanglement, disentanglement, atol=1e-6)
    np.testing.assert_allclose(found.completeness, completeness, atol=1e-6)
    np.testing.assert_array_equal(found.active, importance.sum(axis=1) > 0)


def _by_scipy(importance):
    per_code = 1 - stats.entropy(importance.T + 1e-11, base=importance.shape[1])
    per_factor = 1 - stats.entropy(importance + 1e-11, base=importance.shape[0])
    weights = importance / importance.sum()
    return np.sum(per_code * weights.sum(axis=1)), np.sum(per_factor * weights.sum(axis=0))


def test_agrees_with_scipy():
    """Fails if the mean is not weighted by importance, or the entropy is normalized by the wrong axis."""
    importance = np.random.default_rng(0).exponential(size=(7, 4)) ** 3
    expected = _by_scipy(importance)
    found = dci(importance)
    np.testing.assert_allclose(found[:2], expected, atol=1e-6)
    np.testing.assert_allclose(dci(importance.T)[:2], expected[::-1], atol=1e-6)
    np.testing.assert_allclose(dci(100 * importance)[:2], expected, atol=1e-6)


def test_bad_importances():
    """Fails if a vector, or importances below 0 or not finite, give a score."""
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        dci(np.ones(3))
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="below 0, or not finite"):
            dci(np.array([[bad, 1.0]]))


def test_gradient_boosting_agrees_with_scikit_learn():
    """Fails if options or the seed do not reach the trees, importances are transposed, or informativeness is not
    accuracy on the test examples."""
    ensemble = pytest.importorskip("sklearn.ensemble", reason="scikit-learn is not installed (extra: metrics)")
    factors, test_factors = random_factors(1, 250, 2, 3), random_factors(2, 150, 2, 3)
    codes, test_codes = noisy_codes(3, factors, 4), noisy_codes(3, test_factors, 4)
    found = dci_gradient_boosting(
        codes, factors, test_codes=test_codes, test_factors=test_factors, seed=5, n_estimators=10
    )
    models = [ensemble.GradientBoostingClassifier(random_state=5, n_estimators=10).fit(codes, v) for v in factors.T]
    importance = np.stack([m.feature_importances_ for m in models], axis=1)
    np.testing.assert_allclose(found.importance, importance, atol=1e-6)
    np.testing.assert_allclose(found[:2], _by_scipy(importance), atol=1e-6)
    accuracy = [m.score(test_codes, v) for m, v in zip(models, test_factors.T, strict=True)]
    np.testing.assert_allclose(found.informativeness_per_factor, accuracy, atol=1e-6)
    np.testing.assert_allclose(found.informativeness, np.mean(accuracy), atol=1e-6)


def test_gradient_boosting_of_perfect_permuted_and_dead_codes():
    """Fails if a score leaves the bands of disentanglement_lib: 0.9 to 1 for perfect codes, below 0.2 for codes
    that mix all the factors; or if a dead latent or constant factor counts."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    factors = np.insert(random_factors(4, 400, 3, 3, 3), 0, 9, axis=1)
    test_factors = np.insert(random_factors(5, 200, 3, 3, 3), 0, 9, axis=1)
    codes, test_codes = factors * 1.0, test_factors * 1.0
    test = {"test_codes": test_codes, "test_factors": test_factors}
    perfect = dci_gradient_boosting(codes, factors, n_estimators=20, **test)
    assert perfect.disentanglement > 0.9
    assert perfect.completeness > 0.9
    assert perfect.informativeness == 1
    np.testing.assert_array_equal(perfect.active, [False, True, True, True])
    np.testing.assert_array_equal(perfect.varying, [False, True, True, True])
    rng = np.random.default_rng(6)
    permuted = rng.permuted(codes[:, 1:], axis=1)
    mixed = dci_gradient_boosting(
        permuted, factors[:, 1:], test_codes=permuted, test_factors=factors[:, 1:], n_estimators=20
    )
    assert mixed.disentanglement < 0.2
    assert mixed.completeness < 0.2


def test_lasso():
    """Orthogonal codes have coefficients soft(corr, alpha). Fails if codes or factors are not standardized, the
    penalty is another, or the R^2 of useless codes is below 0."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    factors = np.stack([np.tile([0, 0, 1, 1], 50), np.tile([0, 1, 0, 1], 50)], axis=1)
    codes = np.stack([factors[:, 0] * -8.0, factors[:, 1] + 3.0, np.full(200, 0.1)], axis=1)
    found = dci_lasso(codes, factors, test_codes=codes, test_factors=factors, alpha=0.1)
    np.testing.assert_allclose(found.importance, [[0.9, 0], [0, 0.9], [0, 0]], atol=1e-5)
    np.testing.assert_allclose(found[:2], [1, 1], atol=1e-5)
    np.testing.assert_allclose(found.informativeness, 1 - 0.1**2, atol=1e-5)
    useless = dci_lasso(noise(0, 200, 3), factors, test_codes=noise(1, 200, 3), test_factors=factors, alpha=0.5)
    assert useless.disentanglement == 0
    assert useless.informativeness == 0


def test_random_forest_agrees_with_scikit_learn():
    """Continuous factors. Fails if options or the seed do not reach the trees, importances are transposed, or
    informativeness is not the R^2 on the test examples."""
    ensemble = pytest.importorskip("sklearn.ensemble", reason="scikit-learn is not installed (extra: metrics)")
    factors, test_factors = noise(7, 150, 2) + 3, noise(8, 100, 2) + 3
    codes, test_codes = noisy_codes(9, factors, 3), noisy_codes(9, test_factors, 3)
    found = dci_random_forest(
        codes, factors, test_codes=test_codes, test_factors=test_factors, seed=5, n_estimators=8, max_depth=4
    )
    # Where few examples are left many splits are equally good, and the last digit of the inputs decides.
    z, test_z = standardized(codes, test_codes)
    targets, test_targets = standardized(factors, test_factors)
    options = {"random_state": 5, "n_estimators": 8, "max_depth": 4}
    models = [ensemble.RandomForestRegressor(**options).fit(z, v) for v in targets.T]
    importance = np.stack([m.feature_importances_ for m in models], axis=1)
    np.testing.assert_allclose(found.importance, importance, atol=1e-5)
    np.testing.assert_allclose(found[:2], _by_scipy(importance), atol=1e-5)
    explained = [max(m.score(test_z, v), 0) for m, v in zip(models, test_targets.T, strict=True)]
    np.testing.assert_allclose(found.informativeness_per_factor, explained, atol=1e-5)


@pytest.mark.parametrize("offset", [0, 20240101])
def test_regressions_of_continuous_codes(offset):
    """Each factor in a latent of its own, as a curve that no line fits. Fails if the forest does not find it, the
    lasso does better than the correlation of the curve allows, a constant factor counts, or dates matter."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    rng = np.random.default_rng(10)
    factors = rng.uniform(-1, 1, (400, 3)) * [1, 1, 0]
    codes = np.stack([np.cbrt(factors[:, 1]), np.cbrt(factors[:, 0]), rng.normal(size=400)], axis=1)
    split = {"test_codes": codes[300:], "test_factors": factors[300:] + offset}
    forest = dci_random_forest(codes[:300], factors[:300] + offset, n_estimators=10, **split)
    assert forest.disentanglement > 0.95
    assert forest.completeness > 0.95
    assert forest.informativeness > 0.99
    np.testing.assert_array_equal(forest.varying, [True, True, False])
    np.testing.assert_array_equal(np.argmax(forest.importance, axis=0)[:2], [1, 0])
    lasso = dci_lasso(codes[:300], factors[:300] + offset, **split)
    # corr(u^(1/3), u) for u uniform on [-1, 1]: E u^(4/3) / sqrt(E u^2 E u^(2/3)) = (3/7) / sqrt(1/3 * 3/5).
    np.testing.assert_allclose(lasso.informativeness, 9 / 49 / (1 / 5), atol=0.05)
    assert lasso.disentanglement > 0.8


def test_continuous_factors_are_refused_by_scores_of_classes():
    """Fails if a classifier meets a factor that has no classes, or a regression refuses one or takes NaN."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    codes, factors = noise(11, 20, 2), noise(12, 20, 2)
    split = {"test_codes": codes, "test_factors": factors}
    with pytest.raises(InputError, match="dci_random_forest"):
        dci_gradient_boosting(codes, factors, **split)
    with pytest.raises(InputError, match="factors that are not finite"):
        dci_lasso(codes, factors * np.nan, **split)
    with pytest.raises(InputError, match=r"test_factors of shape \(19, 2\)"):
        dci_random_forest(codes, factors, test_codes=codes, test_factors=factors[1:])

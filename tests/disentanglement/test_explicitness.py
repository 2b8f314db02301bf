"""Explicitness against scikit-learn, and scores that need scikit-learn where it is missing."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.disentanglement.examples import noise, noisy_codes, random_factors
from vae_jax import InputError
from vae_jax.disentanglement import (
    beta_vae_score_logistic_regression,
    dci_gradient_boosting,
    dci_lasso,
    explicitness_logistic_regression,
    sap_linear_svm,
    udr_lasso,
)


def test_agrees_with_scikit_learn():
    """Fails if the areas are not those of OneVsRestClassifier on standardized latents, macro-averaged over values,
    on the test examples."""
    linear_model = pytest.importorskip(
        "sklearn.linear_model", reason="scikit-learn is not installed (extra: metrics)"
    )
    from sklearn.metrics import roc_auc_score
    from sklearn.multiclass import OneVsRestClassifier

    factors, test_factors = random_factors(0, 300, 2, 4), random_factors(1, 200, 2, 4)
    codes, test_codes = noisy_codes(2, factors, 3), noisy_codes(2, test_factors, 3)
    loc, scale = codes.mean(0, dtype=float), codes.std(0, dtype=float)
    areas = []
    for k in range(2):
        model = OneVsRestClassifier(linear_model.LogisticRegression()).fit((codes - loc) / scale, factors[:, k])
        margin = model.decision_function((test_codes - loc) / scale)
        if k == 0:  # two values: one margin serves both
            areas.append(roc_auc_score(test_factors[:, k], margin))
        else:
            one_hot = test_factors[:, k, None] == model.classes_
            areas.append(roc_auc_score(one_hot, margin, average="macro"))
    found = explicitness_logistic_regression(codes, factors, test_codes=test_codes, test_factors=test_factors)
    np.testing.assert_allclose(found.per_factor, areas, atol=1e-6)
    np.testing.assert_allclose(found.score, np.mean(areas), atol=1e-6)


def test_perfect_rotated_and_useless_codes():
    """Fails if perfect or rotated codes score below 1, useless ones not about 0.5, or a constant latent or factor
    gives NaN or counts as active or varying."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    factors = random_factors(3, 400, 2, 2)
    codes = np.insert(factors * 1.0, 0, 0.1, axis=1)
    perfect = explicitness_logistic_regression(codes, factors, test_codes=codes, test_factors=factors)
    assert perfect.score == 1
    np.testing.assert_array_equal(perfect.active, [False, True, True])
    rotated = factors @ np.array([[1.0, -1.0], [1.0, 1.0]])
    assert explicitness_logistic_regression(rotated, factors, test_codes=rotated, test_factors=factors).score == 1
    useless = explicitness_logistic_regression(
        noise(4, 400, 3), factors, test_codes=noise(5, 400, 3), test_factors=factors
    )
    assert abs(useless.score - 0.5) < 0.1
    unseen = explicitness_logistic_regression(codes, 0 * factors, test_codes=codes, test_factors=factors)
    assert unseen.score == 0
    assert not unseen.varying.any()


def _with_test_set(score):
    return lambda z, v: score(z, v, test_codes=z, test_factors=v)


SCORES = {
    "dci_gradient_boosting": _with_test_set(dci_gradient_boosting),
    "dci_lasso": _with_test_set(dci_lasso),
    "sap_linear_svm": _with_test_set(sap_linear_svm),
    "explicitness": _with_test_set(explicitness_logistic_regression),
    "beta_vae_score_logistic_regression": lambda z, v: beta_vae_score_logistic_regression(
        np.zeros((2, 2, 2, 2)), np.arange(2), test_pairs=np.zeros((2, 2, 2, 2)), test_fixed=np.arange(2)
    ),
    "udr_lasso": lambda z, v: udr_lasso(jnp.stack([z, z])),
}


@pytest.mark.parametrize("name", SCORES)
def test_missing_scikit_learn_names_the_extra(name, monkeypatch):
    """Fails if an import that fails surfaces as one, instead of an error that says what to install."""
    for module in [m for m in sys.modules if m.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match=r"vae-jax\[metrics\]"):
        SCORES[name](noise(0, 20, 2), random_factors(1, 20, 2))


@pytest.mark.parametrize("name", ["dci_lasso", "sap_linear_svm", "explicitness", "udr_lasso"])
def test_traced_arrays_are_refused(name):
    """Fails if a score that runs on the host meets a tracer without saying that it must be called outside jit."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    with pytest.raises(InputError, match="outside jit"):
        jax.jit(SCORES[name])(noise(0, 20, 2), random_factors(1, 20, 2))


def test_pairs_of_whole_numbers_without_a_sign():
    """Fails if differences are taken in the type of the codes, where 0 - 1 is 255."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    rng = np.random.default_rng(0)
    fixed = np.arange(40) % 2
    pairs = rng.integers(0, 6, (40, 4, 2, 2), dtype=np.uint8)
    pairs[np.arange(40), :, 1, fixed] = pairs[np.arange(40), :, 0, fixed]
    unsigned, signed = (
        beta_vae_score_logistic_regression(p[:20], fixed[:20], test_pairs=p[20:], test_fixed=fixed[20:])
        for p in (pairs, pairs.astype(int))
    )
    assert unsigned.score == signed.score == 1.0

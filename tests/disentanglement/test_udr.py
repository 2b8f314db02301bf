"""Unsupervised disentanglement ranking, against scipy and scikit-learn."""

import jax
import numpy as np
import pytest
from scipy import stats

from tests.disentanglement.examples import grid, noise
from vae_jax import InputError, disentanglement
from vae_jax.disentanglement import relative_strength, udr_lasso

# Compiled as a whole, which is quicker than one operation after the other, each new to the compiler.
udr_spearman = jax.jit(disentanglement.udr_spearman)


def _alike(seed, codes):
    """The same codes in another order, and with other signs."""
    rng = np.random.default_rng(seed)
    return codes[:, rng.permutation(codes.shape[1])] * rng.choice([-1.0, 1.0], codes.shape[1])


def test_relative_strength_of_known_matrices():
    """Fails if the cases of disentanglement_lib come out otherwise, if latents that do not count have a part, or if
    the two sides are not averaged each by itself."""
    assert relative_strength(np.eye(3)) == 1
    two_alike = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(relative_strength(two_alike), 2 / 3, rtol=1e-6)
    np.testing.assert_allclose(relative_strength(np.ones((3, 3))), 1 / 3, rtol=1e-6)
    assert relative_strength(np.zeros((3, 3))) == 0
    counted = relative_strength(two_alike, [True, False, True], [True, False, True])
    assert counted == 1
    # Unequal numbers: the mean over latents of each side, and then of the two sides.
    np.testing.assert_allclose(relative_strength(np.array([[0.5, 0.25]])), 0.5 * (0.375 + 0.25 / 0.75), rtol=1e-6)


def test_models_that_agree_score_one_and_others_do_not():
    """Fails if order, sign or monotone scale of latents matter, if a rotated model scores like the others, or if a
    model is compared with itself."""
    factors = grid(5, 6, 7) * 1.0
    alike = np.stack([_alike(seed, factors) for seed in range(3)])
    np.testing.assert_allclose(udr_spearman(alike).score, 1, atol=1e-5)
    np.testing.assert_allclose(udr_spearman(alike**3).score, 1, atol=1e-5)
    rotated = factors @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    found = udr_spearman(np.concatenate([alike, rotated[None]]))
    np.testing.assert_allclose(found.score[:3], 1, atol=1e-5)
    assert found.score[3] < 0.8
    np.testing.assert_array_equal(np.diag(found.pairwise), 0)


def test_spearman_agrees_with_scipy():
    """With ties. Fails if ranks are ordinal, or the median is that of the wrong row."""
    codes = np.round(noise(1, 3 * 200, 4).reshape(3, 200, 4) + 2 * noise(2, 200, 4), 1)
    found = udr_spearman(codes)
    for i in range(3):
        for j in range(3):
            expected = np.abs(stats.spearmanr(codes[i], codes[j]).statistic[:4, 4:])
            np.testing.assert_allclose(found.similarity[i, j], expected, atol=1e-5)
    pairwise = np.array([[float(relative_strength(r)) for r in row] for row in found.similarity])
    expected = [np.median(np.delete(pairwise[:, j], j)) for j in range(3)]
    np.testing.assert_allclose(found.score, expected, atol=1e-6)


def test_inactive_latents_do_not_count():
    """Noise in a latent without rate, and a constant latent. Fails if they are not reported, or if the score
    without them is not 1."""
    factors = grid(5, 6, 7) * 1.0
    codes = np.stack([np.insert(_alike(s, factors), 0, noise(s, 210, 1)[:, 0], axis=1) for s in range(2)])
    codes = np.insert(codes, 2, 0.4, axis=2)
    rates = np.tile([0.005, 2.0, 1.0, 1.0, 1.0], (2, 1))
    found = udr_spearman(codes, rates)
    np.testing.assert_array_equal(found.active, np.tile([False, True, False, True, True], (2, 1)))
    np.testing.assert_allclose(found.score, 1, atol=1e-5)
    assert np.all(udr_spearman(codes).score < 0.95)
    assert np.all(udr_spearman(np.zeros((2, 9, 3))).score == 0)


def test_lasso_of_uncorrelated_latents():
    """Fails if the coefficients are not 1 - alpha on the match and 0 elsewhere, for a relative strength of 1 -
    alpha, whatever the scales."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    factors = grid(5, 6, 7) * [1.0, 20.0, 0.1]
    found = udr_lasso(np.stack([_alike(seed, factors) for seed in range(3)]))
    np.testing.assert_allclose(found.score, 0.9, atol=1e-5)
    np.testing.assert_allclose(udr_lasso(np.zeros((2, 9, 3))).score, 0)


def test_lasso_agrees_with_scikit_learn():
    """Fails if alpha does not reach the lasso, latents are not standardized, or coefficients are transposed."""
    linear_model = pytest.importorskip(
        "sklearn.linear_model", reason="scikit-learn is not installed (extra: metrics)"
    )
    codes = noise(3, 2 * 200, 3).reshape(2, 200, 3) + 2 * noise(4, 200, 3)
    z = (codes - codes.mean(1, keepdims=True)) / codes.std(1, keepdims=True)
    expected = np.abs(linear_model.Lasso(alpha=0.2).fit(z[0], z[1]).coef_.T)
    np.testing.assert_allclose(udr_lasso(codes, alpha=0.2).similarity[0, 1], expected, atol=1e-5)


def test_lasso_of_mixed_codes():
    """Each model another mixture of the same factors, so that no matrix is symmetric; a latent of the first is
    inactive. Fails if a similarity is transposed, or the median is over the second model of a comparison."""
    linear_model = pytest.importorskip(
        "sklearn.linear_model", reason="scikit-learn is not installed (extra: metrics)"
    )
    rng = np.random.default_rng(5)
    factors = rng.normal(size=(150, 3))
    codes = np.stack([factors @ rng.normal(size=(3, 3)) for _ in range(4)])
    rates = np.ones((4, 3))
    rates[0, 1] = 0
    found = udr_lasso(codes, rates, alpha=0.05)
    z = (codes - codes.mean(1, keepdims=True)) / codes.std(1, keepdims=True)
    z[0, :, 1] = 0
    similarity, pairwise = np.zeros((4, 4, 3, 3)), np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            if i != j:
                for b in range(3):
                    model = linear_model.Lasso(alpha=0.05).fit(z[i], z[j, :, b])
                    similarity[i, j, :, b] = np.abs(model.coef_)
                pairwise[i, j] = sum(
                    np.mean((np.max(r, axis=1) ** 2 / np.maximum(np.sum(r, axis=1), 1e-9))[counted]) / 2
                    for r, counted in ((similarity[i, j], rates[i] > 0), (similarity[i, j].T, rates[j] > 0))
                )
    np.testing.assert_allclose(found.similarity, similarity, atol=1e-5)
    np.testing.assert_allclose(found.pairwise, pairwise, atol=1e-5)
    np.testing.assert_allclose(found.score, [np.median(np.delete(pairwise[:, j], j)) for j in range(4)], atol=1e-5)
    # The other median is another number here.
    wrong = [np.median(np.delete(pairwise[j], j)) for j in range(4)]
    assert np.max(np.abs(found.score - np.array(wrong))) > 0.01


def test_bad_arrays():
    """Fails if a single model, rates of another shape, rates that are NaN or infinite codes give a score."""
    with pytest.raises(InputError, match="rates that are not finite"):
        disentanglement.udr_spearman(noise(0, 10, 4).reshape(2, 10, 2), np.full((2, 2), np.nan))
    with pytest.raises(InputError, match="of 2 models or more"):
        udr_spearman(np.zeros((1, 5, 2)))
    with pytest.raises(InputError, match=r"rates of shape \(2,\)"):
        udr_spearman(np.zeros((2, 5, 2)), np.zeros(2))
    with pytest.raises(InputError, match="not finite"):
        disentanglement.udr_spearman(np.full((2, 5, 2), np.inf))

"""Dependence between latents, against closed forms."""

import math

import jax
import numpy as np
import pytest
from scipy import linalg

from tests.disentanglement.examples import grid, noise
from vae_jax import disentanglement

# Compiled as a whole, which is quicker than one operation after the other, each new to the compiler.
gaussian_total_correlation = jax.jit(disentanglement.gaussian_total_correlation)
gaussian_wasserstein_correlation = jax.jit(
    disentanglement.gaussian_wasserstein_correlation, static_argnames="normalized"
)
mean_mutual_information = jax.jit(disentanglement.mean_mutual_information)

COVARIANCE = np.array([[2.0, 0.9, 0.0], [0.9, 1.0, -0.3], [0.0, -0.3, 0.5]])


def _codes_with(covariance, num=500):
    """Codes with exactly this sample covariance."""
    z = noise(0, num, len(covariance)).astype(float)
    z = z - z.mean(0)
    z = z @ np.linalg.inv(np.linalg.cholesky(np.cov(z.T))).T
    return z @ np.linalg.cholesky(covariance).T + 3.0


def test_closed_forms():
    """Fails if one of the three is not its formula in NumPy and SciPy at a covariance that is known exactly."""
    codes = _codes_with(COVARIANCE)
    total = 0.5 * (np.sum(np.log(np.diag(COVARIANCE))) - np.linalg.slogdet(COVARIANCE)[1])
    np.testing.assert_allclose(gaussian_total_correlation(codes).score, total, rtol=1e-4)
    root = np.diag(np.sqrt(np.diag(COVARIANCE)))
    distance = 2 * np.trace(COVARIANCE) - 2 * np.trace(linalg.sqrtm(root @ COVARIANCE @ root))
    np.testing.assert_allclose(gaussian_wasserstein_correlation(codes).score, distance, rtol=1e-4)
    normalized = gaussian_wasserstein_correlation(codes, normalized=True).score
    np.testing.assert_allclose(normalized, distance / np.trace(COVARIANCE), rtol=1e-4)


def test_total_correlation_of_two_latents():
    """Fails if it is not -log(1 - rho^2) / 2, whatever the scales."""
    codes = _codes_with(np.array([[1.0, 0.8], [0.8, 1.0]])) * [1e-4, 1e4]
    np.testing.assert_allclose(gaussian_total_correlation(codes).score, -0.5 * math.log(1 - 0.64), rtol=1e-4)


def test_independent_and_degenerate_codes():
    """Fails if independent, dead, constant or single latents do not score 0, a doubled latent not infinity, 2 -
    sqrt(2) and its entropy, or if anything is NaN."""
    factors = grid(5, 6, 7) * 1.0
    for score in (gaussian_total_correlation, gaussian_wasserstein_correlation, mean_mutual_information):
        np.testing.assert_allclose(score(factors).score, 0, atol=2e-6)
        dead = score(factors * [1, 0, 1] + 0.3)
        np.testing.assert_allclose(dead.score, 0, atol=1e-5)
        np.testing.assert_array_equal(dead.active, [True, False, True])
        np.testing.assert_allclose(score(0 * factors + 0.3).score, 0, atol=1e-6)
        assert score(factors[:1, :1]).score == 0
    doubled = np.repeat(factors[:, :1], 2, axis=1)
    assert gaussian_total_correlation(doubled).score == np.inf
    # C = s 11': tr C^1/2 is that of one latent, sqrt(2) s instead of 2 s.
    normalized = gaussian_wasserstein_correlation(doubled, normalized=True).score
    np.testing.assert_allclose(normalized, 2 - math.sqrt(2), rtol=1e-5)
    np.testing.assert_allclose(mean_mutual_information(doubled).score, math.log(5), rtol=1e-6)


def test_normalized_distance_has_no_unit():
    """Fails if codes of a size that no float32 holds are rounded to it before they are compared."""
    z = np.random.default_rng(0).normal(size=(40, 3)) @ np.array(
        [[1.0, 0.5, 0.0], [0.0, 1.0, 0.2], [0.0, 0.0, 1.0]]
    )
    one, *others = (
        float(disentanglement.gaussian_wasserstein_correlation(z * unit, normalized=True).score)
        for unit in (1.0, 1e-50, 1e50)
    )
    np.testing.assert_allclose(others, one, rtol=1e-5)


@pytest.mark.parametrize("score", [gaussian_total_correlation, gaussian_wasserstein_correlation])
def test_dead_latents_change_nothing(score):
    """Fails if a constant latent adds to a score, or makes it infinite or NaN."""
    codes = _codes_with(COVARIANCE)
    np.testing.assert_allclose(score(np.insert(codes, 2, -1.7, axis=1)).score, score(codes).score, rtol=1e-5)


def test_mean_mutual_information_counts_pairs_of_active_latents():
    """Three latents, two of them the same: one pair of three has log 5. Fails if a latent is paired with itself or
    a constant one counts, or the bias of noise exceeds 19^2 / 2N."""
    factors = grid(5, 6) * 1.0
    codes = np.stack([factors[:, 0], factors[:, 0] * 2, factors[:, 1], np.zeros(30)], axis=1)
    np.testing.assert_allclose(mean_mutual_information(codes).score, math.log(5) / 3, rtol=1e-5)
    # The plug-in estimate of independent latents is about 19^2 / 2N above 0.
    np.testing.assert_allclose(mean_mutual_information(noise(1, 10_000, 4)).score, 0, atol=361 / 20_000)


def test_nearly_dead_latents_are_left_out_by_their_mask():
    """Three independent latents, and three of noise with a deviation of 1e-3, whose bins share information by
    chance. Fails if the mask does not bring the score to 0, or without it they do not count."""
    factors = np.tile(grid(3, 4, 5), (20, 1))
    codes = np.concatenate([factors * 1.0, 1e-3 * noise(2, len(factors), 3)], axis=1)
    active = np.std(codes, axis=0) > 0.1
    masked = mean_mutual_information(codes, active=active)
    np.testing.assert_allclose(masked.score, 0, atol=1e-6)
    np.testing.assert_array_equal(masked.active, [True, True, True, False, False, False])
    plain = mean_mutual_information(codes)
    assert np.all(plain.active)
    assert plain.score > 0.02

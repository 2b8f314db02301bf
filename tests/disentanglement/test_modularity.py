"""Modularity of known matrices, against NumPy, and of latents that are nearly dead."""

import numpy as np
import pytest

from tests.disentanglement.examples import grid, noise
from vae_jax import InputError
from vae_jax.disentanglement import binned_information, modularity


def _by_hand(mutual):
    scores = []
    for row in np.asarray(mutual, np.float64):
        best = np.argmax(row)
        template = np.where(np.arange(row.size) == best, row[best], 0.0)
        deviation = np.sum((row - template) ** 2) / (row[best] ** 2 * (row.size - 1))
        scores.append(1 - deviation)
    return np.mean(scores)


def test_agrees_with_numpy():
    """Fails if the deviation is not that of the squared information from a template, or is normalized by the wrong
    axis or by k instead of k - 1."""
    information = np.random.default_rng(0).exponential(size=(7, 4)) ** 2
    np.testing.assert_allclose(modularity(information).score, _by_hand(information), atol=1e-6)


def test_known_matrices():
    """Fails if the values differ from those of disentanglement_lib, or a dead latent does to the two means other
    than the docstring says."""
    diagonal = 5.0 * np.eye(5)
    assert modularity(diagonal).score == 1
    assert modularity(np.concatenate([diagonal, diagonal])).score == 1
    np.testing.assert_allclose(modularity(np.concatenate([diagonal, diagonal], axis=1)).score, 1 - 1 / 9, rtol=1e-6)
    assert modularity(np.zeros((10, 10))).score == 0
    dead = modularity(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    np.testing.assert_allclose(dead.score, 2 / 3, rtol=1e-6)
    assert dead.score_of_active == 1
    np.testing.assert_array_equal(dead.active, [True, True, False])
    assert modularity(np.ones((3, 4))).score == 0
    assert modularity(np.array([[0.3], [0.2]])).score == 1


def test_nearly_dead_latents_are_left_out_by_their_mask():
    """Three perfect latents, and three of noise with a deviation of 1e-3, to which the bins give information all
    the same. Fails if the mask does not make the score of the active ones 1, or changes any other score."""
    factors = np.tile(grid(3, 4, 5), (20, 1))
    codes = np.concatenate([factors * 1.0, 1e-3 * noise(1, len(factors), 3)], axis=1)
    active = np.std(codes, axis=0) > 0.1
    information = binned_information(codes, factors).mutual_information
    masked = modularity(information, active=active)
    assert masked.score_of_active == 1
    np.testing.assert_array_equal(masked.active, [True, True, True, False, False, False])
    plain = modularity(information)
    assert np.all(plain.active)
    assert plain.score_of_active < 0.9
    np.testing.assert_array_equal(masked.score, plain.score)
    np.testing.assert_array_equal(masked.per_code, plain.per_code)


def test_estimates_below_zero_count_as_none():
    """Fails if an estimate that noise took below 0 is squared into information."""
    found = modularity(np.array([[0.5, -0.5], [-0.1, -0.2]]))
    np.testing.assert_allclose(found.per_code, [1, 0])
    np.testing.assert_array_equal(found.active, [True, False])


def test_bad_matrices():
    """Fails if a vector is taken for a matrix of information, NaN for a latent that tells nothing, or numbers or
    too few marks for a mask."""
    with pytest.raises(InputError, match="values of mutual_information that are not finite"):
        modularity(np.array([[1.0, 0.0], [np.nan, np.nan]]))
    for mask in ([True], [1, 0]):
        with pytest.raises(InputError, match="expected bool"):
            modularity(np.eye(2), active=np.array(mask))
    with pytest.raises(InputError, match="mutual_information of shape"):
        modularity(np.zeros(3))

"""Equal-width bins: which values share one, and what a single outlier does to the scores made of them."""

import math

import numpy as np
import pytest

from tests.disentanglement.examples import grid, noise, random_factors
from vae_jax import InputError
from vae_jax.disentanglement import (
    binned_information,
    equal_width_bins,
    joint_entropy_gap,
    mutual_information_gap,
)


def test_equal_width_bins_keep_their_lower_edge():
    """Fails if a bin is open at its lower edge, or the maximum gets a bin of its own: the example of
    disentanglement_lib, and edges that np.histogram puts likewise."""
    codes = np.array([[0.1, 1.0, 2.1, 2.9, 5.0, 6.0]]).T
    np.testing.assert_array_equal(equal_width_bins(codes, num_bins=3)[:, 0] + 1, [1, 1, 2, 2, 3, 3])
    edges = np.array([[0.0, 1.0, 2.0, 4.0]]).T
    np.testing.assert_array_equal(equal_width_bins(edges, num_bins=4)[:, 0], [0, 1, 2, 3])


def test_entropy_of_equally_full_bins():
    """Three bins of two examples each. Fails if an entropy is not log 3 in nats, or the bins and a factor that is
    equal to them do not share all of it."""
    codes = np.array([[0.1, 1.0, 2.1, 2.9, 5.0, 6.0]]).T
    groups = equal_width_bins(codes, num_bins=3)
    found = binned_information(codes, groups, num_bins=3)
    for entropy in (found.code_entropy, found.factor_entropy, found.mutual_information, found.joint_entropy):
        np.testing.assert_allclose(entropy, np.full(entropy.shape, math.log(3)), rtol=1e-6)


@pytest.mark.parametrize(("distance", "expected"), [(1, 1.0), (10, 0.5635), (1000, 0.0)])
def test_an_outlier_takes_the_bins_of_a_perfect_code(distance, expected):
    """One example in 1080 moved out by this factor in both latents: MIG falls from 1 to 0.56 and to 0. Fails if
    bins are not of equal width over the whole range, say by quantiles or of clipped codes, and the warning no
    longer holds."""
    factors = np.tile(grid(6, 6), (30, 1))
    codes = factors * 1.0
    codes[-1] *= distance
    np.testing.assert_allclose(mutual_information_gap(codes, factors).score, expected, atol=5e-5)


def test_jemmig_of_noise_is_above_nothing_and_outliers_raise_it():
    """Noise scores 0.05 to 0.15, and with one outlier per latent log 20 / (H(v) + log 20), 0.57 on average.
    Fails if the warning in the docstring no longer holds, or the gap is normalized by something else."""
    factors = random_factors(4, 5000, 3, 6, 40, 32)
    codes = noise(5, 5000, 10)
    assert 0.05 < joint_entropy_gap(codes, factors).score < 0.15
    codes[np.arange(10), np.arange(10)] = 1e3
    found = joint_entropy_gap(codes, factors)
    # All but one example are in one bin: H(z) and I(z; v) are about 0, and the gap is H(v).
    entropy = mutual_information_gap(codes, factors).factor_entropy
    np.testing.assert_allclose(found.per_factor, math.log(20) / (entropy + math.log(20)), atol=1e-3)
    assert 0.5 < found.score < 0.6
    assert mutual_information_gap(codes, factors).score < 1e-3


def test_bad_number_of_bins():
    """Fails if a single bin, which tells nothing of anything, gives a score."""
    with pytest.raises(InputError, match="num_bins 1"):
        mutual_information_gap(noise(0, 9, 2), random_factors(0, 9, 2), num_bins=1)

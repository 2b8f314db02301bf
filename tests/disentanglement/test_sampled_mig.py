"""The mutual information gap of samples, against quadrature."""

import math

import jax
import numpy as np
import pytest
from scipy.special import logsumexp

from tests.disentanglement.examples import grid, random_factors
from vae_jax import InputError
from vae_jax.disentanglement import sampled_mutual_information_gap

KEY = jax.random.key(0)


def _score(loc, scale, factors, **options):
    """Compiled as a whole, which is quicker than one operation after the other, each new to the compiler."""
    return jax.jit(lambda *q: sampled_mutual_information_gap(KEY, *q, factors, **options))(loc, scale)


def _information_of_equispaced(num_values, scale):
    """h(mixture of N(i, scale^2)) - h(N(0, scale^2)) in nats, by the trapezoidal rule."""
    z = np.linspace(-12 * scale, num_values - 1 + 12 * scale, 40_001)
    logs = (
        -0.5 * ((z - np.arange(num_values)[:, None]) / scale) ** 2 - math.log(scale) - 0.5 * math.log(2 * math.pi)
    )
    log_mixture = logsumexp(logs, axis=0) - math.log(num_values)
    entropy = np.trapezoid(-np.exp(log_mixture) * log_mixture, z)
    return entropy - 0.5 * math.log(2 * math.pi * math.e * scale**2)


def test_equispaced_values_in_noise():
    """I(z; v) of z = v + N(0, scale^2) with 6 values; the other latent is noise. Fails if densities are conditional
    on the wrong values, counted with the wrong weight, or without the sample's own component."""
    factors = grid(6, 7)
    loc = np.stack([factors[:, 0], np.zeros(42)], axis=1).astype(float)
    num_samples = 42 * 500
    score = jax.jit(lambda *q: sampled_mutual_information_gap(KEY, *q, factors, num_samples=num_samples))
    # The integrand is a log ratio with standard deviation below 1; five standard errors.
    tolerance = 5 / math.sqrt(num_samples)
    for scale, expected in ((0.1, 1.79176), (0.5, 1.18910), (2.0, 0.27243)):
        np.testing.assert_allclose(_information_of_equispaced(6, scale), expected, atol=1e-5)
        found = score(loc, np.full(loc.shape, scale))
        np.testing.assert_allclose(found.mutual_information[0, 0], expected, atol=tolerance)
        np.testing.assert_allclose(found.mutual_information[0, 1], 0, atol=1e-5)
        np.testing.assert_allclose(found.mutual_information[1], 0, atol=1e-5)
        np.testing.assert_allclose(found.factor_entropy, np.log([6, 7]), rtol=1e-6)
        np.testing.assert_allclose(found.per_factor, [expected / math.log(6), 0], atol=tolerance)
        np.testing.assert_array_equal(found.active, [True, False])


def test_agrees_with_numpy():
    """Fails if the same draws through the defining sums, with unequal scales and unequally frequent values, give
    other information."""
    rng = np.random.default_rng(1)
    num = 150
    factors = np.stack([rng.choice(3, num, p=[0.6, 0.3, 0.1]), rng.integers(0, 4, num)], axis=1)
    loc = (factors @ rng.normal(size=(2, 3)) + 0.3 * rng.normal(size=(num, 3))).astype(np.float32)
    scale = np.exp(rng.normal(size=(num, 3)) - 1).astype(np.float32)
    found = _score(loc, scale, factors, num_samples=num, chunk_size=40)

    order_key, noise_key = jax.random.split(KEY)
    n = np.asarray(jax.random.permutation(order_key, num))
    z = loc[n] + scale[n] * np.asarray(jax.random.normal(noise_key, (num, 3), loc.dtype))
    log_q = -0.5 * ((z[:, None] - loc) / scale) ** 2 - np.log(scale)  # [sample, component, latent]
    log_marginal = logsumexp(log_q, axis=1) - math.log(num)
    for k in range(2):
        alike = factors[n, k][:, None] == factors[:, k]
        log_given = logsumexp(np.where(alike[:, :, None], log_q, -np.inf), axis=1) - np.log(alike.sum(1))[:, None]
        np.testing.assert_allclose(
            found.mutual_information[:, k], np.mean(log_given - log_marginal, axis=0), atol=3e-6
        )
        p = np.bincount(factors[:, k]) / num
        np.testing.assert_allclose(found.factor_entropy[k], -np.sum(p * np.log(p)), rtol=1e-6)


def test_chunks_change_nothing():
    """Fails if the remainder of a chunk is dropped, or counted twice; the number of samples divides by nothing."""
    factors = random_factors(2, 61, 3, 2)
    loc = factors + 0.1 * np.random.default_rng(3).normal(size=(61, 2))
    scale = np.full((61, 2), 0.4)
    expected = _score(loc, scale, factors, num_samples=37, chunk_size=1000)
    for chunk_size in (1, 7):
        found = _score(loc, scale, factors, num_samples=37, chunk_size=chunk_size)
        np.testing.assert_allclose(found.mutual_information, expected.mutual_information, atol=2e-6)


def test_noise_and_duplicates_score_nothing():
    """Fails if noise or doubled latents leave a gap beyond the Monte Carlo error, or if the latents that are not
    doubled leave none."""
    factors = random_factors(4, 3000, 3, 5)
    rng = np.random.default_rng(5)
    scale = np.full((3000, 4), 0.7)
    score = jax.jit(lambda *q: sampled_mutual_information_gap(KEY, *q, factors, num_samples=500))
    useless = score(rng.normal(size=(3000, 4)), scale)
    assert 0 <= useless.score < 5e-3
    loc = np.tile(factors, 2) * 1.0
    doubled = score(loc, scale)
    # Each latent has noise of its own: 500 log ratios with a standard deviation below 1.
    assert 0 <= doubled.score < 5 * math.sqrt(2 / 500)
    single = score(loc * [1, 1, 0, 0], scale)
    assert single.score > 0.4


def test_scales_far_apart_stay_finite():
    """Log-variances of +-20 in one data set. Fails if densities overflow or every term of a sum is 0."""
    factors = grid(2, 8)
    loc = np.stack([factors[:, 0], factors[:, 1]], axis=1) * 1.0
    scale = np.where(factors == 0, np.exp(-10.0), np.exp(10.0))
    found = _score(loc, scale, factors, num_samples=64)
    for value in found:
        assert np.all(np.isfinite(np.asarray(value, float)))
    # Two values with scales so far apart cannot be mistaken: I = log 2.
    np.testing.assert_allclose(found.mutual_information[0, 0], math.log(2), atol=1e-3)


def test_constants_and_a_single_latent():
    """Fails if a constant factor gets into the mean, if a single latent is not compared with 0, or if constants
    only do not score 0."""
    factors = np.stack([np.arange(40) % 2, np.full(40, 3)], axis=1)
    loc = factors[:, :1] * 10.0
    found = _score(loc, np.ones((40, 1)), factors, num_samples=40)
    np.testing.assert_allclose(found.score, 1.0, atol=1e-3)
    np.testing.assert_array_equal(found.varying, [True, False])
    assert found.per_factor[1] == 0
    constant = _score(0 * loc, np.ones((40, 1)), 0 * factors)
    assert constant.score == 0


def test_compiled_memory_does_not_grow_with_the_data():
    """Fails if the compiled program needs twice the temporary memory for ten times the examples."""

    def temporary(num):
        factors = np.arange(num)[:, None] % 7
        arrays = jax.ShapeDtypeStruct((num, 10), np.float32)
        run = jax.jit(lambda loc, scale: sampled_mutual_information_gap(KEY, loc, scale, factors, num_samples=500))
        memory = run.lower(arrays, arrays).compile().memory_analysis()
        return memory.temp_size_in_bytes - 2 * 4 * num * 10

    assert temporary(50_000) < 2 * temporary(5_000)


def test_bad_arguments():
    """Fails if a scale of another shape, below 0 or NaN, no samples or traced factors are taken, or surface as an
    error from within."""
    loc, factors = np.zeros((5, 2)), np.zeros((5, 1), int)
    with pytest.raises(InputError, match="scale of shape"):
        sampled_mutual_information_gap(KEY, loc, np.ones(2), factors)
    with pytest.raises(InputError, match=r"scale of -1\.0"):
        sampled_mutual_information_gap(KEY, loc, np.full((5, 2), -1.0), factors)
    with pytest.raises(InputError, match="values of scale that are not finite"):
        sampled_mutual_information_gap(KEY, loc, np.full((5, 2), np.nan), factors)
    with pytest.raises(InputError, match="0 samples"):
        sampled_mutual_information_gap(KEY, loc, np.ones((5, 2)), factors, num_samples=0)
    with pytest.raises(InputError, match="traced factors"):
        jax.jit(lambda f: sampled_mutual_information_gap(KEY, loc, np.ones((5, 2)), f))(factors)

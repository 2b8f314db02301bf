"""Masses of counts in float32, and their derivatives, against sums of logs in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import digamma, gammaln

from vae_jax.fast.stirling import (
    deviance,
    digamma_remainder,
    negative_binomial_log_mass,
    poisson_log_mass,
    stirling_remainder,
)

COUNTS = (0, 1, 2, 3, 17, 1000, 1_000_000)
SHAPES = (1e-15, 1e-6, 0.01, 0.3, 1.0, 1.7, 10.0, 1e3, 1e6, 1e10, 1e15)


def grid():
    """Counts, float32 log means from 0 to 1e8 beside and far from the counts, and float32 log r."""
    points = [
        (x, np.log(m), np.log(r))
        for x, r in itertools.product(COUNTS, SHAPES)
        for m in (1e-8, 0.1, max(x, 0.5), 1.001 * max(x, 1), 1.2 * max(x, 1), 3 * max(x, 1), 1e5)
    ]
    return [np.asarray(column, np.float32) for column in zip(*points, strict=True)]


def exact(x, log_mean, log_r):
    """The log mass and its derivatives in log m and log r, in float64: a ratio of gammas is a product."""
    m, r = np.exp(np.float64(log_mean)), np.exp(np.float64(log_r))
    k = np.arange(int(x), dtype=np.float64)
    value = np.sum(np.log((r + k) / (k + 1))) - (x + r) * np.log1p(m / r) + x * (np.float64(log_mean) - log_r)
    in_log_r = np.sum(r / (r + k)) - r * np.log1p(m / r) + r * (m - x) / (r + m)
    return value, r * (x - m) / (r + m), in_log_r


def test_remainders_are_those_of_scipy():
    """Fails if a coefficient is wrong, or if a form loses digits in float32 from 1e-15 to 1e15."""
    y = np.logspace(-15, 1.5, 400)
    remainder = gammaln(y) - ((y - 0.5) * np.log(y) - y + 0.5 * np.log(2 * np.pi))
    slope = y * np.log(y) - 0.5 - y * digamma(y)
    single = jnp.asarray(y, jnp.float32)
    np.testing.assert_allclose(stirling_remainder(single), remainder, rtol=5e-7, atol=1e-7)
    np.testing.assert_allclose(digamma_remainder(single), slope, rtol=5e-7, atol=1e-7)
    with jax.enable_x64(True):
        np.testing.assert_allclose(stirling_remainder(jnp.asarray(y)), remainder, atol=2e-11)
        np.testing.assert_allclose(digamma_remainder(jnp.asarray(y)), slope, atol=5e-11)
    far = jnp.logspace(3, 15, 50)  # where the next term of the series is below 1e-7 of this one
    np.testing.assert_allclose(stirling_remainder(far), 1 / (12 * far), rtol=1e-5)
    np.testing.assert_allclose(digamma_remainder(far), 1 / (12 * far), rtol=1e-5)


def test_deviance_has_no_cancellation():
    """Fails if the deviance near 0 is a difference of two numbers that are equal in float32."""
    v = np.concatenate([np.logspace(-12, 1, 200), -np.logspace(-12, -0.01, 200)]).astype(np.float32)
    w = np.longdouble(v)
    expected = np.where(abs(w) < 1e-4, w**2 / 2 - w**3 / 3 + w**4 / 4, w - np.log1p(w))
    np.testing.assert_allclose(deviance(jnp.asarray(v), jnp.log1p(v)), np.float64(expected), rtol=2e-6)


def test_negative_binomial_in_the_extremes():
    """Fails if a mass or a derivative loses digits for large r, where log Gamma(x + r) - log Gamma(r) has none
    left, for r near 0, or for counts of a million."""
    x, log_mean, log_r = grid()
    value, *slopes = np.array([exact(*point) for point in zip(x, log_mean, log_r, strict=True)]).T
    found, pull = jax.vjp(lambda m, r: negative_binomial_log_mass(jnp.asarray(x), m, r), log_mean, log_r)
    # One rounding of log m may change the mass by its slope.
    assert np.all(np.abs(found - value) < 1e-6 * np.abs(value) + 2e-7 * np.abs(slopes[0]) + 1e-7)
    in_mean, in_r = pull(jnp.ones_like(found))
    # One rounding of m, which x - m has too; and of (x - m) / (r + m), which is squared and multiplied by r.
    m, r = np.exp(np.float64(log_mean)), np.exp(np.float64(log_r))
    rounding = 3e-7 * r * np.maximum(x, m) / (r + m)
    assert np.all(np.abs(in_mean - slopes[0]) < rounding + 1e-6 * np.abs(slopes[0]) + 1e-9)
    assert np.all(np.abs(in_r - slopes[1]) < rounding * np.abs(x - m) / (r + m) + 5e-6 * np.abs(slopes[1]) + 3e-7)


def test_poisson_is_the_limit():
    """Fails if the Poisson mass is another than that of scipy, of the negative binomial at r = 1e15, or has another
    derivative than x - m."""
    x, log_mean, log_r = (column[grid()[2] > 34] for column in grid())
    # log x! is also of float64: for a million, the sum of its logs.
    logs = np.array([np.sum(np.log(np.arange(1, k + 1, dtype=np.float64))) for k in x])
    expected = x * np.float64(log_mean) - np.exp(np.float64(log_mean)) - logs
    found, pull = jax.vjp(lambda m: poisson_log_mass(jnp.asarray(x), m), log_mean)
    slope = x - np.exp(np.float64(log_mean))
    assert np.all(np.abs(found - expected) < 1e-6 * np.abs(expected) + 2e-7 * np.abs(slope) + 1e-7)
    np.testing.assert_array_equal(pull(jnp.ones_like(found))[0], x - jnp.exp(log_mean))
    limit = negative_binomial_log_mass(jnp.asarray(x), log_mean, log_r)
    np.testing.assert_allclose(limit, found, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("log_mean", [-1e3, -100.0, 0.0, 40.0])
def test_masses_are_finite(log_mean):
    """Fails if a mean that is 0 in float32, or a large one, has a mass or derivative that is not a number."""
    x, log_r = (a.ravel() for a in np.meshgrid(np.float32(COUNTS), np.float32([-40, -35, 0, 35, 40])))
    mean = jnp.full(x.shape, log_mean)
    for f, primals in (
        (lambda m, r: negative_binomial_log_mass(x, m, r), (mean, log_r)),
        (lambda m: poisson_log_mass(x, m), (mean,)),
    ):
        found, pull = jax.vjp(f, *primals)
        assert np.all(np.isfinite(found))
        assert all(np.all(np.isfinite(slope)) for slope in pull(jnp.ones_like(found)))


def test_counts_have_no_derivative():
    """Fails if a count is differentiated, as a real number between two counts would be."""
    slope = jax.grad(lambda x: negative_binomial_log_mass(x, jnp.float32(1.0), jnp.float32(0.5)))(jnp.float32(3.0))
    assert slope == jax.grad(lambda x: poisson_log_mass(x, jnp.float32(1.0)))(jnp.float32(3.0)) == 0

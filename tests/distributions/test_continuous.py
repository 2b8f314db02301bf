"""Continuous Bernoulli, Laplace and Student's t: against quadrature and scipy in float64, and in the extremes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from vae_jax import InputError
from vae_jax.distributions import ContinuousBernoulli, Laplace, StudentT

LOGITS = np.array([0, 1e-4, 0.01, 0.5, 0.999, 1.0, 1.001, 5, 30, 300, 1000.0])
LOGITS = np.concatenate([-LOGITS[:0:-1], LOGITS]).astype(np.float32).astype(np.float64)
X = np.linspace(0, 1, 7, dtype=np.float32).astype(np.float64)


def moments(logit):
    """log of the integral of exp(x l), mean and variance in float64, from the side on which nothing overflows."""
    size = abs(logit)
    width = min(1.0, 50 / max(size, 1.0))
    of = [
        integrate.quad(lambda y, k=k: y**k * np.exp(-size * y), 0, width, epsabs=0, epsrel=1e-12)[0]
        for k in range(3)
    ]
    mean, variance = of[1] / of[0], of[2] / of[0] - (of[1] / of[0]) ** 2
    return np.log(of[0]) + max(logit, 0), (1 - mean if logit > 0 else mean), variance


MOMENTS = np.array([moments(logit) for logit in LOGITS])


def test_continuous_bernoulli_is_the_density_of_quadrature():
    """Fails if the normaliser, the mean or the variance is off at any logit, in 32 bits or in 64."""
    log_integral, mean, variance = MOMENTS.T
    for x in X:
        exact = x * LOGITS - log_integral
        found = ContinuousBernoulli(jnp.asarray(LOGITS, jnp.float32)).log_prob_each(jnp.full(len(LOGITS), x))
        np.testing.assert_allclose(found, exact, rtol=2e-6, atol=2e-6)
    d = ContinuousBernoulli(jnp.asarray(LOGITS, jnp.float32))
    np.testing.assert_allclose(d.mean(), mean, rtol=2e-6)
    np.testing.assert_allclose(1 - np.asarray(d.mean()), 1 - mean, rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(d.stddev(), np.sqrt(variance), rtol=5e-6)
    with jax.enable_x64(True):
        d = ContinuousBernoulli(jnp.asarray(LOGITS))
        np.testing.assert_allclose(d.mean(), mean, rtol=1e-12)
        np.testing.assert_allclose(d.stddev(), np.sqrt(variance), rtol=1e-11)
        for x in X:
            found = d.log_prob_each(jnp.full(len(LOGITS), x))
            np.testing.assert_allclose(found, x * LOGITS - log_integral, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bits", [32, 64])
def test_derivatives_of_the_normaliser_are_the_mean_and_the_variance(bits):
    """Fails if the gradient or the second derivative is another than the moments say, or is not finite."""
    with jax.enable_x64(bits == 64):
        logits = jnp.asarray(LOGITS, f"float{bits}")
        first = jax.grad(lambda logit, x: ContinuousBernoulli(logit).log_prob(x))
        for x in (0.0, 0.3, 1.0):
            at = jnp.asarray(x, logits.dtype)
            slope = jax.vmap(lambda logit, at=at: first(logit, at))(logits)
            curvature = jax.vmap(lambda logit, at=at: jax.grad(first)(logit, at))(logits)
            np.testing.assert_allclose(slope, x - MOMENTS[:, 1], rtol=1e-5, atol=2e-7)
            np.testing.assert_allclose(curvature, -MOMENTS[:, 2], rtol=1e-5)


def test_continuous_bernoulli_draws_have_its_distribution():
    """Fails if draws at some logit are those of another, leave [0, 1], or lose their gradient."""
    d = ContinuousBernoulli(jnp.asarray(LOGITS, jnp.float32))
    draws = np.asarray(jax.jit(jax.vmap(d.sample))(jax.random.split(jax.random.key(0), 4000)), np.float64)
    assert draws.min() >= 0
    assert draws.max() <= 1
    for logit, column in zip(LOGITS, draws.T, strict=True):
        size = max(abs(logit), 1e-12)
        cdf = lambda x, size=size: np.expm1(-size * x) / np.expm1(-size)  # noqa: E731
        p = stats.kstest(1 - column if logit > 0 else column, cdf).pvalue
        assert p > 1e-4, (logit, p)
    slope = jax.grad(lambda logits: jnp.sum(ContinuousBernoulli(logits).sample(jax.random.key(1))))(d.logits)
    assert np.all(np.isfinite(slope))
    assert np.all(np.asarray(slope) > 0)


def test_values_that_are_no_numbers_of_the_unit_interval():
    """Fails if 8-bit values have a density, or one element of another event is broadcast."""
    d = ContinuousBernoulli(jnp.zeros(2))
    assert d.log_prob(jnp.array([0.5, 1.5])) == -np.inf
    np.testing.assert_array_equal(d.log_prob_each(jnp.array([0.5, -1.0])), [0, -np.inf])
    for other in (d, Laplace(jnp.zeros(2), jnp.ones(())), StudentT(3.0, jnp.zeros(2), jnp.ones(()))):
        with pytest.raises(InputError, match="shape"):
            other.log_prob(jnp.zeros(1))


@pytest.mark.parametrize("df", [1e-3, 0.5, 1.0, 5.0, 40.0, 1e4, 3e6])
def test_student_t_is_that_of_scipy(df):
    """Fails on a wrong constant, or where gamma functions cancel in float32 at many degrees of freedom."""
    x, loc, scale = np.linspace(-3, 8, 12), np.linspace(1, 2, 12), np.geomspace(0.1, 10, 12)
    d = StudentT(jnp.float32(df), jnp.asarray(loc, jnp.float32), jnp.asarray(scale, jnp.float32))
    y = (x - loc) / scale
    # The gamma functions of scipy cancel too: for large df their ratio is that of Stirling's series.
    large = -0.5 * np.log(2 * np.pi) - 0.25 / df - 0.5 * (df + 1) * np.log1p(y**2 / df) - np.log(scale)
    exact = stats.t.logpdf(x, df, loc, scale) if df < 1e6 else large
    np.testing.assert_allclose(d.log_prob_each(jnp.asarray(x, jnp.float32)), exact, rtol=1e-5, atol=1e-5)
    if df > 1:
        np.testing.assert_allclose(d.mean(), loc, rtol=1e-6)
        np.testing.assert_allclose(d.stddev(), stats.t.std(df, loc, scale), rtol=1e-6)


def test_laplace_is_that_of_scipy():
    """Fails on a wrong constant or moment."""
    x, loc, scale = np.linspace(-3, 8, 12), np.linspace(1, 2, 12), np.geomspace(0.1, 10, 12)
    d = Laplace(jnp.asarray(loc, jnp.float32), jnp.asarray(scale, jnp.float32))
    exact = stats.laplace.logpdf(x, loc, scale)
    np.testing.assert_allclose(d.log_prob_each(jnp.asarray(x, jnp.float32)), exact, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(d.stddev(), stats.laplace.std(loc, scale), rtol=1e-6)


@pytest.mark.parametrize("df", [0.3, 1.5, 30.0])
def test_student_t_draws_have_its_distribution(df):
    """Fails if draws are of other degrees of freedom, location or scale."""
    d = StudentT(jnp.float32(df), jnp.full(2000, 3.0), jnp.float32(2.0))
    draws = np.asarray(jax.jit(d.sample)(jax.random.key(0)), np.float64)
    assert stats.kstest(draws, stats.t(df, 3, 2).cdf).pvalue > 1e-4


@pytest.mark.parametrize("df", [None, 1e-3, 5.0, 3e6], ids=["laplace", "0.001", "5", "3e6"])
def test_tails_in_the_extremes(df):
    """Fails if a value or a gradient is not finite at |x| of 1e6 or 1e15, or at scales of exp(+-15)."""

    def value(df, loc, log_scale, x):
        scale = jnp.exp(log_scale)
        return (Laplace(loc, scale) if df is None else StudentT(df, loc, scale)).log_prob(x)

    at = [a.ravel() for a in np.meshgrid([-15.0, 0.0, 15.0], [-1e15, -1e6, 1.0, 1e6, 1e15])]
    of = jax.value_and_grad(value, argnums=(1, 2, 3) if df is None else (0, 1, 2, 3))
    both = jax.jit(jax.vmap(of, (None, None, 0, 0)))
    found, slopes = both(df, 1.0, *(jnp.asarray(a, jnp.float32) for a in at))
    assert np.all(np.isfinite([found, *slopes])), (found, slopes)
    if df is not None:
        draws = StudentT(jnp.float32(df), jnp.zeros(100), jnp.float32(np.exp(15))).sample(jax.random.key(0))
        assert np.all(np.isfinite(draws))


def test_a_mean_that_does_not_exist_is_refused():
    """Fails if Cauchy's distribution has a mean, or one that has one has not; its median is always there."""
    loc = jnp.array([1.0, 2.0])
    for df in (0.5, 1.0, jnp.float32(1.0)):
        d = StudentT(df, loc, jnp.ones(()))
        with pytest.raises(InputError, match="no mean"):
            d.mean()
        np.testing.assert_array_equal(d.center(), loc)
        assert np.all(np.isnan(jax.jit(lambda d: d.mean())(d)))
    assert np.all(np.isinf(StudentT(1.5, loc, jnp.ones(())).stddev()))
    np.testing.assert_array_equal(jax.jit(lambda d: d.mean())(StudentT(jnp.float32(1.5), loc, jnp.ones(()))), loc)

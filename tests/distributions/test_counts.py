"""Distributions of counts against scipy, against quadrature, and against their own draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, gamma, roots_genlaguerre

from vae_jax import InputError, kl_divergence
from vae_jax.distributions import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial, log_prob_each, stddev

X = np.array([0, 1, 4, 30, 200])
MEANS = np.array([0.3, 1.0, 6.0, 25.0, 400.0])
SHAPES = np.array([0.05, 0.8, 3.0, 40.0, 2.0])
DROPOUT = np.array([-1.0, 0.5, 2.0, 0.0, -3.0])
LOG_MEAN, LOG_R = jnp.log(jnp.asarray(MEANS)), jnp.log(jnp.asarray(SHAPES))
COUNTS = NegativeBinomial(LOG_MEAN, LOG_R)
INFLATED = ZeroInflatedNegativeBinomial(COUNTS, jnp.asarray(DROPOUT))
ALL = [Poisson(LOG_MEAN), COUNTS, INFLATED]
each = pytest.mark.parametrize("d", ALL, ids=lambda d: type(d).__name__)


def of_scipy(x):
    """The log masses of `ALL` in float64."""
    counts = stats.nbinom.logpmf(x, SHAPES, SHAPES / (SHAPES + MEANS))
    inflated = np.log(expit(DROPOUT) * (x == 0) + expit(-DROPOUT) * np.exp(counts))
    return [stats.poisson.logpmf(x, MEANS), counts, inflated]


def test_masses_are_those_of_scipy():
    """Fails on a wrong constant, or if r is the dispersion and not its inverse."""
    for x in (X, np.zeros(5, int), X[::-1].copy()):
        for d, expected in zip(ALL, of_scipy(x), strict=True):
            np.testing.assert_allclose(log_prob_each(d, x), expected, rtol=2e-6, atol=1e-6)
            np.testing.assert_allclose(d.log_prob(jnp.asarray(x, jnp.uint16)), expected.sum(), rtol=2e-6)


@each
def test_masses_sum_to_one(d):
    """Fails if the masses of 0, 1, 2, ... are those of no distribution, at any of the parameters."""
    x = jnp.arange(60_000.0)
    masses = jax.jit(lambda d: jnp.exp(jax.vmap(lambda k: log_prob_each(d, jnp.full(5, k)))(x)))(d)
    np.testing.assert_allclose(np.asarray(masses, np.float64).sum(0), 1, rtol=2e-6)
    moments = np.asarray(x, np.float64)[:, None] ** [[[1]], [[2]]]
    mean, square = (np.asarray(masses, np.float64) * moments).sum(1)
    np.testing.assert_allclose(d.mean(), mean, rtol=5e-6)
    np.testing.assert_allclose(stddev(d), np.sqrt(square - mean**2), rtol=1e-5)


@pytest.mark.parametrize(("r", "mean"), [(0.4, 2.0), (3.0, 0.7), (8.0, 20.0)])
def test_a_gamma_of_poissons_is_negative_binomial(r, mean):
    """Fails if the negative binomial is not the marginal of Poisson counts whose means are gamma: by quadrature."""
    nodes, weights = roots_genlaguerre(100, r - 1)
    rates = jnp.log(jnp.asarray(nodes * mean / r))
    x = jnp.arange(12.0)
    masses = jnp.exp(jax.vmap(lambda k: log_prob_each(Poisson(rates), jnp.full(100, k)))(x))
    counts = NegativeBinomial(jnp.full(12, np.log(mean)), jnp.log(jnp.float32(r)))
    expected = np.asarray(masses, np.float64) @ weights / gamma(r)
    np.testing.assert_allclose(np.exp(log_prob_each(counts, x)), expected, rtol=3e-5)


def test_draws_of_large_and_of_rare_counts():
    """Fails if a draw of many has another variance, as the sampler of JAX has at a mean of a million, or if a gamma
    of a tiny shape is lost."""
    log_mean = jnp.log(jnp.array([2e4, 1e6, 1e9, 1e6, 1e3]))
    log_r = jnp.log(jnp.array([1e15, 1e15, 1e15, 5.0, 1e-15]))
    d = NegativeBinomial(log_mean, log_r)
    draws = np.asarray(jax.jit(jax.vmap(d.sample))(jax.random.split(jax.random.key(0), 20_000)), np.float64)
    assert np.all(draws[:, 4] == 0)
    off = (draws - np.exp(np.float64(log_mean)))[:, :4]
    error = off.std(0) / np.sqrt(len(off))
    assert np.all(np.abs(off.mean(0)) < 5 * error + 1e-6 * np.exp(log_mean[:4]))
    ratio = off.var(0) / np.asarray(stddev(d), np.float64)[:4] ** 2
    assert np.all(np.abs(ratio - 1) < 5 * np.sqrt([2 / 2e4] * 3 + [3.2 / 2e4])), ratio
    assert np.all(draws == np.round(draws))


def test_draws_by_a_key_of_another_generator():
    """Fails if counts cannot be drawn by a key for which JAX has no Poisson sampler."""
    x = COUNTS.sample(jax.random.key(0, impl="rbg"))
    assert np.isfinite(COUNTS.log_prob(x))


def test_divergence_of_poissons():
    """Fails if the closed form is not the sum over the masses, or overflows where means differ by 1e3 in logs."""
    q, p = Poisson(LOG_MEAN), Poisson(LOG_MEAN + jnp.array([0.01, -0.01, 1.5, -0.5, 0.0]))
    x = jnp.arange(1000.0)
    terms = jax.vmap(lambda k: (log_prob_each(q, jnp.full(5, k)), log_prob_each(p, jnp.full(5, k))))(x)
    log_q, log_p = np.asarray(terms, np.float64)
    expected = (np.exp(log_q) * (log_q - log_p)).sum()
    np.testing.assert_allclose(kl_divergence(q, p, None), expected, rtol=1e-5)
    far = kl_divergence(Poisson(jnp.array([-1e3])), Poisson(jnp.array([2.0])), None)
    np.testing.assert_allclose(far, np.exp(2.0), rtol=1e-6)


@each
def test_what_is_no_count(d):
    """Fails if a number that is no count has a mass, or an event of another shape is broadcast."""
    x = jnp.asarray(X, jnp.float32)
    for wrong in (-1.0, 0.5):
        assert d.log_prob(x.at[2].set(wrong)) == -jnp.inf
    with pytest.raises(InputError, match="shape"):
        d.log_prob(x[:1])


def test_dropout_in_the_extremes():
    """Fails if a mass or a gradient is not finite, or is not that of the negative binomial without dropout."""
    axes = [[0.0, 1.0, 1e6], [-1e3, -2.0, 9.0, 35.0], [-35.0, 0.0, 35.0], [-1e3, -3.0, 0.0, 3.0, 1e3]]
    x, log_mean, log_r, dropout = (jnp.asarray(a.ravel(), jnp.float32) for a in np.meshgrid(*axes))

    @jax.jit
    def all_of(log_mean, log_r, dropout):
        counts = NegativeBinomial(log_mean, log_r)

        def inflated(*primals):
            return log_prob_each(ZeroInflatedNegativeBinomial(NegativeBinomial(*primals[:2]), primals[2]), x)

        found, pull = jax.vjp(inflated, log_mean, log_r, dropout)
        return found, log_prob_each(counts, x), pull(jnp.ones_like(found))

    found, counts, slopes = all_of(log_mean, log_r, dropout)
    assert np.all(np.isfinite(found))
    assert np.all(np.isfinite(slopes))
    w, negative = np.asarray(dropout, np.float64), np.asarray(counts, np.float64)
    zero = np.logaddexp(w, negative) - np.logaddexp(w, 0)
    expected = np.where(x == 0, zero, negative - np.logaddexp(w, 0))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-7)
    without = (dropout == -1e3) & ((x > 0) | (counts > -500))
    np.testing.assert_array_equal(found[without], counts[without])


@pytest.mark.filterwarnings("error::FutureWarning")
@pytest.mark.parametrize("d", [ALL[0], ALL[2]], ids=["Poisson", "the others"])
def test_settings_of_the_user(d):
    """Fails under 64 bits, explicit ranks, NaN checks or without jit, in draws, masses or gradients."""
    key, x = jax.random.key(1), jnp.asarray(X, jnp.float32)
    value = d.log_prob(x)
    with jax.numpy_rank_promotion("raise"), jax.debug_nans(True):
        gradient = jax.jit(jax.grad(lambda d: d.log_prob(x) + d.mean().sum() + stddev(d).sum()))(d)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
        assert np.isfinite(jax.jit(lambda key: d.log_prob(d.sample(key)))(key))
        batch = jax.tree.map(lambda a: jnp.stack([a, a]), d)
        both = jax.jit(jax.vmap(lambda d: d.log_prob(x)))(batch)
        np.testing.assert_allclose(both, [value, value], rtol=1e-6)
    with jax.disable_jit():
        np.testing.assert_allclose(d.log_prob(x), value, rtol=1e-6)
    with jax.enable_x64(True):
        double = jax.tree.map(lambda a: jnp.asarray(a, np.float64), d)
        log_p, drawn = jax.jit(lambda d, x: (d.log_prob(x), d.sample(key)))(double, X)
        assert log_p.dtype == drawn.dtype == np.float64
        np.testing.assert_allclose(log_p, value, rtol=1e-6)

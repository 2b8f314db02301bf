"""Distributions of levels: masses that sum to 1 at every parameter, and gradients that are finite there."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from vae_jax import InputError
from vae_jax.distributions import Categorical, DiscretizedLogistic, LogisticMixture, marginals

LEVELS = jnp.arange(256.0)
LOC, SCALE = (
    a.ravel() for a in np.meshgrid([-1e6, -300, -0.5, 0, 3.25, 127.5, 255, 400, 1e6], [1e-4, 0.01, 1, 30, 1e4, 1e8])
)


def masses(loc, scale, levels=256):
    k = jnp.arange(levels, dtype=jnp.result_type(loc))
    return jnp.exp(jax.vmap(lambda x: DiscretizedLogistic(loc, scale, levels).log_prob(x))(k))


@pytest.mark.parametrize("bits", [32, 64])
def test_masses_of_all_levels_sum_to_one_at_every_parameter(bits):
    """Fails if a bound below a mass, or a difference of two sigmoids that cancels, makes the sum another."""
    with jax.enable_x64(bits == 64):
        loc, scale = (jnp.asarray(a, f"float{bits}") for a in (LOC, SCALE))
        total = np.asarray(jax.jit(jax.vmap(lambda m, s: jnp.sum(masses(m, s))))(loc, scale), np.float64)
    np.testing.assert_allclose(total, 1, rtol=2e-5 if bits == 32 else 1e-10)


def test_masses_are_the_differences_of_sigmoids():
    """Fails if the mass of a level is that of another interval, where the difference is exact enough in float64."""
    k = np.arange(16)
    for loc, scale in ((7.3, 0.8), (-2.0, 3.0), (20.0, 5.0)):
        edges = expit((np.arange(17) - 0.5 - loc) / scale)
        edges[[0, -1]] = 0, 1
        np.testing.assert_allclose(masses(jnp.float32(loc), jnp.float32(scale), 16), np.diff(edges), rtol=2e-5)
        d = DiscretizedLogistic(jnp.float32(loc), jnp.float32(scale), 16)
        mean = np.sum(np.diff(edges) * k)
        np.testing.assert_allclose(d.mean(), mean, rtol=1e-5)
        np.testing.assert_allclose(d.stddev(), np.sqrt(np.sum(np.diff(edges) * (k - mean) ** 2)), rtol=1e-5)


def test_gradients_are_finite_everywhere():
    """Fails if a value or a gradient is not finite at some level, location and scale, or is NaN on the way."""

    def log_prob(loc, log_scale, x):
        return DiscretizedLogistic(loc, jnp.exp(log_scale)).log_prob(x)

    each = jax.vmap(jax.value_and_grad(log_prob, argnums=(0, 1)), (0, 0, None))
    with jax.debug_nans(True):
        found = jax.jit(jax.vmap(each, (None, None, 0)))(
            jnp.asarray(LOC, jnp.float32),
            jnp.log(jnp.asarray(SCALE, jnp.float32)),
            jnp.array([0.0, 1, 128, 254, 255]),
        )
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(found))


def test_what_is_no_level_has_no_mass():
    """Fails if values that were divided by 255, or lie outside, get a mass, or one is broadcast."""
    d = DiscretizedLogistic(jnp.full(2, 3.0), jnp.ones(()))
    for wrong in ([0.5, 1], [-1, 1], [256, 1]):
        assert d.log_prob(jnp.asarray(wrong)) == -np.inf
    np.testing.assert_array_equal(np.isfinite(d.log_prob_each(jnp.array([0.5, 255]))), [False, True])
    assert np.isfinite(d.log_prob(jnp.array([0, 255], jnp.uint8)))
    with pytest.raises(InputError, match="shape"):
        d.log_prob(jnp.zeros(1))


def test_draws_have_the_masses():
    """Fails if rounding a logistic draw does not give the masses: 5 standard errors at each level."""
    d = DiscretizedLogistic(jnp.full(20000, 2.2), jnp.float32(1.5), 6)
    found = np.bincount(np.asarray(jax.jit(d.sample)(jax.random.key(0)), int), minlength=6) / 20000
    exact = np.asarray(masses(jnp.float32(2.2), jnp.float32(1.5), 6))
    assert np.all(np.abs(found - exact) < 5 * np.sqrt(exact * (1 - exact) / 20000))


def mixture(channels, components, levels, size=1.0, seed=0, positions=()):
    """A mixture whose parameters are random, in 32 bits."""
    draw = lambda i, *shape: np.random.default_rng([seed, i]).normal(size=(*shape, components, *positions))  # noqa: E731
    loc = levels / 2 + size * levels * draw(1, channels) / 2
    scale = np.exp(size * draw(2, channels))
    coefficients = np.tanh(size * draw(3, channels * (channels - 1) // 2))
    leaves = (draw(0), loc, scale, coefficients)
    return LogisticMixture(*(jnp.asarray(a, jnp.float32) for a in leaves), levels)


def combinations(channels, levels):
    return np.array(list(itertools.product(range(levels), repeat=channels)), np.float32)


def direct(d, x):
    """log P of the rows of x, [n, c], as the paper writes it: differences of sigmoids, in float64."""
    logits, loc, scale, coefficients = (
        np.asarray(a, np.float64) for a in (d.logits, d.loc, d.scale, d.coefficients)
    )
    x = x.astype(np.float64)
    total, pair = np.exp(logits) / np.exp(logits).sum() * np.ones((len(x), 1)), 0
    for i in range(x.shape[1]):
        m = loc[i] * np.ones((len(x), 1))
        for j in range(i):
            m = m + coefficients[pair] * (x[:, j, None] - (d.levels - 1) / 2)
            pair += 1
        y = x[:, i, None]
        upper = np.where(y == d.levels - 1, 1, expit((y + 0.5 - m) / scale[i]))
        total = total * (upper - np.where(y == 0, 0, expit((y - 0.5 - m) / scale[i])))
    return np.log(total.sum(1))


@pytest.mark.parametrize(("channels", "levels"), [(1, 32), (2, 6), (3, 4), (4, 3)])
def test_a_mixture_is_its_formula_and_sums_to_one_over_all_channels(channels, levels):
    """Fails if a later channel follows the wrong one, or the masses of all combinations do not sum to 1."""
    x = combinations(channels, levels)
    d = mixture(channels, 3, levels, size=0.5)
    found = np.asarray(jax.jit(jax.vmap(d.log_prob))(x), np.float64)
    np.testing.assert_allclose(found, direct(d, x), rtol=1e-5, atol=1e-5)
    for size in (0.5, 5.0, 50.0 if channels == 1 else 20.0):
        log_probs = jax.jit(jax.vmap(mixture(channels, 3, levels, size=size).log_prob))(x)
        np.testing.assert_allclose(np.exp(np.asarray(log_probs, np.float64)).sum(), 1, rtol=2e-5)


def test_gradients_of_a_mixture_are_finite_everywhere():
    """Fails if a gradient is not finite where components are far from the level, and narrow or wide."""
    x = jnp.array([0.0, 13.0, 255.0])

    def log_prob(logits, loc, log_scale, coefficients):
        return LogisticMixture(logits, loc, jnp.exp(log_scale), coefficients).log_prob(x)

    of = jax.jit(jax.value_and_grad(log_prob, argnums=(0, 1, 2, 3)))
    for loc, log_scale, logit in itertools.product((-1e6, 0.0, 1e6), (-15.0, 0.0, 15.0), (0.0, 1e3)):
        logits = jnp.array([logit, 0.0])
        found = of(logits, jnp.full((3, 2), loc), jnp.full((3, 2), log_scale), jnp.array([[0.9, -0.9]] * 3))
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(found)), (loc, log_scale, logit)


def test_draws_of_a_mixture_have_its_masses():
    """Fails if a channel is drawn without those before it, or of another component: 5 standard errors at each."""
    d, n = mixture(2, 3, 4, size=0.7), 20000
    draws = np.asarray(jax.jit(jax.vmap(d.sample))(jax.random.split(jax.random.key(0), n)), int)
    found = np.bincount(draws[:, 0] * 4 + draws[:, 1], minlength=16) / n
    exact = np.exp(np.asarray(jax.vmap(d.log_prob)(combinations(2, 4))))
    assert np.all(np.abs(found - exact) < 5 * np.sqrt(exact * (1 - exact) / n) + 1e-9)


def test_positions_are_terms():
    """Fails if a term is not that of its own position, or a level that is none is anything but -inf there."""
    d = mixture(3, 2, 8, positions=(2, 3))
    x = jax.jit(d.sample)(jax.random.key(0))
    terms = d.log_prob_each(x)
    assert x.shape == d.center().shape == (2, 3, 3)
    assert terms.shape == (2, 3)
    np.testing.assert_allclose(jnp.sum(terms), d.log_prob(x), rtol=1e-6)
    one = LogisticMixture(d.logits[:, 1, 2], d.loc[..., 1, 2], d.scale[..., 1, 2], d.coefficients[..., 1, 2], 8)
    np.testing.assert_allclose(terms[1, 2], one.log_prob(x[1, 2]), rtol=1e-5)
    spoilt = x.at[1, 2, 0].set(0.5)
    assert d.log_prob(spoilt) == -np.inf
    np.testing.assert_array_equal(np.isinf(d.log_prob_each(spoilt)), [[False] * 3, [False, False, True]])
    with pytest.raises(InputError, match="shape"):
        d.log_prob(x[..., :1])


def test_means_and_centers_of_a_mixture():
    """Fails if the mean of one channel is not exact, one of more is made up, or a center is no picture."""
    d = mixture(1, 3, 16)
    exact = np.sum(np.exp(np.asarray(jax.vmap(d.log_prob)(combinations(1, 16)))) * np.arange(16))
    np.testing.assert_allclose(d.mean(), [exact], rtol=1e-5)
    d = mixture(3, 2, 16, size=0.3)
    for asked in (d.mean, lambda: marginals(d)):
        with pytest.raises(InputError, match="LogisticMixture"):
            asked()
    narrow = LogisticMixture(d.logits, d.loc, d.scale * 0.02, d.coefficients, 16)
    draws = jax.vmap(narrow.sample)(jax.random.split(jax.random.key(0), 4000))
    np.testing.assert_allclose(narrow.center(), np.mean(draws, 0), atol=0.6)  # of which rounding is half a level
    far = mixture(3, 2, 16, size=20.0).center()
    assert np.all((np.asarray(far) >= 0) & (np.asarray(far) <= 15))


def test_categorical_is_its_formula():
    """Fails if a mass, a moment or a gradient is off, also at logits of 1e3, or an integer outside has a mass."""
    logits = np.random.default_rng(0).normal(size=(3, 5)) * 2
    d = Categorical(jnp.asarray(logits, jnp.float32))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    x = np.array([0.0, 4.0, 2.0], np.float32)
    np.testing.assert_allclose(d.log_prob_each(x), np.log(p[[0, 1, 2], [0, 4, 2]]), rtol=1e-5)
    np.testing.assert_allclose(d.log_prob(x.astype(np.uint8)), d.log_prob(x))
    mean = p @ np.arange(5)
    np.testing.assert_allclose(d.mean(), mean, rtol=1e-6)
    np.testing.assert_allclose(d.stddev(), np.sqrt((p * (np.arange(5) - mean[:, None]) ** 2).sum(-1)), rtol=1e-5)
    for wrong in (-1.0, 5.0, 0.5):
        np.testing.assert_array_equal(np.isinf(d.log_prob_each(jnp.array([wrong, 0, 0]))), [True, False, False])
        assert d.log_prob(jnp.array([wrong, 0, 0])) == -np.inf
    with pytest.raises(InputError, match="shape"):
        d.log_prob(jnp.zeros((1,)))
    with jax.debug_nans(True):
        far = jax.jit(jax.value_and_grad(lambda a: Categorical(a).log_prob(jnp.array([0.0]))))
        value, slope = far(jnp.array([[-1e3, 1e3, 0.0]]))
    np.testing.assert_allclose(value, -2e3)
    np.testing.assert_allclose(slope, [[1, -1, 0]], atol=1e-6)

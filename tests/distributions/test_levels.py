"""Distributions of levels: masses that sum to 1 at every parameter, and gradients that are finite there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from vae_jax import InputError
from vae_jax.distributions import DiscretizedLogistic

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

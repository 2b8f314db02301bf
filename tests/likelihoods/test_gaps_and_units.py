"""Gaps, own units and the size of an example, against exact answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_jax import VAE, InputError, Normal, elbo, importance_log_likelihood, make_conditional_vae, make_vae
from vae_jax.distributions import Masked as MaskedDistribution
from vae_jax.distributions import Observed, Scaled, from_nan, standard_normal
from vae_jax.evidence import annealed_log_likelihood
from vae_jax.likelihoods import BernoulliPixels, InUnits, Masked, NormalPixels
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.priors import Vamp

KEY = jax.random.key(0)
W = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)


def linear():
    """p(z) = N(0, I), p(x|z) = N(Wz, 0.25 I) over what is seen, with the prior as a poor q(z|x)."""
    return VAE(
        lambda key: {},
        lambda params, x: standard_normal((2,)),
        lambda params, z: MaskedDistribution(Normal(W @ z, jnp.full(4, 0.5))),
        lambda params: standard_normal((2,)),
    )


@pytest.mark.parametrize("seen", [[0, 2, 3], [1], [0, 1, 2, 3], []], ids=str)
def test_gaps_leave_the_marginal_of_what_is_seen(seen):
    """Fails if log p(x) is not that of the observed elements alone, by importance sampling and by annealing."""
    x = np.full(4, np.nan, np.float32)
    x[seen] = np.array([0.5, -0.3, -1.0, 2.0])[seen]
    cov = (W @ W.T + 0.25 * np.eye(4))[np.ix_(seen, seen)]
    exact = stats.multivariate_normal.logpdf(x[seen], cov=cov) if seen else 0.0
    found = importance_log_likelihood(linear(), {}, KEY, from_nan(x), num_samples=50_000)
    assert abs(found.value - exact) < 5 * found.metrics["standard_error"] + 1e-5
    annealed = annealed_log_likelihood(linear(), {}, KEY, from_nan(x), num_temperatures=100, num_chains=16)
    assert abs(annealed.value - exact) < 5 * annealed.metrics["standard_error"] + 1e-5


def test_what_is_not_seen_has_no_gradient():
    """Fails if a gap reaches the loss or its gradient, as a NaN or as a number."""
    likelihood = Masked(NormalPixels("head"))
    vae = make_vae(MLPEncoder(2, hidden=(5,)), MLPDecoder((3,), hidden=(5,)), likelihood=likelihood)
    params = vae.init(KEY)
    x = likelihood.reads("real").transform(KEY, jnp.array([0.3, jnp.nan, -1.0]))
    np.testing.assert_array_equal(x.seen, [1, 0, 1])
    gradient = jax.grad(lambda params, x: elbo(vae, params, KEY, x).value, argnums=(0, 1))(params, x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    other = Observed(x.value.at[1].set(7.0), x.seen)
    assert elbo(vae, params, KEY, x).value == elbo(vae, params, KEY, other).value
    with pytest.raises(InputError, match="expects one example of shape Observed"):
        vae.encode(params, jnp.zeros(3))


def test_the_bias_of_data_with_gaps():
    """Fails if a gap counts as 0 in the mean at which an output starts."""
    rows = jnp.array([[1.0, jnp.nan], [3.0, 5.0]])
    np.testing.assert_allclose(Masked(NormalPixels(1.0)).bias(from_nan(rows)), [2.0, 5.0])


def test_colours_that_depend_on_each_other_are_masked_by_positions():
    """Fails if a position of which a channel is missing counts."""

    class OfPositions:
        def log_prob_each(self, x):
            return jnp.array([[-1.0, -2.0]])

    seen = jnp.array([[[1.0, 1.0], [1.0, 0.0]]])
    assert MaskedDistribution(OfPositions()).log_prob(Observed(jnp.zeros((1, 2, 2)), seen)) == -1


def test_own_units():
    """Fails if a density, a draw or a mean is of the standardised numbers and not of the user's own."""
    scale = (100.0, 1e-3, 7.0)
    likelihood = InUnits(NormalPixels(0.5), scale)
    raw, x = jnp.array([0.1, -1.0, 2.0]), jnp.array([30.0, -2e-3, 0.0])
    p = likelihood.apply({}, raw)
    expected = stats.norm.logpdf(x, np.array(scale) * np.asarray(raw), 0.5 * np.array(scale))
    np.testing.assert_allclose(p.log_prob_each(x), expected, rtol=1e-5)
    np.testing.assert_allclose(p.log_prob(x), expected.sum(), rtol=1e-5)
    np.testing.assert_allclose(p.mean(), np.array(scale) * np.asarray(raw), rtol=1e-6)
    np.testing.assert_allclose(likelihood.features(x), np.asarray(x) / scale, rtol=1e-6)
    np.testing.assert_allclose(likelihood.bias(np.asarray([x, x])), np.asarray(x) / scale, rtol=1e-5)
    with pytest.raises(InputError, match="2 channels: expected 3"):
        likelihood.size(2)
    with pytest.raises(InputError, match="above 0"):
        InUnits(NormalPixels(0.5), (1.0, 0.0))


def test_a_scale_for_all_elements():
    """Fails if the log-determinant of a scale that is broadcast counts once in place of once an element."""
    d = Scaled(standard_normal((2, 3)), jnp.full((1, 3), 10.0))
    x = jnp.full((2, 3), 5.0)
    np.testing.assert_allclose(d.log_prob(x), 6 * stats.norm.logpdf(5, scale=10), rtol=1e-6)


class Rates:
    """A likelihood whose draws are its rates: enough to see what size it is given."""

    def size(self, channels):
        return channels

    def init(self, key, event):
        return {}

    def apply(self, params, raw, context=None, size=None):
        return Normal(jax.nn.softmax(raw) * size, jnp.ones_like(raw))


def test_the_size_of_an_example_is_an_exact_factor():
    """Fails if the size of an example does not multiply the mean exactly, or if a network reads it."""
    cvae = make_conditional_vae(
        MLPEncoder(2, hidden=(5,)),
        MLPDecoder((6,), hidden=(5,)),
        condition=lambda c: None,
        size=lambda c: c,
        likelihood=Rates(),
        example_c=1.0,
    )
    params, z = cvae.init(KEY), jnp.array([0.3, -1.0])
    np.testing.assert_allclose(cvae.given(100.0).decode(params, z).mean().sum(), 100.0, rtol=1e-5)
    one, many = (cvae.given(c).decode(params, z).mean() for c in (1.0, 1e4))
    np.testing.assert_allclose(many, 1e4 * one, rtol=1e-5)
    x = jnp.arange(6.0)
    np.testing.assert_array_equal(*(cvae.given(c).encode(params, x).mean() for c in (1.0, 1e4)))


def test_pseudo_inputs_are_such_as_the_encoder_reads():
    """Fails if a VampPrior learns numbers in the user's units, or cannot be learned where examples have gaps."""
    rows = from_nan(jnp.array([[30.0, jnp.nan], [-10.0, 2.0]]))
    likelihood = Masked(InUnits(NormalPixels(1.0), (10.0, 1.0)))
    vae = make_vae(
        MLPEncoder(2, hidden=(5,)),
        MLPDecoder((2,), hidden=(5,)),
        prior=Vamp(2),
        likelihood=likelihood,
        examples=rows,
    )
    start = np.asarray(vae.init(KEY)["prior"]["pseudo_inputs"])
    assert sorted(start[:, 0]) == [-1.0, 3.0]
    assert start.shape == (2, 4)


@pytest.mark.parametrize("stored", ["real", "counts", "columns"])
def test_a_likelihood_refuses_what_it_is_no_density_of(stored):
    """Fails if a Bernoulli is trained on numbers that are neither black, white nor between."""
    with pytest.raises(InputError, match=r"bernoulli-pixels of .*: expected black and white"):
        BernoulliPixels().reads(stored)


def test_levels_come_back_as_they_were():
    """Fails if dequantized levels are restored with an offset, or compared without log 256."""
    reading = NormalPixels().reads("levels")
    levels = jnp.arange(256, dtype=jnp.uint8)
    x = jax.vmap(reading.transform)(jax.random.split(KEY, 256), levels)
    assert np.all(np.abs(reading.restore(x) - np.arange(256)) <= 0.5)
    assert reading.log_levels == pytest.approx(np.log(256))
    assert BernoulliPixels().reads("levels").log_levels is None

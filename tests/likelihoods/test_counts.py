"""The likelihoods of counts: their means with and without a size, their starts, and a training step on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from vae_jax import InputError, elbo, make_conditional_vae
from vae_jax.likelihoods import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from vae_jax.likelihoods.rates import bounded_log_r, log_mean
from vae_jax.networks import MLPDecoder, MLPEncoder

KEY = jax.random.key(0)
ALL = [Poisson(), NegativeBinomial(), ZeroInflatedNegativeBinomial()]
EVENT = (2, 3)
each = pytest.mark.parametrize("likelihood", ALL, ids=lambda part: type(part).__name__)


def raw_of(likelihood, seed=0):
    return np.random.default_rng(seed).normal(size=(2, likelihood.size(3))).astype(np.float32)


def counts_of(d):
    """The distribution before some of the counts are 0 in their place."""
    return getattr(d, "counts", d)


@each
def test_a_size_is_an_exact_factor(likelihood):
    """Fails if the means are not size * softmax over all elements of the event, dropout logits left out."""
    raw = raw_of(likelihood)
    params = likelihood.init(KEY, EVENT)
    d = counts_of(likelihood.apply(params, jnp.asarray(raw), None, 300))
    shares = log_softmax(np.float64(raw[:, :3]), axis=None)
    np.testing.assert_allclose(d.log_mean, np.log(300) + shares, rtol=1e-6)
    np.testing.assert_allclose(d.mean().sum(), 300, rtol=1e-5)
    without = counts_of(likelihood.apply(params, jnp.asarray(raw)))
    np.testing.assert_array_equal(without.log_mean, raw[:, :3])


@each
@pytest.mark.parametrize("size", [None, 0.0, 1e6], ids=str)
def test_outputs_in_the_extremes(likelihood, size):
    """Fails if an output of +-1e3, or a size of 0, gives a value or gradient that is not finite."""
    x = jnp.array([[0.0, 3.0, 1e6], [0.0, 0.0, 1.0]]) * (size != 0)

    @jax.jit
    def both(raw, params):
        return jax.value_and_grad(lambda *of: likelihood.apply(of[1], of[0], None, size).log_prob(x), (0, 1))(
            raw, params
        )

    for sign in (1, -1):
        raw = jnp.asarray(np.sign(raw_of(likelihood)) * sign * 1e3)
        for log_r in (-1e3, 0.0, 1e3):
            params = jax.tree.map(lambda a, log_r=log_r: a + log_r, likelihood.init(KEY, EVENT))
            value, slopes = both(raw, params)
            assert np.isfinite(value)
            assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))
            if size == 0:
                np.testing.assert_allclose(value, 0, atol=1e-12)


def test_a_mean_without_bounds_leads_back():
    """Fails if an output beyond the largest mean has no gradient, or a smaller one is not the log of the mean."""
    raw = jnp.array([-50.0, 29.0, 30.0, 31.0, 1e3])
    np.testing.assert_allclose(log_mean(raw, None), [-50, 29, 30, 30 + np.log(2), 30 + np.log(971)], rtol=1e-6)
    slope = jax.vmap(jax.grad(lambda r: log_mean(r, None)))(raw)
    np.testing.assert_allclose(slope[jnp.array([0, 1, 3, 4])], [1, 1, 1 / 2, 1 / 971], rtol=1e-5)
    np.testing.assert_allclose(bounded_log_r(jnp.array([-1e6, 0.1, 1e6])), [-35, 0.1, 35], rtol=1e-5)


def test_biases_are_the_output_at_the_marginals():
    """Fails if an output started at its bias does not give the examples their mean and share of zeros, or is not
    finite for an element that is 0 in all of them."""
    rng = np.random.default_rng(0)
    means = np.array([0.5, 3.0, 40.0, 0.0])
    examples = rng.poisson(rng.gamma(1.0, means, (4000, 4))) * rng.binomial(1, 0.6, (4000, 4))
    mean = examples.mean(0)
    for likelihood in ALL[:2]:
        bias = likelihood.bias(examples)
        np.testing.assert_allclose(np.exp(bias[:3]), mean[:3], rtol=1e-5)
        np.testing.assert_allclose(bias[3], np.log(0.5 / 4000), rtol=1e-5)
    inflated = ALL[2]
    d = inflated.apply(inflated.init(KEY, (4,)), jnp.asarray(inflated.bias(examples)))
    np.testing.assert_allclose(d.mean()[:3], mean[:3], rtol=1e-4)
    zeros = jnp.exp(d.log_prob_each(jnp.zeros(4)))
    np.testing.assert_allclose(zeros[:3], (examples == 0).mean(0)[:3], rtol=1e-4)
    assert np.all(np.isfinite(inflated.bias(examples)))


@each
def test_what_is_read_as_counts(likelihood):
    """Fails if real numbers are read as counts, or if levels in 8 bits are changed."""
    with pytest.raises(InputError, match=r"likelihood:.* of real numbers: expected counts"):
        likelihood.reads("real")
    reading = likelihood.reads("levels")
    x = jnp.arange(256, dtype=jnp.uint8)
    np.testing.assert_array_equal(reading.transform(KEY, x), np.arange(256, dtype=np.float32))
    assert reading.log_levels == 0
    np.testing.assert_allclose(likelihood.features(x), np.log1p(np.arange(256)), rtol=1e-6)


@pytest.mark.parametrize("likelihood", ALL[1:], ids=lambda part: type(part).__name__)
def test_a_row_of_zeros_trains(likelihood):
    """Fails if an example of size 0 puts a NaN into the gradient of its batch, which debug_nans would name."""
    cvae = make_conditional_vae(
        MLPEncoder(2, hidden=(4,)),
        MLPDecoder((5,), hidden=(4,)),
        condition=lambda c: None,
        size=lambda c: c,
        likelihood=likelihood,
        example_c=1.0,
    )
    x = jnp.array([[0.0, 0, 0, 0, 0], [3, 0, 1, 0, 1000]])

    def loss(params):
        each = jax.vmap(lambda x, c: elbo(cvae.given(c), params, KEY, x).value)(x, x.sum(1))
        return each.sum(), each

    with jax.debug_nans(True), jax.numpy_rank_promotion("raise"):
        params = cvae.init(KEY)
        gradient, values = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert np.all(np.isfinite(values))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))

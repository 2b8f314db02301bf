"""The likelihood families against scipy, and the scale that maximum likelihood would give."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats
from scipy.special import logit

from vae_jax import InputError, fixed_scale_normal, make_vae
from vae_jax.likelihoods import BernoulliPixels, NormalPixels
from vae_jax.networks import MLPDecoder, MLPEncoder

KEY = jax.random.key(0)
RAW = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
X = np.random.default_rng(1).normal(size=(2, 3, 2)).astype(np.float32)


def bounded(raw):
    return np.exp(15 * np.tanh(np.asarray(raw, np.float64) / 15))


def test_normal_of_one_fixed_scale():
    """Fails if the density is not that of scipy at the standard deviation given."""
    assert fixed_scale_normal(0.3) == NormalPixels(0.3)
    assert NormalPixels(0.3).init(KEY, (2, 3, 2)) == {}
    p = NormalPixels(0.3).apply({}, jnp.asarray(RAW))
    np.testing.assert_allclose(p.log_prob(X), stats.norm.logpdf(X, RAW, 0.3).sum(), rtol=1e-5)
    assert NormalPixels(0.3).size(2) == 2


def test_normal_of_one_learned_scale():
    """Fails if the scale is counted once in place of once a pixel, or if it does not start at 1."""
    family = NormalPixels("learned")
    start = family.init(KEY, (2, 3, 2))
    np.testing.assert_allclose(family.apply(start, jnp.asarray(RAW)).scale, 1)
    p = family.apply({"scale": jnp.float32(-0.7)}, jnp.asarray(RAW))
    np.testing.assert_allclose(p.log_prob(X), stats.norm.logpdf(X, RAW, bounded(-0.7)).sum(), rtol=1e-5)
    assert p.mean().shape == p.stddev().shape == (2, 3, 2)


def test_normal_of_a_scale_a_pixel():
    """Fails if means and scales are not the first and the second half of the channels."""
    family = NormalPixels("head")
    assert (family.size(1), family.size(3)) == (2, 6)
    p = family.apply({}, jnp.asarray(RAW))
    expected = stats.norm.logpdf(X[..., :1], RAW[..., :1], bounded(RAW[..., 1:])).sum()
    np.testing.assert_allclose(p.log_prob(X[..., :1]), expected, rtol=1e-5)
    vae = make_vae(MLPEncoder(2, hidden=(3,)), MLPDecoder((2, 3, 1), hidden=(3,)), likelihood=family)
    d = vae.decode(vae.init(KEY), jnp.zeros(2))
    assert d.mean().shape == d.stddev().shape == (2, 3, 1)


def test_a_learned_scale_is_that_of_maximum_likelihood():
    """Fails if the gradient in the learned scale leads elsewhere than to the standard deviation of the errors, or
    if the family's scale is not a parameter of the model."""
    decoder = MLPDecoder((4,), hidden=(3,))
    vae = make_vae(MLPEncoder(2, hidden=(3,)), decoder, likelihood=NormalPixels("learned"))
    params = vae.init(KEY)
    assert set(params) == {"encoder", "decoder", "likelihood"}
    z = jax.random.normal(jax.random.key(1), (200, 2))
    means = jax.vmap(lambda z: vae.decode(params, z).mean())(z)
    x = means + 0.2 * jax.random.normal(jax.random.key(2), means.shape)
    optimizer = optax.adam(0.1)

    def loss(own):
        return -jnp.mean(jax.vmap(lambda z, x: vae.decode(params | {"likelihood": own}, z).log_prob(x))(z, x))

    def step(carry, _):
        own, state = carry
        updates, state = optimizer.update(jax.grad(loss)(own), state)
        return (optax.apply_updates(own, updates), state), None

    own = params["likelihood"]
    (own, _), _ = jax.jit(lambda c: jax.lax.scan(step, c, None, 200))((own, optimizer.init(own)))
    best = np.sqrt(np.mean((np.asarray(x) - np.asarray(means)) ** 2))
    np.testing.assert_allclose(vae.decode(params | {"likelihood": own}, z[0]).stddev(), best, rtol=5e-3)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), "other"])
def test_scales_that_are_none(scale):
    """Fails if a density that is 0, infinite or NaN everywhere can be chosen."""
    with pytest.raises(InputError, match=f"likelihood scale {scale}"):
        NormalPixels(scale)


def test_bernoulli_is_its_formula():
    """Fails if the output of the decoder is not read as logits, or adds a parameter."""
    x = (X > 0).astype(np.float32)
    p = BernoulliPixels().apply({}, jnp.asarray(RAW))
    expected = stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-RAW.astype(np.float64)))).sum()
    np.testing.assert_allclose(p.log_prob(x), expected, rtol=1e-5)
    assert BernoulliPixels().init(KEY, (2, 3, 2)) == {}


def test_biases_are_the_output_at_the_marginals():
    """Fails if an output started at its bias does not give the examples their own mean, and spread where it has
    one; a pixel that is black in all examples must leave the logit finite."""
    examples = np.random.default_rng(2).normal(size=(50, 4)) * [1, 2, 3, 0.0] + [0, 1, -1, 5]
    np.testing.assert_allclose(NormalPixels(1.0).bias(examples), examples.mean(0), rtol=1e-5)
    raw = NormalPixels("head").bias(examples)
    p = NormalPixels("head").apply({}, jnp.asarray(raw, jnp.float32))
    np.testing.assert_allclose(p.mean(), examples.mean(0), rtol=1e-5)
    np.testing.assert_allclose(p.stddev()[:3], examples.std(0)[:3], rtol=0.01)
    np.testing.assert_allclose(p.stddev()[3], bounded(np.log(0.01)), rtol=1e-5)
    bits = (examples > 0).astype(np.uint8)
    bits[:, 0] = 0
    raw = BernoulliPixels().bias(bits)
    np.testing.assert_allclose(raw[1:3], logit(bits.mean(0))[1:3], rtol=1e-5)
    np.testing.assert_allclose(raw[[0, 3]], logit([0.001, 0.999]), rtol=1e-4)


def test_normal_of_a_scale_an_element():
    """Fails if a learned scale an element is not the standard deviation of its own element."""
    family = NormalPixels("element")
    assert family.size(2) == 2
    assert family.init(KEY, (2, 3, 2))["scale"].shape == (2, 3, 2)
    p = family.apply({"scale": jnp.asarray(RAW / 2)}, jnp.asarray(RAW))
    np.testing.assert_allclose(p.log_prob(X), stats.norm.logpdf(X, RAW, bounded(RAW / 2)).sum(), rtol=1e-5)

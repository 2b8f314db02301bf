"""A model of two levels of latents, by its four functions and by functions of its own that share their work."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from vae_jax import VAE, Bernoulli, Normal, annealed_log_likelihood, elbo, importance_log_likelihood, iwae
from vae_jax.distributions import Chain, kl_divergence, rates, sample_and_log_prob
from vae_jax.objectives import Terms, controlled_capacity, log_joint, log_weight, per_example, terms

KEY = jax.random.key(0)
RNG = np.random.default_rng(3)
X = jnp.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
PARAMS = {
    name: jnp.asarray(RNG.normal(size=shape), jnp.float32)
    for name, shape in {"up": (2, 6), "down": (6, 2), "across": (1,), "offset": (6,)}.items()
}


def top_prior(params, z):
    return Normal(jnp.zeros(1), jnp.ones(1))


def bottom_prior(params, z):
    return Normal(params["across"] + jnp.tanh(2 * z[0]), jnp.full(1, 0.6))


def top_posterior(params, z):
    return Normal(0.4 * params["code"][:1], jnp.full(1, 0.8))


def bottom_posterior(params, z):
    return Normal(0.3 * params["code"][1:] + 0.5 * jnp.tanh(2 * z[0]), jnp.full(1, 0.7))


def encode(params, x):
    return Chain({"code": jnp.tanh(params["up"] @ x)}, (top_posterior, bottom_posterior))


def decode(params, z):
    return Bernoulli(params["down"] @ jnp.concatenate(z) + params["offset"])


def prior(params):
    return Chain({"across": params["across"]}, (top_prior, bottom_prior))


def own_terms(params, key, x):
    """All terms in one pass, written out from the equations."""
    top_key, bottom_key = jax.random.split(key)
    code = jnp.tanh(params["up"] @ x)
    q1 = Normal(0.4 * code[:1], jnp.full(1, 0.8))
    z1 = q1.sample(top_key)
    bent = jnp.tanh(2 * z1)
    q2, p2 = (
        Normal(0.3 * code[1:] + 0.5 * bent, jnp.full(1, 0.7)),
        Normal(params["across"] + bent, jnp.full(1, 0.6)),
    )
    z2 = q2.sample(bottom_key)
    p1 = Normal(jnp.zeros(1), jnp.ones(1))
    return Terms(
        (z1, z2),
        decode(params, (z1, z2)).log_prob(x),
        p1.log_prob(z1) + p2.log_prob(z2),
        q1.log_prob(z1) + q2.log_prob(z2),
        (rates(q1, p1, z1), rates(q2, p2, z2)),
    )


def own_log_joint(params, x, z):
    level = Normal(params["across"] + jnp.tanh(2 * z[0]), jnp.full(1, 0.6))
    return Normal(jnp.zeros(1), jnp.ones(1)).log_prob(z[0]) + level.log_prob(z[1]) + decode(params, z).log_prob(x)


FOUR = VAE(lambda key: PARAMS, encode, decode, prior)
OWN = FOUR._replace(terms=own_terms, log_joint=own_log_joint)
ESTIMATORS = {
    "elbo": functools.partial(elbo, beta=0.7),
    "iwae": functools.partial(iwae, num_samples=4),
    "importance": functools.partial(importance_log_likelihood, num_samples=7, chunk_size=3),
    "annealed": functools.partial(annealed_log_likelihood, num_temperatures=4, num_chains=2, num_leapfrog=2),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_both_ways_give_the_same_values(name):
    """Fails if functions of the model's own are another estimate than its four functions give, metrics included."""
    four, own = (jax.jit(lambda p, vae=vae: ESTIMATORS[name](vae, p, KEY, X)[:2])(PARAMS) for vae in (FOUR, OWN))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), four, own)


def test_both_ways_give_the_same_gradient():
    """Fails if the loss is the same and what is learned from it is not, over a batch too."""
    batch = jnp.stack([X, 1 - X, X])
    four, own = (
        jax.jit(jax.grad(lambda p, vae=vae: per_example(elbo, vae)(p, KEY, batch, 0).value))(PARAMS)
        for vae in (FOUR, OWN)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), four, own)


@pytest.mark.parametrize("name", ["elbo", "controlled capacity"])
def test_terms_of_the_models_own_are_used(name):
    """Fails if an objective that needs no more than the terms makes them from the four functions."""

    def refuse(*arguments):
        raise AssertionError("asked for one of the four functions")

    vae = OWN._replace(encode=refuse, decode=refuse, prior=refuse)
    if name == "elbo":
        found, expected = elbo(vae, PARAMS, KEY, X), elbo(FOUR, PARAMS, KEY, X)
    else:
        batch, options = jnp.stack([X, 1 - X]), {"gamma": 2.0, "capacity": 1.0}
        found = controlled_capacity(vae, PARAMS, KEY, batch, **options)
        expected = controlled_capacity(FOUR, PARAMS, KEY, batch, **options)
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-4)
    np.testing.assert_allclose(log_joint(vae, PARAMS, X, (Z := jnp.ones(1), Z)), log_joint(FOUR, PARAMS, X, (Z, Z)))


def test_terms_fit_together():
    """Fails if a property of the terms is not its formula, or if a term is of another sample."""
    at = terms(FOUR, PARAMS, KEY, X)
    q, p = encode(PARAMS, X), prior(PARAMS)
    z, log_q = sample_and_log_prob(q, KEY)
    jax.tree.map(np.testing.assert_array_equal, at.z, z)
    np.testing.assert_allclose(at.log_posterior, log_q, rtol=1e-6)
    np.testing.assert_allclose(at.log_prior, p.log_prob(z), rtol=1e-6)
    np.testing.assert_allclose(at.distortion, -decode(PARAMS, z).log_prob(X), rtol=1e-6)
    np.testing.assert_allclose(at.rate, kl_divergence(q, p, z), rtol=1e-6)
    np.testing.assert_allclose(at.elbo, -(at.distortion + at.rate), rtol=1e-6)
    assert jax.tree.map(jnp.shape, at.rates) == ((1,), (1,))


def quadrature():
    """log p(x) by the trapezoidal rule over both latents, in float64."""
    z1, z2 = np.meshgrid(np.linspace(-8, 8, 401), np.linspace(-9, 9, 451), indexing="ij")
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), PARAMS)
    log_p = (
        -0.5 * z1**2 - 0.5 * ((z2 - p["across"][0] - np.tanh(2 * z1)) / 0.6) ** 2 - np.log(0.6) - np.log(2 * np.pi)
    )
    logits = z1[..., None] * p["down"][:, 0] + z2[..., None] * p["down"][:, 1] + p["offset"]
    log_p += np.sum(np.asarray(X) * logits - np.logaddexp(0, logits), -1)
    return float(logsumexp(log_p) + np.log(16 / 400 * 18 / 450))


def test_the_likelihood_of_two_levels_is_that_of_quadrature():
    """Fails if L_5000 of a chain is not log p(x), or if the exact last level makes its rate no less noisy."""
    exact = quadrature()
    found = jax.jit(lambda p: importance_log_likelihood(OWN, p, KEY, X, num_samples=5000, chunk_size=5000))(PARAMS)
    assert found.metrics["standard_error"] < 0.03
    assert abs(found.value - exact) < 4 * found.metrics["standard_error"]

    @jax.jit
    @jax.vmap
    def samples(key):
        at = terms(FOUR, PARAMS, key, X)
        return at.elbo, at.rate, at.log_posterior - at.log_prior, log_weight(FOUR, PARAMS, key, X)

    bounds, rate, one_sample, log_w = (
        np.asarray(a, np.float64) for a in samples(jax.random.split(jax.random.key(1), 4000))
    )
    assert rate.std() < 0.7 * one_sample.std()
    for a, b in ((rate, one_sample), (bounds, log_w)):
        assert abs(np.mean(a - b)) < 4 * np.std(a - b) / np.sqrt(4000)
    assert bounds.mean() < exact

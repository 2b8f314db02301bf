"""The posterior families against scipy, and estimators of log p(x) on a posterior that is correlated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_jax import VAE, annealed_log_likelihood, elbo, evaluate, importance_log_likelihood, make_vae
from vae_jax.evidence import posterior_base, posterior_elbo
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.posteriors import DiagonalNormal, FullNormal
from vae_jax.testing.oracles import (
    best_diagonal_gap,
    linear_gaussian_vae,
    log_evidence,
    posterior,
    quadrature_log_evidence,
    random_params,
)

KEY = jax.random.key(0)


def bounded(raw):
    return np.exp(15 * np.tanh(np.asarray(raw, np.float64) / 15))


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_full_normal_reads_its_numbers(d):
    """Fails if the numbers of the encoder are not mu and the rows of L, diagonal through `bounded_scale`."""
    size = FullNormal().size(d)
    assert size == d + d * (d + 1) // 2
    raw = np.random.default_rng(d).normal(size=size).astype(np.float32)
    lower, at = np.zeros((d, d)), d
    for i in range(d):
        lower[i, : i + 1] = raw[at : at + i + 1]
        at += i + 1
        lower[i, i] = bounded(lower[i, i])
    q = FullNormal().apply({}, jnp.asarray(raw))
    z = np.random.default_rng(0).normal(size=d)
    expected = stats.multivariate_normal.logpdf(z, raw[:d], lower @ lower.T)
    np.testing.assert_allclose(q.log_prob(jnp.asarray(z)), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(q.covariance(), lower @ lower.T, rtol=1e-4, atol=1e-5)


def test_diagonal_normal_reads_its_numbers():
    """Fails if the numbers of the encoder are not all means and then all scales."""
    raw = np.array([0.3, -1.0, 2.0, 0.1, -0.7, 20.0], np.float32)
    assert DiagonalNormal().size(3) == 6
    q = DiagonalNormal().apply({}, jnp.asarray(raw))
    np.testing.assert_array_equal(q.loc, raw[:3])
    np.testing.assert_allclose(q.scale, bounded(raw[3:]), rtol=1e-5)


def test_the_exact_posterior_is_in_the_full_family():
    """Fails if the full normal cannot close the gap that the best diagonal one leaves on the linear model, which is
    known in closed form."""
    vae, params = linear_gaussian_vae(5, 2), random_params(0, 5, 2, s2=0.5)
    x = np.random.default_rng(1).normal(size=5).astype(np.float32)
    loc, cov = posterior(params, x)
    lower = np.linalg.cholesky(cov)
    entries = lower[np.tril_indices(2)]
    # The inverse of `bounded_scale`, at the two numbers of the diagonal.
    entries[[0, 2]] = 15 * np.arctanh(np.log(entries[[0, 2]]) / 15)
    q = FullNormal().apply({}, jnp.asarray(np.concatenate([loc, entries]), jnp.float32))
    exact = log_evidence(params, x)
    run = jax.jit(lambda q: posterior_elbo(vae, params, q, KEY, x, num_samples=20_000))
    np.testing.assert_allclose(exact - run(q), 0, atol=0.03)
    assert best_diagonal_gap(params) > 0.1
    np.testing.assert_allclose(exact - run(vae.encode(params, x)), best_diagonal_gap(params), atol=0.05)
    # Weights under the exact posterior have no variance, so one sample is log p(x).
    model = vae._replace(encode=lambda params, x: q)
    one = importance_log_likelihood(model, params, KEY, x, num_samples=3)
    np.testing.assert_allclose(one.value, exact, rtol=1e-4)


def bent_vae() -> tuple[VAE, dict]:
    """A decoder of the sum of two latents, whose posterior is correlated, and a full normal over it."""
    vae = make_vae(MLPEncoder(2, hidden=(3,)), MLPDecoder((8,), hidden=(4,)), posterior=FullNormal())
    params = jax.tree.map(lambda a: 1.2 * a, vae.init(KEY))

    def decode(params, z):
        return vae.decode(params, jnp.stack([z[0] + z[1], 0.3 * z[1]]))

    return vae._replace(decode=decode), params


def test_estimators_agree_on_a_correlated_posterior():
    """Fails if importance sampling, or annealing from a full normal, is not log p(x) by quadrature (4 SE), or if
    the ELBO is above it."""
    vae, params = bent_vae()
    x = jnp.array([1.0, 0, 1, 1, 0, 0, 1, 0])
    exact = quadrature_log_evidence(vae, params, x, latent_size=2)
    found = jax.jit(lambda p: importance_log_likelihood(vae, p, KEY, x, num_samples=4000, chunk_size=4000))(params)
    assert found.metrics["standard_error"] < 0.1
    assert abs(found.value - exact) < 4 * found.metrics["standard_error"]
    annealing = {"num_temperatures": 20, "num_chains": 100, "num_leapfrog": 3, "base": posterior_base}
    found = jax.jit(lambda p: annealed_log_likelihood(vae, p, KEY, x, **annealing))(params)
    assert abs(found.value - exact) < 4 * found.metrics["standard_error"]
    bounds = evaluate(elbo, vae, params, KEY, jnp.stack([x] * 500))["elbo"]
    assert bounds.mean() < exact + 4 * bounds.std() / np.sqrt(500)

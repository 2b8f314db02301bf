"""Importance weights, the importance-weighted bound and the importance-sampling estimate of log p(x)."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp

from tests.evidence.models import (
    binary_code_vae,
    counting,
    deaf_vae,
    nan_vae,
    pair_vae,
    shifted_vae,
    tanh_vae,
)
from vae_jax import InputError, standard_normal
from vae_jax.evidence.importance import importance_log_likelihood
from vae_jax.objectives.importance_weighted import iwae, log_weight
from vae_jax.testing.oracles import (
    exact_elbo,
    linear_gaussian_vae,
    log_evidence,
    quadrature_log_evidence,
    random_params,
)

KEY = jax.random.key(0)


def _rough(params):
    """An encoder that is wider than the best one and off its mean: weights that vary, of finite variance."""
    return {**params, "V": 0.8 * params["V"], "log_v": params["log_v"] + np.float32(0.5)}


def _x(size, seed=1):
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


def _jitted(vae, params, x, **counts):
    return jax.jit(lambda params, x: importance_log_likelihood(vae, params, KEY, x, **counts))(params, x)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_exact_posterior_gives_weights_without_variance(d):
    """Fails if any density in log w is off by a constant, or if z is not the sample that q scores."""
    vae, params, x = linear_gaussian_vae(6, d), random_params(0, 6, d, orthogonal=True), _x(6)
    exact = log_evidence(params, x)
    weights = jax.jit(jax.vmap(lambda k: log_weight(vae, params, k, x)))(jax.random.split(KEY, 50))
    np.testing.assert_allclose(weights, exact, atol=2e-5 * abs(exact))
    estimate = _jitted(vae, params, x, num_samples=30, chunk_size=7)
    np.testing.assert_allclose(estimate.value, exact, atol=2e-5 * abs(exact))
    np.testing.assert_allclose(estimate.metrics["elbo"], exact, atol=2e-5 * abs(exact))
    np.testing.assert_allclose(estimate.metrics["effective_sample_size"], 30, rtol=1e-3)
    assert estimate.metrics["standard_error"] < 1e-3


@pytest.mark.parametrize("d", [1, 2, 4])
def test_estimate_is_the_exact_log_likelihood(d):
    """Fails if the mean of the weights is not p(x), or if the standard error is not the error's size."""
    vae, params, x = linear_gaussian_vae(6, d), _rough(random_params(d, 6, d, s2=2.0)), _x(6)
    run = jax.jit(
        jax.vmap(lambda k: importance_log_likelihood(vae, params, k, x, num_samples=2000, chunk_size=300))
    )
    estimate = run(jax.random.split(KEY, 50))
    errors = (np.asarray(estimate.value) - log_evidence(params, x)) / np.asarray(estimate.metrics["standard_error"])
    assert abs(errors.mean()) < 4 / np.sqrt(50)
    assert 0.6 < errors.std() < 1.5


@pytest.mark.parametrize("d", [1, 2])
def test_estimate_agrees_with_quadrature_for_a_nonlinear_decoder(d):
    """Fails if the estimator is right for Gaussian posteriors only."""
    vae, params = tanh_vae(d)
    x = (_x(12) > 0).astype(np.float32)
    exact = quadrature_log_evidence(vae, params, x, latent_size=d)
    estimate = _jitted(vae, params, x, num_samples=50_000, chunk_size=5000)
    assert estimate.metrics["standard_error"] < 0.02
    assert abs(estimate.value - exact) < 4 * estimate.metrics["standard_error"]


def test_discrete_latents_by_enumeration():
    """Fails if anything but the distributions looks inside z."""
    vae, params = binary_code_vae()
    x = _x(4)
    codes = jnp.array(list(itertools.product([0.0, 1.0], repeat=3)))
    joint = jax.vmap(lambda z: vae.prior(params).log_prob(z) + vae.decode(params, z).log_prob(x))(codes)
    estimate = _jitted(vae, params, x, num_samples=20_000, chunk_size=5000)
    assert abs(estimate.value - logsumexp(joint)) < 4 * estimate.metrics["standard_error"]


def test_latents_may_be_a_pytree():
    vae, params, x = pair_vae(5), random_params(3, 5, 3, orthogonal=True), _x(5)
    estimate = _jitted(vae, params, x, num_samples=10, chunk_size=4)
    np.testing.assert_allclose(estimate.value, log_evidence(params, x), rtol=2e-5)


def test_decoder_that_ignores_z_with_the_prior_as_q():
    vae, exact = deaf_vae()
    vae = vae._replace(encode=lambda params, x: standard_normal((2,)))
    for k in (1, 5):
        loss = iwae(vae, {}, KEY, jnp.array([0.0, 1.0]), num_samples=k).value
        np.testing.assert_allclose(-loss, exact, rtol=1e-6)


@pytest.mark.parametrize("num_samples", [1, 101])
def test_exactly_num_samples_whatever_the_chunks(num_samples):
    """Fails if a remainder is dropped, if padding counts, or if log of the wrong number is subtracted."""
    vae, params, x = linear_gaussian_vae(6, 2), random_params(0, 6, 2), _x(6)
    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(num_samples))
    weights = jax.jit(jax.vmap(lambda k: log_weight(vae, params, k, x)))(keys)
    expected = logsumexp(weights) - np.log(num_samples)
    for chunk_size in (1, 30, 1000):
        got = _jitted(vae, params, x, num_samples=num_samples, chunk_size=chunk_size)
        np.testing.assert_allclose(got.value, expected, rtol=1e-6)
        np.testing.assert_allclose(got.metrics["elbo"], jnp.mean(weights), rtol=1e-6)
        ess = jnp.exp(weights - weights.max()).sum() ** 2 / jnp.exp(2 * (weights - weights.max())).sum()
        np.testing.assert_allclose(got.metrics["effective_sample_size"], ess, rtol=1e-4)
    loss, metrics, _ = iwae(vae, params, KEY, x, num_samples=num_samples)
    np.testing.assert_allclose(-loss, expected, rtol=1e-6)
    np.testing.assert_allclose(metrics["ess"], ess, rtol=1e-4)


@pytest.mark.parametrize("num_samples", [2, 3, 7])
def test_the_standard_error_is_that_of_a_mean_of_weights(num_samples):
    """Fails if it is sd / (mean sqrt(n)) with n in place of n - 1, or if one sample has one."""
    vae, params, x = linear_gaussian_vae(6, 2), _rough(random_params(0, 6, 2)), _x(6)
    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(num_samples))
    log_w = np.asarray(jax.vmap(lambda k: log_weight(vae, params, k, x))(keys), np.float64)
    w = np.exp(log_w - log_w.max())
    found = importance_log_likelihood(vae, params, KEY, x, num_samples=num_samples)
    expected = np.std(w, ddof=1) / np.sqrt(num_samples) / np.mean(w)
    np.testing.assert_allclose(found.metrics["standard_error"], expected, rtol=1e-4)
    one = importance_log_likelihood(vae, params, KEY, x, num_samples=1)
    assert set(one.metrics) == {"log_likelihood", "effective_sample_size", "elbo"}
    assert one.metrics["log_likelihood"] == one.value


def test_encoder_runs_once_for_an_example():
    vae, params, x = linear_gaussian_vae(6, 2), random_params(0, 6, 2), _x(6)
    encode, encodings = counting(vae.encode)
    decode, decodings = counting(vae.decode)
    vae = vae._replace(encode=encode, decode=decode)
    importance_log_likelihood(vae, params, KEY, x, num_samples=20, chunk_size=5)
    jax.effects_barrier()
    assert (len(encodings), len(decodings)) == (1, 20)


def test_bounds_rise_with_k_from_the_elbo():
    """Fails if L_1 is not the ELBO, if L_k does not rise, or if E[exp L_k] is not p(x)."""
    vae, params, x = linear_gaussian_vae(6, 2), _rough(random_params(1, 6, 2, s2=1.0)), _x(6)
    exact, keys, num = log_evidence(params, x), jax.random.split(KEY, 4000), [1, 2, 4, 16]

    @jax.jit
    @jax.vmap
    def bounds(key):
        return jnp.stack([iwae(vae, params, key, x, num_samples=k).metrics["bound"] for k in num])

    values = np.asarray(bounds(keys), np.float64)
    error = values.std(0) / np.sqrt(len(keys))
    assert abs(values[:, 0].mean() - exact_elbo(params, x)) < 4 * error[0]
    rise = np.diff(values, axis=1)
    assert np.all(rise.mean(0) > 4 * rise.std(0) / np.sqrt(len(keys)))
    assert np.all(values.mean(0) < exact)
    ratio = np.exp(values - exact)
    assert np.all(abs(ratio.mean(0) - 1) < 4 * ratio.std(0) / np.sqrt(len(keys)))


def _iwae_and_grad(vae, params, x, num_samples):
    loss = lambda p: iwae(vae, p, KEY, x, num_samples=num_samples)[:2]  # noqa: E731
    return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)


def test_one_sample_is_the_monte_carlo_elbo_in_value_and_gradient():
    vae, x = linear_gaussian_vae(6, 2), _x(6)
    params = jax.tree.map(jnp.asarray, random_params(0, 6, 2))

    def monte_carlo(params):
        q = vae.encode(params, x)
        z = q.sample(jax.random.fold_in(KEY, 0))
        return q.log_prob(z) - vae.prior(params).log_prob(z) - vae.decode(params, z).log_prob(x)

    expected, expected_grad = jax.jit(jax.value_and_grad(monte_carlo))(params)
    (loss, metrics), grad = _iwae_and_grad(vae, params, x, num_samples=1)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_allclose(metrics["elbo"], -expected, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), grad, expected_grad)


def test_gradient_weighs_the_samples_by_their_normalized_weights():
    """Fails for weights of the loss in place of minus the loss, and for a gradient through the weights twice."""
    vae, x = linear_gaussian_vae(6, 2), _x(6)
    params = jax.tree.map(jnp.asarray, random_params(0, 6, 2))
    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(4))
    one = lambda k: jax.value_and_grad(lambda p: log_weight(vae, p, k, x))(params)  # noqa: E731
    weights, grads = jax.jit(jax.vmap(one))(keys)
    normalized = jax.nn.softmax(weights)
    _, grad = _iwae_and_grad(vae, params, x, num_samples=4)
    for name in params:
        expected = -jnp.tensordot(normalized, grads[name], 1)
        np.testing.assert_allclose(grad[name], expected, rtol=1e-4, atol=1e-4)


def test_value_and_gradient_are_finite_for_weights_far_apart():
    vae, params, x = linear_gaussian_vae(6, 2), random_params(0, 6, 2), 100 * _x(6)
    params = jax.tree.map(jnp.asarray, {**params, "log_s2": np.float32(-8.0)})
    (loss, metrics), grad = _iwae_and_grad(vae, params, x, num_samples=8)
    assert metrics["bound"] - metrics["elbo"] > 1e4
    assert np.isfinite(loss)
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(grad))
    np.testing.assert_allclose(metrics["ess"], 1.0, rtol=1e-5)


def test_conditional_models_need_no_code_of_their_own():
    cvae, params = shifted_vae(5, 2), random_params(0, 5, 2, orthogonal=True)
    x, c = _x((3, 5)), _x((3, 5), seed=2)

    def one(key, x, c):
        return importance_log_likelihood(cvae.given(c), params, key, x, num_samples=10, chunk_size=4).value

    got = jax.vmap(one)(jax.random.split(KEY, 3), x, c)
    np.testing.assert_allclose(got, log_evidence(params, x - c), rtol=2e-5)


def test_a_model_that_gives_nan_gives_nan():
    vae, params, x = nan_vae(linear_gaussian_vae(6, 2)), random_params(0, 6, 2), _x(6)
    found = importance_log_likelihood(vae, params, KEY, x, num_samples=10, chunk_size=4)
    assert all(np.isnan(v) for v in (found.value, *found.metrics.values()))
    assert np.isnan(iwae(vae, params, KEY, x, num_samples=3).value)


@pytest.mark.parametrize(("num_samples", "chunk_size"), [(0, 10), (10, 0), (-1, 1)])
def test_counts_below_one_are_named(num_samples, chunk_size):
    vae, params, x = linear_gaussian_vae(6, 2), random_params(0, 6, 2), _x(6)
    with pytest.raises(InputError, match=f"num_samples {num_samples} in chunks of chunk_size {chunk_size}"):
        importance_log_likelihood(vae, params, KEY, x, num_samples=num_samples, chunk_size=chunk_size)
    with pytest.raises(InputError, match="num_samples 0"):
        iwae(vae, params, KEY, x, num_samples=0)

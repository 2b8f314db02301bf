"""The gap of the ELBO in two parts, against the linear-Gaussian model in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import reduce_on_plateau

from tests.evidence.models import Laplace, binary_code_vae, pair_vae, shifted_vae
from vae_jax import InputError, Normal
from vae_jax.distributions import Mixture, MultivariateNormal
from vae_jax.evidence.gaps import inference_gaps, optimize_posterior, posterior_elbo
from vae_jax.testing.oracles import (
    best_diagonal_gap,
    exact_elbo,
    linear_gaussian_vae,
    log_evidence,
    posterior,
    random_params,
)

KEY = jax.random.key(0)
OPTIMIZER = optax.adam(optax.cosine_decay_schedule(0.05, 400))


def _x(size, seed=1):
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


def test_gaps_of_a_bad_encoder_are_those_of_the_closed_form():
    """Fails if q* is not the best of its family, or if a gap is taken to the wrong bound or with the wrong sign."""
    vae, best, x = linear_gaussian_vae(6, 2), random_params(0, 6, 2, s2=1.0), _x(6)
    params = {**best, "V": 0.5 * best["V"], "log_v": best["log_v"] + 1}
    exact = log_evidence(params, x)
    (approximation, amortization), metrics, best_q = jax.jit(
        lambda params: inference_gaps(
            vae,
            params,
            KEY,
            x,
            log_likelihood=exact,
            num_steps=400,
            num_samples=16,
            num_evaluation_samples=40_000,
            optimizer=OPTIMIZER,
        )
    )(params)
    loc, cov = posterior(params, x)
    np.testing.assert_allclose(best_q.loc, loc, atol=0.03)
    np.testing.assert_allclose(best_q.scale, 1 / np.sqrt(np.diag(np.linalg.inv(cov))), rtol=0.05)
    np.testing.assert_allclose(approximation, best_diagonal_gap(params), atol=0.03)
    np.testing.assert_allclose(amortization, exact_elbo(best, x) - exact_elbo(params, x), atol=0.05)
    np.testing.assert_allclose(exact - metrics["best_elbo"], approximation, atol=1e-5)
    np.testing.assert_allclose(metrics["best_elbo"] - metrics["elbo"], amortization, atol=1e-5)
    assert metrics["approximation_gap"] == approximation
    assert metrics["amortization_gap"] == amortization
    assert amortization > 0.5 > best_diagonal_gap(params) > 0.1


def test_the_best_encoder_has_nothing_left_to_amortize():
    """From the exact posterior of a conditional model, no step may lead away, and both gaps are 0."""
    cvae, params, x, c = shifted_vae(5, 2), random_params(0, 5, 2, orthogonal=True), _x(5), _x(5, seed=2)
    exact = log_evidence(params, x - c)
    approximation, amortization = jax.jit(
        lambda params: (
            inference_gaps(
                cvae.given(c), params, KEY, x, log_likelihood=exact, num_steps=50, num_evaluation_samples=20_000
            ).value
        )
    )(params)
    np.testing.assert_allclose(amortization, 0, atol=0.02)
    np.testing.assert_allclose(approximation, 0, atol=0.05)


def test_both_bounds_are_taken_on_the_same_noise():
    """Fails if L[q*] and L[q] have samples of their own: where no step is taken q* is q, and one sample of each
    differs by nats."""
    vae, best, x = linear_gaussian_vae(6, 2), random_params(0, 6, 2, s2=1.0), _x(6)
    params = {**best, "V": 0.5 * best["V"]}
    stay = {"log_likelihood": 0.0, "num_steps": 1, "num_samples": 1, "optimizer": optax.sgd(0.0)}
    run = jax.jit(jax.vmap(lambda k: inference_gaps(vae, params, k, x, num_evaluation_samples=1, **stay)))
    (_, amortization), metrics, best_q = run(jax.random.split(KEY, 20))
    q = vae.encode(params, x)
    np.testing.assert_allclose(best_q.scale[0], q.scale, rtol=1e-6)
    np.testing.assert_allclose(amortization, 0, atol=1e-4)
    assert np.std(metrics["elbo"]) > 0.5


def test_gaps_of_a_posterior_without_standard_deviations():
    """Fails if a q that knows its mean alone has no starting point, or if another starts off its own moments."""
    vae, params, x = linear_gaussian_vae(6, 2), random_params(0, 6, 2, s2=1.0), _x(6)
    normal = vae.encode(params, x)
    stay = {"num_steps": 1, "num_samples": 1, "optimizer": optax.sgd(0.0)}
    lower = jnp.array([[0.5, 0.0], [0.6, 0.8]])
    for q, scale in (
        (Laplace(normal.loc), np.ones(2)),
        (Mixture(Laplace(jnp.stack([normal.loc] * 2)), jnp.zeros(2)), np.ones(2)),
        (MultivariateNormal(normal.loc, lower), [0.5, 1.0]),
        (Normal(normal.loc, jnp.float32(0.3)), np.full(2, 0.3)),
    ):
        model = vae._replace(encode=lambda params, x, q=q: q)
        found = optimize_posterior(model, params, KEY, x, **stay)
        np.testing.assert_allclose(found.loc, normal.loc, rtol=1e-6)
        np.testing.assert_allclose(found.scale, scale, rtol=1e-5)


@pytest.mark.parametrize("optimizer", [optax.lbfgs(), optax.chain(optax.adam(0.1), reduce_on_plateau())])
def test_optimizers_that_need_the_loss(optimizer):
    """Fails if an optimizer is served in training and not here, with the same value and value_fn."""
    vae, params, x = linear_gaussian_vae(6, 2), random_params(0, 6, 2, s2=1.0), _x(6)
    found = optimize_posterior(vae, params, KEY, x, num_steps=3, num_samples=2, optimizer=optimizer)
    assert not np.allclose(found.loc, vae.encode(params, x).loc)


def test_elbo_of_any_q():
    vae, params, x = linear_gaussian_vae(6, 2), random_params(0, 6, 2, s2=1.0), _x(6)
    loc, scale = np.array([0.3, -0.4], np.float32), np.array([0.5, 0.6], np.float32)
    q = Normal(jnp.asarray(loc), jnp.asarray(scale))
    got = posterior_elbo(vae, params, q, KEY, x, num_samples=40_000)
    # An encoder that gives this q at this x: V = 0 but for the offset, taken from the residual.
    centred = x - params["b"]
    v = np.outer(loc, centred) / (centred @ centred)
    expected = exact_elbo({**params, "V": v, "log_v": 2 * np.log(scale)}, x)
    np.testing.assert_allclose(got, expected, atol=0.1)


def test_values_that_make_no_sense_are_named():
    vae, params, x = linear_gaussian_vae(6, 2), random_params(0, 6, 2), _x(6)
    with pytest.raises(InputError, match="0 steps of 16 samples"):
        optimize_posterior(vae, params, KEY, x, num_steps=0)
    with pytest.raises(InputError, match="2000 steps of 0 samples"):
        optimize_posterior(vae, params, KEY, x, num_samples=0)
    with pytest.raises(InputError, match="of 0 samples"):
        inference_gaps(vae, params, KEY, x, log_likelihood=0.0, num_evaluation_samples=0)
    vae, params = binary_code_vae()
    with pytest.raises(InputError, match="latents of support binary"):
        optimize_posterior(vae, params, KEY, _x(4), num_steps=1)
    with pytest.raises(InputError, match=r"latents of shapes .* expected one array"):
        optimize_posterior(pair_vae(5), random_params(3, 5, 3), KEY, _x(5), num_steps=1)

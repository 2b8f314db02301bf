"""Annealed importance sampling against exact answers, and the traps that make it wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.evidence.models import (
    binary_code_vae,
    counting,
    deaf_vae,
    nan_vae,
    pair_vae,
    shifted_vae,
    tanh_vae,
)
from vae_jax import VAE, Bernoulli, InputError, Normal
from vae_jax.evidence.annealing import (
    adapt,
    annealed_log_likelihood,
    linear_schedule,
    log_densities,
    make_path,
    posterior_base,
    prior_base,
    sigmoid_schedule,
)
from vae_jax.evidence.hmc import hmc_init
from vae_jax.testing.oracles import (
    linear_gaussian_vae,
    log_evidence,
    posterior,
    quadrature_log_evidence,
    random_params,
)

KEY = jax.random.key(0)
SMALL = {"num_temperatures": 5, "num_chains": 4, "num_leapfrog": 2}
FIXED = dict(SMALL, step_sizes=0.3)  # one pass: half the compilation where the step sizes do not matter


def _x(size, seed=1):
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


def _run(vae, params, x, key=KEY, **tunables):
    return jax.jit(lambda params, x: annealed_log_likelihood(vae, params, key, x, **tunables))(params, x)


@pytest.mark.parametrize(("d", "base"), [(8, prior_base), (3, posterior_base)])
def test_estimate_is_the_exact_log_likelihood(d, base):
    """Fails if the mean of the weights is not p(x), or if the chains do not end at the posterior."""
    vae, params, x = linear_gaussian_vae(10, d), random_params(d, 10, d, s2=1.5), _x(10)
    estimate, metrics, info = _run(
        vae, params, x, num_temperatures=100, num_chains=400, num_leapfrog=8, base=base, schedule=linear_schedule
    )
    assert metrics["standard_error"] < 0.1
    assert abs(estimate - log_evidence(params, x)) < 4 * metrics["standard_error"]
    assert 0.55 < info.acceptance[20:].mean() < 0.75
    loc, cov = posterior(params, x)
    ends = np.asarray(info.latents, np.float64)
    assert np.all(abs(ends.mean(0) - loc) < 5 * np.sqrt(np.diag(cov) / 400))
    assert np.all(abs(np.log(ends.var(0) / np.diag(cov))) < 5 * np.sqrt(2 / 400))


@pytest.mark.parametrize(("d", "base"), [(1, posterior_base), (2, prior_base)])
def test_estimate_agrees_with_quadrature_for_a_nonlinear_decoder(d, base):
    """Fails if moves or weights are right for Gaussian posteriors only, from either base."""
    vae, params = tanh_vae(d)
    x = (_x(12) > 0).astype(np.float32)
    exact = quadrature_log_evidence(vae, params, x, latent_size=d)
    estimate, metrics, _ = _run(vae, params, x, num_temperatures=40, num_chains=2000, num_leapfrog=5, base=base)
    assert metrics["standard_error"] < 0.03
    assert abs(estimate - exact) < 4 * metrics["standard_error"]


@pytest.mark.parametrize(
    ("schedule", "num_temperatures"),
    [(sigmoid_schedule, 2), (lambda n: np.linspace(0, 1, n) ** 3, 20)],
)
def test_a_decoder_that_ignores_z_has_weights_without_variance(schedule, num_temperatures):
    """Fails if the increments of t do not sum to 1 or if anything but the likelihood enters the weights."""
    vae, exact = deaf_vae()
    x = jnp.array([0.0, 1.0])
    estimate, _, info = _run(vae, {}, x, **{**FIXED, "num_temperatures": num_temperatures}, schedule=schedule)
    np.testing.assert_allclose(info.log_weights, exact, rtol=1e-5)
    np.testing.assert_allclose(estimate, exact, rtol=1e-5)


def test_from_the_exact_posterior_the_weights_have_no_variance():
    vae, params, x = linear_gaussian_vae(6, 3), random_params(0, 6, 3, orthogonal=True), _x(6)
    info = _run(vae, params, x, **FIXED, base=posterior_base).info
    np.testing.assert_allclose(info.log_weights, log_evidence(params, x), rtol=2e-5)


@pytest.mark.parametrize(("num_temperatures", "base"), [(2, prior_base), (7, posterior_base)])
def test_without_moves_it_is_importance_sampling_from_the_base(num_temperatures, base):
    """With steps of size 0 the chains end where they began: log w = log p(x, z) - log base(z) for any schedule."""
    vae, params, x = linear_gaussian_vae(6, 3), random_params(0, 6, 3), _x(6)
    tunables = {**SMALL, "num_temperatures": num_temperatures, "base": base, "step_sizes": 0.0}
    info = _run(vae, params, x, **tunables).info
    log_base, log_joint = log_densities(vae, params, x, base)
    expected = jax.vmap(lambda z: log_joint(z) - log_base(z))(info.latents)
    np.testing.assert_allclose(info.log_weights, expected, rtol=1e-5)
    assert len(np.unique(info.log_weights)) == 4


def test_step_sizes_that_adapt_in_the_run_are_biased_and_frozen_ones_are_not():
    """Why there are two passes. E[w] / p(x) is 1; within the adapting run it is well above, and even the mean
    of log w, a lower bound by Jensen, exceeds log p(x). Fails if the pilot's own weights are ever reported."""
    vae, params, x = linear_gaussian_vae(5, 2), random_params(0, 5, 2), _x(5)
    exact, keys = log_evidence(params, x), jax.random.split(jax.random.key(3), 4000)
    densities, path = log_densities(vae, params, x, prior_base), make_path(linear_schedule, 161)

    def pilot(key):
        start_key, key = jax.random.split(key)
        states = jax.vmap(lambda z: hmc_init(densities, z))(jax.random.normal(start_key, (1, 2)))
        return adapt(densities, key, states, path, num_leapfrog=5, step_size=0.5)[1][0]

    def two_passes(key):
        tunables = {"num_temperatures": 161, "num_chains": 1, "num_leapfrog": 5, "schedule": linear_schedule}
        return annealed_log_likelihood(vae, params, key, x, **tunables).value

    adapting, frozen = (np.asarray(jax.jit(jax.vmap(f))(keys), np.float64) - exact for f in (pilot, two_passes))
    error = lambda values: values.std() / np.sqrt(len(values))  # noqa: E731
    assert np.exp(adapting).mean() - 1 > 8 * error(np.exp(adapting))
    assert adapting.mean() > 4 * error(adapting)
    assert abs(np.exp(frozen).mean() - 1) < 4 * error(np.exp(frozen))
    assert frozen.mean() < 0


def test_own_step_sizes_skip_the_pilot():
    """Also counts the decoder's work: one evaluation to start a chain, and one a leapfrog step."""
    vae, params, x = linear_gaussian_vae(6, 3), random_params(0, 6, 3), _x(6)
    decode, calls = counting(vae.decode)
    vae = vae._replace(decode=decode)
    steps = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    info = _run(vae, params, x, **SMALL, step_sizes=steps).info
    jax.effects_barrier()
    one_pass = 4 * (1 + 4 * 2)
    assert len(calls) == one_pass
    np.testing.assert_array_equal(info.step_sizes, steps)
    _run(vae, params, x, **SMALL)
    jax.effects_barrier()
    assert len(calls) == 3 * one_pass
    with pytest.raises(InputError, match=r"step_sizes of shape \(3,\): expected a scalar or \(4,\)"):
        _run(vae, params, x, **SMALL, step_sizes=steps[:3])


def test_one_chain_has_no_standard_error():
    """Fails if one chain tells its own error, or if that of several is not of their weights."""
    vae, params, x = linear_gaussian_vae(6, 3), random_params(0, 6, 3), _x(6)
    names = {"log_likelihood", "effective_sample_size", "acceptance"}
    assert set(_run(vae, params, x, **{**FIXED, "num_chains": 1}).metrics) == names
    value, metrics, info = _run(vae, params, x, **FIXED)
    assert set(metrics) == names | {"standard_error"}
    assert metrics["log_likelihood"] == value
    np.testing.assert_allclose(metrics["acceptance"], np.mean(info.acceptance), rtol=1e-6)
    w = np.exp(np.asarray(info.log_weights, np.float64) - value)
    np.testing.assert_allclose(metrics["standard_error"], np.std(w, ddof=1) / 2 / np.mean(w), rtol=1e-3)
    np.testing.assert_allclose(metrics["effective_sample_size"], w.sum() ** 2 / (w**2).sum(), rtol=1e-3)


def test_examples_of_a_batch_do_not_see_each_other():
    """Fails if a step size, or a mean over weights, is shared across the images."""
    vae, params, x = linear_gaussian_vae(6, 3), random_params(0, 6, 3), _x((3, 6)) * np.array([[1], [3], [9]], "f4")
    batch = jax.jit(jax.vmap(lambda key, x: annealed_log_likelihood(vae, params, key, x, **SMALL)))
    keys = jax.random.split(KEY, 3)
    estimates, _, info = batch(keys, x)
    alone, _, info_alone = batch(keys, jnp.stack([x[0]] * 3))
    np.testing.assert_array_equal(estimates[0], alone[0])
    np.testing.assert_array_equal(info.step_sizes[0], info_alone.step_sizes[0])
    assert len(np.unique(info.step_sizes[:, -1])) == 3


def test_conditional_models_need_no_code_of_their_own():
    cvae, params = shifted_vae(5, 2), random_params(0, 5, 2, orthogonal=True)
    x, c = _x((3, 5)), _x((3, 5), seed=2)

    @jax.jit
    @jax.vmap
    def one(key, x, c):
        return annealed_log_likelihood(cvae.given(c), params, key, x, **FIXED, base=posterior_base).value

    np.testing.assert_allclose(one(jax.random.split(KEY, 3), x, c), log_evidence(params, x - c), rtol=2e-5)


def test_latents_may_be_a_pytree():
    vae, params, x = pair_vae(5), random_params(3, 5, 3), _x(5)
    estimate, metrics, info = _run(vae, params, x, num_temperatures=40, num_chains=400, num_leapfrog=5)
    assert abs(estimate - log_evidence(params, x)) < 4 * metrics["standard_error"]
    assert jax.tree.map(jnp.shape, info.latents) == {"a": (400, 1), "b": (400, 2, 1)}


@pytest.mark.parametrize("schedule", [linear_schedule, sigmoid_schedule])
def test_schedules_rise_from_zero_to_one(schedule):
    for n in (2, 3, 1000):
        t = schedule(n)
        assert t.shape == (n,)
        assert (t[0], t[-1]) == (0, 1)
        assert np.all(np.diff(t) > 0)
        np.testing.assert_allclose(t, 1 - t[::-1], atol=1e-12)
    assert sigmoid_schedule(101)[1] < linear_schedule(101)[1] / 2


def test_a_model_that_gives_nan_gives_nan():
    vae, params, x = nan_vae(linear_gaussian_vae(6, 2)), random_params(0, 6, 2), _x(6)
    estimate, _, info = _run(vae, params, x, **FIXED)
    assert np.isnan(estimate)
    assert np.all(np.isnan(info.log_weights))


def test_saturated_logits_leave_everything_finite():
    """A decoder that is certain, and wrong about half of the pixels: log p(x|z) of minus thousands."""
    vae, params = tanh_vae(2)
    loud = vae._replace(decode=lambda params, z: Bernoulli(300 * vae.decode(params, z).logits))
    result = _run(loud, params, (_x(12) > 0).astype(np.float32), **SMALL)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(result))


@pytest.mark.parametrize(
    ("name", "value", "least"), [("num_temperatures", 1, 2), ("num_chains", 0, 1), ("num_leapfrog", 0, 1)]
)
def test_counts_too_small_are_named(name, value, least):
    vae, params, x = linear_gaussian_vae(6, 2), random_params(0, 6, 2), _x(6)
    with pytest.raises(InputError, match=f"{name} {value}: expected at least {least}"):
        annealed_log_likelihood(vae, params, KEY, x, **{**SMALL, name: value})


@pytest.mark.parametrize(
    "schedule",
    [
        lambda n: np.linspace(0.1, 1, n),
        lambda n: np.linspace(0, 0.9, n),
        lambda n: np.linspace(0, 1, n + 1),
        lambda n: np.array([0, 0.5, 0.4, 0.9, 1]),
        lambda n: np.array([0, 0.5, np.nan, 0.9, 1]),
    ],
)
def test_schedules_that_are_no_path_are_refused(schedule):
    vae, params, x = linear_gaussian_vae(6, 2), random_params(0, 6, 2), _x(6)
    with pytest.raises(InputError, match="expected 5 values that rise from 0 to 1"):
        annealed_log_likelihood(vae, params, KEY, x, **SMALL, schedule=schedule)


def test_discrete_latents_are_refused():
    """Fails if Hamiltonian moves run over bits: Bernoulli draws are 0.0 and 1.0, which no dtype gives away."""
    vae, params = binary_code_vae()
    with pytest.raises(InputError, match="latents of support binary"):
        annealed_log_likelihood(vae, params, KEY, _x(4), **SMALL)

    class Die:
        def sample(self, key):
            return jax.random.randint(key, (1,), 0, 6)

        def log_prob(self, z):
            return -jnp.log(6.0)

    model = VAE(lambda key: {}, lambda p, x: Die(), lambda p, z: Normal(1.0 * z, jnp.ones(1)), lambda p: Die())
    with pytest.raises(InputError, match=r"discrete latents \(dtype int32\)"):
        annealed_log_likelihood(model, {}, KEY, jnp.zeros(1), **SMALL)

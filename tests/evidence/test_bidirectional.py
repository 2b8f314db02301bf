"""Bounds from both sides on simulated data, against the closed form of chains that mix at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp

from tests.evidence.models import shifted_vae
from vae_jax import InputError, evaluate
from vae_jax.evidence.annealing import linear_schedule, posterior_base
from vae_jax.evidence.bidirectional import bidirectional_bounds, bound_until
from vae_jax.testing.oracles import (
    annealed_posterior,
    exact_annealed_bounds,
    linear_gaussian_vae,
    log_evidence,
    random_params,
)

KEY = jax.random.key(0)
SMALL = {"num_temperatures": 5, "num_chains": 3, "num_leapfrog": 2, "step_sizes": 0.3}


def _keys_of_evaluate(key, num_examples):
    """The keys that `evaluate` gives the estimator at each example."""
    return jax.vmap(lambda i: jax.random.split(jax.random.fold_in(key, i))[1])(jnp.arange(num_examples))


def _bounds(vae, params, num_examples, key=KEY, **tunables):
    run = jax.jit(jax.vmap(lambda k: bidirectional_bounds(vae, params, k, **tunables)))
    (lower, upper), metrics, info = run(_keys_of_evaluate(key, num_examples))
    np.testing.assert_array_equal(metrics["lower"], lower)
    np.testing.assert_array_equal(metrics["upper"], upper)
    np.testing.assert_allclose(metrics["gap"], upper - lower, rtol=1e-5, atol=1e-5)
    return np.asarray(lower, np.float64), np.asarray(upper, np.float64), info


def _error(values):
    return np.std(values) / np.sqrt(len(values))


def _mixing_at_once(params, num_temperatures, num_leapfrog):
    """Step sizes for one latent: a trajectory of a quarter of the period of p_t forgets where it began."""
    x = np.zeros(len(params["b"]))
    scale = [np.sqrt(annealed_posterior(params, x, t)[1][0, 0]) for t in linear_schedule(num_temperatures)[1:]]
    # The leapfrog's own period of a normal: the angle of one step of size eps is 2 arcsin(eps / 2).
    return 2 * np.sin(np.pi / (4 * num_leapfrog)) * np.array(scale)


def test_bounds_and_their_gap_are_those_of_the_closed_form():
    """With chains that mix at once, E[lower] = log p - sum KL(p_i || p_i+1) at every x, E[upper] = log p +
    sum KL(p_i+1 || p_i), and the mean gap falls as 1 / (T - 1). Fails if a move stands on the wrong side of its
    weight, if the backward chain takes the temperatures in another order, or if its sign is wrong."""
    vae, params = linear_gaussian_vae(2, 1), random_params(0, 2, 1, s2=0.003)
    gaps, errors, numbers = [], [], np.array([11, 161])
    for num_temperatures in numbers:
        steps = _mixing_at_once(params, num_temperatures, 4)
        lower, upper, info = _bounds(
            vae,
            params,
            10_000,
            num_temperatures=num_temperatures,
            num_chains=1,
            num_leapfrog=4,
            schedule=linear_schedule,
            step_sizes=steps,
        )
        forward, reverse = exact_annealed_bounds(params, info.x, linear_schedule(num_temperatures))
        assert abs(np.mean(lower - forward)) < 4 * _error(lower - forward)
        assert abs(np.mean(upper - reverse)) < 4 * _error(upper - reverse)
        gaps.append(np.mean(upper - lower))
        errors.append(_error(upper - lower) / gaps[-1])
    slopes = np.diff(np.log(gaps)) / np.diff(np.log(numbers - 1))
    slope_errors = np.hypot(errors[:-1], errors[1:]) / np.diff(np.log(numbers - 1))
    assert np.all(slope_errors < 0.05)
    assert np.all(abs(slopes + 1) < 4 * slope_errors), slopes


def test_bounds_hold_on_both_sides_of_the_exact_answer():
    """Several backward chains from the one z: E[w~] p(x) = 1, and the mean over them tightens the bound.
    Fails for logmeanexp of the negated weights, and for step sizes piloted from z itself."""
    vae, params = linear_gaussian_vae(4, 2), random_params(1, 4, 2, s2=0.7)
    lower, upper, info = _bounds(vae, params, 3000, num_temperatures=12, num_chains=5, num_leapfrog=3)
    exact = log_evidence(params, info.x)
    assert np.mean(lower) < np.mean(exact) - 4 * _error(lower - exact)
    assert np.mean(upper) > np.mean(exact) + 4 * _error(upper - exact)
    backward = np.asarray(info.reverse.log_weights, np.float64)
    np.testing.assert_allclose(upper, -(logsumexp(backward, axis=1) - np.log(5)), rtol=1e-5)
    single = -backward[:, 0]
    assert np.mean(single - upper) > 4 * _error(single - upper)
    for log_ratio in (lower - exact, exact - upper):
        ratio = np.exp(log_ratio)
        assert abs(ratio.mean() - 1) < 4 * _error(ratio)
    # x is simulated from the model, of covariance W W' + s2 I.
    whitened = np.linalg.solve(
        np.linalg.cholesky(params["W"] @ params["W"].T + 0.7 * np.eye(4)), (np.asarray(info.x) - params["b"]).T
    )
    assert np.all(abs(whitened @ whitened.T / 3000 - np.eye(4)) < 5 * np.sqrt((1 + np.eye(4)) / 3000))
    # The backward run moves by the forward's step sizes.
    np.testing.assert_array_equal(info.reverse.step_sizes, info.forward.step_sizes)


def test_from_the_exact_posterior_of_a_conditional_model_the_bounds_meet():
    """Fails if the base or the condition is lost on the way, forward or backward."""
    cvae, params, c = shifted_vae(4, 2), random_params(1, 4, 2, orthogonal=True), jnp.array([5.0, -5.0, 0.0, 9.0])
    lower, upper, info = _bounds(cvae.given(c), params, 20, **SMALL, base=posterior_base)
    np.testing.assert_allclose(lower, log_evidence(params, info.x - c), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(upper, lower, rtol=1e-4, atol=1e-4)


def test_temperatures_double_until_the_gap_is_small_enough():
    """Fails if it stops a round early or late, by the mean alone, if the rounds see different data, or if the 60
    examples are not each counted once: batches of 40 pad the last one to 80."""
    vae, params = linear_gaussian_vae(4, 2), random_params(1, 4, 2, s2=0.7)
    tunables = {"num_temperatures": 6, "num_chains": 4, "num_leapfrog": 3, "step_sizes": 0.5}
    history = bound_until(vae, params, KEY, tolerance=0.6, batch_size=40, num_examples=60, **tunables)
    assert [row.num_temperatures for row in history] == [6, 12]
    assert history[0].gap < 0.6, "the mean alone would have stopped it"
    assert history[0].gap + 2 * history[0].standard_error >= 0.6
    assert history[1].gap + 2 * history[1].standard_error < 0.6
    lower, upper, info = _bounds(vae, params, 60, **tunables)
    np.testing.assert_allclose(history[0][1:3], (lower.mean(), upper.mean()), rtol=1e-4)
    np.testing.assert_allclose(history[0].gap, np.mean(upper - lower), rtol=1e-4)
    np.testing.assert_allclose(history[0].standard_error, np.std(upper - lower, ddof=1) / np.sqrt(60), rtol=1e-3)
    exact = np.mean(log_evidence(params, info.x))
    assert history[-1].lower - 0.6 < exact < history[-1].upper + 0.6
    stopped = bound_until(
        vae, params, KEY, tolerance=1e-9, max_temperatures=11, batch_size=40, num_examples=60, **tunables
    )
    assert stopped == history[:1]


def test_a_gap_below_zero_by_luck_does_not_stop_the_search():
    """Fails if the sign of a mean gap of few examples, or its size without its error, counts as reached."""
    vae, params = linear_gaussian_vae(4, 2), random_params(1, 4, 2, s2=0.7)
    tunables = {"num_temperatures": 6, "num_chains": 2, "num_leapfrog": 1, "step_sizes": 0.3, "num_examples": 2}
    history = bound_until(vae, params, jax.random.key(33), tolerance=0.05, max_temperatures=12, **tunables)
    assert history[0].gap < -1, "a seed chosen for its luck"
    assert len(history) == 2


def test_a_conditional_model_is_simulated_at_its_conditions():
    """Fails if `evaluate` of an estimator that simulates loses the conditions, or their numbers."""
    cvae, params = shifted_vae(4, 2), random_params(1, 4, 2, orthogonal=True)
    cs = jnp.asarray(np.random.default_rng(3).normal(size=(5, 4)) * 20, jnp.float32)
    found = evaluate(bidirectional_bounds, cvae, params, KEY, cs, batch_size=2, base=posterior_base, **SMALL)
    run = jax.vmap(lambda k, c: bidirectional_bounds(cvae.given(c), params, k, base=posterior_base, **SMALL))
    (lower, _), _, info = jax.jit(run)(_keys_of_evaluate(KEY, 5), cs)
    np.testing.assert_allclose(found["lower"], lower, rtol=1e-5)
    np.testing.assert_allclose(found["lower"], log_evidence(params, info.x - cs), rtol=1e-4, atol=1e-4)


def test_values_out_of_range_are_named():
    vae, params = linear_gaussian_vae(4, 2), random_params(1, 4, 2)
    for tolerance in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match=f"tolerance {tolerance}"):
            bound_until(vae, params, KEY, tolerance=tolerance)
    with pytest.raises(InputError, match="max_temperatures 10: expected at least 50"):
        bound_until(vae, params, KEY, tolerance=0.1, max_temperatures=10)
    for num_examples in (0, 1):  # one example has no standard error
        with pytest.raises(InputError, match=f"num_examples {num_examples}: expected at least 2"):
            bound_until(vae, params, KEY, tolerance=0.1, num_examples=num_examples)
    with pytest.raises(InputError, match="num_temperatures 1: expected at least 2"):
        bidirectional_bounds(vae, params, KEY, num_temperatures=1)

"""Every distribution goes through the whole suite by one row of CASES; KL and the scale's bound follow."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_expit

from vae_jax import Bernoulli, InputError, Normal, bounded_scale, kl_divergence, standard_normal
from vae_jax.fast.activations import softplus

NUM_SAMPLES = 20_000


class Case(NamedTuple):
    """A distribution written in parameters without bounds, so that gradients can be asked for anywhere."""

    name: str
    make: Callable[..., Any]
    params: dict  # an ordinary member
    other: dict  # another one over the same event
    log_prob: Callable[[dict, np.ndarray], float]  # scipy, in float64
    variance: Callable[[dict], np.ndarray]
    grid: tuple[np.ndarray, float]  # the support of the event, and the volume of a point
    extremes: list[dict]
    extreme_x: list[np.ndarray]


def _normal_grid() -> tuple[np.ndarray, float]:
    axis = np.linspace(-12, 12, 241)
    return np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), (axis[1] - axis[0]) ** 2


CASES = [
    Case(
        "normal",
        lambda loc, log_var: Normal(loc, jnp.exp(0.5 * log_var)),
        {"loc": np.array([1.0, -0.5]), "log_var": np.array([-0.7, 0.9])},
        {"loc": np.array([0.2, 0.5]), "log_var": np.array([0.4, 0.1])},
        lambda p, x: scipy.stats.norm.logpdf(x, p["loc"], np.exp(0.5 * p["log_var"])).sum(),
        lambda p: np.exp(p["log_var"]),
        _normal_grid(),
        [
            {"loc": np.array([loc, 1.0]), "log_var": np.array([log_var, -log_var])}
            for loc in (0.0, 3.0)
            for log_var in (-30.0, 0.0, 30.0)
        ],
        [np.array([0.0, 1.0]), np.array([-2.0, 4.0])],
    ),
    Case(
        "bernoulli",
        lambda logits: Bernoulli(logits),
        {"logits": np.array([0.3, -2.0, 1.5])},
        {"logits": np.array([-0.4, -1.0, 2.5])},
        # scipy.stats.bernoulli takes probabilities, which are 0 and 1 at logits of +-1e3.
        lambda p, x: (x * log_expit(p["logits"]) + (1 - x) * log_expit(-p["logits"])).sum(),
        lambda p: expit(p["logits"]) * expit(-p["logits"]),
        (np.array(list(itertools.product([0.0, 1.0], repeat=3))), 1.0),
        [{"logits": np.array([size, -size, 0.0])} for size in (-1e3, -120.0, 120.0, 1e3)],
        [np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 0.0])],
    ),
]
each = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def make(case: Case, params: dict) -> Any:
    return case.make(**jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params))


@each
def test_log_prob_is_that_of_scipy(case):
    """Fails on a wrong constant, sign or reduction of log p(x)."""
    points = case.grid[0]
    for params in (case.params, case.other):
        d = make(case, params)
        for x in points[:: max(len(points) // 7, 1)]:
            expected = case.log_prob(params, x)
            np.testing.assert_allclose(d.log_prob(jnp.asarray(x, jnp.float32)), expected, rtol=2e-6, atol=1e-6)


@each
def test_log_prob_integrates_to_one(case):
    """Fails if exp(log_prob) is not a density of the event."""
    points, volume = case.grid
    log_probs = jax.vmap(make(case, case.params).log_prob)(jnp.asarray(points, jnp.float32))
    np.testing.assert_allclose(np.exp(np.asarray(log_probs, np.float64)).sum() * volume, 1, rtol=1e-5)


@each
def test_samples_have_the_mean_and_the_variance(case):
    """Fails if sample and mean() belong to different distributions: bounds of 4 standard errors."""
    d, variance = make(case, case.params), case.variance(case.params)
    keys = jax.random.split(jax.random.key(0), NUM_SAMPLES)
    samples = np.asarray(jax.vmap(d.sample)(keys), np.float64)
    mean = np.asarray(d.mean(), np.float64)
    assert np.all(np.abs(samples.mean(0) - mean) < 4 * np.sqrt(variance / NUM_SAMPLES))
    squares = (samples - mean) ** 2
    assert np.all(np.abs(squares.mean(0) - variance) < 4 * squares.std(0) / math.sqrt(NUM_SAMPLES))
    assert np.all(np.abs(np.corrcoef(samples.T) - np.eye(len(mean))) < 4 / math.sqrt(NUM_SAMPLES))


@each
def test_is_a_pytree_under_jit_and_vmap(case):
    """Fails if a distribution cannot be an argument and a result of jit, or a batch of leaves under vmap."""
    first, second = make(case, case.params), make(case, case.other)
    x, key = first.mean().round(), jax.random.key(1)
    returned, log_prob = jax.jit(lambda d: (d, d.log_prob(x)))(first)
    assert type(returned) is type(first)
    jax.tree.map(np.testing.assert_array_equal, returned, first)
    np.testing.assert_allclose(log_prob, first.log_prob(x), rtol=1e-6)
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), first, second)
    log_probs = jax.vmap(lambda d: d.log_prob(x))(batch)
    np.testing.assert_allclose(log_probs, [first.log_prob(x), second.log_prob(x)], rtol=1e-6)
    samples = jax.vmap(lambda d: d.sample(key))(batch)
    np.testing.assert_allclose(samples, [first.sample(key), second.sample(key)], rtol=1e-6)


@each
def test_log_prob_and_its_gradient_in_the_extremes(case):
    """Fails if a value is off or a gradient is not finite at logits of +-1e3 or log-variances of +-30."""
    for params, x in itertools.product(case.extremes, case.extreme_x):
        params32 = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)
        value, gradients = jax.value_and_grad(lambda p, x: case.make(**p).log_prob(x), argnums=(0, 1))(
            params32, jnp.asarray(x, jnp.float32)
        )
        # Log-variances of 30 are resolved to 2e-6 in float32, and so is log p(x) in relative terms.
        np.testing.assert_allclose(value, case.log_prob(params, x), rtol=1e-5, atol=1e-5)
        assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients)), (params, x)


@each
def test_kl_divergence_and_its_gradient_in_the_extremes(case):
    """Fails if KL(q || p) or its gradient overflows although the true value is a float32 number."""
    for q, p in itertools.product(case.extremes, repeat=2):
        q32, p32 = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (q, p))
        value, gradients = jax.value_and_grad(
            lambda q, p: kl_divergence(case.make(**q), case.make(**p), None), argnums=(0, 1)
        )(q32, p32)
        assert np.isfinite(value), (q, p)
        assert value >= -1e-3, (q, p)  # sums of numbers of size 1e3 in float32
        assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients)), (q, p)


@each
def test_kl_divergence_is_the_integral(case):
    """Fails if the closed form is not sum q (log q - log p): by quadrature, and from samples (4 SE)."""
    q, p = make(case, case.params), make(case, case.other)
    exact = kl_divergence(q, p, None)
    points, volume = case.grid
    log_q, log_p = (np.asarray(jax.vmap(d.log_prob)(jnp.asarray(points, jnp.float32)), np.float64) for d in (q, p))
    np.testing.assert_allclose(exact, (np.exp(log_q) * (log_q - log_p)).sum() * volume, rtol=1e-5)
    z = jax.vmap(q.sample)(jax.random.split(jax.random.key(2), NUM_SAMPLES))
    ratios = np.asarray(jax.vmap(q.log_prob)(z) - jax.vmap(p.log_prob)(z))
    assert abs(ratios.mean() - exact) < 4 * ratios.std() / math.sqrt(NUM_SAMPLES)


@each
def test_kl_divergence_is_zero_at_equality_only(case):
    """Fails if KL(q || q) is not 0, or if the two arguments are exchanged."""
    q, p = make(case, case.params), make(case, case.other)
    assert abs(kl_divergence(q, q, None)) < 1e-6
    assert kl_divergence(q, p, None) > 0.01
    assert abs(kl_divergence(q, p, None) - kl_divergence(p, q, None)) > 1e-3


@each
def test_another_shape_is_an_error_and_no_broadcast(case):
    """Fails if a missing or an additional axis is broadcast into a number, which would be a wrong one."""
    d = make(case, case.params)
    x = d.mean()
    for wrong in (x[0], x[None], x[:, None], x[:1]):
        with pytest.raises(InputError, match="shape"):
            d.log_prob(wrong)
    longer = make(case, jax.tree.map(lambda a: np.concatenate([a, a]), case.params))
    single = make(case, jax.tree.map(lambda a: a[:1], case.params))
    for other in (longer, single):
        with pytest.raises(InputError, match="shape"):
            kl_divergence(d, other, x)


numbers = st.floats(-20, 20, width=32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=3, max_size=3))
def test_kl_divergence_against_float64(rows):
    """Fails if a closed form is negative beyond rounding, or leaves the formula in float64 by rounding alone."""
    a, b, c, d = np.array(rows, np.float64).T
    # Kept to +-10 in the log-variance, so that the exact value itself is known to 1e-6 from float32 scales.
    q, p = Normal(*map(jnp.float32, (a, np.exp(c / 4)))), Normal(*map(jnp.float32, (b, np.exp(d / 4))))
    s_q, s_p = np.asarray(q.scale, np.float64), np.asarray(p.scale, np.float64)
    terms = np.stack([s_q**2 / s_p**2 / 2, (a - b) ** 2 / s_p**2 / 2, -0.5 + 0 * a, -np.log(s_q / s_p)])
    rounding = 1e-6 * np.abs(terms).sum()
    assert abs(kl_divergence(q, p, None) - terms.sum()) <= rounding
    assert kl_divergence(q, p, None) >= -rounding

    q, p = Bernoulli(jnp.float32(a)), Bernoulli(jnp.float32(b))
    terms = np.stack([expit(a) * (a - b), -np.logaddexp(0, a), np.logaddexp(0, b)])
    rounding = 1e-6 * np.abs(terms).sum()
    assert abs(kl_divergence(q, p, None) - terms.sum()) <= rounding
    assert kl_divergence(q, p, None) >= -rounding


@pytest.mark.parametrize(("loc", "log_var", "expected"), [(1, 0, 5), (1, 1, 5 * (math.e - 1)), (0, 0, 0)])
def test_kl_divergence_to_the_standard_normal(loc, log_var, expected):
    """Fails if the KL of ten latents is not the sum that can be done by hand: 5, 8.591 and 0 nats."""
    q = Normal(jnp.full(10, float(loc)), jnp.full(10, math.exp(0.5 * log_var)))
    np.testing.assert_allclose(kl_divergence(q, standard_normal((10,)), None), expected, rtol=1e-6, atol=1e-6)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Laplace:
    """A distribution of a user's own, which kl_divergence knows nothing of."""

    loc: jax.Array

    def sample(self, key):
        return self.loc + jax.random.laplace(key, self.loc.shape)

    def log_prob(self, x):
        return -jnp.sum(jnp.abs(x - self.loc) + math.log(2))

    def mean(self):
        return self.loc


def test_kl_divergence_of_any_other_pair_is_the_one_sample_estimate():
    """Fails if a pair without a closed form is not log q(z) - log p(z), or not unbiased (4 SE)."""
    q, p = Normal(jnp.array([0.5, 0.0]), jnp.array([0.5, 2.0])), Laplace(jnp.zeros(2))
    z = jnp.array([0.3, -1.0])
    np.testing.assert_array_equal(kl_divergence(q, p, z), q.log_prob(z) - p.log_prob(z))
    np.testing.assert_array_equal(kl_divergence(p, q, z), p.log_prob(z) - q.log_prob(z))
    estimates = jax.vmap(lambda k: kl_divergence(q, p, q.sample(k)))(jax.random.split(jax.random.key(3), 20000))
    axis = np.linspace(-20, 20, 20001)
    exact = 0.0
    for loc, scale in ((0.5, 0.5), (0.0, 2.0)):
        log_q = scipy.stats.norm.logpdf(axis, loc, scale)
        exact += np.trapezoid(np.exp(log_q) * (log_q - scipy.stats.laplace.logpdf(axis)), axis)
    assert abs(estimates.mean() - exact) < 4 * estimates.std() / math.sqrt(20000)


def test_reparameterization():
    """Fails if a sample is not loc + scale * eps with the eps of its key, or does not pass both gradients."""
    loc, scale, key = jnp.array([1.0, -2.0, 0.5]), jnp.array([0.1, 3.0, 1.0]), jax.random.key(4)
    eps = jax.random.normal(key, (3,))
    np.testing.assert_allclose(Normal(loc, scale).sample(key), loc + scale * eps, rtol=1e-6)
    d_loc, d_scale = jax.jacobian(lambda a, b: Normal(a, b).sample(key), argnums=(0, 1))(loc, scale)
    np.testing.assert_allclose(d_loc, np.eye(3))
    np.testing.assert_allclose(d_scale, np.diag(eps), rtol=1e-6)


def test_loc_and_scale_broadcast_to_the_event():
    """Fails if one scale for all coordinates is counted once in place of once per coordinate."""
    shared, full = Normal(jnp.zeros(4), jnp.float32(0.3)), Normal(jnp.zeros(4), jnp.full(4, 0.3))
    x, key = jnp.arange(4.0), jax.random.key(5)
    np.testing.assert_allclose(shared.log_prob(x), full.log_prob(x), rtol=1e-6)
    np.testing.assert_allclose(shared.sample(key), full.sample(key), rtol=1e-6)
    prior = standard_normal((4,))
    np.testing.assert_allclose(kl_divergence(shared, prior, None), kl_divergence(full, prior, None), rtol=1e-6)
    assert Normal(jnp.float32(0), jnp.ones(4)).mean().shape == (4,)


def test_bernoulli_samples_at_extreme_logits_are_certain():
    """Fails if a saturated probability is not 0 or 1, or if the dtype is not that of the logits."""
    d = Bernoulli(jnp.array([-1e3, 1e3]))
    samples = jax.vmap(d.sample)(jax.random.split(jax.random.key(6), 100))
    np.testing.assert_array_equal(samples, np.tile([0.0, 1.0], (100, 1)))
    assert samples.dtype == jnp.float32


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e6, 1e6, width=32))
def test_bounded_scale(raw):
    """Fails if a scale leaves [exp(-15), exp(15)], is not increasing in raw, or has no finite gradient."""
    value, gradient = jax.value_and_grad(bounded_scale)(jnp.float32(raw))
    # exp of float32 near +-15 is resolved to 1e-6.
    assert math.exp(-15) * (1 - 2e-6) <= value <= math.exp(15) * (1 + 2e-6)
    assert np.isfinite(gradient)
    assert gradient >= 0
    np.testing.assert_allclose(value, math.exp(15 * math.tanh(np.float64(raw) / 15)), rtol=1e-5)


def test_bounded_scale_is_exp_near_zero():
    """Fails if the bound changes the scale where networks work: exp(raw) to 1 % for |raw| below 2."""
    raw = jnp.linspace(-2, 2, 41)
    np.testing.assert_allclose(bounded_scale(raw), np.exp(raw), rtol=0.012)


def test_posterior_of_extreme_heads_has_finite_objectives():
    """Fails if the bound, the density and the divergence disagree so that some network output overflows."""

    def objective(raw, loc):
        q, p = Normal(loc, bounded_scale(raw)), standard_normal((1,))
        z = q.sample(jax.random.key(7))
        return kl_divergence(q, p, z) + q.log_prob(z)

    for raw, loc in itertools.product((-1e6, -15.0, 0.0, 15.0, 1e6), (-1e3, 0.0, 1e3)):
        value, gradients = jax.value_and_grad(objective, argnums=(0, 1))(jnp.array([raw]), jnp.array([loc]))
        assert np.isfinite(value), (raw, loc)
        assert np.all(np.isfinite(gradients)), (raw, loc)


def test_softplus_is_that_of_the_library_below():
    """Fails if the value, the slope or the curvature is another function than `jax.nn.softplus`, or not finite."""
    x = jnp.concatenate([jnp.linspace(-30, 30, 301), jnp.array([-1e3, 1e3, 0.0])])
    np.testing.assert_allclose(softplus(x), jax.nn.softplus(x), rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(jax.vmap(jax.grad(softplus))(x), jax.nn.sigmoid(x), rtol=1e-6)
    curvature = jax.vmap(jax.grad(jax.grad(softplus)))(x)
    np.testing.assert_allclose(curvature, jax.nn.sigmoid(x) * jax.nn.sigmoid(-x), rtol=1e-4, atol=1e-7)

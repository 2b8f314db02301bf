"""The table of divergences: every pair in it against an exact answer, and what happens to the others."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_jax import Bernoulli, InputError, Normal, kl_divergence, standard_normal
from vae_jax.distributions import (
    Chain,
    Joint,
    Mixture,
    MultivariateNormal,
    Poisson,
    kl,
    rates,
    register_kl,
    sample_and_log_prob,
    total,
)
from vae_jax.testing.oracles import gaussian_kl

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


def random_full(d):
    lower = np.tril(RNG.normal(size=(d, d)), -1) + np.diag(RNG.uniform(0.5, 1.5, d))
    return MultivariateNormal(jnp.asarray(RNG.normal(size=d)), jnp.asarray(lower))


def random_diagonal(d):
    return Normal(jnp.asarray(RNG.normal(size=d)), jnp.asarray(RNG.uniform(0.5, 1.5, d)))


def moments(d):
    scale = d.scale_tril if isinstance(d, MultivariateNormal) else jnp.diag(d.stddev())
    scale = np.asarray(scale, np.float64)
    return np.asarray(d.mean(), np.float64), scale @ scale.T


def test_every_registered_pair_has_a_test():
    """Fails if a pair is entered in the table and has no test here, in `test_distributions` or `test_counts`."""
    own = {pair for pair in kl._TABLE if all(t.__module__.startswith("vae_jax.") for t in pair)}
    normals = {(q, p) for q in (Normal, MultivariateNormal) for p in (Normal, MultivariateNormal)}
    assert own == normals | {(d, d) for d in (Bernoulli, Poisson, Joint, Chain)}


@pytest.mark.parametrize("q", [random_full, random_diagonal])
@pytest.mark.parametrize("p", [random_full, random_diagonal])
def test_normals_of_any_covariance(q, p):
    """Fails if a divergence between full and diagonal normals is not the closed form in float64."""
    q, p = q(3), p(3)
    np.testing.assert_allclose(kl_divergence(q, p, None), gaussian_kl(*moments(q), *moments(p)), rtol=2e-5)
    assert abs(kl_divergence(q, q, None)) < 1e-6
    with pytest.raises(InputError, match="shape"):
        kl_divergence(q, random_full(2), None)


def test_one_scale_for_all_latents():
    """Fails if a scale [1] or () counts once in place of once a latent, on either side."""
    loc, full = jnp.array([0.3, -1.0, 2.0]), random_full(3)
    for scale in (jnp.array([0.7]), jnp.array(0.7)):
        narrow, wide = Normal(loc, scale), Normal(loc, jnp.full(3, 0.7))
        for a, b in (
            (narrow, full),
            (full, narrow),
            (narrow, standard_normal((3,))),
            (standard_normal((3,)), narrow),
        ):
            other = (wide, b) if a is narrow else (a, wide)
            np.testing.assert_allclose(kl_divergence(a, b, None), kl_divergence(*other, None), rtol=1e-6)


def test_product_of_two_normals():
    """Fails if a product falls back to one sample: exact 0.1124 nats where one sample has a spread of 0.5."""
    q = Joint({"a": Normal(jnp.array([0.3]), jnp.array([0.8])), "b": Normal(jnp.array([-0.2]), jnp.array([1.2]))})
    p = Joint({"a": standard_normal((1,)), "b": standard_normal((1,))})
    exact = sum(0.5 * (s**2 + m**2 - 1) - math.log(s) for m, s in ((0.3, 0.8), (-0.2, 1.2)))
    found = jax.vmap(lambda k: kl_divergence(q, p, q.sample(k)))(jax.random.split(KEY, 50))
    np.testing.assert_allclose(found, exact, rtol=1e-5)
    one_sample = jax.vmap(lambda z: q.log_prob(z) - p.log_prob(z))(jax.vmap(q.sample)(jax.random.split(KEY, 4000)))
    assert np.std(one_sample) > 0.3
    each = rates(q, p, q.sample(KEY))
    assert jax.tree.map(jnp.shape, each) == {"a": (1,), "b": (1,)}


def test_product_of_unlike_parts():
    """Fails if a part with a closed form is sampled because its neighbour has none."""
    mixture = Mixture(Normal(jnp.array([[0.0], [2.0]]), jnp.ones((2, 1))), jnp.zeros(2))
    normal, wide = standard_normal((1,)), Normal(jnp.array([1.0]), jnp.array([2.0]))
    q, p = Joint((normal, [normal])), Joint((mixture, [wide]))
    keys = jax.random.split(KEY, 5000)
    first, (second,) = jax.vmap(lambda k: rates(q, p, q.sample(k)))(keys)
    np.testing.assert_allclose(second, gaussian_kl(*moments(normal), *moments(wide)), rtol=1e-5)
    axis = np.linspace(-10, 10, 4001)
    log_q = stats.norm.logpdf(axis)
    log_p = np.logaddexp(stats.norm.logpdf(axis), stats.norm.logpdf(axis, 2)) - math.log(2)
    exact = np.trapezoid(np.exp(log_q) * (log_q - log_p), axis)
    assert np.std(first) > 0.1
    assert abs(np.mean(first) - exact) < 4 * np.std(first) / math.sqrt(5000)


def test_trees_of_other_parts_are_refused():
    """Fails if the parts of two trees are paired by their order, or if levels are cut to the shorter chain."""
    normal = standard_normal((1,))
    with pytest.raises(InputError, match="same tree of parts"):
        kl_divergence(Joint({"a": normal}), Joint({"b": normal}), {"a": jnp.zeros(1)})
    step = lambda params, z: normal  # noqa: E731
    with pytest.raises(InputError, match="2 and 1 levels"):
        kl_divergence(Chain({}, (step, step)), Chain({}, (step,)), (jnp.zeros(1),) * 2)


def level(params, z):
    return Normal(params["a"] * jnp.tanh(z[0]), params["s"])


def chain(a, s):
    first = lambda params, z: Normal(jnp.array([a / 4]), jnp.array([1.0]))  # noqa: E731
    return Chain({"a": jnp.array([a]), "s": jnp.array([s])}, (first, level))


def test_chain_is_exact_in_its_last_level():
    """Fails if the divergence of two levels is not the integral, or no better than one sample of both."""
    q, p = chain(2.0, 0.5), chain(-1.0, 1.0)
    axis = np.linspace(-8, 9, 4001)
    weight = stats.norm.pdf(axis, 0.5)
    gap = 3.0 * np.tanh(axis)
    inner = 0.5 * (0.25 + gap**2 - 1) - math.log(0.5)
    first = 0.5 * 0.75**2
    exact = first + np.trapezoid(weight * inner, axis)

    def both(key):
        z, log_q = sample_and_log_prob(q, key)
        return kl_divergence(q, p, z), log_q - p.log_prob(z), rates(q, p, z)[0][0]

    found, one_sample, of_first = (np.asarray(a, np.float64) for a in jax.vmap(both)(jax.random.split(KEY, 8000)))
    assert abs(found.mean() - exact) < 4 * found.std() / math.sqrt(8000)
    assert abs(one_sample.mean() - exact) < 4 * one_sample.std() / math.sqrt(8000)
    assert found.std() < 0.7 * one_sample.std()
    np.testing.assert_allclose(of_first, first, rtol=1e-5)


@pytest.mark.parametrize(
    ("q", "p"),
    [
        (random_diagonal(4), random_diagonal(4)),
        (random_full(3), random_full(3)),
        (random_full(3), random_diagonal(3)),
        (random_diagonal(3), random_full(3)),
        (Bernoulli(jnp.array([[0.3, -1.0]])), Bernoulli(jnp.array([[1.3, 2.0]]))),
        (Joint([random_diagonal(2), random_full(2)]), Joint([random_full(2), random_full(2)])),
        (chain(1.0, 0.5), chain(2.0, 0.7)),
        (random_diagonal(1), Mixture(Normal(jnp.zeros((2, 1)), jnp.ones((2, 1))), jnp.zeros(2))),
    ],
    ids=lambda d: type(d).__name__,
)
def test_rates_sum_to_the_divergence(q, p):
    """Fails if the terms are those of another divergence, or if the known log q(z) changes them."""
    z, log_q = sample_and_log_prob(q, KEY)
    np.testing.assert_allclose(total(rates(q, p, z)), kl_divergence(q, p, z), rtol=1e-6)
    np.testing.assert_allclose(total(rates(q, p, z, log_q)), kl_divergence(q, p, z), rtol=1e-4, atol=1e-5)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Exponential:
    """A distribution of a user's own, with a divergence of its own."""

    rate: jax.Array

    def sample(self, key):
        return jax.random.exponential(key, self.rate.shape) / self.rate

    def log_prob(self, x):
        return jnp.sum(jnp.log(self.rate) - self.rate * x)

    def mean(self):
        return 1 / self.rate

    def support(self):
        return "positive"


@register_kl(Exponential, Exponential)
def _exponentials(q, p, z):
    return jnp.log(q.rate / p.rate) + p.rate / q.rate - 1


def test_a_divergence_of_a_users_own():
    """Fails if an entered pair is not used, alone and as a part, or if the other order is taken for it."""
    q, p = Exponential(jnp.array([2.0, 0.5])), Exponential(jnp.array([1.0, 1.0]))
    exact = np.sum(np.log([2.0, 0.5]) + 1 / np.array([2.0, 0.5]) - 1)
    np.testing.assert_allclose(kl_divergence(q, p, None), exact, rtol=1e-6)
    z = q.sample(KEY)
    in_a_tree = kl_divergence(
        Joint([q, standard_normal((1,))]), Joint([p, standard_normal((1,))]), [z, jnp.zeros(1)]
    )
    np.testing.assert_allclose(in_a_tree, exact, rtol=1e-6)
    mixed = kl_divergence(q, Normal(jnp.zeros(2), jnp.ones(2)), z)
    np.testing.assert_allclose(mixed, q.log_prob(z) - standard_normal((2,)).log_prob(z), rtol=1e-6)

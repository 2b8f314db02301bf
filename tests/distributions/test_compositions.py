"""Full covariances, mixtures, products, chains and transformed distributions, each against something exact."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from vae_jax import Bernoulli, InputError, Normal, standard_normal
from vae_jax.distributions import (
    Chain,
    Joint,
    Mixture,
    MultivariateNormal,
    Transformed,
    center,
    covariance,
    log_prob_each,
    marginals,
    sample_and_log_prob,
    stddev,
    support,
    total,
)

KEY = jax.random.key(0)
NUM = 20_000
LOC = np.array([1.0, -0.5, 0.3])
LOWER = np.array([[0.8, 0.0, 0.0], [0.9, 0.5, 0.0], [-0.4, 0.2, 1.2]])
# What stands above the diagonal must not be read.
FULL = MultivariateNormal(jnp.asarray(LOC), jnp.asarray(LOWER + np.triu(np.full((3, 3), 7.0), 1)))
WEIGHTS = np.array([0.2, 0.5, 0.3])
MEANS = np.array([[0.0, 2.0], [1.0, -1.0], [-2.0, 1e3]])
SCALES = np.array([[0.5, 1.0], [1.5, 0.3], [0.7, 0.9]])
MIXTURE = Mixture(Normal(jnp.asarray(MEANS), jnp.asarray(SCALES)), jnp.log(jnp.asarray(WEIGHTS)) + 3.0)
FLIP = Bernoulli(jnp.array([[0.4], [-1.0]]))
NESTED = Joint({"a": standard_normal((2,)), "b": (FULL, Joint([FLIP, Normal(jnp.float32(2.0), jnp.float32(0.5))]))})


def draws(d, num=NUM):
    return jax.tree.map(
        lambda a: np.asarray(a, np.float64), jax.jit(jax.vmap(d.sample))(jax.random.split(KEY, num))
    )


def assert_moments(samples, mean, cov):
    """Within 5 standard errors; the fourth moments are those of the sample."""
    centred = samples - mean
    assert np.all(np.abs(centred.mean(0)) < 5 * np.sqrt(np.diag(cov) / len(samples)))
    products = centred[:, :, None] * centred[:, None, :]
    assert np.all(np.abs(products.mean(0) - cov) < 5 * products.std(0) / math.sqrt(len(samples)))


def test_full_normal_is_that_of_scipy():
    """Fails if the density reads L L' otherwise than scipy, or what is above its diagonal."""
    cov = LOWER @ LOWER.T
    for x in np.random.default_rng(0).normal(size=(5, 3)):
        expected = stats.multivariate_normal.logpdf(x, LOC, cov)
        np.testing.assert_allclose(FULL.log_prob(jnp.asarray(x)), expected, rtol=2e-5)
    np.testing.assert_allclose(covariance(FULL), cov, rtol=1e-5)
    np.testing.assert_allclose(stddev(FULL), np.sqrt(np.diag(cov)), rtol=1e-6)
    np.testing.assert_array_equal(FULL.mean(), FULL.loc)
    assert_moments(draws(FULL), LOC, cov)
    with pytest.raises(InputError, match="shape"):
        FULL.log_prob(jnp.zeros((1, 3)))


def test_marginals_of_a_full_normal():
    """Fails if a marginal is not N(loc_i, (L L')_ii), or if independent elements are refused theirs."""
    each = log_prob_each(marginals(FULL), jnp.zeros(3))
    expected = stats.norm.logpdf(0, LOC, np.sqrt(np.diag(LOWER @ LOWER.T)))
    np.testing.assert_allclose(each, expected, rtol=1e-5)
    with pytest.raises(InputError, match="depend on each other"):
        log_prob_each(FULL, jnp.zeros(3))
    with pytest.raises(InputError, match="marginals are known"):
        marginals(MIXTURE)
    assert marginals(FLIP) is FLIP


def test_mixture_is_the_sum_over_its_components():
    """Fails if the logits are not normalized, or if a weight meets another component."""
    for x in np.array([[0.0, 0.0], [1.0, -1.2], [-2.0, 1e3], [30.0, -40.0]]):
        each = stats.norm.logpdf(x, MEANS, SCALES).sum(1)
        expected = logsumexp(each + np.log(WEIGHTS))
        np.testing.assert_allclose(MIXTURE.log_prob(jnp.asarray(x)), expected, rtol=1e-5)
    gradient = jax.grad(lambda x: MIXTURE.log_prob(x))(jnp.array([1e3, -1e3]))
    assert np.all(np.isfinite(gradient))


def test_moments_of_a_mixture():
    """Fails if the mean is not weighted, or if a variance loses the spread of the means (one of them is 1,000)."""
    mean = WEIGHTS @ MEANS
    spread = np.sqrt(WEIGHTS @ (SCALES**2 + (MEANS - mean) ** 2))
    np.testing.assert_allclose(MIXTURE.mean(), mean, rtol=1e-5)
    np.testing.assert_allclose(stddev(MIXTURE), spread, rtol=1e-5)
    samples = draws(MIXTURE)
    assert np.all(np.abs(samples.mean(0) - mean) < 5 * spread / math.sqrt(NUM))
    share = np.mean(samples[:, 1] > 500)
    assert abs(share - WEIGHTS[2]) < 5 * math.sqrt(0.25 / NUM)


def test_mixture_of_any_components():
    """Fails if a mixture looks inside its components: full normals, and trees of a normal and bits."""
    lowers = jnp.stack([jnp.asarray(LOWER), jnp.eye(3)])
    both = Mixture(MultivariateNormal(jnp.stack([jnp.asarray(LOC), jnp.zeros(3)]), lowers), jnp.zeros(2))
    x = np.array([0.1, 0.2, -0.3])
    each = [stats.multivariate_normal.logpdf(x, m, s @ s.T) for m, s in ((LOC, LOWER), (np.zeros(3), np.eye(3)))]
    np.testing.assert_allclose(both.log_prob(jnp.asarray(x)), logsumexp(each) - math.log(2), rtol=1e-5)
    parts = Joint({"real": Normal(jnp.zeros((2, 1)), jnp.ones((2, 1))), "bit": Bernoulli(jnp.zeros((2, 3)))})
    mixed = Mixture(parts, jnp.zeros(2))
    assert support(mixed) == {"real": "real", "bit": "binary"}
    assert jax.tree.map(jnp.shape, mixed.mean()) == {"real": (1,), "bit": (3,)}
    chains = Mixture(Chain(jnp.ones((2, 1)), (lambda p, z: Normal(p, jnp.ones(1)),)), jnp.zeros(2))
    assert support(chains) == ("real",)


def test_joint_is_the_product_of_its_parts():
    """Fails if a part of a nested tree is left out, meets another's event, or shares its key."""
    x = NESTED.sample(KEY)
    expected = total(
        [
            NESTED.parts["a"].log_prob(x["a"]),
            FULL.log_prob(x["b"][0]),
            FLIP.log_prob(x["b"][1][0]),
            stats.norm.logpdf(np.float64(x["b"][1][1]), 2.0, 0.5),
        ]
    )
    np.testing.assert_allclose(NESTED.log_prob(x), expected, rtol=1e-5)
    np.testing.assert_allclose(total(log_prob_each(NESTED, x)), expected, rtol=1e-5)
    same, log_p = sample_and_log_prob(NESTED, KEY)
    jax.tree.map(np.testing.assert_array_equal, same, x)
    np.testing.assert_allclose(log_p, expected, rtol=1e-5)
    assert support(NESTED) == {"a": "real", "b": ("real", ["binary", "real"])}
    assert jax.tree.map(jnp.shape, NESTED.mean()) == jax.tree.map(jnp.shape, x)
    np.testing.assert_allclose(stddev(NESTED)["b"][0], stddev(FULL))
    samples = draws(NESTED)
    flat = np.concatenate([samples["a"], samples["b"][0], samples["b"][1][1][:, None]], axis=1)
    cov = np.zeros((6, 6))
    cov[:2, :2], cov[2:5, 2:5], cov[5, 5] = np.eye(2), LOWER @ LOWER.T, 0.25
    assert_moments(flat, np.concatenate([[0, 0], LOC, [2.0]]), cov)
    twins = Joint((standard_normal((1,)), standard_normal((1,)))).sample(KEY)
    assert twins[0] != twins[1]


def test_a_tree_has_no_covariance_matrix():
    """Fails if DIP-VAE is told a number about latents that are no vector."""
    for d in (Joint({"a": standard_normal((2,))}), standard_normal((2, 3)), standard_normal(())):
        with pytest.raises(InputError, match="expected a vector"):
            covariance(d)


def bent(params, z):
    """z_2 | z_1 ~ N(a tanh(z_1), s^2)."""
    return Normal(params["a"] * jnp.tanh(z[0]), params["s"])


CHAIN = Chain({"a": jnp.array([2.0]), "s": jnp.array([0.4])}, (lambda p, z: Normal(p["a"] / 2, p["s"]), bent))


def test_chain_is_the_product_of_its_levels():
    """Fails if a level is given other levels than those before it, or the log-density of another draw."""
    z, log_p = sample_and_log_prob(CHAIN, KEY)
    a, s = 2.0, 0.4
    z1, z2 = (float(level[0]) for level in z)
    expected = stats.norm.logpdf(z1, a / 2, s) + stats.norm.logpdf(z2, a * math.tanh(z1), s)
    np.testing.assert_allclose(log_p, expected, rtol=1e-5)
    np.testing.assert_allclose(CHAIN.log_prob(z), expected, rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, CHAIN.sample(KEY), z)
    np.testing.assert_allclose(center(CHAIN), ([a / 2], [a * math.tanh(a / 2)]), rtol=1e-6)
    assert support(CHAIN) == ("real", "real")
    with pytest.raises(InputError, match="no closed form"):
        CHAIN.mean()
    z1, z2 = (level[:, 0] for level in draws(CHAIN))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    first = np.tanh(a / 2 + s * nodes)
    weights = weights / weights.sum()
    mean = a * weights @ first
    variance = s**2 + a**2 * weights @ (first - mean / a) ** 2
    cross = a * weights @ (s * nodes * first)
    assert_moments(np.stack([z1, z2], 1), np.array([a / 2, mean]), np.array([[s**2, cross], [cross, variance]]))


def test_chain_under_jit_and_vmap():
    """Fails if the steps of a chain are no static part of it."""
    keys = jax.random.split(KEY, 3)
    batch = jax.tree.map(lambda a: jnp.stack([a, 2 * a, 3 * a]), CHAIN)
    z = jax.jit(jax.vmap(lambda d, k: d.sample(k)))(batch, keys)
    alone = Chain(jax.tree.map(lambda a: 2 * a, CHAIN.params), CHAIN.steps).sample(keys[1])
    np.testing.assert_allclose([level[1] for level in z], alone, rtol=1e-6)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SinhAffine:
    """y = sinh(a z) + b, elementwise: a bijection of the test's own."""

    a: jax.Array
    b: jax.Array

    def forward(self, z):
        return jnp.sinh(self.a * z) + self.b, jnp.sum(jnp.log(self.a * jnp.cosh(self.a * z)))

    def inverse(self, y):
        z = jnp.arcsinh(y - self.b) / self.a
        return z, -self.forward(z)[1]


A, B = np.array([0.5, 1.3, 0.8]), np.array([0.0, -2.0, 1.0])
FLOW = Transformed(FULL, SinhAffine(jnp.asarray(A), jnp.asarray(B)))


def test_transformed_density_is_the_change_of_variables():
    """Fails if the log-determinant is left out, or has the wrong sign, in the density or beside the draw."""
    cov = LOWER @ LOWER.T
    for y in np.random.default_rng(0).normal(size=(4, 3)):
        z = np.arcsinh(y - B) / A
        expected = stats.multivariate_normal.logpdf(z, LOC, cov) - np.sum(np.log(A * np.sqrt(1 + (y - B) ** 2)))
        np.testing.assert_allclose(FLOW.log_prob(jnp.asarray(y)), expected, rtol=2e-5, atol=1e-5)
    y, log_p = sample_and_log_prob(FLOW, KEY)
    np.testing.assert_array_equal(y, FLOW.sample(KEY))
    np.testing.assert_allclose(log_p, FLOW.log_prob(y), rtol=1e-4)
    np.testing.assert_allclose(center(FLOW), np.sinh(A * LOC) + B, rtol=1e-5)
    with pytest.raises(InputError, match="no closed form"):
        FLOW.mean()
    # sinh of a normal has the mean exp(s^2 / 2) sinh(m).
    variance = A**2 * np.diag(cov)
    samples = draws(FLOW)
    error = 5 * samples.std(0) / math.sqrt(NUM)
    assert np.all(np.abs(samples.mean(0) - np.exp(variance / 2) * np.sinh(A * LOC) - B) < error)


def test_transformed_tells_its_support():
    """Fails if the codomain of a bijection is not the support, or if another bijection hides that of its base."""

    class Exp:
        codomain = "positive"

    assert support(FLOW) == "real"
    assert support(Transformed(standard_normal((2,)), Exp())) == "positive"
    assert support(Transformed(Bernoulli(jnp.zeros(2)), Exp())) == "positive"
    assert support(Transformed(Bernoulli(jnp.zeros(3)), FLOW.bijection)) == "binary"

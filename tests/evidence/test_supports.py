"""Estimators that follow gradients in z refuse every distribution whose latents are not real numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from vae_jax import VAE, Bernoulli, InputError, Normal, standard_normal
from vae_jax.distributions import Chain, Joint, Mixture, Transformed
from vae_jax.evidence import (
    annealed_log_likelihood,
    bidirectional_bounds,
    hmc_init,
    importance_log_likelihood,
    inference_gaps,
    optimize_posterior,
    posterior_base,
)

KEY = jax.random.key(0)
SMALL = {"num_temperatures": 3, "num_chains": 2, "num_leapfrog": 1}
X = jnp.array([0.5, -1.0, 0.3])


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Shift:
    """A bijection that does not say what it maps onto."""

    def forward(self, z):
        return z + 1.0, jnp.zeros(())

    def inverse(self, y):
        return y - 1.0, jnp.zeros(())


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class OneHot:
    """A category as a code of zeros and a one: floats, on which a gradient means nothing."""

    logits: jax.Array

    def sample(self, key):
        return jax.nn.one_hot(jax.random.categorical(key, self.logits), self.logits.size)

    def log_prob(self, z):
        return jnp.sum(z * jax.nn.log_softmax(self.logits))

    def mean(self):
        return jax.nn.softmax(self.logits)

    def support(self):
        return "binary"


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Concrete:
    """A relaxed category, a point of the simplex (arXiv:1611.00712, equation 10)."""

    logits: jax.Array

    def sample(self, key):
        return jax.nn.softmax(2 * (self.logits + jax.random.gumbel(key, self.logits.shape)))

    def log_prob(self, z):
        scores = self.logits - 0.5 * jnp.log(z)
        return jnp.sum(scores - jnp.log(z)) - z.size * jax.nn.logsumexp(scores)

    def mean(self):
        return jax.nn.softmax(self.logits)

    def support(self):
        return "simplex"


class Softplus:
    """A bijection onto positive numbers."""

    codomain = "positive"

    def forward(self, z):
        return jax.nn.softplus(z), jnp.sum(jax.nn.log_sigmoid(z))

    def inverse(self, y):
        z = jnp.log(jnp.expm1(y))
        return z, -jnp.sum(jax.nn.log_sigmoid(z))


def _second(params: Any, z: Any) -> OneHot:
    return OneHot(z[0])


LOGITS = jnp.array([0.2, -0.3, 0.5])
NORMAL = standard_normal((3,))
CASES: dict[str, tuple[Any, str]] = {
    "one-hot": (OneHot(LOGITS), "binary"),
    "relaxed": (Concrete(LOGITS), "simplex"),
    "bits": (Bernoulli(LOGITS), "binary"),
    "in a tree": (Joint({"style": NORMAL, "class": OneHot(LOGITS)}), "binary"),
    "deep in a tree": (Joint((NORMAL, [Joint({"a": NORMAL, "b": Concrete(LOGITS)})])), "simplex"),
    "in a mixture": (Mixture(OneHot(jnp.stack([LOGITS, -LOGITS])), jnp.zeros(2)), "binary"),
    "last of a chain": (Chain({}, (lambda p, z: NORMAL, _second)), "binary"),
    "by a bijection": (Transformed(NORMAL, Softplus()), "positive"),
    "moved": (Transformed(OneHot(LOGITS), Shift()), "binary"),
}
ESTIMATORS: dict[str, Callable] = {
    "annealed": lambda vae: annealed_log_likelihood(vae, {}, KEY, X, **SMALL),
    "annealed from q": lambda vae: annealed_log_likelihood(vae, {}, KEY, X, base=posterior_base, **SMALL),
    "bidirectional": lambda vae: bidirectional_bounds(vae, {}, KEY, **SMALL),
    "optimized posterior": lambda vae: optimize_posterior(vae, {}, KEY, X, num_steps=1),
    "gaps": lambda vae: inference_gaps(vae, {}, KEY, X, log_likelihood=0.0, num_steps=1),
}


def model(prior: Any, q: Any) -> VAE:
    def decode(params, z):
        return Normal(sum(jnp.sum(leaf) for leaf in jax.tree.leaves(z)) * jnp.ones(3), jnp.ones(3))

    return VAE(lambda key: {}, lambda params, x: q, decode, lambda params: prior)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("case", CASES)
def test_latents_that_are_not_real_are_refused(case, estimator):
    """Fails if a number is returned: one-hot codes gave -608 where -4.45 was exact, and gaps of 42 nats."""
    d, kind = CASES[case]
    with pytest.raises(InputError, match=f"latents of support {kind}") as error:
        ESTIMATORS[estimator](model(d, d))
    assert "\n" not in str(error.value)
    assert "importance_log_likelihood" in str(error.value)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_base_that_is_not_real_is_refused(estimator):
    """Fails if q is looked at where the prior alone is real; from the prior, annealing never reads q."""
    vae = model(NORMAL, Concrete(LOGITS))
    if estimator in ("annealed", "bidirectional"):
        assert jax.tree.leaves(ESTIMATORS[estimator](vae).value)
        return
    with pytest.raises(InputError, match="latents of support simplex"):
        ESTIMATORS[estimator](vae)


def test_importance_sampling_serves_them():
    """Fails if the way out that the message names is none: one-hot codes by enumeration."""
    prior, q = OneHot(LOGITS), OneHot(-LOGITS)
    vae = model(prior, q)._replace(decode=lambda params, z: Normal(z @ jnp.eye(3) * 2, jnp.ones(3)))
    exact = logsumexp([float(prior.log_prob(z) + vae.decode({}, z).log_prob(X)) for z in jnp.eye(3)])
    found = importance_log_likelihood(vae, {}, KEY, X, num_samples=4000, chunk_size=4000)
    assert abs(found.value - exact) < 4 * found.metrics["standard_error"]


def test_positions_that_are_integers_are_refused():
    """Fails if the dtype of latents without a declared support is not looked at."""
    with pytest.raises(InputError, match=r"discrete latents \(dtype int32\)"):
        hmc_init((lambda z: 1.0 * jnp.sum(z["a"]),), {"a": np.arange(3, dtype=np.int32)})

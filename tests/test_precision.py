"""Estimators of log p(x) ask for full float32 products; training leaves the choice to the user."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.programs.compiled import matrix_products
from vae_jax import (
    annealed_log_likelihood,
    bidirectional_bounds,
    elbo,
    evaluator,
    importance_log_likelihood,
    init_state,
    make_vae,
    per_example,
    standard_normal,
    train_step,
)
from vae_jax.evidence import inference_gaps, optimize_posterior, posterior_elbo
from vae_jax.latents import full_data_rate_decomposition
from vae_jax.networks import MLPDecoder, MLPEncoder

VAE = make_vae(MLPEncoder(2, hidden=(16,)), MLPDecoder((9,), hidden=(16,)))
PARAMS = VAE.init(jax.random.key(0))
X = jnp.ones(9)
ANNEALING = {"num_temperatures": 4, "num_chains": 2, "num_leapfrog": 2}


ESTIMATORS = {
    "importance": (importance_log_likelihood, {"num_samples": 5}),
    "annealed": (annealed_log_likelihood, ANNEALING),
    "optimize_posterior": (optimize_posterior, {"num_steps": 2, "num_samples": 2}),
    "inference_gaps": (
        inference_gaps,
        {"log_likelihood": 0.0, "num_steps": 2, "num_samples": 2, "num_evaluation_samples": 3},
    ),
}
CALLS = {name: lambda p, k, x, e=e, o=o: e(VAE, p, k, x, **o) for name, (e, o) in ESTIMATORS.items()}
CALLS["bidirectional"] = lambda p, k, x: bidirectional_bounds(VAE, p, k, **ANNEALING)
CALLS["posterior_elbo"] = lambda p, k, x: posterior_elbo(VAE, p, standard_normal((2,)), k, x, num_samples=3)
CALLS["full_data_rate"] = lambda p, k, x: full_data_rate_decomposition(k, jnp.ones((5, 2)), jnp.ones((5, 2)))


def asks_for(text):
    """The precisions that the matrix products of a lowered program ask for."""
    lines = matrix_products(text)
    assert lines, "no matrix product found"
    return {re.search(r"precision = \[(\w+), (\w+)\]", line).groups() for line in lines}


@pytest.mark.parametrize("name", CALLS)
def test_estimators_ask_for_full_precision(name):
    """Fails if a matrix product of an estimator, or of its gradients, is left to the default of the platform."""
    text = jax.jit(CALLS[name]).lower(PARAMS, jax.random.key(1), X).as_text()
    assert asks_for(text) == {("HIGHEST", "HIGHEST")}


def test_evaluation_asks_for_full_precision():
    """Fails if the ELBO that is reported is computed in the precision of training."""
    seen = []

    def spy(vae, params, key, x):
        seen.append(jax.config.jax_default_matmul_precision)
        return elbo(vae, params, key, x)

    evaluator(spy, VAE)(PARAMS, jax.random.key(0), X[None])
    assert set(seen) == {"highest"}
    assert jax.config.jax_default_matmul_precision is None


def test_training_leaves_the_choice_to_the_user():
    """Fails if the training step sets a precision itself, or does not obey the one that is set."""
    optimizer = optax.adam(1e-3)
    state = init_state(VAE.init, optimizer, jax.random.key(0))
    step = jax.jit(functools.partial(train_step, objective=per_example(elbo, VAE), optimizer=optimizer))
    assert asks_for(step.lower(state, X[None]).as_text()) == {("DEFAULT", "DEFAULT")}
    with jax.default_matmul_precision("highest"):
        assert asks_for(step.lower(state, X[None]).as_text()) == {("HIGHEST", "HIGHEST")}


@pytest.mark.parametrize("name", ["importance", "annealed"])
def test_no_number_changes_on_cpu(name):
    """Fails if full precision is another program on CPU, where float32 products are in float32 anyway."""
    estimator, options = ESTIMATORS[name]
    arguments = (PARAMS, jax.random.key(1), X)
    full = jax.jit(functools.partial(estimator, VAE, **options))(*arguments)
    plain = jax.jit(functools.partial(estimator.__wrapped__, VAE, **options))(*arguments)
    jax.tree.map(np.testing.assert_array_equal, full, plain)

"""Evaluation counts every example once and does not depend on the batch size."""

import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import (
    Estimate,
    InputError,
    beta_tcvae,
    bidirectional_bounds,
    elbo,
    evaluate,
    make_conditional_vae,
    make_vae,
    mean_and_error,
    one_hot,
    plug_in,
)
from vae_jax.networks import MLPDecoder, MLPEncoder

VAE = make_vae(MLPEncoder(3, hidden=(8,)), MLPDecoder((5,), hidden=(8,)))
PARAMS = VAE.init(jax.random.key(0))
X = jax.random.bernoulli(jax.random.key(1), 0.4, (23, 5)).astype(jnp.float32)


def test_batch_size_does_not_matter():
    """Fails if the remainder is dropped, padded into the mean, or if keys depend on the batch."""
    whole = evaluate(elbo, VAE, PARAMS, jax.random.key(2), X, batch_size=23)
    for batch_size in (1, 4, 22, 500):
        parts = evaluate(elbo, VAE, PARAMS, jax.random.key(2), X, batch_size=batch_size)
        chex.assert_trees_all_close(parts, whole, rtol=1e-5)
    assert all(values.shape == (23,) for values in whole.values())


def test_each_example_is_estimated_with_its_own_key():
    """Fails if the value of an example is not that of the estimator at fold_in(key, i)."""
    values = evaluate(elbo, VAE, PARAMS, jax.random.key(2), X, batch_size=4)
    for i in (0, 7, 22):
        _, key = jax.random.split(jax.random.fold_in(jax.random.key(2), i))
        expected = elbo(VAE, PARAMS, key, X[i]).metrics
        chex.assert_trees_all_close({n: v[i] for n, v in values.items()}, expected, rtol=1e-5)
    same = evaluate(elbo, VAE, PARAMS, jax.random.key(2), jnp.repeat(X[:1], 10, axis=0))
    assert len(set(same["elbo"].tolist())) == 10, "equal examples must get different noise"


def test_evaluation_samples_z_and_the_plug_in_does_not():
    """Fails if evaluation is quietly done at the posterior mean, which is no bound."""
    a, b = (evaluate(elbo, VAE, PARAMS, jax.random.key(s), X)["elbo"] for s in (1, 2))
    assert not np.allclose(a, b)
    a, b = (evaluate(plug_in, VAE, PARAMS, jax.random.key(s), X)["plug_in_distortion"] for s in (1, 2))
    np.testing.assert_array_equal(a, b)


def test_transform_and_conditional_pairs():
    """Fails if the pair (x, c) or the keyed transform do not reach the estimator."""
    cvae = make_conditional_vae(MLPEncoder(3, hidden=(8,)), MLPDecoder((5,), hidden=(8,)), condition=one_hot(4))
    params = cvae.init(jax.random.key(0))
    labels = jnp.arange(23) % 4

    def flip(key, pair):
        return 1 - pair[0], pair[1]

    flipped = evaluate(elbo, cvae, params, jax.random.key(2), (1 - X, labels), transform=flip)
    plain = evaluate(elbo, cvae, params, jax.random.key(2), (X, labels))
    chex.assert_trees_all_close(flipped, plain, rtol=1e-6)
    other = evaluate(elbo, cvae, params, jax.random.key(2), (X, (labels + 1) % 4))
    assert not np.allclose(other["elbo"], plain["elbo"])


def test_mean_and_error():
    """Fails if the standard error is not sd / sqrt(n) with n - 1 degrees of freedom."""
    assert mean_and_error(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx((2.5, np.sqrt(5 / 3) / 2))
    assert np.isnan(mean_and_error(np.array([1.0]))[1])


@pytest.mark.parametrize("shape", [(), (0,), (100, 5), (4, 1)])
def test_mean_and_error_of_anything_but_one_value_per_example(shape):
    """Fails if five samples of each of 100 examples pass for 500 examples, or nothing has a mean."""
    with pytest.raises(InputError, match=r"expected \[n\]"):
        mean_and_error(np.zeros(shape))


def test_empty_data_are_refused():
    """Fails if a mean over nothing is returned."""
    with pytest.raises(InputError, match="0 examples"):
        evaluate(elbo, VAE, PARAMS, jax.random.key(2), X[:0])


def test_info_is_kept_where_it_is_asked_for():
    """Fails if the arrays of `info` cannot be had, are dropped with the wrong name, or come unasked."""

    def probe(vae, params, key, x):
        return Estimate(jnp.sum(x), {"sum": jnp.sum(x)}, {"parts": (x, 2 * x)})

    found = evaluate(probe, VAE, PARAMS, jax.random.key(2), X, batch_size=4, info=True)
    assert set(found) == {"sum", "info/parts/0", "info/parts/1"}
    np.testing.assert_array_equal(found["info/parts/1"], 2 * X)
    assert set(evaluate(probe, VAE, PARAMS, jax.random.key(2), X, batch_size=4)) == {"sum"}

    def pair(vae, params, key, x):
        return jnp.sum(x), {"sum": jnp.sum(x)}

    np.testing.assert_array_equal(evaluate(pair, VAE, PARAMS, jax.random.key(2), X)["sum"], found["sum"])


def test_what_is_no_example_is_named():
    """Fails if a number, a pair, or x alone in the wrong place gives a number or an error from deep inside."""
    cvae = make_conditional_vae(MLPEncoder(3, hidden=(8,)), MLPDecoder((5,), hidden=(8,)), condition=one_hot(2))
    of_c = cvae.init(jax.random.key(0))
    key, c = jax.random.key(2), jnp.arange(23) % 2
    cases = [
        (elbo, VAE, PARAMS, 5, {}, "data 5: expected examples"),
        (elbo, cvae, of_c, 5, {}, r"data 5: expected the pair \(x, c\)"),
        (bidirectional_bounds, cvae, of_c, 5, {}, "data 5: expected conditions"),
        (elbo, cvae, of_c, X, {}, r"a ConditionalVAE expects the pair \(x, c\)"),
        (elbo, VAE, PARAMS, (X, c), {}, "2 arrays: the model expects one array"),
        (
            beta_tcvae,
            VAE,
            PARAMS,
            X,
            {"beta": 1.0, "dataset_size": 23},
            "beta_tcvae is an estimator of a whole batch",
        ),
    ]
    for estimator, vae, params, data, tunables, message in cases:
        with pytest.raises(InputError, match=message):
            evaluate(estimator, vae, params, key, data, **tunables)


def test_options_are_in_the_signature():
    """Fails if a reader of `help(evaluate)` does not see what it takes."""
    assert {"batch_size", "transform", "mesh", "memory", "info"} <= set(inspect.signature(evaluate).parameters)

"""Evaluation counts every example once and does not depend on the batch size."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import (
    InputError,
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

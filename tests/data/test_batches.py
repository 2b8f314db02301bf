"""The order of the training data: each epoch a permutation, each a new one, all from the key and the step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vae_jax import InputError
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.sampling import permuted, shuffled_indices


@settings(max_examples=10, deadline=None)  # each size is compiled anew
@given(size=st.integers(1, 3000), seed=st.integers(0, 2**31 - 1))
def test_permuted_is_a_permutation(size, seed):
    """Fails if an example is left out or comes twice."""
    order = jax.jit(permuted, static_argnums=2)(jax.random.key(seed), jnp.arange(size), size)
    np.testing.assert_array_equal(np.sort(order), np.arange(size))


@pytest.mark.parametrize("size", [1, 2, 65_536, 65_537, 737_280])
def test_large_and_tiny_permutations(size):
    """Fails at the edges of the powers of four, or for sprites."""
    order = jax.jit(permuted, static_argnums=2)(jax.random.key(0), jnp.arange(size), size)
    np.testing.assert_array_equal(np.sort(order), np.arange(size))


def test_permutations_look_random():
    """Fails if places, or pairs of neighbours, are not uniform over 20,000 keys (chi-square at 1e-4)."""
    keys = jax.random.split(jax.random.key(0), 20000)
    orders = np.asarray(jax.jit(jax.vmap(lambda k: permuted(k, jnp.arange(7), 7)))(keys))
    for place in range(7):
        assert stats.chisquare(np.bincount(orders[:, place], minlength=7)).pvalue > 1e-4
    pairs = np.bincount(orders[:, 0] * 7 + orders[:, 1], minlength=49).reshape(7, 7)
    assert stats.chisquare(pairs[~np.eye(7, dtype=bool)]).pvalue > 1e-4


def test_long_permutation_has_no_trend():
    """Fails if neighbours, or place and value, are correlated in a long permutation."""
    order = np.asarray(permuted(jax.random.key(3), jnp.arange(60000), 60000), float)
    for a, b in ((order[:-1], order[1:]), (order, np.arange(60000.0)), (order[:30000], order[30000:])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / np.sqrt(len(a))


def test_an_epoch_visits_each_example_at_most_once_and_epochs_differ():
    """Fails if the epoch boundary is off by one, or if epochs repeat their order."""

    def batch(step):
        return shuffled_indices(jax.random.key(0), step, num_examples=23, batch_size=5)

    epochs = np.asarray(jax.jit(jax.vmap(batch))(jnp.arange(40))).reshape(10, 20)
    assert all(len(set(epoch)) == 20 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 10
    assert len(set(epochs.ravel())) == 23


def test_batches_are_a_function_of_key_and_step_inside_scan_and_vmap():
    """Fails if the batch of a step depends on how it is reached."""
    next_batch = shuffled_batches(4, lambda key, x: x + jax.random.uniform(key))
    data = jnp.arange(10.0)
    pick = jax.jit(next_batch)
    single = jnp.stack([pick(data, jax.random.key(0), t) for t in range(6)])
    _, scanned = jax.lax.scan(lambda t, _: (t + 1, next_batch(data, jax.random.key(0), t)), 0, length=6)
    mapped = jax.vmap(lambda t: next_batch(data, jax.random.key(0), t))(jnp.arange(6))
    np.testing.assert_array_equal(single, scanned)
    np.testing.assert_array_equal(single, mapped)
    noise = np.asarray(single) % 1
    assert len(np.unique(noise.round(5))) == 24, "each example of each step has noise of its own"
    other = pick(data, jax.random.key(1), 0)
    assert not np.array_equal(other, single[0])


def test_pairs_stay_together():
    """Fails if images and labels are shuffled apart."""
    x, c = shuffled_batches(8)((jnp.arange(20) * 10, jnp.arange(20)), jax.random.key(0), 3)
    np.testing.assert_array_equal(x, 10 * c)


@pytest.mark.parametrize("batch_size", [0, 11])
def test_batch_larger_than_the_data(batch_size):
    """Fails if the same example fills a batch, or an empty batch trains."""
    with pytest.raises(InputError, match=f"batch size {batch_size}: expected between 1 and .* 10"):
        shuffled_batches(batch_size)(jnp.arange(10), jax.random.key(0), 0)

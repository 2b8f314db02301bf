"""Many runs in one program: each must be the run that it would have been alone."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax import InputError, elbo, fit, init_many, init_state, make_vae, per_example, run_of, train_many
from vae_jax.data.batches import shuffled_batches
from vae_jax.networks import MLPDecoder, MLPEncoder

VAE = make_vae(MLPEncoder(2, hidden=(8,)), MLPDecoder((5,), hidden=(8,)))
DATA = jax.random.bernoulli(jax.random.key(1), 0.3, (40, 5)).astype(jnp.float32)
BATCHES = shuffled_batches(8)
SETTINGS = {"beta": [1.0, 4.0, 0.5], "learning_rate": [1e-2, 1e-3, 3e-2]}
KEYS = jax.random.split(jax.random.key(0), 3)


def setting(beta, learning_rate):
    return per_example(elbo, VAE, beta=beta), optax.adam(learning_rate)


def plain(state):
    return jax.tree.map(np.array, state._replace(key=jax.random.key_data(state.key)))


def train(num_steps, states=None, **options):
    states = init_many(VAE.init, optax.adam(0.0), KEYS) if states is None else states
    return train_many(setting, BATCHES, states, DATA, SETTINGS, num_steps=num_steps, steps_per_call=4, **options)


def test_each_run_is_that_of_fit():
    """Fails if a run has another key, order of the data, setting or update than `fit` gives it alone.

    Sums in another order differ in the last digits of float32, which ten steps of Adam make 1e-4 at most.
    """
    rows = []
    states = train(10, after_call=lambda states, metrics: rows.append(metrics))
    losses = np.concatenate([row["loss"] for row in rows], axis=1)
    assert losses.shape == (3, 10)
    for i, (beta, learning_rate) in enumerate(zip(*SETTINGS.values(), strict=True)):
        objective, optimizer = setting(beta, learning_rate)
        alone = []
        state = fit(
            objective,
            optimizer,
            BATCHES,
            init_state(VAE.init, optimizer, KEYS[i]),
            DATA,
            num_steps=10,
            after_call=lambda state, metrics, alone=alone: alone.append(metrics["loss"]),
        )
        np.testing.assert_allclose(losses[i], np.concatenate(alone), rtol=1e-4)
        run = states._replace(**{name: run_of(getattr(states, name), i) for name in states._fields[1:]})
        chex.assert_trees_all_close(plain(run), plain(state), rtol=1e-3, atol=1e-4)


def test_cut_between_calls_and_continued():
    """Fails if the step, the keys or the optimizers are not all in the states: bit for bit.

    Runs are saved at the end of a call; the calls that are left are then those of a run that was not cut.
    """
    chex.assert_trees_all_equal(plain(train(11, train(8))), plain(train(11)))


def test_one_program_for_all():
    """Fails if settings or seeds are traced one by one."""
    traces = []

    def counted(beta, learning_rate):
        traces.append(beta)
        return setting(beta, learning_rate)

    states = init_many(VAE.init, optax.adam(0.0), KEYS)
    train_many(counted, BATCHES, states, DATA, SETTINGS, num_steps=8, steps_per_call=4)
    assert len(traces) == 1


def test_a_run_that_diverges_disturbs_no_other():
    """Fails if an infinite setting of one run reaches the others, or ends them."""
    states = init_many(VAE.init, optax.adam(0.0), KEYS)
    broken = SETTINGS | {"beta": [1.0, np.inf, 0.5]}
    rows = []
    states = train_many(
        setting, BATCHES, states, DATA, broken, num_steps=8, after_call=lambda states, metrics: rows.append(metrics)
    )
    np.testing.assert_array_equal(rows[-1]["skipped"][:, -1], [0, 1, 0])
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(states.params))
    good = train(8)
    for i in (0, 2):
        chex.assert_trees_all_close(run_of(states.params, i), run_of(good.params, i), rtol=1e-5)


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        ({"beta": [1.0, 2.0]}, {}, r"beta of shape \(2,\)"),
        ({"beta": 1.0}, {}, r"beta of shape \(\)"),
        ({}, {"num_steps": 0}, "num_steps 0"),
    ],
)
def test_sizes_that_do_not_fit(changed, options, message):
    """Fails if values are broadcast to runs that nobody gave them to."""
    states = init_many(VAE.init, optax.adam(0.0), KEYS)
    with pytest.raises(InputError, match=message):
        train_many(setting, BATCHES, states, DATA, SETTINGS | changed, **{"num_steps": 2} | options)


def test_a_stream_is_refused():
    """Fails if a stream, which each run would read in an order of its own, is a traceback of the compiler."""
    states = init_many(VAE.init, optax.adam(0.0), KEYS)
    with pytest.raises(InputError, match="expected arrays, not a stream"):
        train_many(setting, BATCHES, states, lambda key, step, steps_per_call: None, SETTINGS, num_steps=2)

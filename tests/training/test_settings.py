"""Settings of JAX that are the user's: training runs under each of them, and computes what it does without."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax import fit, init_many, init_state, train_many
from vae_jax.optimizers import AdamW, clipped, rate_over_steps

DATA = np.arange(12, dtype=np.float32).reshape(6, 2)
SETTINGS = {
    "x64": lambda: jax.enable_x64(True),
    "rank promotion": lambda: jax.numpy_rank_promotion("raise"),
    "NaN": lambda: jax.debug_nans(True),
    "no jit": jax.disable_jit,
}


MOMENTUM = optax.sgd(0.1, momentum=0.9)


def init(key):
    return {"w": jax.random.uniform(key, (2,), jnp.float32)}


def squared_error(params, key, batch, step, weight=1.0):
    error = params["w"] - batch.mean(0) + jax.random.uniform(key, (2,), jnp.float32)
    return weight * jnp.sum(error**2), {"error": jnp.max(error)}


def rows(data, key, step):
    return data[jax.random.randint(jax.random.fold_in(key, step), (3,), 0, 6)]


def losses_of_one(optimizer=MOMENTUM):
    losses = []
    fit(
        squared_error,
        optimizer,
        rows,
        init_state(init, optimizer, jax.random.key(0)),
        DATA,
        num_steps=2,
        steps_per_call=2,
        after_call=lambda state, metrics: losses.extend(metrics["loss"].tolist()),
    )
    return losses


def losses_of_schedule():
    """Of clipped gradients, a weight decay and a learning rate that warms up and decays, as options of a run."""
    return losses_of_one(clipped(AdamW().make(rate_over_steps(0.1, 4, warmup=2, decay="cosine")), 1.0))


def losses_of_many():
    losses = []

    def setting(weight):
        return lambda *arguments: squared_error(*arguments, weight=weight), optax.sgd(0.1)

    train_many(
        setting,
        rows,
        init_many(init, optax.sgd(0.1), jax.random.split(jax.random.key(0), 2)),
        DATA,
        {"weight": [1.0, 2.0]},
        num_steps=2,
        steps_per_call=2,
        after_call=lambda states, metrics: losses.extend(metrics["loss"].ravel().tolist()),
    )
    return losses


RUNS = (losses_of_one, losses_of_schedule, losses_of_many)


@pytest.fixture(scope="module")
def plain():
    return {run: run() for run in RUNS}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_training_under_a_setting_of_the_users(plain, setting, run):
    """Fails if a setting breaks the scan, the donation or the skip of a step; or changes what is computed.

    Indices are drawn in 64 bits where these are on, so there the batches are others.
    """
    with SETTINGS[setting]():
        losses = run()
    assert np.all(np.isfinite(losses))
    if setting != "x64":
        np.testing.assert_allclose(losses, plain[run], rtol=1e-5)


def test_parameters_in_64_bits():
    """Fails if a hard cast in the step makes the carry of the scan another one where parameters are float64."""
    with jax.enable_x64(True):
        optimizer = optax.adam(0.1)
        state = init_state(lambda key: {"w": jnp.zeros((2,), jnp.float64)}, optimizer, jax.random.key(0))
        state = fit(squared_error, optimizer, rows, state, DATA.astype(np.float64), num_steps=2)
        assert state.params["w"].dtype == state.ema["w"].dtype == np.float64

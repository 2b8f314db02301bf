"""The training loop run small, its numbers checked against arithmetic."""

import functools
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax import (
    InputError,
    NonFiniteLossError,
    elbo,
    fit,
    init_state,
    make_vae,
    per_example,
    scan_steps,
    train_step,
)
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.training import choose_steps_per_call
from vae_jax.training.causes import fault_in_batch

DATA = jnp.arange(12.0).reshape(6, 2)


def init(key):
    return {"w": jax.random.normal(key, (2,))}


def quadratic(params, key, batch, step):
    loss = 0.5 * jnp.sum((params["w"] - jnp.mean(batch, axis=0)) ** 2)
    return loss, {"noise": jax.random.normal(key)}


def next_batch(data, key, step):
    return data[jax.random.randint(jax.random.fold_in(key, step), (3,), 0, len(data))]


def run(num_steps, state=None, **options):
    optimizer = optax.sgd(0.1)
    state = init_state(init, optimizer, jax.random.key(0)) if state is None else state
    return fit(quadratic, optimizer, next_batch, state, DATA, num_steps=num_steps, **options)


def as_numpy(state):
    return jax.tree.map(np.array, state._replace(key=jax.random.key_data(state.key)))


def test_one_step_is_gradient_descent():
    """Fails if the update, the averages, the norm or the step count are off."""
    optimizer = optax.sgd(0.1)
    state = init_state(init, optimizer, jax.random.key(0))
    batch = DATA[:3]
    new, metrics = train_step(state, batch, objective=quadratic, optimizer=optimizer, ema_decay=0.05)
    error = state.params["w"] - batch.mean(0)
    chex.assert_trees_all_close(new.params["w"], state.params["w"] - 0.1 * error, rtol=1e-6)
    chex.assert_trees_all_close(new.ema["w"], 0.05 * state.ema["w"] + 0.95 * new.params["w"], rtol=1e-6)
    assert metrics["grad_norm"] == pytest.approx(float(jnp.linalg.norm(error)), rel=1e-6)
    assert metrics["loss"] == pytest.approx(float(0.5 * jnp.sum(error**2)), rel=1e-6)
    assert new.step == 1


@pytest.mark.parametrize(
    ("step", "ema_decay", "expected"),
    [(0, 0.999, 0.1), (30, 0.999, 31 / 40), (30, 0.5, 0.5), (10**6, 0.999, 0.999)],
)
def test_average_warms_up(step, ema_decay, expected):
    """Fails if the average of a short run keeps its initial values: d = min(ema_decay, (1 + t) / (10 + t))."""
    optimizer = optax.sgd(0.1)
    state = init_state(init, optimizer, jax.random.key(0))._replace(step=jnp.int32(step), ema={"w": jnp.ones(2)})
    new, _ = jax.jit(functools.partial(train_step, objective=quadratic, optimizer=optimizer, ema_decay=ema_decay))(
        state, DATA[:3]
    )
    chex.assert_trees_all_close(new.ema["w"], expected + (1 - expected) * new.params["w"], rtol=1e-4)


def test_noise_is_not_the_randomness_of_the_batch():
    """Fails if the objective's key is one that `next_batch` could make of its own by folding in the step."""

    def key_of_batch(data, key, step):
        return jax.random.key_data(jax.random.fold_in(key, step))

    def keys(params, key, batch, step):
        same = jnp.all(jax.random.key_data(key) == batch)
        return jnp.sum(params["w"] ** 2), {"same": same.astype(jnp.float32)}

    rows = []
    optimizer = optax.sgd(0.1)
    state = init_state(init, optimizer, jax.random.key(0))
    fit(keys, optimizer, key_of_batch, state, DATA, num_steps=5, after_call=lambda s, metrics: rows.append(metrics))
    np.testing.assert_array_equal(rows[0]["same"], 0.0)


def test_scanned_steps_equal_single_steps():
    """Fails if scanning changes the keys, the batches or the order of the updates."""
    optimizer = optax.sgd(0.1)
    state = init_state(init, optimizer, jax.random.key(0))
    step = functools.partial(train_step, objective=quadratic, optimizer=optimizer)
    data_key, _ = jax.random.split(state.key)
    expected, rows = state, []
    for t in range(5):
        expected, metrics = jax.jit(step)(expected, next_batch(DATA, data_key, t))
        rows.append(metrics)
    state, metrics = scan_steps(step, next_batch, 5)(state, DATA)
    chex.assert_trees_all_close(as_numpy(state), as_numpy(expected), rtol=1e-6)
    chex.assert_trees_all_close(metrics, jax.tree.map(lambda *m: jnp.stack(m), *rows), rtol=1e-6)


def test_stopped_and_continued_is_bit_identical():
    """Fails if anything but the state decides what comes next (a host counter, a moved boundary)."""
    whole = as_numpy(run(50, steps_per_call=10))
    for cut in (7, 10, 23, 49):
        part = run(cut, steps_per_call=10)
        chex.assert_trees_all_equal(as_numpy(run(50, part, steps_per_call=10)), whole)


def test_randomness_depends_on_the_seed_and_the_step():
    """Fails if two steps, or two seeds, share their noise."""
    rows = []
    run(20, steps_per_call=5, after_call=lambda state, metrics: rows.extend(metrics["noise"]))
    assert len(set(np.asarray(rows).tolist())) == 20
    optimizer = optax.sgd(0.1)
    other = init_state(init, optimizer, jax.random.key(1))
    first = []
    run(1, other, after_call=lambda state, metrics: first.extend(metrics["noise"]))
    assert first[0] != rows[0]


def test_one_trace_and_donated_state():
    """Fails if calls retrace, or if the compiled program copies the state instead of updating it in place."""
    traced = chex.assert_max_traces(quadratic, n=1)
    chex.clear_trace_counter()
    optimizer = optax.adam(0.1)
    state = init_state(init, optimizer, jax.random.key(0))
    state = fit(traced, optimizer, next_batch, state, DATA, num_steps=40, steps_per_call=10)
    step = functools.partial(train_step, objective=quadratic, optimizer=optimizer)
    compiled = scan_steps(step, next_batch, 2).lower(state, DATA).compile()
    assert "input_output_alias" in compiled.as_text()
    _ = scan_steps(step, next_batch, 2)(state, DATA)
    assert state.params["w"].is_deleted()


def test_step_reuses_no_key():
    """Fails where a key is consumed twice in a training step of a VAE."""
    vae = make_vae(MLPEncoder(2, hidden=(4,)), MLPDecoder((3,), hidden=(4,)))
    optimizer = optax.adam(1e-3)
    with jax.debug_key_reuse(True):
        state = init_state(vae.init, optimizer, jax.random.key(0))
        jax.jit(functools.partial(train_step, objective=per_example(elbo, vae), optimizer=optimizer))(
            state, jnp.ones((5, 3))
        )


def nan_loss(loss, w):
    return loss * jnp.nan


def nan_gradient(loss, w):
    """A finite loss whose gradient is not: the derivative of |v| at v = 0 written as a square root."""
    return loss + jnp.sqrt(jnp.sum((w - jax.lax.stop_gradient(w)) ** 2))


@pytest.mark.parametrize("broken", [nan_loss, nan_gradient])
def test_non_finite_loss_or_gradient_stops_at_its_step(broken):
    """Fails if the run goes on, names another step, or hands the broken state to `after_call`."""

    def breaks_at_seven(params, key, batch, step):
        loss, metrics = quadratic(params, key, batch, step)
        return jax.lax.cond(step == 7, broken, lambda loss, w: loss, loss, params["w"]), metrics

    seen = []
    optimizer = optax.sgd(0.1)
    with pytest.raises(NonFiniteLossError, match="nan at step 7") as error:
        fit(
            breaks_at_seven,
            optimizer,
            next_batch,
            init_state(init, optimizer, jax.random.key(0)),
            DATA,
            num_steps=20,
            steps_per_call=5,
            after_call=lambda state, metrics: seen.append(int(state.step)),
        )
    assert error.value.step == 7
    assert seen == [5]


BROKEN_BATCHES = {
    "8-bit images": (jnp.uint8(255) * jnp.ones((6, 2), jnp.uint8), 0, r"lie in \[255, 255\], and a Bernoulli"),
    "one value above 1": (jnp.ones((6, 2)).at[5, 1].set(1.5), 5, r"lie in \[1, 1.5\], and a Bernoulli"),
    "pairs": ((jnp.full((6, 2), -0.5), jnp.arange(6)), 0, r"lie in \[-0.5, -0.5\], and a Bernoulli"),
    "NaN": (jnp.ones((6, 2)).at[3, 0].set(jnp.nan), 3, "its batch holds values that are NaN or infinite: remove"),
}


@pytest.mark.parametrize(("data", "step", "cause"), BROKEN_BATCHES.values(), ids=BROKEN_BATCHES)
def test_cause_in_the_batch_is_named_first(data, step, cause):
    """Fails if values that no Bernoulli has, or NaN, send the user to the learning rate."""

    def bernoulli(params, key, batch, step):
        x = jax.tree.leaves(batch)[0]
        inside = jnp.all((x >= 0) & (x <= 1))
        loss = jnp.where(inside, jnp.sum(jax.nn.softplus(params["w"]) - x * params["w"]), jnp.inf)
        return jnp.where(jnp.any(jnp.isnan(x)), jnp.nan, loss), {}

    def row(data, key, step):
        return jax.tree.map(lambda a: a[step % 6][None], data)

    optimizer = optax.sgd(0.1)
    state = init_state(init, optimizer, jax.random.key(0))
    with pytest.raises(NonFiniteLossError, match=f"expected finite numbers; (the values of )?.*{cause}") as error:
        fit(bernoulli, optimizer, row, state, data, num_steps=6)
    assert error.value.step == step
    assert "; if that is not it, lower the learning rate" in str(error.value)


def test_a_likelihood_that_fits_is_named_first():
    """Fails if data of real numbers are led to a Bernoulli by rescaling them."""
    x = jnp.linspace(-1, 1, 5)
    cause = fault_in_batch(lambda data, key, step: data, x, jax.random.key(0), 0, explains_range=True)
    assert 0 < cause.index("NormalPixels for real numbers") < cause.index("scale pixels")


def test_learning_rate_is_named_where_the_batch_explains_nothing():
    """Fails if data outside [0, 1], which another likelihood has, are blamed for a run that diverges later."""

    def diverges(params, key, batch, step):
        loss, metrics = quadratic(params, key, batch, step)
        return jnp.where(step == 4, jnp.nan, loss), metrics

    optimizer = optax.sgd(0.1)
    state = init_state(init, optimizer, jax.random.key(0))
    with pytest.raises(NonFiniteLossError, match="expected finite numbers; lower the learning rate"):
        fit(diverges, optimizer, next_batch, state, DATA, num_steps=6)


@pytest.mark.parametrize("broken", [nan_loss, nan_gradient])
def test_skipped_step_changes_the_step_alone(broken):
    """Fails if NaN reaches parameters, optimizer or average, or if the step that follows sees the same noise."""

    def objective(params, key, batch, step):
        loss, metrics = quadratic(params, key, batch, step)
        return jax.lax.cond(step == 3, broken, lambda loss, w: loss, loss, params["w"]), metrics

    optimizer = optax.adam(0.1)
    step = jax.jit(functools.partial(train_step, objective=objective, optimizer=optimizer))
    state, noise = init_state(init, optimizer, jax.random.key(0)), []
    for t in range(6):
        before, (state, metrics) = state, step(state, DATA[:3])
        noise.append(float(metrics["noise"]))
        assert metrics["skipped"] == (t == 3)
        if t == 3:
            chex.assert_trees_all_equal(as_numpy(state), as_numpy(before._replace(step=before.step + 1)))
        else:
            assert np.all(state.params["w"] != before.params["w"])
    assert len(set(noise)) == 6


@pytest.mark.parametrize(("length", "stops"), [(7, False), (8, True)])
def test_skipped_steps_in_a_row(length, stops):
    """Fails if a run stops too early or never, or if the count starts again with each call or in between."""

    def objective(params, key, batch, step):
        loss, metrics = quadratic(params, key, batch, step)
        bad = ((step >= 2) & (step < 9)) | ((step >= 12) & (step < 12 + length))
        return jnp.where(bad, jnp.nan, loss), metrics

    optimizer = optax.sgd(0.1)
    state = init_state(init, optimizer, jax.random.key(0))
    train = functools.partial(fit, objective, optimizer, next_batch, state, DATA, num_steps=30, steps_per_call=5)
    if stops:
        with pytest.raises(NonFiniteLossError, match="at step 19"):
            train(max_skipped=7)
    else:
        assert np.isfinite(train(max_skipped=7).params["w"]).all()


@pytest.mark.parametrize(
    ("schedule", "warns"),
    [
        (optax.linear_schedule(0.0, 1.0, 50), False),
        (optax.linear_schedule(0.0, 1.0, 100), False),
        (optax.linear_schedule(0.0, 1.0, 5000), True),
        (optax.constant_schedule(2.0), False),
    ],
)
def test_schedule_longer_than_the_run_is_warned_about(schedule, warns):
    """Fails if a warm-up that never ends is silent, or if one that ends is complained of."""
    vae = make_vae(MLPEncoder(2, hidden=(4,)), MLPDecoder((2,), hidden=(4,)))
    objective = per_example(elbo, vae, beta=schedule)
    optimizer = optax.sgd(1e-3)
    state = init_state(vae.init, optimizer, jax.random.key(0))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(objective, optimizer, next_batch, state, DATA / 12, num_steps=100)
    messages = [str(w.message) for w in caught if "longer than the run" in str(w.message)]
    assert bool(messages) == warns
    assert all(m.startswith("beta is 0.02 after all 100 steps") for m in messages)


@pytest.mark.parametrize(
    "options", [{"num_steps": 0}, {"num_steps": 5, "steps_per_call": 0}, {"num_steps": 5, "max_skipped": -1}]
)
def test_sizes_below_one_are_refused(options):
    """Fails if a run of nothing passes for a run."""
    with pytest.raises(InputError, match="expected whole numbers from"):
        run(**options)


@pytest.mark.parametrize(
    ("seconds", "options", "expected"),
    [
        (1e-4, {}, 100),
        (0.05, {}, 100),
        (0.06, {}, 50),
        (0.3, {}, 10),
        (4.0, {}, 1),
        (60.0, {}, 1),
        (0.06, {"most": 90}, 45),
        (0.06, {"most": 97}, 1),
        (0.3, {"seconds_per_call": 30.0}, 100),
    ],
)
def test_length_of_a_call_follows_the_time_of_a_step(seconds, options, expected):
    """Fails if a call takes longer than asked for, where steps are slow, or ends beside the multiples of `most`."""
    assert choose_steps_per_call(seconds, **options) == expected


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_time_of_a_step_that_was_not_measured(seconds):
    """Fails if a clock that did not move chooses the length of calls."""
    with pytest.raises(InputError, match="seconds a step"):
        choose_steps_per_call(seconds)

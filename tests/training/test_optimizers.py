"""Optimizers that ask for more than the gradient, and those that cannot be served."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax import InputError, fit, init_state, train_step

X = jax.random.normal(jax.random.key(1), (20, 3))
Y = X @ jnp.arange(6.0).reshape(3, 2) + 1.0


def init(key):
    return {"w": jax.random.normal(key, (3, 2)), "b": jnp.zeros((2,))}


def squared_error(params, key, batch, step):
    x, y = batch
    return jnp.mean((x @ params["w"] + params["b"] - y) ** 2), {}


def train(optimizer, objective=squared_error, num_steps=6):
    """The final state and the loss of each step, on the whole data at once, in two compiled calls."""
    losses = []
    state = fit(
        objective,
        optimizer,
        lambda data, key, step: data,
        init_state(init, optimizer, jax.random.key(0)),
        (X, Y),
        num_steps=num_steps,
        steps_per_call=num_steps // 2,
        after_call=lambda state, metrics: losses.extend(metrics["loss"].tolist()),
    )
    return state, losses


def test_lbfgs_reaches_the_least_squares_solution():
    """Fails if its line search is handed another loss, or if its state cannot be carried from step to step.

    A quadratic of eight parameters: BFGS with exact line searches needs eight steps, this one some more.
    """
    optimizer = optax.lbfgs()
    begun = jax.eval_shape(functools.partial(init_state, init, optimizer), jax.random.key(0))
    state, losses = train(optimizer, num_steps=20)
    same = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), begun, jax.eval_shape(lambda: state))
    assert all(jax.tree.leaves(same))
    design = np.column_stack([X, np.ones(20)])
    exact, *_ = np.linalg.lstsq(design, np.asarray(Y), rcond=None)
    assert losses[-1] < 1e-6 * losses[0]
    np.testing.assert_allclose(np.vstack([state.params["w"], state.params["b"]]), exact, atol=1e-3)


def test_line_search_sees_the_noise_of_the_step():
    """Fails if `value_fn` is not the loss of this key, batch and step: at the parameters it must be `value`."""

    def update(updates, state, params=None, *, value, grad, value_fn, **extra):
        gradient = jax.grad(value_fn)(params)
        differs = sum(jnp.sum(jnp.abs(a - b)) for a, b in zip(*map(jax.tree.leaves, (grad, gradient)), strict=True))
        return jax.tree.map(lambda g: -0.1 * g, updates), state + jnp.abs(value - value_fn(params)) + differs

    def noisy(params, key, batch, step):
        loss, metrics = squared_error(params, key, batch, step)
        return loss * jax.random.uniform(key) + step, metrics

    checks = optax.GradientTransformationExtraArgs(lambda params: jnp.zeros(()), update)
    state, losses = train(checks, noisy)
    assert len(set(losses)) == 6
    np.testing.assert_allclose(state.opt_state, 0.0, atol=1e-4)


def test_plateau_of_the_loss_lowers_the_learning_rate():
    """Fails if the loss is not handed on: a loss that never falls halves the rate in every second step."""

    def constant(params, key, batch, step):
        return jnp.array(2.0) + 0.0 * jnp.sum(params["b"]), {}

    plateau = optax.contrib.reduce_on_plateau(factor=0.5, patience=2)
    state, _ = train(optax.chain(optax.sgd(0.1), plateau), constant, num_steps=10)
    # The first step sets the best value; each two after it are a plateau.
    assert float(state.opt_state[1].scale) == 0.5**4


def test_optimizer_with_arguments_of_its_own_and_no_others():
    """Fails if an optimizer that takes extra arguments, but not the loss, is handed what it refuses."""
    adversarial = optax.chain(optax.contrib.normalize(), optax.sgd(0.01))
    _, losses = train(optax.contrib.sam(optax.sgd(0.05), adversarial))
    assert losses[-1] < losses[0]


def wants_curvature(updates, state, params=None, *, curvature, **extra):
    return updates, state


def test_what_cannot_be_served_is_refused_by_name():
    """Fails if an optimizer that wants a Hessian, or whose state changes, is an error of the compiled loop."""
    with pytest.raises(InputError, match=r"optimizer chain .* obj_fn must be provided"):
        train(optax.contrib.sophia(0.1))
    with pytest.raises(InputError, match=r"missing 1 required keyword-only argument: 'curvature'; it is given"):
        train(optax.GradientTransformationExtraArgs(lambda params: (), wants_curvature))
    with pytest.raises(InputError, match=r"differentially_private_aggregate cannot be used here"):
        train(optax.contrib.differentially_private_aggregate(1.0, 0.1, jax.random.key(0)))


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (
            lambda g, s, p=None: (g, {"n": s["n"] + 1.5}),
            r"grows changed its state\['n'\] from int32\[\] to float32\[\]",
        ),
        (
            lambda g, s, p=None: (g, {"n": jnp.stack([s["n"]])}),
            r"from int32\[\] to int32\[1\]: expected arrays of one",
        ),
        (lambda g, s, p=None: (g, s | {"m": 0}), "grows changed the structure of its state"),
    ],
)
def test_state_that_does_not_stay_the_same(update, message):
    """Fails if the compiler's complaint about a loop's carry is what the user reads."""
    update.__qualname__ = "grows.<locals>.update_fn"
    optimizer = optax.GradientTransformation(lambda params: {"n": jnp.zeros((), jnp.int32)}, update)
    with pytest.raises(InputError, match=message):
        train(optimizer)


def test_adam_is_untouched():
    """Fails if what is handed on changes the program of an optimizer that ignores it: bit for bit."""
    optimizer = optax.adam(0.1)
    state = init_state(init, optimizer, jax.random.key(0))

    def update(state):
        gradient = jax.grad(lambda p: squared_error(p, None, (X, Y), 0)[0])(state.params)
        updates, _ = optimizer.update(gradient, state.opt_state, state.params)
        return optax.apply_updates(state.params, updates)

    step = functools.partial(train_step, objective=squared_error, optimizer=optimizer)
    new, _ = jax.jit(step)(state, (X, Y))
    jax.tree.map(np.testing.assert_array_equal, new.params, jax.jit(update)(state))

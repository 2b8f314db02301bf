"""Optimizers that ask for more than the gradient, and those that cannot be served."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax import InputError, fit, init_state, train_step
from vae_jax.optimizers import SGD, Adam, AdamW, Cocob, clipped, rate_over_steps

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


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1.0, 1.0, 1.0, 1.0]),
        ({"warmup": 1}, [1.0, 1.0, 1.0, 1.0]),
        ({"warmup": 4}, [0.25, 1.0, 1.0, 1.0]),
        ({"decay": "cosine"}, [1.0, 0.75, 0.25, 0.0]),
        ({"warmup": 4, "decay": "cosine"}, [0.25, (1 + np.cos(np.pi * 9 / 33)) / 2, None, 0.0]),
    ],
)
def test_learning_rate_over_the_steps(options, expected):
    """Fails if a warm-up begins at 0 or ends late, or if a decay does not end with the run."""
    rate = rate_over_steps(2.0, 36, **options)
    rates = [float(rate(t)) if callable(rate) else rate for t in (0, 12, 24, 36)]
    for found, wanted in zip(rates, expected, strict=True):
        assert wanted is None or found == pytest.approx(2 * wanted, abs=1e-6)
    if options.get("warmup") == 4:
        np.testing.assert_allclose([float(rate(t)) for t in range(4)], [0.5, 1.0, 1.5, 2.0], rtol=1e-6)


def test_weight_decay_leaves_what_is_no_weight():
    """Fails if biases, or the parameters of a prior or likelihood, are pulled to 0: by lr * decay alone here."""
    params = {
        "encoder": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)},
        "prior": {"pseudo_inputs": jnp.ones((2, 3))},
        "likelihood": {"scale": jnp.ones((4, 4))},
    }
    optimizer = AdamW(weight_decay=0.5).make(0.1)
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    assert float(updates["encoder"].pop("kernel").max()) == pytest.approx(-0.05)
    assert all(not leaf.any() for leaf in jax.tree.leaves(updates))


def test_clipping_by_the_norm_of_all_parameters_together():
    """Fails if each parameter is clipped by itself, if a small gradient is changed, or if 0 clips."""
    grads = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    for norm, factor in ((1.0, 0.2), (10.0, 1.0)):
        optimizer = clipped(optax.sgd(1.0), norm)
        updates, _ = optimizer.update(grads, optimizer.init(grads))
        chex.assert_trees_all_close(updates, jax.tree.map(lambda g, f=factor: -f * g, grads), rtol=1e-6)
    plain = optax.sgd(1.0)
    assert clipped(plain, 0.0) is clipped(plain, None) is plain


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rate_over_steps(0.0, 5), "learning rate 0.0, warm-up of 0 steps: expected a rate above 0"),
        (lambda: rate_over_steps(1.0, 5, warmup=-1), "warm-up of -1 steps"),
        (lambda: rate_over_steps(1.0, 5, warmup=5, decay="cosine"), "expected less than the 5 steps of the run"),
        (lambda: clipped(optax.sgd(1.0), -1.0), "clip norm -1.0: expected"),
        (lambda: clipped(optax.sgd(1.0), float("nan")), "clip norm nan: expected"),
        (lambda: AdamW(weight_decay=-1.0), "weight decay -1.0: expected"),
        (lambda: Adam(b1=1.0), r"b1 1.0, b2 0.999: expected decays in \[0, 1\)"),
        (lambda: SGD(momentum=1.0), "momentum 1.0: expected"),
        (lambda: Cocob(alpha=0.0), "alpha 0.0: expected"),
    ],
)
def test_settings_that_are_none(make, message):
    """Fails if a setting that no optimizer has trains, or ends in the error of a compiled program."""
    with pytest.raises(InputError, match=message):
        make()


def test_adam_of_a_run_is_that_of_optax():
    """Fails if the default optimizer is another program than `optax.adam`: published numbers depend on its bits."""
    ours = clipped(Adam().make(rate_over_steps(0.1, 6)), None)
    a, b = (train(optimizer)[0] for optimizer in (ours, optax.adam(0.1)))
    assert jax.tree.structure(a.opt_state) == jax.tree.structure(b.opt_state)
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)

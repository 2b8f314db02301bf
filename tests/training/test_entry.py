"""What enters training: data, streams, networks and objectives that cannot be used are refused in one line."""

import contextlib
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from vae_jax import VAE, InputError, elbo, fit, init_many, init_state, make_vae, per_example, train_many, train_step
from vae_jax.distributions import standard_normal
from vae_jax.model import bernoulli, diagonal_normal
from vae_jax.networks import MLPDecoder

OPTIMIZER = optax.sgd(0.1)
X = np.linspace(0.0, 1.0, 80, dtype=np.float32).reshape(40, 2)


def init(key):
    return {"w": jax.random.normal(key, (2,))}


def quadratic(params, key, batch, step):
    return jnp.sum((params["w"] - jax.tree.leaves(batch)[0].mean(0)) ** 2), {}


def first_three(data, key, step):
    return jax.tree.map(lambda a: a[:3], data)


def fit_on(data, **options):
    state = init_state(init, OPTIMIZER, jax.random.key(0))
    return fit(quadratic, OPTIMIZER, first_three, state, data, **{"num_steps": 4, "steps_per_call": 2} | options)


def many_on(data):
    states = init_many(init, OPTIMIZER, jax.random.split(jax.random.key(0), 2))
    rate = {"rate": [0.1, 0.2]}
    return train_many(lambda rate: (quadratic, optax.sgd(rate)), first_three, states, data, rate, num_steps=4)


def stream_of(*chunks):
    @contextlib.contextmanager
    def opened(key, step, steps_per_call):
        yield iter(chunks)

    return opened


TORCH_LIKE = type("Tensor", (), {"__module__": "torch", "detach": lambda self: self, "__array__": lambda self: X})
LOADER_LIKE = type("DataLoader", (), {"__module__": "torch.utils.data.dataloader", "__len__": lambda self: 3})
WRONG = {
    "lengths": ((X, X[:30]), r"data\[0\] has 40 examples and data\[1\] has 30"),
    "lengths in a dict": ({"x": X[:5], "y": X}, r"data\['x'\] has 5 examples and data\['y'\] has 40"),
    "scalar": ((X, np.float32(3.0)), r"data\[1\] is a single"),
    "nothing": ([], "no array in list"),
    "tensor": (TORCH_LIKE(), r"torch\.Tensor: expected .* pass x\.detach\(\)\.cpu\(\)\.numpy\(\)"),
    "loader": (LOADER_LIKE(), r"DataLoader: expected .* stack its examples into one array"),
    "generator": ((x for x in X), r"generator: expected .* it can be read only once"),
    "strings": (np.array(["a", "b"]), "dtype <U1: expected numbers"),
}


@pytest.mark.parametrize("run", [fit_on, many_on])
@pytest.mark.parametrize(("data", "message"), WRONG.values(), ids=WRONG)
def test_data_that_cannot_be_used(data, message, run):
    """Fails if an index beyond the shorter array is clamped in silence, or if the error comes from deep inside."""
    with pytest.raises(InputError, match=message) as error:
        run(data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("run", [fit_on, many_on])
def test_bytes_in_the_other_order(run):
    """Fails if numbers written on another kind of machine are refused, or read as other numbers."""
    swapped = X.astype(X.dtype.newbyteorder())
    assert not swapped.dtype.isnative
    np.testing.assert_array_equal(run(swapped).params["w"], run(X).params["w"])


def test_no_data_at_all():
    """Fails if a `next_batch` that draws its batches of nothing needs data that it does not read."""
    state = init_state(init, OPTIMIZER, jax.random.key(0))
    draw = lambda data, key, step: jax.random.uniform(jax.random.fold_in(key, step), (3, 2))  # noqa: E731
    assert int(fit(quadratic, OPTIMIZER, draw, state, None, num_steps=2).step) == 2


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (stream_of((X, X), (X, X[:30])), r"a chunk of the stream\[0\] has 40 examples and .*\[1\] has 30"),
        (stream_of(X), "the stream ended at step 2: expected a chunk for each"),
        (stream_of(TORCH_LIKE()), r"a chunk of the stream is a torch\.Tensor"),
        (lambda: X, r"function .*<lambda>, which cannot be called as a stream is: expected arrays, or a stream"),
        (lambda key, step, steps: itertools.repeat(X), "which returned a repeat: expected arrays, or a stream"),
    ],
    ids=["lengths", "too short", "tensor", "function of nothing", "no context manager"],
)
def test_stream_that_cannot_be_used(stream, message):
    """Fails if the chunks of a stream escape what data in memory are held to."""
    with pytest.raises(InputError, match=message):
        fit_on(stream)


class WithLayer(nn.Module):
    """An encoder with a layer between the input and its heads."""

    layer: nn.Module
    latent_size: int = 2

    @nn.compact
    def __call__(self, x):
        return nn.Dense(4)(self.layer(x))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            nn.Dropout(0.5, deterministic=False),
            "a network draws random numbers when it is applied, as Dropout does",
        ),
        (
            nn.BatchNorm(use_running_average=False),
            "a network changes a state of its own when it is applied, as Batch",
        ),
        (nn.BatchNorm(use_running_average=True), r"params\['encoder'\]\['batch_stats'\].* is a statistic"),
    ],
    ids=["dropout", "batch norm", "frozen batch norm"],
)
def test_layer_with_noise_or_a_state(layer, message):
    """Fails if an error of Flax reaches the user, or if running averages are trained as parameters, in silence."""

    def train():
        vae = make_vae(WithLayer(layer), MLPDecoder((2,), hidden=(4,)))
        state = init_state(vae.init, OPTIMIZER, jax.random.key(0))
        fit(per_example(elbo, vae), OPTIMIZER, first_three, state, X, num_steps=1)

    with pytest.raises(InputError, match=message):
        train()


def four_functions(layer):
    """A model of the user's own, which no `make_vae` has looked at."""
    encoder = WithLayer(layer)
    return VAE(
        init=lambda key: encoder.init(key, jnp.zeros(2)),
        encode=lambda params, x: diagonal_normal(encoder.apply(params, x).reshape(2, 2)),
        decode=lambda params, z: bernoulli(z[None]),
        prior=lambda params: standard_normal((2,)),
    )


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Dropout(0.5, deterministic=False), "a network draws random numbers"),
        (nn.BatchNorm(use_running_average=False), "a network reads a state that is not among the parameters"),
    ],
    ids=["dropout", "batch norm"],
)
def test_layer_in_a_model_of_ones_own(layer, message):
    """Fails if an error of Flax reaches the user from the step, where nothing was found before it."""
    vae = four_functions(layer)
    state = init_state(lambda key: {"params": vae.init(key)["params"]}, OPTIMIZER, jax.random.key(0))
    step = functools.partial(train_step, objective=per_example(elbo, vae), optimizer=OPTIMIZER)
    with pytest.raises(InputError, match=message):
        jax.eval_shape(step, state, X)


def test_parameters_that_no_gradient_can_train():
    """Fails if an integer among the parameters is an error of `jax.grad`; one run or many."""
    whole = lambda key: {"w": jnp.zeros(2), "n": jnp.arange(3)}  # noqa: E731
    message = r"params\['n'\] has dtype int32: expected floating-point parameters"
    with pytest.raises(InputError, match=message):
        init_state(whole, OPTIMIZER, jax.random.key(0))
    with pytest.raises(InputError, match=message):
        init_many(whole, OPTIMIZER, jax.random.split(jax.random.key(0), 2))


@pytest.mark.parametrize(
    ("returns", "message"),
    [
        (lambda loss: loss, r"the objective returned a \w+: expected \(loss, metrics\)"),
        (lambda loss: (loss, loss), r"the objective returned a tuple: expected \(loss, metrics\)"),
        (lambda loss: (loss[None], {}), r"a loss of shape \(1,\): expected a scalar, the mean over the batch"),
    ],
)
def test_objective_that_returns_something_else(returns, message):
    """Fails if a forgotten dict of metrics, or a loss for each example, is an error of `jax.grad`."""
    objective = lambda params, key, batch, step: returns(jnp.sum(params["w"]))  # noqa: E731
    state = init_state(init, OPTIMIZER, jax.random.key(0))
    with pytest.raises(InputError, match=message):
        fit(objective, OPTIMIZER, first_three, state, X, num_steps=1)


def test_what_an_objective_returns_beyond_the_metrics_is_dropped():
    """Fails if a third entry, as arrays for an evaluation, is carried out of the gradient or refused."""

    def three(params, key, batch, step):
        loss, metrics = quadratic(params, key, batch, step)
        return loss, metrics | {"double": 2 * loss}, {"z": jnp.zeros((1000, 1000))}

    rows = []
    state = init_state(init, OPTIMIZER, jax.random.key(0))
    state = fit(
        three, OPTIMIZER, first_three, state, X, num_steps=4, after_call=lambda state, metrics: rows.append(metrics)
    )
    assert rows[0].keys() == {"loss", "double", "grad_norm", "skipped"}
    np.testing.assert_array_equal(state.params["w"], fit_on(X).params["w"])

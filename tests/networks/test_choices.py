"""Every network as a choice, at every shape of an event that it reads: a row for each in ROWS."""

import dataclasses
import math
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import InputError
from vae_jax.networks import MLP, Conv, Network, Residual, choose

# The network, and a small one of it for a shape of 8x8.
ROWS = {
    MLP: MLP(hidden=(6, 5)),
    Conv: Conv(hidden=(5,), channels=(3, 4)),
    Residual: Residual(hidden=(5,), channels=(4, 6), blocks=(0, 1)),
}
SHAPES = ((7,), (128, 3), (28, 28, 1), (48, 48, 3), (64, 64, 3), (36, 52, 2), (45, 30, 13), (256, 128, 4))
READ = [(part, shape) for part in ROWS for shape in SHAPES if part is MLP or len(shape) > 1]


def shapes_of(network: Any, *inputs: Any) -> tuple[Any, int]:
    """The shape of the output, and the number of parameters, without a number computed or an axis promoted."""
    with jax.numpy_rank_promotion("raise"):
        output, params = jax.eval_shape(lambda *i: network.init_with_output(jax.random.key(0), *i), *inputs)
    return output, sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def test_every_network_has_a_row():
    """Fails if a network of the union is not tested here."""
    assert set(get_args(Network)) == set(ROWS)


@pytest.mark.parametrize(("part", "shape"), READ, ids=[f"{part.__name__}-{shape}" for part, shape in READ])
def test_every_network_at_every_shape(part, shape):
    """Fails if a default network does not emit what is read of it, or has fewer parameters than were promised."""
    network, context = part(), jnp.zeros(3)
    network.check(shape)
    encoder, decoder = network.networks(5, shape)
    wanted, emitted = (9,), (*shape[:-1], 2 * shape[-1])
    read, encoding = shapes_of(encoder.sized(wanted), jnp.zeros(shape), context)
    written, decoding = shapes_of(decoder.sized(emitted), jnp.zeros(5), context)
    assert (read.shape, written.shape) == (wanted, emitted)
    least = network.at_least(shape, latents=5, posterior_size=9, likelihood_size=2 * shape[-1], context=3)
    assert 0.8 * (encoding + decoding) < least < encoding + decoding


@pytest.mark.parametrize("part", ROWS.values(), ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("shape", [(8, 7, 3), (9, 2)], ids=["image", "series"])
def test_context_and_gradients(part, shape):
    """Fails if the context changes nothing, or if a parameter gets no gradient, in either dtype."""
    rng = np.random.default_rng(0)

    def some(leaf):
        return jnp.asarray(rng.uniform(0.1, 0.5, leaf.shape), leaf.dtype)

    for dtype in (jnp.float32, jnp.bfloat16):
        networks = part.networks(2, shape, dtype=dtype)
        inputs = jnp.ones(shape), jnp.ones(2)

        def loss(params, context, networks=networks, inputs=inputs):
            outputs = [n.apply(p, i, context) for n, p, i in zip(networks, params, inputs, strict=True)]
            assert {out.dtype for out in outputs} == {jnp.dtype(jnp.float32)}
            return sum(jnp.sum(jnp.sin(out)) for out in outputs)

        structure = jax.eval_shape(
            lambda networks=networks, inputs=inputs: [
                n.init(jax.random.key(0), i, jnp.ones(3)) for n, i in zip(networks, inputs, strict=True)
            ]
        )
        params = jax.tree.map(some, structure)
        # Not all alike, for a norm takes away what is.
        gradient, of_context = jax.jit(jax.grad(loss, (0, 1)))(params, jnp.array([0.5, -1.0, 2.0]))
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
            assert leaf.dtype == jnp.float32
            assert np.any(np.asarray(leaf) != 0), f"{jax.tree_util.keystr(path)} gets no gradient"
        assert np.all(of_context != 0)


@pytest.mark.parametrize("part", ROWS.values(), ids=lambda part: type(part).__name__)
def test_parameters_are_float32(part):
    """Fails if the dtype of parameters follows the switch to float64, with which checkpoints would not fit."""
    with jax.enable_x64(True):
        for network, given in zip(part.networks(2, (8, 8, 1)), (jnp.ones((8, 8, 1)), jnp.ones(2)), strict=True):
            output, params = jax.eval_shape(lambda x, n=network: n.init_with_output(jax.random.key(0), x), given)
            assert {leaf.dtype for leaf in jax.tree.leaves((output, params))} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("part", ROWS.values(), ids=lambda part: type(part).__name__)
def test_a_choice_by_name(part):
    """Fails if a name, sizes or an activation chosen on the command line do not arrive, or if the decoder does not
    mirror the encoder."""
    name = type(part).__name__.lower()
    assert choose(name) == type(part)()
    chosen = choose(name, (6, 5), "tanh")
    assert chosen == dataclasses.replace(type(part)(), hidden=(6, 5), activation="tanh")
    encoder, decoder = chosen.networks(2, (8, 8, 1), dtype=jnp.bfloat16, output_bias=jax.nn.initializers.ones)
    assert (encoder.hidden, decoder.hidden) == ((6, 5), (5, 6))
    assert encoder.activation is decoder.activation is jax.nn.tanh
    assert encoder.dtype == decoder.dtype == jnp.bfloat16
    assert decoder.output_bias is jax.nn.initializers.ones


def test_the_defaults_are_those_of_the_literature():
    """Fails if a model that is chosen by its network alone is another than it was."""
    sizes = {(784,): (400,), (28, 28, 1): (400,), (32, 32, 1): (512, 256)}
    for shape, hidden in sizes.items():
        encoder, decoder = MLP().networks(20, shape)
        assert (encoder.hidden, decoder.hidden) == (hidden, hidden[::-1])
        assert encoder.activation is jax.nn.relu
    encoder, _ = Conv().networks(20, (28, 28, 1))
    assert (encoder.hidden, encoder.channels, encoder.activation) == ((256, 256), None, jax.nn.relu)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Conv().check((7,)), r"x of shape \(7,\): a convolutional.*use the MLP \(--network mlp\)"),
        (lambda: Residual().networks(2, (7,)), r"x of shape \(7,\): a convolutional.*use the MLP"),
        (lambda: Conv().networks(2, (64, 1, 3)), "image of 64 x 1: expected sides of more than 1"),
        (lambda: choose("transformer"), "network transformer: expected one of mlp, conv, residual"),
    ],
)
def test_what_a_network_cannot_be(call, words):
    """Fails if a shape that a network cannot read, or another name, is not told of in one line with the remedy."""
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)

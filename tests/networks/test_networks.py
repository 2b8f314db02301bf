"""Every network goes through the whole suite by its rows in CASES: a network, its input and its output shape."""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vae_jax import InputError
from vae_jax.networks import (
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    ResidualDecoder,
    ResidualEncoder,
    logit_bias,
)
from vae_jax.networks.conv import halving_channels


class Case(NamedTuple):
    name: str
    network: Any
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


def mlp(x_shape: tuple[int, ...], latent_size: int, **options: Any) -> list[Case]:
    name = f"mlp-{'x'.join(map(str, x_shape))}"
    return [
        Case(
            f"{name}-encoder",
            MLPEncoder(latent_size, **options).sized((2 * latent_size,)),
            x_shape,
            (2 * latent_size,),
        ),
        Case(f"{name}-decoder", MLPDecoder(x_shape, **options), (latent_size,), x_shape),
    ]


def conv(x_shape: tuple[int, ...], latent_size: int, **options: Any) -> list[Case]:
    name = f"conv-{'x'.join(map(str, x_shape))}{''.join(f'-{k}' for k in options)}"
    options = {"hidden": (16,), **options}
    return [
        Case(
            f"{name}-encoder",
            ConvEncoder(latent_size, **options).sized((2 * latent_size,)),
            x_shape,
            (2 * latent_size,),
        ),
        Case(f"{name}-decoder", ConvDecoder(x_shape, **options), (latent_size,), x_shape),
    ]


def residual(x_shape: tuple[int, ...], latent_size: int, **options: Any) -> list[Case]:
    name = f"residual-{'x'.join(map(str, x_shape))}"
    return [
        Case(
            f"{name}-encoder",
            ResidualEncoder(latent_size, **options).sized((2 * latent_size,)),
            x_shape,
            (2 * latent_size,),
        ),
        Case(f"{name}-decoder", ResidualDecoder(x_shape, **options), (latent_size,), x_shape),
    ]


CASES = [
    *mlp((5,), 1, hidden=(8,)),
    *mlp((4, 7, 3), 3, hidden=(8, 6)),
    *mlp((28, 28), 20),
    *mlp((3, 2), 2, hidden=()),
    *conv((8, 8, 1), 2),
    *conv((16, 16, 3), 4),
    *conv((32, 32, 1), 2, hidden=(256, 256)),
    *conv((64, 64, 1), 10),
    *conv((128, 128, 1), 2),
    *conv((28, 28, 1), 2, channels=(8, 6)),
    *conv((12, 12, 2), 3, channels=(4, 4), activation=nn.gelu),
    *conv((64, 64, 3), 10, channels=(32, 32, 64, 64), hidden=(256,)),  # Locatello et al. 2019
    *conv((29, 18, 2), 2, channels=(4, 3, 5)),
    *conv((21, 3), 2, channels=(4, 5)),
    *residual((8, 6, 3), 2, channels=(8, 12), blocks=(1, 2), hidden=(5,)),
    *residual((7, 2), 2, channels=(4, 6), blocks=(0, 1), hidden=()),
]
each = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
SIZED = [
    (MLPEncoder(3, hidden=(4,)), (6,), (15,)),
    (MLPDecoder((2, 3), hidden=(4,)), (2,), (2, 9)),
    (ConvEncoder(3, channels=(4,), hidden=()), (8, 8, 1), (3,)),
    (ConvDecoder((8, 8, 3), channels=(4, 4), hidden=()), (2,), (8, 8, 6)),
    (ConvDecoder((12, 8, 1), channels=(4,), hidden=()), (2,), (12, 8, 2)),
]


def inputs(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def some_params(case: Case, *context: jax.Array) -> Any:
    """Params of the shapes that `init` makes, filled with numpy: no dead unit, no bias of 0, no compilation."""
    shapes = jax.eval_shape(case.network.init, jax.random.key(0), jnp.zeros(case.input_shape), *context)
    rng = np.random.default_rng(1)

    def fill(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        scale = 0.5 if len(leaf.shape) == 1 else math.sqrt(2 / math.prod(leaf.shape[:-1]))
        return (scale * rng.normal(size=leaf.shape)).astype(leaf.dtype)

    return jax.tree.map(fill, shapes)


def num_parameters(network: Any, shape: tuple[int, ...]) -> int:
    params = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(shape))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


@each
def test_one_example_under_vmap_is_the_batch(case):
    """Fails if a layer mixes examples, axes or heads: shapes, dtype, and vmap against one call per example."""
    params, batch = some_params(case), inputs(3, *case.input_shape)
    apply = case.network.apply

    def both_ways(params: Any, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.vmap(lambda x: apply(params, x))(batch), jax.lax.map(lambda x: apply(params, x), batch)

    together, one_by_one = jax.jit(both_ways)(params, batch)
    assert together.shape == (3, *case.output_shape)
    assert together.dtype == jnp.float32
    np.testing.assert_allclose(together, one_by_one, rtol=1e-4, atol=1e-5)
    assert not np.allclose(one_by_one[0], one_by_one[1])


@pytest.mark.parametrize(("network", "shape", "wanted"), SIZED, ids=lambda v: type(v).__name__)
def test_a_network_is_sized_by_what_is_read_of_it(network, shape, wanted):
    """Fails if the output has not the shape that was asked for."""
    sized = network.sized(wanted)
    params = jax.eval_shape(sized.init, jax.random.key(0), jnp.zeros(shape))
    assert jax.eval_shape(sized.apply, params, jnp.zeros(shape)).shape == wanted


def test_a_bias_of_its_own_goes_before_that_of_the_data():
    """Fails if `sized` replaces the bias that a decoder was given, or if channels are exchanged in the output."""
    own, other = lambda k, s, d=None: jnp.arange(6.0), lambda k, s, d=None: jnp.ones(s)
    network = ConvDecoder((8, 8, 3), channels=(4,), hidden=(), output_bias=own).sized((8, 8, 6), other)
    params = jax.jit(network.init)(jax.random.key(0), jnp.zeros(2))
    only_bias = jax.tree.map(lambda a: np.asarray(a) * (a.shape == (6,)), params)
    out = jax.jit(network.apply)(only_bias, jnp.ones(2))
    np.testing.assert_array_equal(out, np.broadcast_to(np.arange(6.0), (8, 8, 6)))


@pytest.mark.parametrize("case", CASES[2:4] + CASES[8:10] + CASES[-8:], ids=lambda case: case.name)
def test_computation_in_bfloat16(case):
    """Fails if parameters or outputs are not float32, if nothing is computed in bfloat16, or if it is far off."""
    half = case.network.clone(dtype=jnp.bfloat16)
    params, x = some_params(case._replace(network=half)), inputs(*case.input_shape)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    low, full = jax.jit(half.apply)(params, x), jax.jit(case.network.apply)(params, x)
    assert low.dtype == jnp.float32
    assert not np.array_equal(low, full)
    # bfloat16 has 8 bits: 0.4 % a rounding, a few roundings a layer.
    assert np.linalg.norm(low - full) < 0.03 * np.linalg.norm(full)


@pytest.mark.parametrize("case", [CASES[2], CASES[3], CASES[8], CASES[9], *CASES[-4:]], ids=lambda case: case.name)
def test_context_changes_the_output(case):
    """Fails if a context vector is dropped, or if its gradient does not arrive."""
    context = inputs(4)
    params, x = some_params(case, context), inputs(*case.input_shape)
    apply = jax.jit(case.network.apply)
    assert not np.allclose(apply(params, x, context), apply(params, x, -context), atol=1e-3)
    gradient = jax.jit(jax.grad(lambda c: jnp.sum(case.network.apply(params, x, c) ** 2)))(context)
    assert np.all(gradient != 0)
    assert num_parameters(case.network, case.input_shape) < sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("sides", "halvings"),
    [
        *(((side, side), n) for side, n in ((2, 1), (4, 1), (8, 1), (28, 2), (48, 3), (62, 4), (64, 4), (128, 5))),
        *(((32, 16), 2), ((36, 64), 2), ((10, 12), 1), ((36, 52), 2), ((29, 27), 1), ((250, 250), 6)),
        *(((128,), 5), ((2,), 1), ((7,), 1), ((1001,), 2)),
    ],
)
def test_any_size_that_can_be_halved(sides, halvings):
    """Fails if a size that can be halved is refused, if a side is halved to less than 4 positions where it need not
    be, or if the dense layer is left with more than 256 positions."""
    assert halving_channels(sides, None) == (32,) * halvings
    x_shape = (*sides, 13)
    for network, shape, wanted in (
        (ConvEncoder(2, hidden=()), x_shape, (4,)),
        (ConvDecoder(x_shape, hidden=()), (2,), x_shape),
    ):
        params = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(shape))
        assert jax.eval_shape(network.apply, params, jnp.zeros(shape)).shape == wanted


def dense(*sizes: int) -> int:
    return sum((a + 1) * b for a, b in itertools.pairwise(sizes))


def convolutions(*channels: int) -> int:
    return sum((16 * a + 1) * b for a, b in itertools.pairwise(channels))


@pytest.mark.parametrize(
    ("network", "shape", "expected"),
    [
        (MLPEncoder(20), (28, 28), dense(784, 400, 40)),
        (MLPDecoder((28, 28)), (20,), dense(20, 400, 784)),
        (ConvEncoder(10), (64, 64, 1), convolutions(1, 32, 32, 32, 32) + dense(512, 256, 256, 20)),
        (ConvDecoder((64, 64, 1)), (10,), dense(10, 256, 256, 512) + convolutions(32, 32, 32, 32, 1)),
        (
            ConvDecoder((64, 64, 3), channels=(32, 32, 64, 64), hidden=(256,)),
            (10,),
            dense(10, 256, 1024) + convolutions(64, 64, 32, 32, 3),
        ),
    ],
    ids=["mlp-encoder", "mlp-decoder", "burgess-encoder", "burgess-decoder", "locatello-decoder"],
)
def test_number_of_parameters(network, shape, expected):
    """Fails if the default architectures are not those of the literature: 784-400-20, Burgess et al. 2018."""
    assert num_parameters(network, shape) == expected


def test_the_784_400_20_model_has_652824_parameters():
    """Fails if the formula above is not the one of the model everybody trains first."""
    assert num_parameters(MLPEncoder(20), (784,)) + num_parameters(MLPDecoder((784,)), (20,)) == 652_824


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("network", [MLPDecoder, ConvDecoder], ids=["mlp", "conv"])
def test_logit_bias_starts_at_the_means(network, channels):
    """Fails if the first decoder mean at z = 0 is not the mean of each output, clipped to [0.001, 0.999]."""
    means = np.random.default_rng(1).uniform(0, 1, (8, 8, channels))
    means[0, 0], means[0, 1] = 0, 1
    decoder = network((8, 8, channels), hidden=(16,), output_bias=logit_bias(means))
    params = jax.jit(decoder.init)(jax.random.key(0), jnp.zeros(2))
    out = jax.nn.sigmoid(jax.jit(decoder.apply)(params, jnp.zeros(2)))
    expected = means if network is MLPDecoder else np.broadcast_to(means.mean((0, 1)), means.shape)
    np.testing.assert_allclose(out, np.clip(expected, 0.001, 0.999), rtol=1e-4)


@pytest.mark.parametrize("means", [np.array([0.2, 1.5]), np.array([-0.1, 0.5]), np.array([0.1, np.nan])])
def test_logit_bias_of_means_that_are_none(means):
    """Fails if means outside [0, 1], say of 8-bit images, become a bias without a word."""
    with pytest.raises(InputError, match="255"):
        logit_bias(means)


@pytest.mark.parametrize(
    ("network", "shape", "words"),
    [
        (ConvEncoder(2, channels=(8,) * 6), (28, 28, 1), "image of 28 x 28: expected sides of more than 32"),
        (ConvEncoder(2, channels=(8,) * 4), (8, 1), "series of 8: expected sides of more than 8, for 4 layers"),
        (ConvEncoder(2), (32, 1, 1), "image of 32 x 1: expected sides of more than 1"),
        (ConvEncoder(2), (0, 0, 1), "image of 0 x 0"),
        (ConvEncoder(2, channels=(0,)), (8, 8, 1), r"channels \(0,\)"),
        (ConvDecoder((8, 8, 1), channels=()), (2,), r"channels \(\)"),
        (ConvEncoder(2), (32,), r"x of shape \(32,\).*use the MLP"),
        (ConvDecoder((5, 32, 32, 1)), (2,), r"x of shape \(5, 32, 32, 1\)"),
        (ConvDecoder((1, 1, 1)), (2,), "image of 1 x 1"),
        (ConvDecoder((20, 20, 1), channels=(8,) * 6), (2,), "image of 20 x 20.*more than 32"),
        (ResidualEncoder(2), (32,), r"x of shape \(32,\).*use the MLP"),
        (ResidualEncoder(2, channels=(8,) * 5), (8, 8, 1), "5 resolutions of sides 8 x 8: expected.*more than 8"),
        (ResidualDecoder((8, 8, 1), channels=()), (2,), "0 resolutions"),
        (ResidualDecoder((8, 8, 1), channels=(8, 0)), (2,), r"channels \(8, 0\)"),
        (ResidualDecoder((8, 8, 1), channels=(8, 8), blocks=(1,)), (2,), r"blocks \(1,\).*2 resolutions"),
        (ResidualEncoder(2, channels=(8, 8), blocks=(1, -1)), (8, 8, 1), r"blocks \(1, -1\)"),
        (MLPEncoder(2, hidden=(10, 0)), (5,), r"sizes \(10, 0\)"),
        (MLPDecoder((5,), hidden=(-1,)), (2,), r"sizes \(-1,\)"),
    ],
)
def test_impossible_sizes_are_named(network, shape, words):
    """Fails if a size that cannot work is not reported as such, with the size and what to do."""
    with pytest.raises(InputError, match=words):
        jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(shape))

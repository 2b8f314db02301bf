"""The two forms of the strided convolutions. Integer values make float32 exact, so forms must agree exactly."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vae_jax.fast import strided
from vae_jax.fast.strided import (
    strided_conv,
    strided_conv_1d,
    strided_conv_transpose,
    strided_conv_transpose_1d,
)

sizes = st.integers(1, 9)
FORMS = {
    "conv": (strided_conv, strided._conv_cpu, strided._conv_stock),
    "transpose": (strided_conv_transpose, strided._conv_transpose_cpu, strided._conv_transpose_stock),
}


def integers(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(-4, 5, shape), jnp.float32)


def conv_by_definition(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The sum of the docstring, by loops."""
    height, width = x.shape[:2]
    y = np.zeros((height // 2, width // 2, kernel.shape[-1]))
    for i, j, a, b in np.ndindex(height // 2, width // 2, 4, 4):
        row, column = 2 * i + a - 1, 2 * j + b - 1
        if 0 <= row < height and 0 <= column < width:
            y[i, j] += x[row, column] @ kernel[a, b]
    return y


def transpose_by_definition(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    height, width = x.shape[:2]
    y = np.zeros((2 * height, 2 * width, kernel.shape[-1]))
    for i, j, a, b in np.ndindex(height, width, 4, 4):
        row, column = 2 * i + 2 - a, 2 * j + 2 - b
        if 0 <= row < 2 * height and 0 <= column < 2 * width:
            y[row, column] += x[i, j] @ kernel[a, b]
    return y


# Both branches on the number of channels: few for the features, and not.
@example("conv", 3, 2, 1, 4, 0)
@example("conv", 3, 2, 2, 3, 0)
@example("transpose", 3, 2, 4, 1, 0)
@example("transpose", 3, 2, 3, 2, 0)
@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(FORMS)), sizes, sizes, st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_the_forms_agree_in_value_and_gradient(name, height, width, channels, features, seed):
    """Fails if the form for CPU differs from the stock operation, or from its definition, at any shape."""
    function, on_cpu, stock = FORMS[name]
    scale = 2 if name == "conv" else 1  # a convolution halves even sizes
    x = integers(seed, scale * height, scale * width, channels)
    kernel = integers(seed + 1, 4, 4, channels, features)
    definition = conv_by_definition if name == "conv" else transpose_by_definition
    expected = definition(np.asarray(x), np.asarray(kernel))
    cotangent = integers(seed + 2, *expected.shape)

    @jax.jit
    def value_and_gradients(x, kernel, cotangent):
        pairs = [jax.vjp(form, x, kernel) for form in (function, on_cpu, stock)]
        return [(y, pull_back(cotangent)) for y, pull_back in pairs]

    results = value_and_gradients(x, kernel, cotangent)
    for y, gradients in results:
        np.testing.assert_array_equal(y, expected)
        jax.tree.map(np.testing.assert_array_equal, gradients, results[-1][1])


@pytest.mark.parametrize(("height", "width", "channels", "features"), [(2, 2, 1, 1), (8, 6, 3, 5), (14, 14, 2, 4)])
def test_the_parameters_are_those_of_flax(height, width, channels, features):
    """Fails if weights of nn.Conv or nn.ConvTranspose, say from a checkpoint, mean something else here."""
    x, kernel = integers(0, height, width, channels), integers(1, 4, 4, channels, features)
    for module, function in ((nn.Conv, strided_conv), (nn.ConvTranspose, strided_conv_transpose)):
        layer = module(features, (4, 4), strides=(2, 2), use_bias=False)
        shapes = jax.eval_shape(layer.init, jax.random.key(0), x)["params"]
        assert shapes["kernel"].shape == kernel.shape
        expected = jax.jit(layer.apply)({"params": {"kernel": kernel}}, x)
        np.testing.assert_array_equal(jax.jit(function)(x, kernel), expected)


@pytest.mark.parametrize("name", FORMS)
def test_form_of_each_platform(name):
    """Fails if a program for CPU has a dilated convolution, which XLA runs slowly there, or one for the gradient of
    the kernel, or if one for TPU or CUDA is not made of the stock operations: value, gradient and vmap."""
    function = FORMS[name][0]
    x, kernel = integers(0, 5, 8, 8, 3), integers(1, 4, 4, 3, 2)

    def loss(x, kernel):
        return jnp.sum(jax.vmap(lambda one: function(one, kernel))(x) ** 2)

    program = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    compiled = program.lower(x, kernel).compile().as_text()
    assert len(re.findall(r" convolution\(", compiled)) == 2  # the value and the gradient of x
    assert "dilate=" not in compiled
    assert "dot(" in compiled or "__onednn$matmul" in compiled
    for platform in ("tpu", "cuda"):
        lowered = program.trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
        assert lowered.count("stablehlo.convolution") == 3, platform  # the value and two gradients
        assert "stablehlo.dot_general" not in lowered, platform


def test_second_derivatives():
    """Fails if a gradient of the form for CPU cannot be differentiated again, or differs from that of the stock."""
    x, kernel = integers(0, 4, 4, 2), integers(1, 4, 4, 2, 3)
    for _, on_cpu, stock in FORMS.values():

        def second(form, x, kernel):
            def squared_gradient(x):
                return jnp.sum(jax.grad(lambda k: jnp.sum(form(x, k) ** 2))(kernel) ** 2)

            return jax.grad(squared_gradient)(x)

        values = [jax.jit(second, static_argnums=0)(form, x / 4, kernel / 4) for form in (on_cpu, stock)]
        np.testing.assert_allclose(*values, rtol=1e-5)


@pytest.mark.parametrize(("length", "channels", "features"), [(2, 1, 1), (8, 3, 5), (14, 4, 2)])
def test_series_are_those_of_flax(length, channels, features):
    """Fails if a series is halved or doubled otherwise than by `nn.Conv` and `nn.ConvTranspose`, in value or in a
    gradient: integers make float32 exact."""
    x, kernel = integers(0, 3, length, channels), integers(1, 4, channels, features)
    for module, function in ((nn.Conv, strided_conv_1d), (nn.ConvTranspose, strided_conv_transpose_1d)):
        layer = module(features, (4,), strides=(2,), use_bias=False)

        def stock(x, kernel, layer=layer):
            return layer.apply({"params": {"kernel": kernel}}, x)

        def with_gradients(form, x, kernel):
            y, pull_back = jax.vjp(lambda x, kernel: jax.vmap(form, (0, None))(x, kernel), x, kernel)
            return y, pull_back(y)

        both = jax.jit(lambda x, kernel, f=function, s=stock: [with_gradients(form, x, kernel) for form in (f, s)])
        jax.tree.map(np.testing.assert_array_equal, *both(x, kernel))


@pytest.mark.parametrize("function", [strided_conv_1d, strided_conv_transpose_1d])
def test_series_are_products(function):
    """Fails if a series is halved or doubled by a convolution, whose gradients a CPU runs slowly in a loop."""
    x, kernel = integers(0, 5, 8, 3), integers(1, 4, 3, 2)

    def loss(x, kernel):
        return jnp.sum(jax.vmap(lambda one: function(one, kernel))(x) ** 2)

    lowered = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(x, kernel).as_text()
    assert "stablehlo.convolution" not in lowered
    assert lowered.count("stablehlo.dot_general") == 3

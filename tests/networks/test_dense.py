"""The dense layer against the stock one, in value and in derivatives of both modes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vae_jax.networks.dense import Dense, product

RNG = np.random.default_rng(0)
H = jnp.asarray(RNG.normal(size=(64, 7)), jnp.float32)
PARAMS = {
    "params": {
        "kernel": jnp.asarray(RNG.normal(size=(7, 5)), jnp.float32),
        "bias": jnp.asarray(RNG.normal(size=5), jnp.float32),
    }
}


def loss(layer, params, h):
    return jnp.mean(jnp.sin(jax.vmap(lambda h: layer.apply(params, h))(h)).astype(jnp.float32))


def test_it_is_the_stock_layer():
    """Fails if parameters, values or gradients differ from those of `nn.Dense`."""
    layers = Dense(5), nn.Dense(5)
    initial = [layer.init(jax.random.key(0), H[0]) for layer in layers]
    jax.tree.map(np.testing.assert_array_equal, *initial)
    np.testing.assert_allclose(*(layer.apply(PARAMS, H[0]) for layer in layers), rtol=1e-6)
    gradients = [jax.grad(loss, argnums=(1, 2))(layer, PARAMS, H) for layer in layers]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), *gradients)


@pytest.mark.parametrize("derivative", [jax.jacfwd, jax.jacrev])
def test_both_modes(derivative):
    """Fails if one mode of differentiation is missing or wrong: the derivatives of x K are K and x, and the mixed
    one is the identity."""
    x, kernel = H[0], PARAMS["params"]["kernel"]
    np.testing.assert_allclose(derivative(product)(x, kernel), kernel.T, rtol=1e-6)
    expected = np.einsum("k,nm->nkm", x, np.eye(5))
    np.testing.assert_allclose(derivative(product, argnums=1)(x, kernel), expected, rtol=1e-6)
    mixed = derivative(derivative(product), argnums=1)(x, kernel)
    np.testing.assert_allclose(mixed, np.einsum("ik,nm->nikm", np.eye(7), np.eye(5)), rtol=1e-6)


def test_in_bfloat16_a_cpu_sums_the_gradient_of_the_kernel_in_float32():
    """Fails if the sum over the batch is rounded to bfloat16 before it reaches the float32 parameters, or is not
    the gradient of the float32 layer within 2 %: bfloat16 rounds each of its factors by up to 2^-9."""
    layers = Dense(5, dtype=jnp.bfloat16), Dense(5)
    found, expected = (jax.grad(loss, argnums=1)(layer, PARAMS, H)["params"]["kernel"] for layer in layers)
    assert found.dtype == jnp.float32
    assert np.any(found != found.astype(jnp.bfloat16).astype(jnp.float32))
    assert 0 < np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)


@pytest.mark.parametrize(("platform", "in_float32"), [("cpu", 1), ("tpu", 0), ("cuda", 0)])
def test_only_a_cpu_multiplies_in_float32(platform, in_float32):
    """Fails if an accelerator is given the form of the CPU: one product of three is then in float32, and slow."""
    layer = Dense(5, dtype=jnp.bfloat16)
    gradient = jax.jit(lambda params, h: jax.grad(loss, argnums=(1, 2))(layer, params, h))
    text = gradient.trace(PARAMS, H).lower(lowering_platforms=(platform,)).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert len(products) == 3
    assert sum("bf16" not in line for line in products) == in_float32


def test_parameters_are_float32():
    """Fails if the dtype of parameters follows the switch to float64, with which checkpoints would not fit."""
    with jax.enable_x64(True):
        params = Dense(5, dtype=jnp.bfloat16).init(jax.random.key(0), H[0])
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}

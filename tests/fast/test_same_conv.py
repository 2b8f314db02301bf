"""The convolution with stride 1 against the stock one: values, gradients, the order of axes on each platform."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vae_jax.fast.same_conv import same_conv

SHAPES = [((5, 4, 3), 2), ((3, 6, 1), 4), ((7, 3), 2), ((1, 2), 3)]
ORDERS = {3: ("NHWC", "HWIO", "NHWC"), 2: ("NWC", "WIO", "NWC")}


def stock(x, kernel):
    strides = (1,) * (x.ndim - 1)
    return lax.conv_general_dilated(x[None], kernel, strides, "SAME", dimension_numbers=ORDERS[x.ndim])[0]


def integers(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).integers(-4, 5, shape), jnp.float32)


def inputs(shape, features, taps=3):
    return integers(0, 2, *shape), integers(1, *(taps for _ in shape[:-1]), shape[-1], features)


def batch(form):
    return lambda x, kernel: jax.vmap(form, (0, None))(x, kernel)


@pytest.mark.parametrize(("shape", "features"), SHAPES)
def test_values_and_derivatives_are_those_of_the_stock(shape, features):
    """Fails if a value, a gradient, or a derivative in forward mode differs: integers make float32 exact."""
    x, kernel = inputs(shape, features)

    @jax.jit
    def both(x, kernel):
        results = []
        for form in (batch(same_conv), batch(stock)):
            y, pull_back = jax.vjp(form, x, kernel)
            forward = jax.jvp(form, (x, kernel), (x[::-1], kernel[::-1]))
            each = jax.vmap(jax.grad(lambda x, k, f=form: jnp.sum(f(x[None], k) ** 2), 1), (0, None))(x, kernel)
            results.append((y, pull_back(y), forward, each))
        return results

    jax.tree.map(np.testing.assert_array_equal, *both(x, kernel))


def test_five_taps():
    """Fails if only a kernel of three taps has the right gradient."""
    x, kernel = inputs((6, 7, 2), 3, taps=5)
    gradients = [
        jax.jit(jax.grad(lambda *a, f=f: jnp.sum(f(*a) ** 2), (0, 1)))(x[0], kernel) for f in (same_conv, stock)
    ]
    jax.tree.map(np.testing.assert_array_equal, *gradients)


def test_second_derivatives():
    """Fails if a gradient cannot be differentiated again, or differs from that of the stock operation."""
    x, kernel = inputs((4, 3, 2), 2)

    def second(form, x, kernel):
        def squared_gradient(x):
            return jnp.sum(jax.grad(lambda k: jnp.sum(form(x, k) ** 2))(kernel) ** 2)

        return jax.grad(squared_gradient)(x)

    values = [jax.jit(second, static_argnums=0)(form, x[0] / 4, kernel / 4) for form in (same_conv, stock)]
    np.testing.assert_allclose(*values, rtol=1e-5)


def orders(platform, x, kernel):
    """The orders of axes of the convolutions in a loss and its gradients under vmap, and if there are groups."""

    def loss(x, kernel):
        return jnp.sum(batch(same_conv)(x, kernel) ** 2)

    program = jax.jit(jax.grad(loss, argnums=(0, 1))).trace(x, kernel)
    text = program.lower(lowering_platforms=(platform,)).as_text()
    assert set(re.findall(r"(?:feature|batch)_group_count = (\d+)", text)) == {"1"}
    return re.findall(r"dim_numbers = (\[.*?\])x(\[.*?\])->(\[.*?\])", text)


@pytest.mark.parametrize(("shape", "features"), [SHAPES[0], SHAPES[2]])
def test_a_cpu_gets_its_order_of_axes(shape, features):
    """Fails if value or gradients of a batch are not three convolutions in the one order that a CPU runs fast, also
    in a loop; or if an accelerator gets other operations than the stock ones."""
    x, kernel = inputs(shape, features)
    sides = ", ".join(str(i) for i in range(len(shape) - 1))
    fast = (f"[b, {sides}, f]", f"[{sides}, i, o]", f"[b, {sides}, f]")
    on_cpu = orders("cpu", x, kernel)
    assert on_cpu == [fast] * 3
    for platform in ("tpu", "cuda"):
        assert len(set(orders(platform, x, kernel))) == 3

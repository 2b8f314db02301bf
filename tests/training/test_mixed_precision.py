"""Mixed precision: bfloat16 inside the networks, float32 for parameters, densities and sums."""

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import elbo, make_conditional_vae, make_vae, one_hot, per_example
from vae_jax.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder

X = jax.random.bernoulli(jax.random.key(1), 0.3, (16, 8, 8, 1)).astype(jnp.float32)
C = jnp.arange(16) % 10


def mlp(dtype):
    vae = make_vae(MLPEncoder(4, (64,), dtype=dtype), MLPDecoder((8, 8, 1), (64,), dtype=dtype))
    return vae.init, per_example(elbo, vae), X


def conditional(dtype):
    networks = MLPEncoder(4, (64,), dtype=dtype), MLPDecoder((8, 8, 1), (64,), dtype=dtype)
    cvae = make_conditional_vae(*networks, condition=one_hot(10))
    return cvae.init, per_example(elbo, cvae), (X, C)


def conv(dtype):
    networks = ConvEncoder(4, (8,), (16,), dtype=dtype), ConvDecoder((8, 8, 1), (8,), (16,), dtype=dtype)
    vae = make_vae(*networks)
    return vae.init, per_example(elbo, vae), X


def equations(jaxpr):
    """All equations, those of inner functions too."""
    for equation in jaxpr.eqns:
        inner = list(jax.extend.core.jaxprs_in_params(equation.params))
        yield from (e for sub in inner for e in equations(sub))
        if not inner:
            yield equation


@pytest.mark.parametrize("model", [mlp, conditional, conv])
def test_products_in_bfloat16_and_all_else_that_matters_in_float32(model):
    """Fails if a product, but for the gradient of a kernel, is computed in float32, or a parameter, a density, a
    sum over an event or a gradient in bfloat16; then if the gradient points elsewhere than in float32.

    The gradient may be off by 3 % of its norm: bfloat16 has 8 bits, half a unit in the last place is 2^-9, and
    the error of a few layers in both directions adds up to some times that.
    """
    gradients = {}
    for dtype in (jnp.bfloat16, jnp.float32):
        init, objective, batch = model(dtype)
        params = init(jax.random.key(0))
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}

        def loss(params, objective=objective, batch=batch):
            return objective(params, jax.random.key(2), batch, jnp.int32(0))[:2]

        found = list(equations(jax.make_jaxpr(jax.value_and_grad(loss, has_aux=True))(params).jaxpr))
        products = [e for e in found if e.primitive.name in ("dot_general", "conv_general_dilated")]
        assert products
        kernels = {leaf.shape for leaf in jax.tree.leaves(params) if leaf.ndim == 2}
        for e in products:
            dtypes = {v.aval.dtype for v in (*e.invars, *e.outvars)}
            # The gradient of a dense layer's kernel is a product in float32 where the platform is a CPU.
            of_kernel = e.outvars[0].aval.shape in kernels | {shape[::-1] for shape in kernels}
            assert dtypes == {jnp.dtype(dtype)} or (of_kernel and dtypes == {jnp.dtype(jnp.float32)})
        densities = [e for e in found if e.primitive.name in ("log", "log1p", "exp", "logistic", "tanh", "erf_inv")]
        assert densities
        assert {v.aval.dtype for e in densities for v in e.outvars} == {jnp.dtype(jnp.float32)}
        forward = jax.make_jaxpr(loss)(params).jaxpr
        products = [e for e in equations(forward) if e.primitive.name in ("dot_general", "conv_general_dilated")]
        assert {v.aval.dtype for e in products for v in (*e.invars, *e.outvars)} == {jnp.dtype(dtype)}
        sums = [e for e in equations(forward) if e.primitive.name == "reduce_sum"]
        assert {v.aval.dtype for e in sums for v in e.outvars if jnp.issubdtype(v.aval.dtype, jnp.floating)} == {
            jnp.dtype(jnp.float32)
        }
        assert all(v.aval.dtype == jnp.float32 for v in forward.outvars)
        gradients[dtype] = np.concatenate(
            [np.ravel(g) for g in jax.tree.leaves(jax.jit(jax.grad(loss, has_aux=True))(params)[0])]
        )
        assert gradients[dtype].dtype == np.float32
    error = np.linalg.norm(gradients[jnp.bfloat16] - gradients[jnp.float32])
    assert 0 < error < 0.03 * np.linalg.norm(gradients[jnp.float32])

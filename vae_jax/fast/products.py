"""The product of a dense layer, whose kernel gradient is summed in the form that each platform runs fastest."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

Array = jax.Array


@jax.custom_jvp
def product(x: Float[Array, "*positions k"], kernel: Float[Array, "k n"]) -> Float[Array, "*positions n"]:
    """x K in the dtype of x. x: [*positions, k], kernel: [k, n]. Returns: [*positions, n].

    The gradient with respect to the kernel is a sum of outer products over the batch. XLA on CPU has no fast form
    of it in bfloat16, so there it is a product in the wider dtype of x and K; elsewhere it is one in that of x.
    """
    return x @ kernel.astype(x.dtype)


@product.defjvp
def _product_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (x, kernel), (dx, dkernel) = primals, tangents

    def wide(dkernel: Array) -> Array:
        dtype = jnp.promote_types(x.dtype, kernel.dtype)
        return (x.astype(dtype) @ dkernel.astype(dtype)).astype(x.dtype)

    def narrow(dkernel: Array) -> Array:
        return x @ dkernel.astype(x.dtype)

    along_kernel = lax.platform_dependent(dkernel, cpu=wide, default=narrow)
    return product(x, kernel), dx @ kernel.astype(x.dtype) + along_kernel

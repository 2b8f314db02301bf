"""A dense layer whose kernel gradient is summed in the form that each platform runs fastest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Float

from vae_jax.fast.products import product

Array = jax.Array


class Dense(nn.Module):
    """h: [*positions, k] -> h K + b: [*positions, features] in `dtype`; parameters as of `nn.Dense`, in float32."""

    features: int
    bias_init: Callable[..., Float[Array, "..."]] = nn.initializers.zeros
    dtype: Any = jnp.float32
    kernel_init: Callable[..., Float[Array, "..."]] = nn.linear.default_kernel_init

    @nn.compact
    def __call__(self, h: Float[Array, "*positions k"]) -> Float[Array, "*positions features"]:
        kernel = self.param("kernel", self.kernel_init, (h.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", self.bias_init, (self.features,), jnp.float32)
        h = product(h.astype(self.dtype), kernel)
        return h + jnp.broadcast_to(bias.astype(self.dtype), h.shape)

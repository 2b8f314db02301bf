"""The variational mixture of posteriors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions import Distribution, Mixture
from vae_jax.errors import InputError, check_at_least

Array = jax.Array


@dataclass(frozen=True)
class Vamp:
    """VampPrior: the mean of the posteriors of K learned pseudo-inputs, (1/K) sum_k q(z|u_k).

    Parameters: `pseudo_inputs` [K, *x], from examples of the data where `make_vae` is given some, else uniform in
    [0, 1). Nothing keeps them there afterwards: they are inputs of the encoder, not data.
    Source: Tomczak and Welling 2018 (arXiv:1705.07120).
    """

    components: int = 50
    """Number of pseudo-inputs, K."""

    def __post_init__(self) -> None:
        check_at_least("components", self.components, 1)

    def init(
        self,
        key: Array,
        z_shape: tuple[int, ...],
        x_shape: tuple[int, ...],
        context: Num[Array, " context"] | None = None,
    ) -> dict[str, Float[Array, " K *x"]]:
        """The parameters at the start of training."""
        return {"pseudo_inputs": jax.random.uniform(key, (self.components, *x_shape))}

    def init_from(self, params: Any, key: Array, examples: Any) -> dict[str, Float[Array, " K *x"]]:
        """The same with K of the examples, drawn without replacement, in place of random numbers.

        examples: [N, *x], N at least K, else InputError.
        """
        if len(examples) < self.components:
            raise InputError(
                f"{len(examples)} examples: expected at least one for each of the {self.components} pseudo-inputs; "
                "give more examples, or fewer components"
            )
        chosen = jax.random.choice(key, len(examples), (self.components,), replace=False)
        return {"pseudo_inputs": jnp.asarray(examples, params["pseudo_inputs"].dtype)[chosen]}

    def apply(
        self,
        params: Any,
        encode: Callable[[Any], Distribution],
        z_shape: tuple[int, ...],
        context: Num[Array, " context"] | None = None,
    ) -> Mixture:
        """The mixture over arrays of `z_shape`. encode: x -> q(z|x)."""
        return Mixture(jax.vmap(encode)(params["pseudo_inputs"]), jnp.zeros(self.components))

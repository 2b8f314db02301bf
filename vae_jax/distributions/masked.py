"""Examples with gaps: what is not seen has no term in the log-density."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import center, check_event, log_prob_each, stddev, support
from vae_jax.errors import InputError
from vae_jax.shapes import AnyArray

Array = jax.Array


class Observed(NamedTuple):
    """An example of which a part is seen. `value`: [*event], 0 where it is not seen; `seen`: [*event], 0 or 1."""

    value: Num[AnyArray, "*event"]
    seen: Num[AnyArray, "*event"]


def from_nan(x: Num[AnyArray, "*event"]) -> Observed:
    """The numbers of x that are not NaN. x: [*event].

    NaN ends here: the gradient of `where(isnan(x), 0, log_prob(x))` would be NaN.
    """
    seen = ~jnp.isnan(x)
    return Observed(jnp.where(seen, x, 0), seen.astype(jnp.result_type(x)))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Masked:
    """p(x_seen), the marginal of the elements that are seen, of a distribution whose elements are independent.

    log p(x) = sum_i seen_i log p_i(value_i)

    `inner`: a distribution with `log_prob_each`. Where its terms are those of whole positions, as of colours that
    depend on each other, a position counts if all of it is seen.
    """

    inner: Any

    def sample(self, key: Array) -> Observed:
        """A draw of all elements, all seen."""
        return _whole(self.inner.sample(key))

    def log_prob(self, x: Observed) -> Float[Array, ""]:
        """log p(x_seen), a scalar in nats. x: an `Observed` of [*event]."""
        return jnp.sum(jnp.ravel(self.log_prob_each(x)))

    def log_prob_each(self, x: Observed) -> Float[Array, "*terms"]:
        """seen_i log p_i(value_i), [*event] or [*positions] in nats."""
        if not isinstance(x, Observed):
            raise InputError(f"Masked.log_prob got a {type(x).__name__}: expected an Observed(value, seen)")
        check_event(jnp.shape(x.seen), jnp.shape(x.value), "Masked.log_prob got `seen`")
        terms = log_prob_each(self.inner, x.value)
        seen = x.seen if terms.ndim == jnp.ndim(x.seen) else jnp.min(x.seen, axis=-1)
        check_event(jnp.shape(terms), jnp.shape(seen), "Masked.log_prob got terms")
        # Not a product with 0: a value that is not seen may have no density at all.
        return jnp.where(seen > 0, terms, 0)

    def mean(self) -> Observed:
        """The mean of all elements, all seen."""
        return _whole(self.inner.mean())

    def center(self) -> Observed:
        """The centre of all elements, all seen."""
        return _whole(center(self.inner))

    def stddev(self) -> Observed:
        """The standard deviation of all elements, and of `seen`, which is 1 in a draw."""
        scale = stddev(self.inner)
        return Observed(scale, jnp.zeros_like(scale))

    def support(self) -> Any:
        """That of the elements, and of `seen`."""
        return Observed(support(self.inner), "binary")  # type: ignore[arg-type]


def _whole(x: Array) -> Observed:
    return Observed(x, jnp.ones(jnp.shape(x), jnp.result_type(x, jnp.float32)))

"""What a distribution is, and what else can be asked of one that does not say it itself.

A distribution is a pytree with `sample(key)`, `log_prob(x)` and `mean()` over one event, which is an array or a
tree of arrays. There is no batch shape: a batch of distributions is a distribution of batched leaves under
`jax.vmap`. The functions below ask for more; each says what holds where a distribution has no method of that name.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Float

from vae_jax.errors import InputError

Array = jax.Array
Support = Literal["real", "positive", "unit", "binary", "integer", "simplex", "sphere"]


@runtime_checkable
class Distribution(Protocol):
    """What every objective and estimator needs of q(z|x), p(x|z) and p(z)."""

    def sample(self, key: Array) -> Any:
        """One draw of the whole event."""

    def log_prob(self, x: Any) -> Float[Array, ""]:
        """log p(x), a scalar in nats."""

    def mean(self) -> Any:
        """E[x], of the shape of the event; exact, or InputError."""


def center(d: Distribution) -> Any:
    """The point that figures and codes read of a distribution: its own `center()`, else the mean. [*event]."""
    return d.center() if hasattr(d, "center") else d.mean()


def sample_and_log_prob(d: Distribution, key: Array) -> tuple[Any, Float[Array, ""]]:
    """One draw z [*event] and log p(z) in nats: by `sample` and `log_prob` where d has no way of its own.

    A flow knows the density of what it draws, which `log_prob` would have to find by inverting the flow.
    """
    if hasattr(d, "sample_and_log_prob"):
        return d.sample_and_log_prob(key)  # type: ignore[no-any-return]
    z = d.sample(key)
    return z, d.log_prob(z)


def log_prob_each(d: Distribution, x: Any) -> Any:
    """The terms whose sum is log p(x), one an element: [*event] in nats, or a tree of such.

    Raises InputError for a distribution whose elements are not independent.
    """
    if not hasattr(d, "log_prob_each"):
        raise InputError(
            f"{type(d).__name__}: expected a distribution whose log-density is a sum over elements, as Normal or "
            "Bernoulli; its elements depend on each other"
        )
    return d.log_prob_each(x)


def marginals(d: Distribution) -> Distribution:
    """The product of the densities of the single elements: d itself where its elements are independent.

    Raises InputError for a distribution that is neither independent nor has a method `marginals`.
    """
    if hasattr(d, "marginals"):
        return d.marginals()  # type: ignore[no-any-return]
    if not hasattr(d, "log_prob_each"):
        raise InputError(f"{type(d).__name__}: expected a distribution whose marginals are known, as Normal")
    return d


def stddev(d: Distribution) -> Any:
    """The standard deviation of each element, [*event]; InputError for a distribution that does not know it."""
    if not hasattr(d, "stddev"):
        raise InputError(f"{type(d).__name__}: expected a distribution with a method `stddev`, as Normal")
    return d.stddev()


def covariance(d: Distribution) -> Float[Array, "d d"]:
    """The covariance of a vector, [d, d]: diagonal where d has no method of that name, InputError for a tree."""
    if hasattr(d, "covariance"):
        return d.covariance()  # type: ignore[no-any-return]
    scale = stddev(d)
    shapes = jax.tree.map(jnp.shape, scale)
    if not jax.tree_util.all_leaves([scale]) or len(shapes) != 1:
        raise InputError(f"{type(d).__name__} of shape {shapes}: expected a vector, whose covariance is a matrix")
    return jnp.diag(scale**2)


def support(d: Distribution) -> Any:
    """Where the density lives: one of `Support`, or a tree of them for an event that is a tree.

    A distribution of a user's own says it by a method `support`. Without one it has the support of the
    distributions that it is made of, and "real" where there are none.
    """
    if hasattr(d, "support"):
        return d.support()
    parts = jax.tree.leaves(jax.tree.map(_own_support, d, is_leaf=lambda node: _says_support(node, d)))
    return next((part for part in parts if part != "real"), "real")


def is_distribution(node: Any) -> bool:
    """Whether a node of a tree is a distribution, for `is_leaf` of `jax.tree`."""
    return hasattr(node, "log_prob")


def check_event(shape: tuple[int, ...], expected: tuple[int, ...], what: str) -> None:
    """Raises InputError unless both shapes are the same.

    Broadcasting would otherwise turn a missing axis into a sum over a matrix: a number, but a wrong one.
    """
    if shape != expected:
        raise InputError(
            f"{what} of shape {shape}, but the distribution's event has shape {expected}: "
            "pass one example of that shape (vmap over a batch)"
        )


def _says_support(node: Any, whole: Any) -> bool:
    return node is not whole and is_distribution(node) and hasattr(node, "support")


def _own_support(node: Any) -> Any:
    return node.support() if is_distribution(node) and hasattr(node, "support") else "real"

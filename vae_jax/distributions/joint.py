"""Independent parts, each with a distribution of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Float

from vae_jax.distributions.base import (
    center,
    is_distribution,
    log_prob_each,
    marginals,
    sample_and_log_prob,
    stddev,
    support,
)
from vae_jax.distributions.kl import rates, register_kl, total
from vae_jax.errors import InputError

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Joint:
    """prod_i p_i(x_i) over the parts of a tree.

    `parts`: a tree (dict, tuple, ...) whose leaves are distributions; the event is the same tree of their events.
    """

    parts: Any

    def sample(self, key: Array) -> Any:
        """Every part with a key of its own: the tree of their draws."""
        parts, tree = self._flat()
        keys = jax.random.split(key, len(parts))
        return tree.unflatten([part.sample(k) for part, k in zip(parts, keys, strict=True)])

    def sample_and_log_prob(self, key: Array) -> tuple[Any, Float[Array, ""]]:
        """The draws of `sample`, and the sum of their log-densities in nats."""
        parts, tree = self._flat()
        keys = jax.random.split(key, len(parts))
        drawn = [sample_and_log_prob(part, k) for part, k in zip(parts, keys, strict=True)]
        return tree.unflatten([x for x, _ in drawn]), total([log_p for _, log_p in drawn])

    def log_prob(self, x: Any) -> Float[Array, ""]:
        """sum_i log p_i(x_i), a scalar in nats. x: a tree as `parts`."""
        return total([part.log_prob(x_i) for part, x_i in self._pairs(x)])

    def log_prob_each(self, x: Any) -> Any:
        """The terms of every part, one of a part whose elements depend on each other: a tree as `parts`."""
        _, tree = self._flat()
        return tree.unflatten([_terms(part, x_i) for part, x_i in self._pairs(x)])

    def mean(self) -> Any:
        """A tree as `parts`."""
        return self._map(lambda part: part.mean())

    def center(self) -> Any:
        """A tree as `parts`."""
        return self._map(center)

    def stddev(self) -> Any:
        """A tree as `parts`."""
        return self._map(stddev)

    def marginals(self) -> Joint:
        """The marginals of every part."""
        return Joint(self._map(marginals))

    def support(self) -> Any:
        """A tree as `parts`."""
        return self._map(support)

    def _flat(self) -> tuple[list[Any], Any]:
        return jax.tree.flatten(self.parts, is_leaf=is_distribution)

    def _pairs(self, x: Any) -> list[tuple[Any, Any]]:
        parts, tree = self._flat()
        return list(zip(parts, tree.flatten_up_to(x), strict=True))

    def _map(self, f: Any) -> Any:
        return jax.tree.map(f, self.parts, is_leaf=is_distribution)


def _terms(part: Any, x: Any) -> Any:
    return log_prob_each(part, x) if hasattr(part, "log_prob_each") else part.log_prob(x)


@register_kl(Joint, Joint)
def _joint_joint(q: Joint, p: Joint, z: Any) -> Any:
    """The divergence of every part: a tree of their terms."""
    (q_parts, tree), (p_parts, p_tree) = q._flat(), p._flat()
    if tree != p_tree:
        raise InputError(f"kl_divergence of parts {tree} and {p_tree}: expected the same tree of parts")
    leaves = tree.flatten_up_to(z)
    return tree.unflatten([rates(a, b, z_i) for a, b, z_i in zip(q_parts, p_parts, leaves, strict=True)])

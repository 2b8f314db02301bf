"""Independent columns of a table, of several kinds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from vae_jax.distributions.base import center, check_event, log_prob_each, stddev, support
from vae_jax.distributions.kl import total

Array = jax.Array


@functools.partial(jax.tree_util.register_dataclass, data_fields=["parts"], meta_fields=["positions"])
@dataclass(frozen=True)
class Columns:
    """prod_k p_k(x[positions_k]): a `Joint` of distributions over columns of one array, one for each kind.

    `parts`: distributions over [..., k], whose elements are independent. `positions`: for each, the k columns of
    the last axis that it is over; together all of 0, ..., d - 1, once each. The event is [..., d].
    """

    parts: tuple[Any, ...]
    positions: tuple[tuple[int, ...], ...]

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """Every part with a key of its own: [*event]."""
        keys = jax.random.split(key, len(self.parts))
        return self._in_order([part.sample(k) for part, k in zip(self.parts, keys, strict=True)])

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """The sum over all columns, a scalar in nats. x: [*event]."""
        return total([part.log_prob(x_k) for part, x_k in self._pairs(x)])

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """The term of each column, in the order of the columns: [*event] in nats. x: [*event]."""
        return self._in_order([log_prob_each(part, x_k) for part, x_k in self._pairs(x)])

    def mean(self) -> Float[Array, "*event"]:
        """[*event]; raises InputError where there is none, as of categories."""
        return self._of_parts(lambda part: part.mean())

    def center(self) -> Float[Array, "*event"]:
        """The centre of each column, of categories the most probable: [*event]."""
        return self._of_parts(center)

    def stddev(self) -> Float[Array, "*event"]:
        """[*event]; raises InputError where there is none, as of categories."""
        return self._of_parts(stddev)

    def support(self) -> tuple[Any, ...]:
        """That of each column: d of them."""
        each = [(i, support(part)) for part, where in zip(self.parts, self.positions, strict=True) for i in where]
        return tuple(s for _, s in sorted(each))

    def _pairs(self, x: Array) -> list[tuple[Any, Array]]:
        num = sum(map(len, self.positions))
        check_event(jnp.shape(x), (*jnp.shape(x)[:-1], num), "Columns.log_prob got an array")
        return [(part, _at(x, where)) for part, where in zip(self.parts, self.positions, strict=True)]

    def _of_parts(self, f: Callable[[Any], Array]) -> Array:
        return self._in_order([f(part) for part in self.parts])

    def _in_order(self, values: list[Array]) -> Array:
        order = np.argsort(np.concatenate([np.asarray(where, int) for where in self.positions]))
        return _at(jnp.concatenate(values, axis=-1), tuple(order.tolist()))


def _at(x: Any, positions: tuple[int, ...]) -> Array:
    """x[..., positions]; no gather, whose gradient is a scatter, where that is a slice."""
    x, first = jnp.asarray(x), positions[0]
    is_slice = positions == tuple(range(first, first + len(positions)))
    taken: Array = (
        x[..., first : first + len(positions)]
        if is_slice
        else x.at[..., np.asarray(positions)].get(unique_indices=True, mode="promise_in_bounds")
    )
    return taken

"""Tables with columns of several kinds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from vae_jax.data.columns import Column, Kind
from vae_jax.distributions import Categories, Columns, LogNormal, NegativeBinomial, Normal, bounded_scale
from vae_jax.errors import InputError
from vae_jax.likelihoods.rates import bounded_log_r, log_mean, log_of_mean
from vae_jax.likelihoods.reading import Reading, Stored, as_columns
from vae_jax.shapes import AnyArray

Array = jax.Array
_KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class MixedColumns:
    """Columns of a table, independent given z, each by its kind; densities are in the units of each column.

    real         Normal(scale raw, scale s): the column is stored less its loc; s is learned, one a column
    positive     log x ~ Normal(loc + scale raw, scale s), loc and scale those of log x; s likewise
    count        negative binomial of log mean raw; r is learned, one a column
    categorical  softmax of one raw number a category; x is a code 0, 1, ...

    The scales are parameters and not outputs of the decoder, with which a table of 20 columns over-fits by 2 nats.
    The decoder emits a number a column and one a category, in the order of the kinds above.
    """

    columns: tuple[Column, ...]
    """What each column holds, in their order."""

    def __post_init__(self) -> None:
        if not self.columns:
            raise InputError("no columns: expected at least one")
        for column in self.columns:
            if column.kind not in _KINDS:
                raise InputError(f"column {column.name} of kind {column.kind}: expected one of {', '.join(_KINDS)}")
            if not 0 < column.scale < math.inf or not math.isfinite(column.loc):
                raise InputError(
                    f"column {column.name} of loc {column.loc} and scale {column.scale}: expected numbers, with a "
                    "scale above 0"
                )
            if column.kind == "categorical" and not column.categories:
                raise InputError(f"column {column.name} without categories: expected at least one")

    def size(self, channels: int) -> int:
        """One number a column, and one a category. Raises InputError for another number of columns."""
        if channels != len(self.columns):
            raise InputError(
                f"a table of {channels} columns: expected {len(self.columns)}, as many as are described"
            )
        return sum(self._sizes("categorical")) + sum(column.kind != "categorical" for column in self.columns)

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Float[Array, "..."]]:
        """`real` and `positive`, the scales through `bounded_scale`, and `count`, log r: one a column."""
        return {kind: jnp.zeros(len(self._where(kind))) for kind in self._kinds() if kind != "categorical"}

    def apply(
        self, params: Any, raw: Float[Array, "*positions size"], context: Num[Array, " context"] | None = None
    ) -> Columns:
        """raw: [*positions, size(d)]. Returns a distribution over [*positions, d]; a table has no positions."""
        parts, begin = {}, 0
        for kind in self._kinds():
            num = sum(self._sizes(kind))
            parts[kind] = self._part(kind, params, raw[..., begin : begin + num])
            begin += num
        return Columns(tuple(parts.values()), tuple(self._where(kind) for kind in parts))

    def features(self, x: Num[Array, "*event"]) -> Float[Array, "*positions k"]:
        """What the encoder reads: numbers and logs of positive ones standardised, log(1 + count), one-hot codes.

        [*positions, k], in the order of the kinds, k = size(d).
        """
        x = jnp.asarray(x)
        x = x.astype(jnp.result_type(x, jnp.float32))
        read = [self._feature(kind, x[..., np.asarray(self._where(kind))]) for kind in self._kinds()]
        return jnp.concatenate(read, axis=-1)

    def seen_features(self, seen: Num[Array, "*event"]) -> Num[Array, "*positions k"]:
        """Which of the features are of columns that are seen: [*positions, k]."""
        of_column = [np.repeat(self._where(kind), self._sizes(kind)) for kind in self._kinds()]
        return jnp.asarray(seen)[..., np.concatenate(of_column)]

    def reads(self, stored: Stored) -> Reading:
        """Columns of several kinds: `as_columns`."""
        return as_columns(stored, "mixed columns")

    def bias(self, examples: Any) -> Float[np.ndarray, "*positions size"]:
        """The output of the decoder at the marginals of the examples, [*positions, size(d)].

        Means, logs of mean counts, and logs of the shares of categories, each category counted once more.
        """
        examples = np.asarray(examples, np.float64)
        read = [self._bias(kind, examples[..., self._where(kind)]) for kind in self._kinds()]
        return np.concatenate(read, axis=-1).astype(np.float32)

    def _part(self, kind: Kind, params: Any, raw: Array) -> Any:
        if kind == "count":
            return NegativeBinomial(log_mean(raw, None), bounded_log_r(params["count"]))
        if kind == "categorical":
            sizes = self._sizes(kind)
            # [columns, largest K]: where in `raw` the logits of a column are, and that it has so many.
            there = np.arange(max(sizes)) < np.asarray(sizes)[:, None]
            at = np.where(there, np.cumsum([0, *sizes[:-1]])[:, None] + np.arange(max(sizes)), 0)
            logits = raw[..., at]
            return Categories(jnp.where(jnp.broadcast_to(there, logits.shape), logits, -jnp.inf))
        loc, scale = (jnp.broadcast_to(jnp.asarray(a, raw.dtype), raw.shape) for a in self._units(kind))
        spread = scale * jnp.broadcast_to(bounded_scale(params[kind]), raw.shape)
        return Normal(scale * raw, spread) if kind == "real" else LogNormal(loc + scale * raw, spread)

    def _feature(self, kind: Kind, x: Array) -> Array:
        if kind == "count":
            return jnp.log1p(x)
        if kind == "categorical":
            sizes = self._sizes(kind)
            codes = np.concatenate([np.arange(size) for size in sizes])
            of_column = x[..., np.repeat(np.arange(len(sizes)), sizes)]
            return (of_column == jnp.broadcast_to(codes, of_column.shape)).astype(x.dtype)
        loc, scale = (jnp.broadcast_to(jnp.asarray(a, x.dtype), x.shape) for a in self._units(kind))
        # A gap is stored as 0, of which there is no log.
        return x / scale if kind == "real" else (jnp.log(jnp.where(x > 0, x, 1)) - loc) / scale

    def _bias(self, kind: Kind, x: np.ndarray) -> Float[AnyArray, "*positions k"]:
        if kind == "count":
            return log_of_mean(x)
        if kind == "categorical":
            found = [np.sum(x[..., i, None] == np.arange(k), axis=0) + 1 for i, k in enumerate(self._sizes(kind))]
            return np.concatenate([np.log(n / n.sum(axis=-1, keepdims=True)) for n in found], axis=-1)
        loc, scale = self._units(kind)
        if kind == "real":
            return np.mean(x, axis=0) / scale  # type: ignore[no-any-return]
        return (np.mean(np.log(np.maximum(x, 1e-30)), axis=0) - loc) / scale  # type: ignore[no-any-return]

    def _kinds(self) -> tuple[Kind, ...]:
        return tuple(kind for kind in _KINDS if self._where(kind))

    def _where(self, kind: str) -> tuple[int, ...]:
        return tuple(i for i, column in enumerate(self.columns) if column.kind == kind)

    def _sizes(self, kind: str) -> tuple[int, ...]:
        return tuple(len(column.categories) or 1 for column in self.columns if column.kind == kind)

    def _units(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        chosen = [column for column in self.columns if column.kind == kind]
        return np.asarray([c.loc for c in chosen]), np.asarray([c.scale for c in chosen])

"""The model that fits what was found: its likelihood, its network and the size of its latents, and why."""

from __future__ import annotations

import math
from collections.abc import Callable
from inspect import signature
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Num

from vae_jax.cli.facts import Facts
from vae_jax.data import factors_of, render, scale_to_unit, to_own_units, to_stored
from vae_jax.errors import InputError
from vae_jax.likelihoods import (
    BernoulliPixels,
    DiscretizedLogistic,
    InUnits,
    Likelihood,
    Masked,
    MixedColumns,
    NegativeBinomial,
    NormalPixels,
    Reading,
    with_gaps,
)
from vae_jax.networks import Activation, Network, choose
from vae_jax.optimizers import Adam, Optimizer
from vae_jax.runs.config import OWN_DATA
from vae_jax.runs.shown import name_of
from vae_jax.runs.task import Units

Array = jax.Array
Transform = Callable[[Array, Any], Any]
Binarization = Literal["dynamic", "static", "none"]


class Fitted(NamedTuple):
    """A likelihood on these data, wrapped for their units and their gaps, and how it reads them."""

    likelihood: Any
    reading: Reading
    chosen: str  # "NAME, reason"
    sized: bool  # whether the mean of counts is a share of their number, which is then a condition


def fitted(given: Likelihood | None, facts: Facts, binarization: Binarization, reason: str | None = None) -> Fitted:
    """The likelihood that was given, or the one that fits the data. Raises InputError for one that does not.

    reason: what is said in place of the reason that is found.
    """
    layout = facts.layout
    base, why = (given, "as asked for") if given is not None else _default(facts, binarization)
    why = reason or why
    name = name_of(type(base))
    likelihood: Any = base
    if layout.scale is not None:
        likelihood = InUnits(likelihood, layout.scale)
    if layout.missing:
        likelihood = Masked(likelihood)
    reading = base.reads(layout.stored)
    if isinstance(base, BernoulliPixels):
        why += _of_binarization(facts, binarization)
        if binarization != "dynamic" or facts.look == "rendered":
            reading = reading._replace(transform=_as_it_is)
    # The shares of what is seen are not known where a part is missing.
    sized = layout.stored == "counts" and not layout.missing and "size" in signature(base.apply).parameters
    return Fitted(likelihood, with_gaps(reading) if layout.missing else reading, f"{name}, {why}", sized)


def _default(facts: Facts, binarization: Binarization) -> tuple[Any, str]:
    layout = facts.layout
    if layout.form == "images":
        if facts.look in ("rendered", "binary", "nearly binary"):
            return BernoulliPixels(), f"for {'binary' if facts.look == 'rendered' else facts.look} images"
        if binarization == "static":
            return BernoulliPixels(), f"for {facts.look} images that are binarized once"
        if layout.stored == "levels":
            return DiscretizedLogistic(), f"for the 256 levels of {facts.look} images"
        kind = "in [0, 1]" if layout.stored == "unit" else "of any size"
        return NormalPixels("learned"), f"for {facts.look} images of real numbers {kind}"
    if layout.stored == "counts":
        of = "with gaps" if layout.missing else "given how many there are in an example"
        return NegativeBinomial(), f"for counts, {of}"
    if layout.stored == "columns":
        assert layout.columns is not None  # `Facts` has looked
        return MixedColumns(layout.columns), "for a table, each column by its kind"
    if layout.stored == "unit":
        return BernoulliPixels(), "for numbers that are all 0 or 1"
    if layout.form == "series":
        return NormalPixels("channel"), "for the real numbers of a series, with a learned scale for each channel"
    return NormalPixels("element"), "for the real numbers of a table, with a learned scale for each column"


def _of_binarization(facts: Facts, binarization: Binarization) -> str:
    if facts.look in ("rendered", "binary", None):
        return ""
    if binarization == "none":
        return (
            "; warning: not binarized, so that the loss is a cross-entropy and its numbers are no log-likelihood "
            "and no ELBO"
        )
    return f", {binarization} binarization: all numbers are of what is drawn from them"


def _as_it_is(key: Array, x: Any) -> Any:
    return scale_to_unit(x)


def transform_of(facts: Facts, on_data: Fitted) -> Transform:
    """From a stored example to one of the model: x, and where it has conditions the pair of x and these."""
    side, sized = facts.layout.event[0], on_data.sized

    def read(key: Array, stored: Any) -> Any:
        # An image is one already, as a sample of the run is.
        if facts.look == "rendered" and jnp.ndim(stored) == 0:
            stored = render(factors_of(stored), size=side)
        x = on_data.reading.transform(key, stored)
        return (x, size_of(x)) if sized else x

    if facts.num_classes is None:
        return read

    def paired(key: Array, pair: Any) -> Any:
        stored, label = pair
        if sized:
            x, size = read(key, stored)
            return x, (label, size)
        return read(key, stored), label

    return paired


def size_of(counts: Any) -> Num[Array, ""]:
    """How many there are in an example of counts, seen ones: a scalar."""
    return jnp.sum(jnp.ravel(getattr(counts, "value", counts)))


def units_of(facts: Facts, on_data: Fitted) -> Units:
    """What a finished run needs to take and give examples in their own units."""
    layout, reading = facts.layout, on_data.reading

    def restore(x: Any) -> Any:
        return to_own_units(np.asarray(reading.restore(jax.tree.map(jnp.asarray, x))), layout)

    def drawn(x: Any) -> Any:
        found = restore(x)
        if layout.stored == "levels":
            return np.clip(np.rint(found), 0, 255).astype(np.uint8)
        return np.rint(found).astype(np.int64) if layout.stored == "counts" else found

    def conditions(num: int, c: Any) -> Any:
        if facts.num_classes is not None:
            if c is None:
                raise InputError("the run models examples given a label: expected c, a label for each example")
            c = np.asarray(c)
        if not on_data.sized:
            return c
        sizes = np.full(num, facts.size, np.float32)
        if facts.num_classes is not None:
            return c, sizes
        if c is None:
            return sizes
        given = np.asarray(c)
        if given.dtype.kind not in "uif" or given.shape != (num,) or not (given >= 0).all():
            raise InputError(f"sizes {given.tolist()!r:.60}: expected {num} numbers from 0 up, one an example")
        return given.astype(np.float32)

    return Units(layout.event, lambda x: to_stored(x, layout), restore, drawn, conditions, reading.log_levels)


def defaults_for(facts: Facts, optimizer: Optimizer) -> dict[str, Any]:
    """How a run on own data is trained where its options leave that open."""
    if facts.layout.form != "table":
        return dict(OWN_DATA)
    # A step of a table takes a millisecond, and the validation ELBO of 5,000 rows of wine still rises after 20,000.
    rate = {"learning_rate": 2e-3} if isinstance(optimizer, Adam) else {}
    return {**OWN_DATA, "num_steps": 40_000, **rate}


def network_for(
    facts: Facts, name: str | None, hidden: tuple[int, ...] | None, activation: Activation | None
) -> tuple[Network, str]:
    """The network that was asked for, or the one that fits the shape, and why."""
    layout = facts.layout
    *positions, channels = layout.event
    if name is not None:
        return choose(name, hidden, activation), "as asked for"
    # Beyond 32x32 in colour the weights of a dense layer outnumber all else.
    large = layout.form == "series" or math.prod(layout.event) > 3 * 32 * 32
    if positions and large and all(side % 4 == 0 and side >= 16 for side in positions):
        sides = "x".join(map(str, positions))
        return choose("conv", hidden, activation), f"for {_a(layout.form)} of {sides} in {channels} channels"
    if layout.form == "table" and hidden is None:
        hidden = (128,)
    return choose("mlp", hidden, activation), f"for {_a(layout.form)} of {math.prod(layout.event)} numbers"


def latents_for(facts: Facts, size: int | None) -> tuple[int, str]:
    """The number of latents that was asked for, or 20, of a table at most as many as columns; and why."""
    if size is not None:
        return size, "as asked for"
    if facts.layout.form == "table":
        columns = facts.layout.event[-1]
        return max(1, min(20, columns)), f"for {columns} columns"
    return 20, f"for {_a(facts.layout.form)}"


def _a(form: str) -> str:
    return {"table": "a table", "series": "series"}.get(form, form)

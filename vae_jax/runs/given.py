"""What a user gives to a finished run, checked, and as the run has stored its own data."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from vae_jax.data.leading import num_examples
from vae_jax.distributions import Observed
from vae_jax.errors import InputError
from vae_jax.model import ConditionalVAE


def stored_examples(run: Any, x: Any, c: Any = None) -> Any:
    """Examples in own units as the run has stored its own, with their conditions where it has some.

    Raises InputError for another shape, for what is no number, for gaps where the run was trained on none, and
    where a condition is missing, not wanted, or unknown.
    """
    event = run.units.event
    x = np.asarray(x) if event else jax.tree.map(np.asarray, x)
    if event and (x.shape[1:] != event or not x.ndim):
        raise InputError(f"examples of shape {x.shape}: expected {['N', *event]}, as the run was trained on")
    if event and x.dtype.kind not in "buif":
        raise InputError(f"examples of dtype {x.dtype}: expected numbers, categories as codes 0, 1, ...")
    num = num_examples(x, name="x")
    if num < 1:
        raise InputError("no examples: expected at least one")
    conditions_of(run, num, c)
    if c is not None and run.facts.get("num_classes") is None and run.units.conditions(num, None) is not None:
        raise InputError("the size of an example is read of the example itself: leave out c")
    stored = run.units.store(x)
    if event and _has_gaps(stored) and not _reads_gaps(run, stored, c):
        raise InputError("examples with gaps (NaN): the run was trained on examples without any; fill them first")
    return stored if c is None else (stored, jax.tree.map(np.asarray, c))


def conditions_of(run: Any, num: int, c: Any) -> Any:
    """The conditions of the model for c, or none. Raises InputError where c is missing, not wanted, or unknown."""
    if not isinstance(run.model, ConditionalVAE):
        if c is not None:
            raise InputError("the run has no conditions: expected examples alone; leave out c")
        return None
    num_classes = run.facts.get("num_classes")
    if num_classes is not None and c is not None:
        _check_labels(np.asarray(c), num, num_classes)
    conditions = run.units.conditions(num, c)
    if conditions is None:
        raise InputError("the run models examples given a condition: expected c, one for each example")
    return conditions


def _check_labels(c: np.ndarray, num: int, num_classes: int) -> None:
    if c.shape != (num,) or c.dtype.kind not in "iu":
        raise InputError(f"c of shape {c.shape} and dtype {c.dtype}: expected {num} integers, a label an example")
    bad = np.flatnonzero((c < 0) | (c >= num_classes))
    if bad.size:
        raise InputError(f"label {c[bad[0]]} of example {bad[0]}: expected 0 to {num_classes - 1}")


def _has_gaps(stored: Any) -> bool:
    return any(a.dtype.kind == "f" and bool(np.isnan(a).any()) for a in jax.tree.leaves(stored))


def _reads_gaps(run: Any, stored: Any, c: Any) -> bool:
    example = jax.tree.map(lambda a: np.asarray(a)[0], stored if c is None else (stored, c))
    x = jax.eval_shape(run.transform, jax.random.key(0), example)
    return any(isinstance(leaf, Observed) for leaf in jax.tree.leaves(x, is_leaf=lambda a: isinstance(a, Observed)))

"""Whether an estimator is of one example or of a whole batch, found out where it failed as the other."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax

from vae_jax.errors import InputError

Array = jax.Array


@contextlib.contextmanager
def expected_of_one(
    estimator: Callable[..., Any], on_batch: Callable[[Any], Any], batch: Any, remedy: str
) -> Iterator[None]:
    """Around an estimator that is given one example: where it fails, and serves batches of any size, says so.

    on_batch: the estimator at a batch. batch: [batch, *event], from which the example was taken.
    remedy: what to do, {} for its name.
    """
    try:
        yield
    except Exception as error:
        if _serves_any_length(on_batch, batch):
            raise InputError(
                f"{_name(estimator)} is an estimator of a whole batch and was given one example: "
                f"{remedy.format(_name(estimator))}"
            ) from error
        raise


@contextlib.contextmanager
def expected_of_batch(estimator: Callable[..., Any], on_one: Callable[[Any], Any], batch: Any) -> Iterator[None]:
    """Around an estimator that is given a batch: where it fails, and serves one of its examples alone, says so.

    on_one: the estimator at one example. batch: [batch, *event].
    """
    try:
        yield
    except Exception as error:
        if _serves_one(on_one, batch):
            raise InputError(
                f"{_name(estimator)} is an estimator of one example and whole_batch gives it a batch: "
                f"use per_example({_name(estimator)}, ...)"
            ) from error
        raise


def check_scalar(estimator: Callable[..., Any], shape: tuple[int, ...], given: str) -> None:
    """Raises InputError for a loss that is no scalar. shape: that of the loss of what was given."""
    if shape != ():
        raise InputError(
            f"{_name(estimator)} returned a loss of shape {shape} for {given}: expected a scalar; sum over the "
            "event and take the mean over a batch (per_example does, of an estimator of one example)"
        )


def _serves_any_length(estimate: Callable[[Any], Any], batch: Any) -> bool:
    # An example whose first axis is taken for that of a batch: a network takes it at its one length only.
    return _has_scalar_loss(estimate, batch) and _has_scalar_loss(estimate, _of_other_length(batch))


def _serves_one(estimate: Callable[[Any], Any], batch: Any) -> bool:
    example = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), batch)
    has_axes = all(leaf.ndim for leaf in jax.tree.leaves(example))
    # A batch of batches, of which each would do for an estimator of a batch.
    return _has_scalar_loss(estimate, example) and not (has_axes and _serves_any_length(estimate, example))


def _of_other_length(batch: Any) -> Any:
    # A short one, for some estimators know how many examples there are, and some need two.
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((3 if a.shape[0] == 2 else 2, *a.shape[1:]), a.dtype), batch)


def _has_scalar_loss(estimate: Callable[[Any], Any], batch: Any) -> bool:
    try:
        return bool(jax.eval_shape(lambda batch: estimate(batch)[0], batch).shape == ())
    except Exception:  # of any kind: the question is whether there is one
        return False


def _name(estimator: Callable[..., Any]) -> str:
    while isinstance(estimator, functools.partial):
        estimator = estimator.func
    return str(getattr(estimator, "__name__", type(estimator).__name__))

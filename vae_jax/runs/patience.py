"""The end of a run that no longer gets better, and the checkpoint that is then its result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vae_jax.runs.processes import any_process, is_first
from vae_jax.training.checkpoints import best_step, latest_step


class Best(NamedTuple):
    """The best evaluation so far."""

    step: int
    elbo: float  # on the validation set, in nats per example
    waited: int = 0  # evaluations after it of which none was better


def after_evaluation(best: Best | None, step: int, elbo: float) -> Best:
    """The best evaluation when one more is known; of two equal ones the later, whose checkpoint is kept."""
    if best is None or elbo > best.elbo:
        return Best(step, elbo)
    return Best(step if elbo == best.elbo else best.step, best.elbo, best.waited + 1)


def best_of_rows(rows: Iterable[Mapping[str, Any]], since: int) -> Best | None:
    """The best evaluation among the rows of a log, from step `since` on; None where there is none.

    A run that goes on knows from them what it knew when it was cut: a row is written before its checkpoint, and
    rows after the last checkpoint are dropped.
    """
    best = None
    for row in rows:
        if "validation_elbo" in row and row["step"] >= since:
            best = after_evaluation(best, row["step"], row["validation_elbo"])
    return best


def is_over(best: Best | None, patience: int | None) -> bool:
    """Whether the run ends: the first process, which has the log, decides for all."""
    if not patience:
        return False
    return any_process(is_first() and best is not None and best.waited >= patience)


def evaluated_step(checkpointer: Any, patience: int | None) -> int | None:
    """The step of the checkpoint that is the result of a run: the latest, or with a patience the best."""
    best = best_step(checkpointer) if patience else None
    return latest_step(checkpointer) if best is None else best

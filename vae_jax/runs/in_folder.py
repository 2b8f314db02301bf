"""Training whose progress is kept in a folder: the one loop of a run, of a study of many runs, and of a notebook.

Training stops anywhere and goes on from its last checkpoint; rows that a killed process wrote after that are
dropped and written again, with the same numbers.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Num

from vae_jax.errors import InputError
from vae_jax.evaluation import NotFiniteError
from vae_jax.runs.folder import append_row, keep_rows, read_rows
from vae_jax.runs.patience import Best, after_evaluation, best_of_rows, is_over
from vae_jax.runs.processes import any_process, first_only
from vae_jax.runs.progress import Progress
from vae_jax.runs.starting import seconds_since_start
from vae_jax.runs.stopping import sigterm_noted
from vae_jax.training import AfterCall, NonFiniteLossError, TrainState
from vae_jax.training.checkpoints import latest_step, open_checkpoints, restore, save

Advance = Callable[[TrainState, AfterCall], TrainState]
Row = dict[str, Any]


class _Over(Exception):
    """Ends the calls of a run; it has the state, whose memory no later call takes."""

    def __init__(self, state: TrainState):
        super().__init__()
        self.state = state


def _say_over(step: int, best: Best | None) -> None:
    if best is not None:  # in the first process, which prints
        print(
            f"stopped at step {step}: no better validation ELBO for {best.waited} evaluations; the best, "
            f"{best.elbo:.2f} at step {best.step}, is kept",
            flush=True,
        )


def mean_row(metrics: Mapping[str, Num[np.ndarray, " steps"]]) -> Row:
    """The means over the steps of a call that were made, none where all were skipped, and how many were skipped."""
    made = metrics["skipped"] == 0
    # JSON has no NaN.
    means = {name: float(np.mean(values[made])) for name, values in metrics.items()} if made.any() else {}
    return means | {"skipped": int(np.sum(~made))}


def rows_of_runs(metrics: Mapping[str, Num[np.ndarray, "runs steps"]]) -> Row:
    """As `mean_row` for many runs at once, whose metrics are [runs, steps]: a list of the means of each run."""
    return {name: np.mean(values, axis=1).tolist() for name, values in metrics.items()}


def train_in_folder(
    folder: Any,
    state: TrainState,
    advance: Advance,
    *,
    num_steps: int,
    save_every: int,
    num_runs: int | None = None,
    evaluate: Callable[[TrainState], dict[str, float]] | None = None,
    identity: dict[str, Any] | None = None,
    keep: int = 2,
    patience: int | None = None,
    scored_from: int = 0,
    stop: list[int] | None = None,
) -> TrainState:
    """Trains to step `num_steps` with a checkpoint every `save_every` steps, from the last one in `folder` if any.

    state: a fresh one, given up. advance: `(state, after_call) -> state`, as
    `lambda state, after_call: fit(..., state, ..., num_steps=num_steps, after_call=after_call)`; its calls must end
    at the multiples of `save_every`. After each call `mean_row`, of `num_runs` runs that are trained at once
    `rows_of_runs`, goes to metrics.jsonl, with `validation_...` from `evaluate(state)`, whose `elbo` decides which
    checkpoint is kept as the best beside the last `keep`.
    patience: evaluations in a row without a higher `elbo` after which the run ends before step `num_steps`, the
    same in all processes and however often it was cut; None or 0 for none. scored_from: the first step whose
    evaluation counts, for that and for the best checkpoint, as where a weight of the objective has grown to its
    value (`schedules_end`). One run alone has a patience, for many that are trained at once end together.
    identity: JSON that tells this run from others, kept with the checkpoints. stop: the signals that were noted so
    far, of `sigterm_noted`; by default those that come from now on count.

    Returns the last state; with a patience the result of the run is the best checkpoint. SIGTERM ends it by
    SystemExit(0) after the call it came in, with the state saved. Raises InputError, which names the last good
    checkpoint, for a loss, a gradient or an evaluation that is not finite, and for a patience without `evaluate`.
    """
    if patience and (evaluate is None or num_runs is not None):
        raise InputError(f"patience {patience}: expected one run with `evaluate`; leave it out")
    noted = sigterm_noted() if stop is None else contextlib.nullcontext(stop)
    with noted as stopped, open_checkpoints(folder / "checkpoints", config=identity, keep=keep) as kept:
        if latest_step(kept) is not None:
            state = restore(kept, state)
        first = int(state.step)
        first_only(lambda: keep_rows(folder, first, num_runs))
        row = mean_row if num_runs is None else rows_of_runs
        best = best_of_rows(read_rows(folder), scored_from) if patience else None
        if first < num_steps and is_over(best, patience):
            _say_over(first, best)
            return state
        with Progress(first, num_steps) as progress:

            def after_call(state: TrainState, metrics: dict[str, np.ndarray]) -> None:
                nonlocal best
                step, calls = int(state.step), metrics["skipped"].shape[-1]
                if step - calls == first:
                    progress.started(calls, seconds_since_start())
                line: Row = {"step": step} | row(metrics)
                # Of many runs the median one is shown.
                progress.update({name: float(np.median(value)) for name, value in line.items()} | {"step": step})
                due = step // save_every > (step - calls) // save_every or step == num_steps
                held_out = evaluate(state) if due and evaluate else {}
                line |= {f"validation_{name}": value for name, value in held_out.items()}
                # The row comes before the checkpoint: a resumed run drops rows beyond its checkpoint, but could
                # not make up for one that is missing.
                first_only(lambda: append_row(folder, line))
                scored = {"elbo": held_out["elbo"]} if held_out and step >= scored_from else None
                if due:
                    save(kept, state, scored)
                    progress.evaluated(step, held_out) if held_out else progress.reached(step, "saved")
                if any_process(bool(stopped)):
                    if not due:
                        save(kept, state)
                    print(f"stopped by SIGTERM at step {step}, where --resume goes on", flush=True)
                    sys.exit(0)
                best = after_evaluation(best, step, scored["elbo"]) if scored else best
                if scored and step < num_steps and is_over(best, patience):
                    raise _Over(state)

            try:
                with _last_good_named(folder, kept):
                    return advance(state, after_call)
            except _Over as over:
                _say_over(int(over.state.step), best)
                return over.state


@contextlib.contextmanager
def _last_good_named(folder: Any, kept: Any) -> Iterator[None]:
    """What is not finite ends in one line, which says where the last good state is."""
    try:
        yield
    except (NonFiniteLossError, NotFiniteError) as error:
        kept.wait()
        good = latest_step(kept)
        where = (
            f"the last good checkpoint is {folder / 'checkpoints' / str(good)}"
            if good
            else "there is no checkpoint yet"
        )
        raise InputError(f"{error}; {where}") from error

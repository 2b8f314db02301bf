"""Training whose progress is kept in a folder: the one loop of a run, of a study of many runs, and of a notebook.

Training stops anywhere and goes on from its last checkpoint; rows that a killed process wrote after that are
dropped and written again, with the same numbers.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Num

from vae_jax.errors import InputError
from vae_jax.evaluation import NotFiniteError
from vae_jax.runs.folder import append_row, keep_rows
from vae_jax.runs.processes import any_process, first_only
from vae_jax.runs.progress import Progress
from vae_jax.runs.starting import seconds_since_start
from vae_jax.runs.stopping import sigterm_noted
from vae_jax.training import AfterCall, NonFiniteLossError, TrainState
from vae_jax.training.checkpoints import latest_step, open_checkpoints, restore, save

Advance = Callable[[TrainState, AfterCall], TrainState]
Row = dict[str, Any]


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
    stop: list[int] | None = None,
) -> TrainState:
    """Trains to step `num_steps` with a checkpoint every `save_every` steps, from the last one in `folder` if any.

    state: a fresh one, given up. advance: `(state, after_call) -> state`, as
    `lambda state, after_call: fit(..., state, ..., num_steps=num_steps, after_call=after_call)`; its calls must end
    at the multiples of `save_every`. After each call `mean_row`, of `num_runs` runs that are trained at once
    `rows_of_runs`, goes to metrics.jsonl, with `validation_...` from `evaluate(state)`, whose `elbo` decides which
    checkpoint is kept as the best beside the last `keep`.
    identity: JSON that tells this run from others, kept with the checkpoints. stop: the signals that were noted so
    far, of `sigterm_noted`; by default those that come from now on count.

    SIGTERM ends it by SystemExit(0) after the call it came in, with the state saved. Raises InputError, which names
    the last good checkpoint, for a loss, a gradient or an evaluation that is not finite.
    """
    noted = sigterm_noted() if stop is None else contextlib.nullcontext(stop)
    with noted as stopped, open_checkpoints(folder / "checkpoints", config=identity, keep=keep) as kept:
        if latest_step(kept) is not None:
            state = restore(kept, state)
        first = int(state.step)
        first_only(lambda: keep_rows(folder, first, num_runs))
        row = mean_row if num_runs is None else rows_of_runs
        with Progress(first, num_steps) as progress:

            def after_call(state: TrainState, metrics: dict[str, np.ndarray]) -> None:
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
                if due:
                    save(kept, state, {"elbo": held_out["elbo"]} if held_out else None)
                    progress.evaluated(step, held_out) if held_out else progress.reached(step, "saved")
                if any_process(bool(stopped)):
                    if not due:
                        save(kept, state)
                    print(f"stopped by SIGTERM at step {step}, where --resume goes on", flush=True)
                    sys.exit(0)

            try:
                return advance(state, after_call)
            except (NonFiniteLossError, NotFiniteError) as error:
                kept.wait()
                good = latest_step(kept)
                where = (
                    f"the last good checkpoint is {folder / 'checkpoints' / str(good)}"
                    if good
                    else "there is no checkpoint yet"
                )
                raise InputError(f"{error}; {where}") from error

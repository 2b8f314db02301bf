"""A run: from a config to a folder with its log, its checkpoints and its summary.

The folder holds config.json, data.json (what the model must know of the data), metrics.jsonl (a row a compiled
call), checkpoints/, figures/ and summary.json.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vae_jax.data.streaming import stream
from vae_jax.evaluation import evaluator, mean_and_error
from vae_jax.objectives import elbo
from vae_jax.runs.begun import identity, write_begun
from vae_jax.runs.finished import Finished
from vae_jax.runs.folder import read_rows, write_json
from vae_jax.runs.in_folder import train_in_folder
from vae_jax.runs.lock import locked
from vae_jax.runs.patience import evaluated_step
from vae_jax.runs.plan import Plan, batch_size_of, fresh_state, planned, with_steps_per_call
from vae_jax.runs.processes import any_process, first_only
from vae_jax.runs.stopping import sigterm_noted
from vae_jax.runs.task import EVALUATION_SEED, Config, Data, hash_of, is_streamed
from vae_jax.training import (
    TrainState,
    fit,
    over_chunk,
    read_checkpoints,
    replicate,
    restore_params,
    schedules_end,
    to_host,
)

MeanMetrics = Callable[[Any, Any], dict[str, float]]  # parameters, data -> means and standard errors, nats

# A state that gives nothing else would otherwise train for ever without moving.
MAX_SKIPPED = 100


def train(config: Config) -> Finished:
    """Trains what a config describes, from the start or the last checkpoint, and evaluates it on the test set.

    Returns the finished run: the averaged parameters, and a summary with the test ELBO, its parts and standard
    errors in nats per example at these parameters, and the run's cost. All devices of all processes share the
    work. SIGTERM ends it by SystemExit(0) after the compiled call it came in (the first, during the start), with
    the state saved, so that the run goes on from there; in the final evaluation after it, with no summary. Raises
    InputError for what cannot be trained, before anything is written.
    """
    return train_on_data(config)[0]


def train_on_data(config: Config) -> tuple[Finished, Data]:
    """As `train`; also the data that were read for it, for what is made of them afterwards."""
    with sigterm_noted() as stop:
        plan = planned(config)
        if plan.run.dry_run:
            print("nothing was trained or written (--dry-run)")
            sys.exit(0)
        plan = with_steps_per_call(plan)
        with locked(plan.folder):
            return _run(plan, stop), plan.data


def _run(plan: Plan, stop: list[int]) -> Finished:
    first_only(lambda: write_begun(plan.folder, plan.config, plan.facts, hash_of(plan.data)))
    begin = time.perf_counter()
    each = _metrics(plan)
    evaluate = _means(each)
    first, state = _trained(plan, evaluate, stop)
    seconds = time.perf_counter() - begin
    step, params = _result(plan, state)
    tested = evaluate(params, plan.data.test)
    if any_process(bool(stop)):
        print("stopped by SIGTERM in the final evaluation, which --resume makes again", flush=True)
        sys.exit(0)
    summary = _summary(plan, int(state.step), step, tested, first, seconds)
    # What others are compared with by `score`, when these examples are no longer there.
    of_validation = each(params, plan.data.validation)["elbo"].tolist()
    first_only(lambda: write_json(plan.folder / "validation.json", {"elbo": of_validation}))
    first_only(lambda: write_json(plan.folder / "summary.json", summary))
    print(
        f"test ELBO {summary['test_elbo']:.2f} +- {summary['test_elbo_standard_error']:.2f} nats (distortion "
        f"{summary['test_distortion']:.2f}, rate {summary['test_rate']:.2f}; {summary['num_test']} examples) "
        f"after {step} steps; training took {seconds:.0f} s"
    )
    if "test_bits_per_dimension" in summary:
        how = "a bound, for levels were dequantized" if plan.task.units.log_levels else "of the levels themselves"
        print(f"test bits per dimension at most {summary['test_bits_per_dimension']:.4f}, {how}")
    return Finished(
        plan.run.out,
        plan.config,
        plan.task.vae,
        to_host(plan.mesh, params),
        plan.task.transform,
        dict(plan.facts),
        summary,
        plan.task.units,
    )


def _result(plan: Plan, state: TrainState) -> tuple[int, Any]:
    """The step whose parameters are the result of the run, and these: their moving average."""
    if not plan.run.patience:
        return int(state.step), state.ema
    with read_checkpoints(plan.folder / "checkpoints", config=_identity(plan)) as checkpointer:
        step = evaluated_step(checkpointer, plan.run.patience)
        return step or int(state.step), restore_params(checkpointer, state.ema, step=step)


def _identity(plan: Plan) -> dict[str, Any]:
    return identity(plan.config) | {"split_sha256": hash_of(plan.data)}


def _on_devices(plan: Plan) -> Any:
    if not is_streamed(plan.data):
        return replicate(plan.mesh, plan.data.train)
    return stream(plan.data.train, batch_size_of(plan), put=over_chunk(plan.mesh))


def _trained(plan: Plan, evaluate: MeanMetrics, stop: list[int]) -> tuple[int, TrainState]:
    """The step at which this process began, and the state at the end."""
    run, begun = plan.run, []

    def advance(state: TrainState, after_call: Any) -> TrainState:
        begun.append(int(state.step))
        return fit(
            plan.loss,
            plan.optimizer,
            plan.next_batch,
            state,
            _on_devices(plan),
            num_steps=plan.length.num_steps,
            steps_per_call=run.steps_per_call or 1,
            ema_decay=run.ema_decay,
            max_skipped=MAX_SKIPPED if run.on_nan == "skip" else 0,
            after_call=after_call,
        )

    validation = replicate(plan.mesh, plan.data.validation)
    state = train_in_folder(
        plan.folder,
        fresh_state(plan),
        advance,
        num_steps=plan.length.num_steps,
        save_every=run.eval_every or 1,
        evaluate=lambda state: evaluate(state.ema, validation),
        identity=_identity(plan),
        patience=run.patience,
        scored_from=schedules_end(plan.loss, plan.length.num_steps),
        stop=stop,
    )
    # A run that had ended already does not come to its first call.
    return begun[0] if begun else int(state.step), state


def _means(each: Callable[[Any, Any], dict[str, np.ndarray]]) -> MeanMetrics:
    """The means over examples, each with its standard error."""

    def of(params: Any, data: Any) -> dict[str, float]:
        named = {}
        for name, value in each(params, data).items():
            named[name], named[f"{name}_standard_error"] = mean_and_error(value)
        return named

    return of


def _metrics(plan: Plan) -> Callable[[Any, Any], dict[str, np.ndarray]]:
    """The ELBO and its parts of each example; compiled once for each number of examples."""
    each = evaluator(elbo, plan.task.vae, transform=plan.task.transform, mesh=plan.mesh)
    return lambda params, data: each(params, jax.random.key(EVALUATION_SEED), replicate(plan.mesh, data))


def _summary(
    plan: Plan, steps: int, evaluated: int, tested: dict[str, float], first: int, seconds: float
) -> dict[str, Any]:
    rows = read_rows(plan.folder)
    bits = plan.task.units.bits_per_dimension(tested["elbo"])
    return {
        "steps": steps,
        "evaluated_step": evaluated,
        **{f"test_{name}": value for name, value in tested.items()},
        **({} if bits is None else {"test_bits_per_dimension": bits}),
        "num_test": jax.tree.leaves(plan.data.test)[0].shape[0],
        "estimator": "ELBO, one sample of z per example, moving average of the parameters, nats per example",
        "seconds_this_time": round(seconds, 2),
        "steps_this_time": steps - first,
        "skipped_steps": sum(row.get("skipped", 0) for row in rows),
    }

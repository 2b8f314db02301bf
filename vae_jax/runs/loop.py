"""A run: from a config to a folder with its log, its checkpoints and its summary.

The folder holds config.json, data.json (what the model must know of the data), metrics.jsonl (a row a compiled
call), checkpoints/, figures/ and summary.json.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from vae_jax.data.batches import shuffled_batches
from vae_jax.data.streaming import stream, streamed_batches
from vae_jax.errors import InputError
from vae_jax.evaluation import evaluator, mean_and_error
from vae_jax.objectives import Loss, elbo
from vae_jax.paths import as_path
from vae_jax.runs.begun import check_begun, identity, read_data_json, write_begun
from vae_jax.runs.calls import chosen_steps_per_call
from vae_jax.runs.config import Length, RunConfig, continued, run_of, settled, stored_config
from vae_jax.runs.finished import Finished
from vae_jax.runs.folder import read_rows, write_json
from vae_jax.runs.in_folder import train_in_folder
from vae_jax.runs.lock import locked
from vae_jax.runs.processes import any_process, first_only
from vae_jax.runs.size import check_parameters
from vae_jax.runs.stopping import sigterm_noted
from vae_jax.runs.task import (
    EVALUATION_SEED,
    Config,
    Data,
    Task,
    batches_in_chunk,
    check_same_data,
    first_batches,
    hash_of,
    is_streamed,
    loss_of,
    num_train,
    starting_examples,
)
from vae_jax.training import (
    NextBatch,
    TrainState,
    fit,
    init_state,
    make_mesh,
    over_chunk,
    partitioned,
    replicate,
    shard_batches,
    spread_chunk,
    state_sharding,
    to_host,
)

MeanMetrics = Callable[[TrainState, Any], dict[str, float]]  # state, data -> means and standard errors, nats

# A state that gives nothing else would otherwise train for ever without moving.
MAX_SKIPPED = 100


class Plan(NamedTuple):
    """All that a run needs, before its first step."""

    config: Any
    run: RunConfig
    length: Length
    data: Data
    facts: Mapping[str, Any]
    task: Task
    mesh: Mesh
    loss: Loss
    optimizer: optax.GradientTransformation
    next_batch: NextBatch

    @property
    def folder(self) -> Any:
        """Where the run is written."""
        return as_path(self.run.out)


def train(config: Config) -> Finished:
    """Trains what a config describes, from the start or the last checkpoint, and evaluates it on the test set.

    Returns the finished run: the averaged parameters, and a summary with the test ELBO, its parts and standard
    errors in nats per example at these parameters, and the run's cost. All devices of all processes share the
    work. SIGTERM ends it by SystemExit(0) after the compiled call it came in (the first, during the start), with
    the state saved, so that the run goes on from there; in the final evaluation after it, with no summary. Raises
    InputError for what cannot be trained, before anything is written.
    """
    with sigterm_noted() as stop:
        plan = _with_steps_per_call(_planned(config))
        with locked(plan.folder):
            return _run(plan, stop)


def _run(plan: Plan, stop: list[int]) -> Finished:
    first_only(lambda: write_begun(plan.folder, plan.config, plan.facts, hash_of(plan.data)))
    begin = time.perf_counter()
    evaluate = _mean_metrics(plan)
    first, state = _trained(plan, evaluate, stop)
    seconds = time.perf_counter() - begin
    tested = evaluate(state, plan.data.test)
    if any_process(bool(stop)):
        print("stopped by SIGTERM in the final evaluation, which --resume makes again", flush=True)
        sys.exit(0)
    summary = _summary(plan, state, tested, first, seconds)
    first_only(lambda: write_json(plan.folder / "summary.json", summary))
    print(
        f"test ELBO {summary['test_elbo']:.2f} +- {summary['test_elbo_standard_error']:.2f} nats (distortion "
        f"{summary['test_distortion']:.2f}, rate {summary['test_rate']:.2f}; {summary['num_test']} examples) "
        f"after {summary['steps']} steps; training took {seconds:.0f} s"
    )
    params = to_host(plan.mesh, state.ema)
    return Finished(
        plan.run.out, plan.config, plan.task.vae, params, plan.task.transform, dict(plan.facts), summary
    )


def _planned(given: Config) -> Plan:
    """What is to be done, checked; a run that is in the folder has its say."""
    run = run_of(given)
    folder = as_path(run.out)
    _check(run)
    first_only(lambda: check_begun(folder, resume=run.resume))
    stored = stored_config(folder, type(given))
    config = given if stored is None else continued(stored, given, folder)
    data = config.load_data()
    began = read_data_json(folder)
    if began.get("sha256"):
        check_same_data(folder, began["sha256"], data, config.run.batch_size)
    mesh = make_mesh(model=run.model_devices)
    run, length = settled(config.run, num_train(data), mesh.size)
    facts = began.get("facts") or dict(data.facts)
    task = config.make_task(facts, starting_examples(data))
    if stored is not None and task.length_matters:
        before = settled(stored.run, num_train(data), mesh.size)[1]
        if before != length:
            raise InputError(
                f"{folder} was begun for {before.num_steps} steps, not {length.num_steps}: expected the same, for "
                "a schedule depends on the length of the run; choose another folder by --out for another run"
            )
    shapes = check_parameters(task.vae.init)
    optimizer = partitioned(task.optimizer or optax.adam(run.learning_rate), task.optimizers, shapes)
    streamed = is_streamed(data)
    next_batch = streamed_batches(task.transform) if streamed else shuffled_batches(run.batch_size, task.transform)  # type: ignore[arg-type]
    plan = Plan(
        dataclasses.replace(config, run=run),  # type: ignore[type-var]
        run,
        length,
        data,
        facts,
        task,
        mesh,
        loss_of(task),
        optimizer,
        shard_batches(mesh, next_batch),
    )
    _check_first_step(plan, next_batch)
    return plan


def _check(run: RunConfig) -> None:
    """Raises InputError for numbers that no run can have."""
    if not (run.learning_rate > 0 and 0 <= run.seed < 2**32 and 0 <= run.ema_decay < 1):
        raise InputError(
            f"learning rate {run.learning_rate}, seed {run.seed}, EMA decay {run.ema_decay}: expected a rate above "
            "0, a seed in 0..2^32 - 1, and a decay in [0, 1)"
        )
    if run.steps_per_call is not None and run.steps_per_call < 1:
        raise InputError(f"steps_per_call {run.steps_per_call}: expected at least 1")


def _check_first_step(plan: Plan, next_batch: NextBatch) -> None:
    """What does not fit together is told by the shapes alone, before anything is written."""

    def first_step(key: jax.Array, data: Any) -> Any:
        step = jnp.int32(0)
        return plan.loss(plan.task.vae.init(key), key, next_batch(data, key, step), step)

    jax.eval_shape(first_step, jax.random.key(0), first_batches(plan.data, _batch_size(plan), 1))


def _batch_size(plan: Plan) -> int:
    assert plan.run.batch_size is not None  # `settled` has set it
    return plan.run.batch_size


def _fresh_state(plan: Plan) -> TrainState:
    place = functools.partial(state_sharding, plan.mesh)
    return init_state(plan.task.vae.init, plan.optimizer, jax.random.key(plan.run.seed), sharding=place)


def _on_devices(plan: Plan) -> Any:
    if not is_streamed(plan.data):
        return replicate(plan.mesh, plan.data.train)
    return stream(plan.data.train, _batch_size(plan), put=over_chunk(plan.mesh))


def _with_steps_per_call(plan: Plan) -> Plan:
    """The plan with the length of a compiled call, which is chosen once and kept with the run."""
    if plan.run.steps_per_call is not None:
        return plan
    most = batches_in_chunk(plan.data, _batch_size(plan), min(plan.run.eval_every or 1, 100))
    data = first_batches(plan.data, _batch_size(plan), 1)
    data = spread_chunk(plan.mesh, data) if is_streamed(plan.data) else replicate(plan.mesh, data)
    fresh = functools.partial(_fresh_state, plan)
    steps = chosen_steps_per_call(plan.loss, plan.optimizer, plan.next_batch, fresh, data, most)
    run = dataclasses.replace(plan.run, steps_per_call=steps)
    return plan._replace(run=run, config=dataclasses.replace(plan.config, run=run))


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
        _fresh_state(plan),
        advance,
        num_steps=plan.length.num_steps,
        save_every=run.eval_every or 1,
        evaluate=lambda state: evaluate(state, validation),
        identity=identity(plan.config) | {"split_sha256": hash_of(plan.data)},
        stop=stop,
    )
    return begun[0], state


def _mean_metrics(plan: Plan) -> MeanMetrics:
    """The ELBO and its parts at the averaged parameters; compiled once for each number of examples."""
    each = evaluator(elbo, plan.task.vae, transform=plan.task.transform, mesh=plan.mesh)

    def of(state: TrainState, data: Any) -> dict[str, float]:
        named = {}
        for name, value in each(state.ema, jax.random.key(EVALUATION_SEED), replicate(plan.mesh, data)).items():
            named[name], named[f"{name}_standard_error"] = mean_and_error(value)
        return named

    return of


def _summary(plan: Plan, state: TrainState, tested: dict[str, float], first: int, seconds: float) -> dict[str, Any]:
    rows = read_rows(plan.folder)
    return {
        "steps": int(state.step),
        **{f"test_{name}": value for name, value in tested.items()},
        "num_test": jax.tree.leaves(plan.data.test)[0].shape[0],
        "estimator": "ELBO, one sample of z per example, moving average of the parameters, nats per example",
        "seconds_this_time": round(seconds, 2),
        "steps_this_time": int(state.step) - first,
        "skipped_steps": sum(row.get("skipped", 0) for row in rows),
    }

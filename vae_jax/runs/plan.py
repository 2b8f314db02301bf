"""What a run is going to do: its config, the numbers that were left to the data, the model and its optimizer."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from vae_jax.data.batches import shuffled_batches
from vae_jax.data.streaming import streamed_batches
from vae_jax.errors import InputError
from vae_jax.objectives import Loss
from vae_jax.optimizers import Adam, clipped, rate_over_steps
from vae_jax.paths import as_path
from vae_jax.runs.begun import check_begun, read_data_json
from vae_jax.runs.calls import chosen_steps_per_call
from vae_jax.runs.config import Length, RunConfig, continued, run_of, settled, stored_config, with_defaults
from vae_jax.runs.fields import field_hints, may_change
from vae_jax.runs.processes import first_only
from vae_jax.runs.size import check_parameters
from vae_jax.runs.task import (
    Config,
    Data,
    Task,
    batches_in_chunk,
    check_same_data,
    first_batches,
    is_streamed,
    loss_of,
    num_train,
    starting_examples,
)
from vae_jax.training import (
    NextBatch,
    TrainState,
    init_state,
    make_mesh,
    partitioned,
    replicate,
    shard_batches,
    spread_chunk,
    state_sharding,
)


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


def planned(given: Config) -> Plan:
    """What is to be done, checked; a run that is in the folder has its say."""
    run = run_of(given)
    folder = as_path(run.out)
    _check(run)
    first_only(lambda: check_begun(folder, resume=run.resume))
    stored = stored_config(folder, type(given))
    config = given if stored is None else continued(stored, given, folder)
    data = _loaded(config, stored, folder)
    began = read_data_json(folder)
    if began.get("sha256"):
        check_same_data(folder, began["sha256"], data, config.run.batch_size)
    for name, text in data.described:
        print(f"{name}: {text}")
    mesh = make_mesh(model=run.model_devices)
    facts = began.get("facts") or dict(data.facts)
    task = config.make_task(facts, starting_examples(data))
    # A run that goes on, also one begun before there were such defaults, keeps what it began with.
    run = with_defaults(config.run, task.defaults) if stored is None else config.run
    run, length = settled(run, num_train(data), mesh.size)
    if stored is None and config.run.lr_warmup is None and run.lr_warmup:
        # Nobody has asked for it: a short run is not spent on it.
        run = dataclasses.replace(run, lr_warmup=min(run.lr_warmup, length.num_steps // 4))
    if stored is not None:
        _check_length(folder, task, settled(stored.run, num_train(data), mesh.size)[1], length, run)
    shapes = check_parameters(task.vae.init)
    optimizer = partitioned(_optimizer(task, run, length), task.optimizers, shapes)
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


def with_steps_per_call(plan: Plan) -> Plan:
    """The plan with the length of a compiled call, which is chosen once and kept with the run."""
    if plan.run.steps_per_call is not None:
        return plan
    most = batches_in_chunk(plan.data, batch_size_of(plan), min(plan.run.eval_every or 1, 100))
    data = first_batches(plan.data, batch_size_of(plan), 1)
    data = spread_chunk(plan.mesh, data) if is_streamed(plan.data) else replicate(plan.mesh, data)
    fresh = functools.partial(fresh_state, plan)
    steps = chosen_steps_per_call(plan.loss, plan.optimizer, plan.next_batch, fresh, data, most)
    run = dataclasses.replace(plan.run, steps_per_call=steps)
    return plan._replace(run=run, config=dataclasses.replace(plan.config, run=run))


def fresh_state(plan: Plan) -> TrainState:
    """The state before the first step, where the devices want it."""
    place = functools.partial(state_sharding, plan.mesh)
    return init_state(plan.task.vae.init, plan.optimizer, jax.random.key(plan.run.seed), sharding=place)


def batch_size_of(plan: Plan) -> int:
    """The number of examples in a batch, of all devices together."""
    assert plan.run.batch_size is not None  # `settled` has set it
    return plan.run.batch_size


def _check(run: RunConfig) -> None:
    """Raises InputError for numbers that no run can have."""
    rate = run.learning_rate is None or run.learning_rate > 0
    if not (rate and 0 <= run.seed < 2**32 and 0 <= run.ema_decay < 1):
        raise InputError(
            f"learning rate {run.learning_rate}, seed {run.seed}, EMA decay {run.ema_decay}: expected a rate above "
            "0, a seed in 0..2^32 - 1, and a decay in [0, 1)"
        )
    if run.steps_per_call is not None and not 1 <= run.steps_per_call < 2**31:
        raise InputError(f"steps_per_call {run.steps_per_call}: expected at least 1 and less than 2^31")
    if run.patience is not None and not 0 <= run.patience < 2**31:
        raise InputError(f"patience {run.patience}: expected a number of evaluations from 1 up, or 0 for no end")


def _optimizer(task: Task, run: RunConfig, length: Length) -> optax.GradientTransformation:
    """What makes the updates of all parameters that have no optimizer of their own."""
    chosen = task.optimizer
    if chosen is None:
        assert run.learning_rate is not None  # `settled` has set it
        rate = rate_over_steps(run.learning_rate, length.num_steps, warmup=run.lr_warmup or 0, decay=run.lr_decay)
        chosen = run.optimizer.make(rate)
    elif run.optimizer != Adam() or run.lr_warmup or run.lr_decay != "none":
        raise InputError(
            f"optimizer {run.optimizer}, lr_warmup {run.lr_warmup}, lr_decay {run.lr_decay}: expected none of "
            "them, for this model brings an optimizer of its own; leave them out"
        )
    return clipped(chosen, run.clip_norm)


def _loaded(config: Any, stored: Any, folder: Any) -> Data:
    """The data of a run; for one that goes on, an error says what to do where they are elsewhere now."""
    try:
        found: Data = config.load_data()
    except InputError as error:
        hint = field_hints(type(config)).get("data")
        if stored is None or hint is None or not may_change(hint) or config.data != stored.data:
            raise
        raise InputError(
            f"{error}; where the data of {folder} have moved, give their new path as DATA or by --data, with "
            "--resume"
        ) from error
    return found


def _check_length(folder: Any, task: Task, before: Length, now: Length, run: RunConfig) -> None:
    """Raises InputError where a run that goes on would end earlier, or where its length may not change at all."""
    if (task.length_matters or run.lr_decay != "none") and before != now:
        raise InputError(
            f"{folder} was begun for {before.num_steps} steps, not {now.num_steps}: expected the same, for "
            "a schedule depends on the length of the run; choose another folder by --out for another run"
        )
    if now.num_steps < before.num_steps:
        raise InputError(
            f"{folder} was begun for {before.num_steps} steps, not {now.num_steps}: expected as many or more, for "
            "a run can only be trained longer; choose another folder by --out for another run"
        )


def _check_first_step(plan: Plan, next_batch: NextBatch) -> None:
    """What does not fit together is told by the shapes alone, before anything is written."""

    def first_step(key: jax.Array, data: Any) -> Any:
        step = jnp.int32(0)
        return plan.loss(plan.task.vae.init(key), key, next_batch(data, key, step), step)

    jax.eval_shape(first_step, jax.random.key(0), first_batches(plan.data, batch_size_of(plan), 1))

"""A run that ends when it no longer gets better: where, with which result, and that a kill changes neither."""

from __future__ import annotations

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.runs.own import VAE, X, own
from vae_jax import InputError, elbo, per_example
from vae_jax.runs import OWN_DATA, Data, RunConfig, Task, in_folder, load_run, read_rows, train, train_in_folder
from vae_jax.runs.config import settled, with_defaults
from vae_jax.runs.patience import Best, best_of_rows, is_over
from vae_jax.runs.plan import planned
from vae_jax.training import TrainState, best_step, read_checkpoints, schedules_end

# The validation ELBO at steps 10, 20, ...: two evaluations in a row are worse, then three, of which one equals 5.
ELBOS = [1.0, 3.0, 2.0, 2.5, 5.0, 4.0, 5.0, 4.5, 4.6, 6.0]


class Killed(BaseException):
    """What a process that is killed does not survive."""


def state_at(step):
    # Its step is all that changes: the loop reads no more of it.
    return TrainState(
        jnp.int32(step), jax.random.key(0), {"w": jnp.full(2, step, jnp.float32)}, (), {"w": jnp.ones(2)}
    )


def steps_of_five(state, after_call):
    """Calls of five steps up to step 100, as `fit` makes them."""
    for step in range(int(state.step) + 5, 105, 5):
        after_call(state_at(step), {"skipped": np.zeros(5), "loss": np.full(5, float(step))})
    return state_at(100)


def ran(folder, patience, **options):
    """The step at which the run ends, the step of its best checkpoint, and its log."""
    options = {"evaluate": lambda state: {"elbo": ELBOS[int(state.step) // 10 - 1]}} | options
    state = train_in_folder(
        folder, state_at(0), steps_of_five, num_steps=100, save_every=10, patience=patience, **options
    )
    with read_checkpoints(folder / "checkpoints") as checkpointer:
        return int(state.step), best_step(checkpointer), read_rows(folder)


@pytest.mark.parametrize(
    ("patience", "options", "expected"),
    [
        (1, {}, (30, 20)),
        (5, {}, (100, 100)),
        (0, {}, (100, 100)),
        (2, {"scored_from": 25}, (70, 70)),
        (2, {"scored_from": 101}, (100, None)),
    ],
)
def test_where_a_run_ends(tmp_path, capsys, patience, options, expected):
    """Fails if an evaluation counts twice, never, or before its time, or if another checkpoint is the best."""
    end, best, rows = ran(tmp_path, patience, **options)
    assert (end, best) == expected
    assert [row["step"] for row in rows] == list(range(5, end + 1, 5))
    said = f"stopped at step {end}: no better validation ELBO for {patience} evaluations; the best, "
    assert (said in capsys.readouterr().out) == (end < 100)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a run with a patience of 3 gives that was never cut: of two equal evaluations the later is the best."""
    found = ran(tmp_path_factory.mktemp("whole"), 3)
    assert found[:2] == (80, 70)
    return found


@pytest.mark.parametrize(
    ("step", "moment"), [(30, "after"), (50, "before"), (70, "after"), (80, "before"), (80, "after")]
)
def test_killed_and_resumed(tmp_path, monkeypatch, whole, step, moment):
    """Fails if a kill between a row and its checkpoint, or after both, lets an evaluation count twice or never."""
    save = in_folder.save

    def killed(kept, state, scored=None):
        if moment == "after" or int(state.step) != step:
            save(kept, state, scored)
        if int(state.step) == step:
            raise Killed

    with monkeypatch.context() as changed:
        changed.setattr(in_folder, "save", killed)
        with pytest.raises(Killed):
            ran(tmp_path, 3)
    assert read_rows(tmp_path)[-1]["step"] == step
    assert ran(tmp_path, 3) == whole


def test_ended_runs_go_on_with_more_patience_alone(tmp_path, whole):
    """Fails if a run that ended trains on when it is asked for again, or cannot be told to."""
    ended = ran(tmp_path, 2)
    assert ended[:2] == (40, 20)
    assert ran(tmp_path, 2) == ran(tmp_path, 1) == ended
    assert ran(tmp_path, 3) == whole
    assert ran(tmp_path, None)[:2] == (100, 100)


@pytest.mark.parametrize("options", [{"evaluate": None}, {"num_runs": 2}])
def test_patience_of_nothing(tmp_path, options):
    """Fails if a patience without evaluations, or of many runs at once, is taken and never ends a run."""
    with pytest.raises(InputError, match="patience 3: expected one run with `evaluate`"):
        ran(tmp_path, 3, **options)


def test_first_process_decides_for_all(monkeypatch):
    """Fails if a process that has no log ends otherwise than the first."""
    answers = []

    def any_process(flag):
        answers.append(flag)
        return True  # the first has said so

    over = Best(10, 1.0, waited=3)
    monkeypatch.setattr("vae_jax.runs.patience.any_process", any_process)
    assert is_over(over, 3)
    monkeypatch.setattr("vae_jax.runs.patience.is_first", lambda: False)
    assert is_over(over, 3)
    assert is_over(None, 3)
    assert answers == [True, False, False]


def test_rows_without_an_evaluation():
    """Fails if a row of a call alone counts, or if a log without evaluations has a best one."""
    assert best_of_rows([{"step": 5, "loss": 1.0}], 0) is None
    rows = [{"step": s, "validation_elbo": e} for s, e in ((10, 2.0), (20, 1.0), (30, 0.0))]
    assert best_of_rows(rows, 0) == Best(10, 2.0, 2)
    assert best_of_rows(rows, 11) == Best(20, 1.0, 1)


@pytest.mark.parametrize(
    ("schedules", "num_steps", "end"),
    [
        ({}, 50, 0),
        ({"beta": optax.constant_schedule(2.0)}, 50, 0),
        ({"beta": optax.linear_schedule(0.0, 4.0, 1000)}, 5000, 990),  # within a hundredth of its last value
        ({"beta": optax.linear_schedule(0.0, 4.0, 1000), "c": optax.linear_schedule(0.0, 1.0, 200)}, 5000, 990),
        ({"beta": optax.linear_schedule(0.0, 4.0, 1000)}, 500, 495),
        ({"beta": optax.linear_schedule(0.0, 4.0, 100_010)}, 10_000_000, 99_100),
    ],
)
def test_end_of_schedules(schedules, num_steps, end):
    """Fails if a run is compared with itself while the weight of its objective still grows."""
    loss = functools.partial(per_example(elbo, VAE))
    loss.schedules = schedules
    assert schedules_end(loss, num_steps) == end


# A fifth of the pixels are black: from white images alone the model learns to be too sure of them.
MIXED = (np.random.default_rng(0).random((40, 3)) < 0.8).astype(np.float32)
OVERFITTED = {
    **{"learning_rate": 0.005, "num_steps": 160, "eval_every": 20, "steps_per_call": 20},
    **{"validation": MIXED, "test": MIXED},
}


def test_result_is_the_best_checkpoint(tmp_path, capsys):
    """Fails if the summary, what `train` returns or what is loaded later is of the last step, or says another."""
    config = own(tmp_path / "run", patience=2, **OVERFITTED)
    found = train(config)
    rows = {row["step"]: row for row in read_rows(tmp_path / "run") if "validation_elbo" in row}
    best = max(rows, key=lambda step: rows[step]["validation_elbo"])
    assert 20 < best < found.summary["steps"] == max(rows) == best + 40 < 160
    assert found.summary["evaluated_step"] == best
    assert f"stopped at step {best + 40}: no better validation ELBO for 2 evaluations" in capsys.readouterr().out
    # Its test examples are those of validation.
    assert found.summary["test_elbo"] == pytest.approx(rows[best]["validation_elbo"], rel=1e-6)
    loaded = load_run(tmp_path / "run", type(config))
    jax.tree.map(np.testing.assert_array_equal, loaded.params, found.params)
    again = train(own(tmp_path / "run", patience=2, resume=True, **OVERFITTED))
    jax.tree.map(np.testing.assert_array_equal, again.params, found.params)
    assert (again.summary["steps_this_time"], again.summary["evaluated_step"]) == (0, best)
    # Told not to end, it goes on to its last step, which is its result.
    last = train(own(tmp_path / "run", patience=0, resume=True, **OVERFITTED))
    assert (last.summary["steps"], last.summary["evaluated_step"]) == (160, 160)


def test_learning_rate_of_a_run(tmp_path):
    """Fails if warm-up or decay does not reach the optimizer, or if a run with a decay may be trained longer."""
    options = {"num_steps": 100, "eval_every": 100, "lr_warmup": 50, "lr_decay": "cosine", "clip_norm": 1.0}
    train(own(tmp_path / "run", **options))
    kept = json.loads((tmp_path / "run" / "config.json").read_text())["run"]
    assert {name: kept[name] for name in ("lr_warmup", "lr_decay", "clip_norm", "learning_rate", "patience")} == {
        **{"lr_warmup": 50, "lr_decay": "cosine", "clip_norm": 1.0, "learning_rate": 1e-3, "patience": None}
    }
    with pytest.raises(InputError, match="begun for 100 steps, not 200: expected the same, for a schedule"):
        train(own(tmp_path / "run", resume=True, **options | {"num_steps": 200}))
    with pytest.raises(InputError, match="begun with lr_warmup = 50, not 40"):
        train(own(tmp_path / "run", resume=True, **options | {"lr_warmup": 40}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": -1}, "patience -1: expected"),
        ({"clip_norm": -1.0}, "clip norm -1.0: expected"),
        ({"lr_warmup": -1}, "warm-up of -1 steps: expected"),
        ({"lr_warmup": 500, "lr_decay": "cosine"}, "expected less than the 500 steps of the run"),
    ],
)
def test_numbers_that_no_run_has(tmp_path, options, message):
    """Fails if one of them begins a run."""
    with pytest.raises(InputError, match=message):
        train(own(tmp_path / "run", **options))
    assert not (tmp_path / "run").exists()


def test_defaults_of_a_task():
    """Fails if what the user said gives way to them, if a length is given twice, or if a name is lost."""
    assert with_defaults(RunConfig("a"), OWN_DATA) == RunConfig("a", patience=5, lr_warmup=200)
    defaults = {"patience": 5, "lr_warmup": 100, "num_steps": 7000}
    run = with_defaults(RunConfig("a", patience=0), defaults)
    assert (run.patience, run.lr_warmup, run.num_steps) == (0, 100, 7000)
    assert settled(run, 300)[1].num_steps == 7000
    run = with_defaults(RunConfig("a", epochs=3), defaults)
    assert (run.patience, run.num_steps, run.epochs) == (5, None, 3)
    for name in ("patince", "seed", "out"):
        with pytest.raises(InputError, match=f"default {name} of a task: expected one of batch_size, clip_norm"):
            with_defaults(run, {name: 1})


def test_defaults_hold_for_runs_that_begin(tmp_path, monkeypatch):
    """Fails if a run that was begun without them, as by an earlier version, goes on with them."""
    config = own(tmp_path / "before", num_steps=100)
    train(config)
    with_patience = Task(VAE, defaults={"patience": 3})
    for name, expected in (("before", None), ("new", 3)):
        config = own(tmp_path / name, num_steps=100, resume=True)
        monkeypatch.setattr(type(config), "make_task", lambda self, facts, examples=None: with_patience)
        assert planned(config).run.patience == expected


@pytest.mark.parametrize(
    ("options", "expected"), [({}, 25), ({"num_steps": 900}, 200), ({"lr_warmup": 80}, 80), ({"lr_warmup": 0}, 0)]
)
def test_default_warm_up_of_a_short_run(tmp_path, monkeypatch, options, expected):
    """Fails if a short run is spent on a warm-up that nobody asked for, or if one that was asked for is changed."""
    config = own(tmp_path / "run", **{"num_steps": 100} | options)
    task = Task(VAE, defaults=OWN_DATA)
    monkeypatch.setattr(type(config), "make_task", lambda self, facts, examples=None: task)
    assert planned(config).run.lr_warmup == expected


def test_optimizer_of_the_model_itself(tmp_path, monkeypatch):
    """Fails if an option that would do nothing is taken without a word."""
    config = own(tmp_path / "run", lr_warmup=10)
    task = Task(VAE, optimizer=optax.sgd(1e-3))
    monkeypatch.setattr(type(config), "make_task", lambda self, facts, examples=None: task)
    monkeypatch.setattr(type(config), "load_data", lambda self: Data(X, X, X))
    with pytest.raises(InputError, match="lr_warmup 10, lr_decay none: expected none of them"):
        train(config)

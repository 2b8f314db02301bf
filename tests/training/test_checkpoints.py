"""Checkpoints: exact, complete or absent, and clear about what is wrong with them."""

import contextlib
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.earlier import unpack
from vae_jax import InputError, elbo, fit, init_state, make_vae, per_example
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.training.checkpoints import (
    best_step,
    latest_step,
    open_checkpoints,
    read_checkpoints,
    restore,
    restore_params,
    save,
)

BEFORE = Path(__file__).parents[1] / "runs_before" / "before_parts.tar.xz"
DATA = jax.random.bernoulli(jax.random.key(1), 0.3, (50, 6)).astype(jnp.float32)
OPTIMIZER = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(optax.cosine_decay_schedule(1e-2, 100)))


def model(latent_size=2):
    return make_vae(MLPEncoder(latent_size, hidden=(8,)), MLPDecoder((6,), hidden=(8,)))


def next_batch(data, key, step):
    return data[jax.random.randint(jax.random.fold_in(key, step), (8,), 0, len(data))]


def fresh(latent_size=2):
    return init_state(model(latent_size).init, OPTIMIZER, jax.random.key(0))


def as_numpy(state):
    return jax.tree.map(lambda a: np.array(a, copy=True), state._replace(key=jax.random.key_data(state.key)))


def train(folder, num_steps, scores=None):
    """Saves every 10 steps while the next steps overwrite the donated state; returns what was saved."""
    saved = {}
    with open_checkpoints(folder, config={"latent_size": 2}) as checkpointer:
        state = fresh()

        def after_call(state, metrics):
            step = int(state.step)
            saved[step] = as_numpy(state)
            save(checkpointer, state, {"elbo": scores[step] if scores else float(step)})

        fit(per_example(elbo, model()), OPTIMIZER, next_batch, state, DATA,
            num_steps=num_steps, steps_per_call=10, after_call=after_call)  # fmt: skip
    return saved


def test_state_is_restored_bit_for_bit(tmp_path):
    """Fails if a background save sees memory that the next (donating) step has overwritten, or loses a dtype."""
    saved = train(tmp_path, 30)
    with open_checkpoints(tmp_path) as checkpointer:
        assert latest_step(checkpointer) == 30
        for step in (20, 30):
            restored = restore(checkpointer, jax.eval_shape(fresh), step=step)
            assert jax.tree.structure(restored) == jax.tree.structure(fresh())
            chex.assert_trees_all_equal(as_numpy(restored), saved[step])


def test_parameters_alone(tmp_path):
    """Fails if reading the parameters needs the optimizer, or if the average is taken for the last values."""
    saved = train(tmp_path, 20)
    like = jax.eval_shape(model().init, jax.random.key(0))
    with open_checkpoints(tmp_path) as checkpointer:
        chex.assert_trees_all_equal(restore_params(checkpointer, like), saved[20].ema)
        chex.assert_trees_all_equal(restore_params(checkpointer, like, ema=False), saved[20].params)


def test_state_without_metrics_is_kept_while_it_is_among_the_latest(tmp_path):
    """Fails if a state that nobody scored stays for ever, is taken for the best, or drives the best out."""
    state = fresh()
    with open_checkpoints(tmp_path) as checkpointer:
        for step, score in ((10, -1.0), (20, None), (30, -2.0), (40, -3.0)):
            state = state._replace(step=jnp.int32(step))
            save(checkpointer, state, None if score is None else {"elbo": score})
            checkpointer.wait()
            assert latest_step(checkpointer) == step
            assert best_step(checkpointer) == 10
        assert [c.step for c in checkpointer.checkpoints] == [10, 30, 40]


def test_latest_and_best_are_kept(tmp_path):
    """Fails if the best is the lowest, or is deleted when newer checkpoints come."""
    train(tmp_path, 60, {10: -9.0, 20: -1.0, 30: -5.0, 40: -7.0, 50: -3.0, 60: -4.0})
    with open_checkpoints(tmp_path) as checkpointer:
        assert [c.step for c in checkpointer.checkpoints] == [20, 50, 60]
        assert best_step(checkpointer) == 20


def test_another_model_is_named(tmp_path):
    """Fails if parameters of another shape are loaded, cut or padded without a word."""
    train(tmp_path, 10)
    with (
        open_checkpoints(tmp_path) as checkpointer,
        pytest.raises(InputError, match=r"of another model: params/\S+ has shape \(.*\) there, expected") as error,
    ):
        restore(checkpointer, jax.eval_shape(lambda: fresh(latent_size=3)))
    assert "\n" not in str(error.value)


def truncate(folder):
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if "d" in parent.split(os.sep):
                os.truncate(path, os.path.getsize(path) // 2)


@pytest.mark.parametrize("damage", [truncate, lambda folder: shutil.rmtree(folder / "params")])
def test_damaged_checkpoint_is_named_and_the_one_before_still_serves(tmp_path, damage, monkeypatch):
    """Fails if damaged files give numbers, or an error that does not say which folder and what to do."""
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: None)  # the event loop of Orbax reports too
    saved = train(tmp_path, 20)
    damage(tmp_path / "20")
    with open_checkpoints(tmp_path) as checkpointer:
        with pytest.raises(InputError, match=r"checkpoint \S+/20 cannot be read .* delete that folder") as error:
            restore(checkpointer, jax.eval_shape(fresh))
        assert "\n" not in str(error.value)
    shutil.rmtree(tmp_path / "20")
    with open_checkpoints(tmp_path) as checkpointer:
        chex.assert_trees_all_equal(as_numpy(restore(checkpointer, jax.eval_shape(fresh))), saved[10])


def test_every_file_of_a_checkpoint_may_be_missing(tmp_path, monkeypatch):
    """Fails if a checkpoint that lost one file gives other numbers, a page, or no word of folder and remedy."""
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: None)
    saved = train(tmp_path / "whole", 20)
    like, outcomes = jax.eval_shape(fresh), set()
    names = [p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole" / "20").rglob("*") if p.is_file()]
    for i, name in enumerate(names):
        folder = tmp_path / str(i)
        shutil.copytree(tmp_path / "whole", folder)
        (folder / name).unlink()
        try:
            with open_checkpoints(folder) as checkpointer:
                state = restore(checkpointer, like)
        except InputError as error:
            outcomes.add(str(error).replace(str(folder), "FOLDER"))
        else:
            chex.assert_trees_all_equal(as_numpy(state), saved[int(state.step)])
    assert outcomes
    for line in outcomes:
        assert re.search(r"^checkpoint.* FOLDER.*delete", line), line
        assert "\n" not in line


def test_readers_do_not_disturb_the_writer(tmp_path):
    """Fails if opening a run's checkpoints to read them removes what the run is writing, or makes a folder."""
    saved = train(tmp_path, 20)
    in_flight = tmp_path / "30.orbax-checkpoint-tmp"
    in_flight.mkdir()
    like = jax.eval_shape(model().init, jax.random.key(0))
    with read_checkpoints(tmp_path) as checkpointer:
        chex.assert_trees_all_equal(restore_params(checkpointer, like), saved[20].ema)
    assert in_flight.exists()
    with pytest.raises(InputError, match="expected a folder of checkpoints"), read_checkpoints(tmp_path / "typo"):
        pass
    assert not (tmp_path / "typo").exists()


def test_empty_folder(tmp_path):
    """Fails if a folder without checkpoints is not recognised as one."""
    with open_checkpoints(tmp_path) as checkpointer:
        assert latest_step(checkpointer) is None
        assert best_step(checkpointer) is None
        with pytest.raises(InputError, match="no complete checkpoint"):
            restore(checkpointer, jax.eval_shape(fresh))


def test_folder_that_cannot_be_made(tmp_path):
    """Fails if an unusable folder gives a traceback of the library below."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="checkpoint folder"), open_checkpoints(tmp_path / "file" / "x"):
        pass


def data_files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.parent.name == "d")


def flip_bit(path, i):
    content = bytearray(path.read_bytes())
    content[i] ^= 1 << (i % 8)
    path.write_bytes(content)


def test_a_flipped_bit_is_noticed(tmp_path, monkeypatch):
    """Fails if one bit of a file that was turned gives other numbers, in whatever part, without a word."""
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: None)
    saved, like = train(tmp_path, 10)[10], jax.eval_shape(fresh)
    refused = set()
    with read_checkpoints(tmp_path) as checkpointer:
        for path in data_files(tmp_path / "10"):
            whole = path.read_bytes()
            for i in np.linspace(0, len(whole) - 1, 5, dtype=int):
                flip_bit(path, i)
                try:
                    chex.assert_trees_all_equal(as_numpy(restore(checkpointer, like)), saved)
                except InputError as error:
                    refused.add((path.relative_to(tmp_path / "10").parts[0], "cannot be read" in str(error)))
                path.write_bytes(whole)
    assert refused == {("params", True), ("ema", True), ("progress", True)}


def test_a_checkpoint_under_another_step_is_noticed(tmp_path):
    """Fails if an earlier state can pass for a later one, by the name of its folder."""
    train(tmp_path, 20)
    shutil.rmtree(tmp_path / "20")
    (tmp_path / "10").rename(tmp_path / "20")
    with read_checkpoints(tmp_path) as checkpointer, pytest.raises(InputError, match="not what was saved"):
        restore_params(checkpointer, jax.eval_shape(model().init, jax.random.key(0)))


def test_checkpoints_of_another_run_are_refused(tmp_path):
    """Fails if checkpoints, or one of them, that another seed made are loaded, resumed or added to."""
    config, like = {"seed": 0, "hidden": (4, 4), "data_dir": "a"}, jax.eval_shape(model().init, jax.random.key(0))
    for seed in (0, 1):
        with open_checkpoints(tmp_path / str(seed), config=config | {"seed": seed}) as checkpointer:
            save(checkpointer, fresh()._replace(step=jnp.int32(10 * seed + 10)))
    for opened in (open_checkpoints, read_checkpoints):
        with (
            pytest.raises(InputError, match="theirs was begun with seed = 1, not 0"),
            opened(tmp_path / "1", config=config),
        ):
            pytest.fail("opened")
        elsewhere = config | {"data_dir": "b", "added_later": 3}
        with opened(tmp_path / "0", config=elsewhere, may_change=("data_dir",)) as checkpointer:
            restore_params(checkpointer, like)
    shutil.copytree(tmp_path / "1" / "20", tmp_path / "0" / "20")
    with (
        read_checkpoints(tmp_path / "0", config=config) as checkpointer,
        pytest.raises(InputError, match="0/20: theirs was begun with seed = 1, not 0"),
    ):
        restore_params(checkpointer, like)


def test_a_run_begun_before_an_inner_field_existed(tmp_path):
    """Fails if a field that one side lacks is a difference, or one at any depth that differs is none."""
    before = {"run": {"seed": 0, "decay": 0.9}, "objective": {"type": "ELBO", "warmup": {"type": "Linear"}}}
    like = jax.eval_shape(model().init, jax.random.key(0))
    with open_checkpoints(tmp_path, config=before) as checkpointer:
        save(checkpointer, fresh())
    now = {"run": {"seed": 0, "rate": 1.0}, "objective": {"type": "ELBO", "beta": 1.0, "warmup": {"steps": 3}}}
    for opened in (open_checkpoints, read_checkpoints):
        with opened(tmp_path, config=now) as checkpointer:
            restore_params(checkpointer, like)
        for other, message in (
            ({"run": {"seed": 1}}, r"run\.seed = 0, not 1"),
            ({"objective": {"warmup": {"type": "Cosine"}}}, r"objective\.warmup\.type = Linear, not Cosine"),
            ({"objective": {"warmup": None}}, r"objective\.warmup = \{'type': 'Linear'\}, not None"),
        ):
            with pytest.raises(InputError, match=message), opened(tmp_path, config=now | other):
                pytest.fail("opened")


def test_the_checkpoint_of_an_earlier_version(tmp_path):
    """Fails if a checkpoint without hashes cannot be read, or gives other parameters than its own version reads.

    The hash is of what that version reads from it.
    """
    unpack(BEFORE, tmp_path)
    vae = make_vae(MLPEncoder(2, hidden=(4,)), MLPDecoder((5, 5, 1), hidden=(4,)))
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    with read_checkpoints(tmp_path / "run" / "checkpoints", config=config) as checkpointer:
        ema = restore_params(checkpointer, jax.eval_shape(vae.init, jax.random.key(0)))
    digest = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(ema))).hexdigest()
    assert digest.startswith("7b90eed0c8f3ed37")


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("link", "metadata"),
        ("link", "metadata/_ROOT_METADATA"),
        ("pipe", "10/_CHECKPOINT_METADATA"),
        ("nested", "metadata/_ROOT_METADATA"),
        ("nested", "10/_CHECKPOINT_METADATA"),
    ],
)
def test_a_strangers_folder_of_checkpoints(tmp_path, what, name):
    """Fails if anything is written through a link, if a pipe is waited for, or if deep JSON is a traceback."""
    folder, outside, victim = tmp_path / "run", tmp_path / "outside", tmp_path / "run" / name
    with open_checkpoints(folder, config={"seed": 0}) as checkpointer:
        save(checkpointer, fresh()._replace(step=jnp.int32(10)))
    shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
    if what == "link":
        victim.symlink_to(outside)
    elif what == "pipe":
        os.mkfifo(victim)
    else:
        victim.write_text("[" * 200_000)
    refused = contextlib.suppress(InputError)  # nobody need read what is nested
    for opened in (read_checkpoints, open_checkpoints):
        if what != "nested":
            refused = pytest.raises(InputError, match=r"link out|no regular file")
        with refused, opened(folder) as checkpointer:
            restore_params(checkpointer, jax.eval_shape(model().init, jax.random.key(0)))
    assert not outside.exists()

"""Streamed training data: the batches of a run in memory, in little memory, and nothing left behind."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from tests.data.sources import IMAGES, ROOT, Counted
from vae_jax import InputError, fit, init_state
from vae_jax.data.arrays import load_arrays
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.splits import load_splits, stream_splits
from vae_jax.data.streaming import NpyImages, gather, stream, streamed_batches

KEY = jax.random.key(5)


def noisy(key, x):
    return x.astype(jnp.float32) + jax.random.uniform(key, x.shape)


def batches_of(opened, next_batch, step, num_steps, steps_per_call):
    """The batches from `step` on, made as `fit` makes them."""
    made, last = [], step + num_steps
    pick = jax.jit(next_batch)
    with opened(KEY, step, steps_per_call) as chunks:
        while step < last:
            chunk = next(chunks)
            for t in range(step, min(last, step + steps_per_call - step % steps_per_call)):
                made.append(jax.tree.map(np.asarray, pick(chunk, KEY, t)))
            step += steps_per_call - step % steps_per_call
    return made


def reading_threads():
    return [thread.name for thread in threading.enumerate() if "grain" in thread.name]


def test_an_epoch_visits_each_example_once_and_epochs_differ():
    """Fails if an example is left out or comes twice, or if epochs repeat their order."""
    made = batches_of(stream(np.arange(20), 5), streamed_batches(), 0, 12, 7)
    epochs = np.concatenate(made).reshape(3, 20)
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(20), (3, 1)))
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_batches_are_those_of_a_run_in_memory():
    """Fails if the order, the pairing of arrays or the keys of the transform differ from `shuffled_batches`."""

    def transform(key, example):
        return noisy(key, example["x"]), example["c"]

    data = {"x": IMAGES, "c": np.arange(23)}
    source = [{"x": x, "c": c} for x, c in zip(IMAGES, np.arange(23), strict=True)]
    made = batches_of(stream(source, 4), streamed_batches(transform), 0, 13, 3)
    pick = jax.jit(shuffled_batches(4, transform))
    for step, batch in enumerate(made):
        in_memory = pick(jax.device_put(data), KEY, step)
        jax.tree.map(np.testing.assert_array_equal, batch, jax.tree.map(np.asarray, in_memory))


@pytest.mark.parametrize("step", [1, 4, 5, 9, 17])
def test_opened_at_a_step_is_continued_to_that_step(step):
    """Fails if the stream knows more than the key and the step, or starts at another row of the chunk."""
    opened, next_batch = stream(IMAGES, 4), streamed_batches(noisy)
    whole = batches_of(opened, next_batch, 0, 20, 5)
    np.testing.assert_array_equal(batches_of(opened, next_batch, step, 20 - step, 5), whole[step:])


def init(key):
    return {"w": jax.random.normal(key, (2, 3, 1))}


def quadratic(params, key, batch, step):
    return 0.5 * jnp.mean((batch / 255 - params["w"][None]) ** 2), {"noise": jax.random.normal(key)}


def trained(data, next_batch, num_steps, state=None, **options):
    optimizer = optax.sgd(10.0)
    state = init_state(init, optimizer, jax.random.key(0)) if state is None else state
    options = {"steps_per_call": 6} | options
    return fit(quadratic, optimizer, next_batch, state, data, num_steps=num_steps, **options)


def as_numpy(state):
    return jax.tree.map(np.array, state._replace(key=jax.random.key_data(state.key)))


def test_a_cut_run_goes_on_bit_identical():
    """Fails if a resumed run, cut inside a call or between two, trains on other batches than an unbroken one."""
    opened, next_batch = stream(IMAGES, 4), streamed_batches(noisy)
    whole = as_numpy(trained(opened, next_batch, 18))
    for cut in (8, 12):
        part = trained(opened, next_batch, cut)
        resumed = as_numpy(trained(stream(IMAGES, 4), streamed_batches(noisy), 18, part))
        jax.tree.map(np.testing.assert_array_equal, resumed, whole)


def test_training_is_that_in_memory():
    """Fails if streaming changes what is learned, beyond the rounding of two compiled programs."""
    streamed = as_numpy(trained(stream(IMAGES, 4, prefetch=3), streamed_batches(noisy), 18))
    in_memory = as_numpy(trained(jax.device_put(IMAGES), shuffled_batches(4, noisy), 18))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), streamed, in_memory)


def test_chunks_are_put_where_the_caller_says():
    """Fails if `put` is not what takes a chunk to the device."""
    with stream(IMAGES, 4, put=lambda chunk: ("put", chunk.shape))(KEY, 0, 3) as chunks:
        assert next(chunks) == ("put", (3, 4, 2, 3, 1))


def test_a_share_of_all_devices_is_the_chunk():
    """Fails if the place of an example in a chunk, or the pairing of arrays, depends on how the chunk is spread."""
    sharding = NamedSharding(jax.make_mesh((1,), ("data",)), P(None, "data"))
    source = Counted()
    with stream(source, 4, put=sharding)(KEY, 0, 3) as chunks, stream(Counted(), 4)(KEY, 0, 3) as whole:
        spread, expected = next(chunks), next(whole)
    jax.tree.map(np.testing.assert_array_equal, spread, expected)
    assert jax.tree.map(lambda a: a.dtype, spread) == jax.tree.map(lambda a: a.dtype, expected)
    assert {leaf.sharding for leaf in jax.tree.leaves(spread)} == {sharding}


def test_each_process_reads_its_share():
    """Fails if one of two processes reads rows of the other's devices, or the parts do not make up the chunk."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "tests.data.shares", address]
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    processes = [
        subprocess.Popen([*command, str(i)], env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for i in range(2)
    ]
    shares = [json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in processes]
    columns = [np.array(share["columns"]) for share in shares]
    index = np.array(shares[0]["index"])
    np.testing.assert_array_equal(np.concatenate(columns, axis=1), index)
    for share, mine in zip(shares, columns, strict=True):
        assert mine.shape == (3, 4)
        assert set(share["read"]) == set(mine.ravel().tolist())
        # Each row once, and the first of each of the two parts once more, for its shape.
        assert len(share["read"]) == mine.size + 2
        assert share["refused"] == "a chunk of 3 batches of 6 examples"


def test_put_runs_where_the_caller_computes():
    """Fails if `put` is called with the host as default device, and so leaves chunks in the memory of the host."""

    def put(chunk):
        return {"device": jax.config.jax_default_device}

    with stream(IMAGES, 4, put=put)(KEY, 0, 3) as chunks:
        assert next(chunks) == {"device": jax.config.jax_default_device}


def test_without_the_cpu_the_message_says_what_to_add(monkeypatch):
    """Fails if JAX_PLATFORMS without the CPU is a traceback of the thread that reads."""

    def missing(backend):
        raise RuntimeError(f"Unknown backend: {backend}")

    monkeypatch.setattr(jax, "local_devices", missing)
    with (
        pytest.raises(InputError, match=r"expected cpu among JAX's platforms, .* add it to JAX_PLATFORMS"),
        stream(IMAGES, 4)(KEY, 0, 3),
    ):
        pass


def stopped(state, metrics):
    raise KeyboardInterrupt


def test_no_thread_outlives_the_run():
    """Fails if the thread that reads ahead goes on after the end of a run, an interrupt, or a failure to read."""
    seen = []
    trained(stream(IMAGES, 4), streamed_batches(), 18, after_call=lambda *_: seen.extend(reading_threads()))
    assert seen, "no thread read ahead, so this test shows nothing"
    assert not reading_threads()
    with pytest.raises(KeyboardInterrupt) as interrupt:
        trained(stream(IMAGES, 4), streamed_batches(), 18, after_call=stopped)
    # The traceback keeps all that the run held, so nothing here is closed by being forgotten.
    assert interrupt.tb
    assert not reading_threads()

    class Broken(list):
        def __getitem__(self, i):
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        trained(stream(Broken(IMAGES), 4), streamed_batches(), 18)
    assert not reading_threads()


def resident():
    """MiB of this process in memory, with pages of files that are mapped."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def test_memory_is_that_of_chunks_not_of_the_file(tmp_path):
    """Fails if memory grows by a third of a file of 200 MiB, read or mapped, when all of it is trained on."""
    path = tmp_path / "x.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(3200, 256, 256))
    seen = []

    def mean(params, key, batch, step):
        return jnp.mean(batch.astype(jnp.float32)) * params, {}

    optimizer = optax.sgd(0.1)
    state = init_state(lambda key: jnp.float32(1), optimizer, KEY)
    data = stream(NpyImages(path), 16)
    report = {"steps_per_call": 4, "after_call": lambda *_: seen.append(resident())}
    fit(mean, optimizer, streamed_batches(), state, data, num_steps=200, **report)
    assert len(seen) == 50
    assert max(seen) - seen[0] < 200 / 3


@pytest.mark.parametrize("shape", [(7, 4, 5), (7, 4, 5, 3)])
def test_npy_images_are_those_of_the_file(tmp_path, shape):
    """Fails if an image is cut from the wrong place of the file, or a row number is taken for a place."""
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    whole, _ = load_arrays(path)
    np.testing.assert_array_equal(gather(NpyImages(path), np.arange(7)), whole)
    some = NpyImages(path, np.array([5, 2]))
    assert (len(some), some.event) == (2, whole.shape[1:])
    np.testing.assert_array_equal(gather(some, np.array([[1], [0]])), whole[[[2], [5]]])


def test_splits_are_those_in_memory_and_the_test_images_have_a_limit(tmp_path):
    """Fails if a streamed run trains on, or is judged by, other images, or holds any number of test images."""
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (60, 4, 5), dtype=np.uint8))
    streamed, in_memory = stream_splits(str(path)), load_splits(str(path))
    for ours, theirs in zip(streamed, in_memory, strict=True):
        np.testing.assert_array_equal(gather(ours.images, np.arange(len(ours.images))), theirs.images)
    assert [len(split.images) for split in stream_splits(str(path), num_test=5)] == [50, 5, 5]
    assert [len(split.images) for split in stream_splits(str(path), max_bytes=3 * 4 * 5)] == [54, 3, 3]
    assert [len(split.images) for split in stream_splits(str(path), max_bytes=4 * 5 - 1)] == [58, 1, 1]


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (IMAGES, {"batch_size": 24}, "batch size 24: expected between 1 and the number of examples, 23"),
        (IMAGES, {"batch_size": 0}, "batch size 0"),
        (IMAGES, {"batch_size": 4, "prefetch": 0}, "prefetch 0: expected a number of chunks from 1 up"),
    ],
)
def test_sizes_that_do_not_fit(source, options, message):
    """Fails if a size that cannot train is found only by the thread, or not at all."""
    with pytest.raises(InputError, match=message):
        stream(source, **options)


@pytest.mark.parametrize("other", [np.zeros((2, 1)), np.zeros(3, np.float32), (np.zeros(3),)])
def test_examples_that_are_not_alike(other):
    """Fails if an example of another shape, dtype or structure is broadcast, cast or dropped."""
    with pytest.raises(InputError, match=r"example 1 has .*: expected float64\[3\], as others"):
        gather([np.zeros(3), other], np.arange(2))


def write(path, array):
    np.save(path, array)


def cut_short(path, array):
    np.save(path, array)
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("make", "array", "message"),
    [
        (write, IMAGES.astype(np.float32), "dtype float32 .* expected images to stream, uint8"),
        (write, IMAGES[:, 0, 0, 0], r"shape \(23,\)"),
        (write, np.asfortranarray(IMAGES), "C order"),
        (cut_short, IMAGES, "has 265 bytes, but its header describes 266"),
        (lambda path, array: path.write_text("text"), IMAGES, "cannot be read .*save it again by numpy.save"),
        (lambda path, array: None, IMAGES, "does not exist: expected a .npy file as numpy.save writes it"),
        (lambda path, array: os.mkfifo(path), IMAGES, "is no regular file"),
    ],
    ids=["floats", "no images", "Fortran", "cut short", "text", "missing", "pipe"],
)
def test_files_that_cannot_be_streamed(tmp_path, make, array, message):
    """Fails if numbers that are no images are taken for images."""
    make(tmp_path / "x.npy", array)
    with pytest.raises(InputError, match=message):
        NpyImages(tmp_path / "x.npy")


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    """Fails if what is missing is made up."""
    np.save(tmp_path / "x.npy", IMAGES)
    images = NpyImages(tmp_path / "x.npy")
    cut_short(tmp_path / "x.npy", IMAGES)
    with pytest.raises(InputError, match="ends inside example 22"):
        images[22]


def test_without_grain_the_message_says_what_to_install(monkeypatch):
    """Fails if the optional package is needed to import the library, or its lack is a traceback."""
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(InputError, match=r"pip install 'vae-jax\[stream\]'"):
        stream(IMAGES, 4)

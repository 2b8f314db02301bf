"""Training data that do not fit into memory: read chunk by chunk while the device trains.

The order is that of `shuffled_batches`, a pure function of the key and the step, so a stream opens at any step and
has no state to save but the step, which every checkpoint holds: a resumed run reads what the unbroken one would
have, and a streamed run trains on the batches of a run in memory. Noise is drawn inside the compiled step.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.data.batches import transformed
from vae_jax.data.sampling import shuffled_indices
from vae_jax.errors import InputError
from vae_jax.training.loop import NextBatch, Stream

Array = jax.Array


class Source(Protocol):
    """Random access to examples, as lists, arrays, and the data sources of Grain and TFDS have it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...  # an array or a pytree of arrays, [*event]


def stream(
    source: Source, batch_size: int, *, prefetch: int = 1, put: Callable[[Any], Any] = jax.device_put
) -> Stream:
    """The data of a `fit` whose `next_batch` is `streamed_batches`, read in a thread while the device trains.

    A chunk, [steps_per_call, batch_size, *event], serves one compiled call. In memory there are at most
    `prefetch` + 2 of them: one that trains, one being read, and those waiting. `put`: what takes a chunk to the
    device, `jax.device_put` unless it is to be spread over several (`vae_jax.training.sharding.spread_chunk`).

    Raises InputError for a batch larger than the data, a `prefetch` below 1, examples that differ in shape or
    dtype (when they are read), and where Grain is not installed or JAX may not use the CPU.
    """
    try:
        import grain
        from grain.experimental import ThreadPrefetchIterDataset
    except ImportError as error:
        raise InputError("streaming needs Grain, which is not installed: pip install 'vae-jax[stream]'") from error
    if prefetch < 1:
        raise InputError(f"prefetch {prefetch}: expected a number of chunks from 1 up")
    of_step = functools.partial(shuffled_indices, num_examples=len(source), batch_size=batch_size)
    order = jax.jit(jax.vmap(of_step, in_axes=(None, 0)))
    # For its check of the sizes, here and not in the thread that reads.
    jax.eval_shape(of_step, jax.random.key(0), jnp.int32(0))

    @contextlib.contextmanager
    def opened(key: Array, step: int, steps_per_call: int) -> Iterator[Iterator[Any]]:
        # On the host: the device would make the thread wait for the training call that runs there.
        host = _host()
        # As numbers, for a key that lies on the devices of several processes cannot be moved.
        numbers, kind = np.asarray(jax.random.key_data(key)), jax.random.key_impl(key)
        with jax.default_device(host):
            order_key, _ = jax.random.split(jax.random.wrap_key_data(jnp.asarray(numbers), impl=kind))

        def read(call: int) -> Any:
            steps = np.arange(call * steps_per_call, (call + 1) * steps_per_call, dtype=np.int32)
            with jax.default_device(host):
                index = np.asarray(order(order_key, steps))
            return put(gather(source, index))

        calls = grain.MapDataset.range(step // steps_per_call, 2**31 // steps_per_call)
        chunks = calls.map(read).to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
        with contextlib.closing(iter(ThreadPrefetchIterDataset(chunks, prefetch_buffer_size=prefetch))) as ready:
            yield ready

    return opened


def _host() -> jax.Device:
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError as error:
        raise InputError(
            f"a stream: {error}; expected cpu among JAX's platforms, for it computes the order of the data; "
            "add it to JAX_PLATFORMS"
        ) from error


def streamed_batches(transform: Callable[[Array, Any], Any] = lambda key, example: example) -> NextBatch:
    """`shuffled_batches` for a `stream`: the same batches, and the same keys for `transform`."""

    def next_batch(chunk: Any, key: Array, step: Array) -> Any:
        _, noise_key = jax.random.split(key)
        row = step % jax.tree.leaves(chunk)[0].shape[0]
        return transformed(transform, noise_key, step, jax.tree.map(lambda a: a[row], chunk))

    return next_batch


def gather(source: Source, index: np.ndarray) -> Any:
    """The examples at `index`, any shape of integers: arrays [*index.shape, *event], on the host.

    Raises InputError for an example that differs from the first one in shape or dtype.
    """
    first = jax.tree.map(np.asarray, source[int(index.flat[0])])
    whole = jax.tree.map(lambda a: _aligned((index.size, *a.shape), a.dtype), first)
    arrays, structure = jax.tree.flatten(whole)
    expected = structure, [(a.shape[1:], a.dtype) for a in arrays]
    # One after the other into their place: a list of all examples would hold the chunk twice.
    for place, i in enumerate(index.ravel().tolist()):
        leaves, found = jax.tree.flatten(source[i])
        values = [np.asarray(leaf) for leaf in leaves]
        if (found, [(v.shape, v.dtype) for v in values]) != expected:
            raise InputError(
                f"example {i} has {_described(source[i])}: expected {_described(first)}, as others; make all alike"
            )
        for array, value in zip(arrays, values, strict=True):
            array[place] = value
    return jax.tree.map(lambda a: a.reshape(*index.shape, *a.shape[1:]), whole)


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    # On a CPU, JAX takes over memory that begins at a multiple of 64 bytes, and would copy other.
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def _described(example: Any) -> str:
    return str(jax.tree.map(lambda a: f"{np.asarray(a).dtype}{list(np.shape(a))}", example))


class NpyImages:
    """Images of a .npy file, uint8 [N, H, W] or [N, H, W, C], read one by one when they are asked for: a `Source`.

    `rows`: which of them, int [n]; by default all. An axis C = 1 is added to [N, H, W]. The file is not mapped
    into memory, so what was read does not count as the memory of the process. Raises InputError for a file that
    cannot be read, and for other dtypes and shapes.
    """

    def __init__(self, path: str | os.PathLike[str], rows: np.ndarray | None = None):
        self.path, path = path, Path(path).expanduser()
        try:
            header = np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError, SyntaxError) as error:
            problem = " ".join(str(error).split())[:160]
            raise InputError(
                f"{path} cannot be streamed ({problem}): expected a .npy file as numpy.save writes it"
            ) from error
        if header.dtype != np.uint8 or header.ndim not in (3, 4) or header.size == 0 or np.isfortran(header):
            raise InputError(
                f"{path} has dtype {header.dtype} and shape {header.shape}: expected images to stream, uint8 "
                "[N, H, W] or [N, H, W, C] in C order; save them so"
            )
        self.event = header.shape[1:] if header.ndim == 4 else (*header.shape[1:], 1)
        self.rows = np.arange(len(header)) if rows is None else rows
        self._start, self._size = header.offset, int(np.prod(self.event))
        self._file = path.open("rb", buffering=0)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> np.ndarray:
        # Unlike seek and read, this may be called from several threads.
        start = self._start + int(self.rows[index]) * self._size
        data = os.pread(self._file.fileno(), self._size, start)
        if len(data) != self._size:
            raise InputError(f"{self.path} ends inside image {self.rows[index]}: expected it whole; copy it again")
        return np.frombuffer(data, np.uint8).reshape(self.event)

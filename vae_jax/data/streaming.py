"""Training data that do not fit into memory: read chunk by chunk while the device trains.

The order is that of `shuffled_batches`, a pure function of the key and the step, so a stream opens at any step and
has no state to save but the step, which every checkpoint holds: a resumed run reads what the unbroken one would
have, and a streamed run trains on the batches of a run in memory. Noise is drawn inside the compiled step.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding
from jaxtyping import Int, Key

from vae_jax.data.batches import NextBatch, transformed
from vae_jax.data.foreign import native, way_out
from vae_jax.data.leading import num_examples
from vae_jax.data.npy import NpyImages as NpyImages
from vae_jax.data.npy import NpyRows as NpyRows
from vae_jax.data.sampling import shuffled_indices
from vae_jax.errors import InputError

Array = jax.Array
_READ_AT_ONCE = 256
# key, step, steps_per_call -> the data of each call in turn, from the call that holds the step
Stream = Callable[[Array, int, int], contextlib.AbstractContextManager[Iterator[Any]]]


class Source(Protocol):
    """Random access to examples, as lists, arrays, and the data sources of Grain and TFDS have it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...  # an array or a pytree of arrays, [*event]

    # And where several are faster together, def __getitems__(self, index: list[int], /) -> list[Any]


def stream(
    source: Any,
    batch_size: int,
    *,
    prefetch: int = 1,
    put: Callable[[Any], Any] | Sharding = jax.device_put,
) -> Stream:
    """The data of a `fit` whose `next_batch` is `streamed_batches`, read in a thread while the device trains.

    A chunk, [steps_per_call, batch_size, *event], serves one compiled call. In memory there are at most
    `prefetch` + 2 of them: one that trains, one being read, and those waiting.

    source: a `Source`, or a tuple or dict of arrays with one leading axis, as (images, labels).
    put: where a chunk lies, a sharding of its first two axes, as `NamedSharding(mesh, P(None, mesh.axis_names))`:
    each process then reads the examples of its own devices and no others. Or a function that takes the whole chunk,
    read by this process, to the device; `jax.device_put` by default.

    Raises InputError for a batch larger than the data, a `prefetch` below 1, arrays that differ in their number of
    examples, examples that differ in shape or dtype (when they are read), what is no source, and where Grain is not
    installed or JAX may not use the CPU.
    """
    source = _as_source(source)
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
            return read_share(source, index, put) if isinstance(put, Sharding) else put(gather(source, index))

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


def streamed_batches(transform: Callable[[Key[Array, ""], Any], Any] = lambda key, example: example) -> NextBatch:
    """`shuffled_batches` for a `stream`: the same batches, and the same keys for `transform`."""

    def next_batch(chunk: Any, key: Array, step: Array) -> Any:
        _, noise_key = jax.random.split(key)
        row = step % num_examples(chunk, name="chunk")
        return transformed(transform, noise_key, step, jax.tree.map(lambda a: a[row], chunk))

    return next_batch


def read_share(source: Any, index: Int[np.ndarray, "steps batch"], sharding: Sharding) -> Any:
    """The examples at `index`, spread as `sharding` says, of which this process reads those of its own devices.

    index: int [steps, batch], the same in every process. Returns a pytree of global arrays [steps, batch, *event].
    A part that several devices of this process hold is read once.
    """
    try:
        places = sharding.addressable_devices_indices_map(index.shape)
    except ValueError as error:
        raise InputError(
            f"a chunk of {index.shape[0]} batches of {index.shape[1]} examples: expected sizes that can be spread "
            f"as {sharding} says; choose a batch size that is a multiple of the devices"
        ) from error
    parts: dict[Any, Any] = {}
    for slices in places.values():
        if _bounds(slices, index.shape) not in parts:
            parts[_bounds(slices, index.shape)] = gather(source, index[slices])
    structure = jax.tree.structure(next(iter(parts.values())))
    leaves = {bounds: jax.tree.leaves(part) for bounds, part in parts.items()}

    def whole(j: int, event: tuple[int, ...]) -> Array:
        def local(slices: Any) -> np.ndarray:
            part: np.ndarray = leaves[_bounds(slices, index.shape)][j]
            return part

        return jax.make_array_from_callback((*index.shape, *event), sharding, local)

    events = [leaf.shape[index.ndim :] for leaf in next(iter(leaves.values()))]
    return jax.tree.unflatten(structure, [whole(j, event) for j, event in enumerate(events)])


def _bounds(slices: Any, shape: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    return tuple(s.indices(n) for s, n in zip(slices, shape, strict=False))


class _Rows:
    """The examples of a pytree of arrays with one leading axis."""

    def __init__(self, arrays: Any):
        self._arrays, self._length = arrays, num_examples(arrays, name="source")

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int, /) -> Any:
        return jax.tree.map(lambda a: a[index], self._arrays)


def _as_source(source: Any) -> Any:
    if isinstance(source, tuple | dict):
        return _Rows(source)
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return source
    cure = way_out(source) or "expected examples with len() and [i]"
    raise InputError(f"source of a stream is a {type(source).__qualname__}, without random access: {cure}")


def gather(source: Any, index: Int[np.ndarray, "*shape"]) -> Any:
    """The examples at `index`, any shape of integers: arrays [*index.shape, *event], on the host.

    source: a `Source`, or a tuple or dict of arrays. Raises InputError for an example that differs from the first
    one in shape or dtype, and for arrays that differ in their number of examples.
    """
    source = _as_source(source)
    first = jax.tree.map(lambda leaf: native(np.asarray(leaf)), source[int(index.flat[0])])
    whole = jax.tree.map(lambda a: _aligned((index.size, *a.shape), a.dtype), first)
    arrays, structure = jax.tree.flatten(whole)
    expected = structure, [(a.shape[1:], a.dtype) for a in arrays]
    # Into their place as they come: a list of all examples would hold the chunk twice.
    for place, (i, example) in enumerate(_in_turn(source, index.ravel().tolist())):
        leaves, found = jax.tree.flatten(example)
        values = [native(np.asarray(leaf)) for leaf in leaves]
        if (found, [(v.shape, v.dtype) for v in values]) != expected:
            raise InputError(
                f"example {i} has {_described(example)}: expected {_described(first)}, as others; make all alike"
            )
        for array, value in zip(arrays, values, strict=True):
            array[place] = value
    return jax.tree.map(lambda a: a.reshape(*index.shape, *a.shape[1:]), whole)


def _in_turn(source: Any, index: list[int]) -> Iterator[tuple[int, Any]]:
    """The examples in order, by `__getitems__` where the source has it, which may read several at a time."""
    if not hasattr(source, "__getitems__"):
        yield from ((i, source[i]) for i in index)
        return
    for start in range(0, len(index), _READ_AT_ONCE):
        some = index[start : start + _READ_AT_ONCE]
        yield from zip(some, source.__getitems__(some), strict=True)


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    # On a CPU, JAX takes over memory that begins at a multiple of 64 bytes, and would copy other.
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def _described(example: Any) -> str:
    return str(jax.tree.map(lambda a: f"{np.asarray(a).dtype}{list(np.shape(a))}", example))

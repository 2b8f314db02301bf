"""The same program on any number of devices: a mesh, and where the state and the examples lie on it.

The examples of a batch are spread over all devices. The state is replicated, or, for models too wide for that,
split over the axis `model`: each device keeps a part of every large array, of its average and of what the
optimizer remembers of it (as in Rajbhandari et al. 2020, arXiv:1910.02054). XLA derives from these placements
what must be sent (Xu et al. 2021, arXiv:2105.04663), so nothing in the mathematics knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from vae_jax.data.batches import NextBatch
from vae_jax.errors import InputError

Array = jax.Array


def make_mesh(*, model: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """All devices of all processes (or those given) as a grid of the axes `data` and `model`.

    `model`: over how many devices wide layers are split. Raises InputError where it does not divide the devices.
    """
    devices = jax.devices() if devices is None else list(devices)
    if model < 1 or len(devices) % model:
        raise InputError(
            f"model axis {model}: expected a number from 1 up that divides the number of devices, {len(devices)}"
        )
    # Auto: explicit axis types, the default, refuse to split keys and to vmap over a sharded batch.
    types = (AxisType.Auto, AxisType.Auto)
    return jax.make_mesh((len(devices) // model, model), ("data", "model"), axis_types=types, devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole of an array on every device."""
    return NamedSharding(mesh, P())


def over_examples(mesh: Mesh) -> NamedSharding:
    """The leading axis of an array, the examples, over all devices."""
    return NamedSharding(mesh, P(mesh.axis_names))


def over_chunk(mesh: Mesh) -> NamedSharding:
    """The second axis of an array, the examples of each batch of a chunk [steps, batch, *event], over all devices.

    As the `put` of a `stream`, each process reads the examples of its own devices and no others.
    """
    return NamedSharding(mesh, P(None, mesh.axis_names))


def state_sharding(mesh: Mesh, state: Any, *, min_size: int = 2**14) -> Any:
    """Where a train state (or parameters) lies: a pytree of shardings for a pytree of arrays or their shapes.

    An array of at least `min_size` elements is split over the axis `model` along its largest dimension that the
    axis divides (the first of equals); any other array is replicated. So a small one costs no communication.
    """
    parts = mesh.shape["model"]

    def place(leaf: Any) -> NamedSharding:
        divisible = [(size, -axis) for axis, size in enumerate(leaf.shape) if size % parts == 0]
        if parts == 1 or math.prod(leaf.shape) < min_size or not divisible:
            return replicated(mesh)
        axis = -max(divisible)[1]
        return NamedSharding(mesh, P(*[None] * axis, "model"))

    return jax.tree.map(place, state)


def shard_batches(mesh: Mesh, next_batch: NextBatch) -> NextBatch:
    """`next_batch` with the examples of each batch over all devices; the batch size must be a multiple of them."""

    def sharded(data: Any, key: Array, step: Array) -> Any:
        return jax.lax.with_sharding_constraint(next_batch(data, key, step), over_examples(mesh))

    return sharded


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Puts arrays that every process holds the same onto all devices. tree: a pytree of arrays, no typed keys."""
    return _put(tree, replicated(mesh))


def spread_chunk(mesh: Mesh, chunk: Any) -> Any:
    """Gives each device its part of each batch of a chunk that every process has read as a whole.

    chunk: a pytree of arrays [steps, batch, *event], the same in every process; batch is a multiple of the devices.
    With `over_chunk` as the `put` of a stream each process reads its share alone.
    """
    return _put(chunk, over_chunk(mesh))


def _put(tree: Any, sharding: NamedSharding) -> Any:
    def put(leaf: Any) -> Array:
        host = np.asarray(leaf)
        # Unlike `device_put`, this compares nothing between processes: the data may be large.
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(put, tree)


def to_host(mesh: Mesh, tree: Any) -> Any:
    """The whole of every array as numpy, in every process; all processes must call it. No typed keys."""
    gathered = jax.jit(lambda tree: tree, out_shardings=replicated(mesh))(tree)
    return jax.tree.map(np.asarray, gathered)


def placed(shapes: Any, shardings: Any) -> Any:
    """The shapes of arrays together with where they lie: what a program for those devices is compiled from."""
    return jax.tree.map(lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), shapes, shardings)


def place_runs(mesh: Mesh, states: Any) -> Any:
    """The states of `train_many` with their runs spread over all devices, the step that they share on each.

    The number of runs must be a multiple of the devices. states: from `init_many`, given up.
    """
    num_runs = states.key.shape[0]
    if num_runs % mesh.size:
        raise InputError(f"{num_runs} runs: expected a multiple of the number of devices, {mesh.size}")
    spread = jax.tree.map(lambda a: over_examples(mesh) if a.ndim else replicated(mesh), states)
    # Not donated: memory of one device cannot be that of several, of which JAX 0.10 warns.
    return jax.jit(lambda states: states, out_shardings=spread)(states)

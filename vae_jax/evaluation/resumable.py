"""Long estimates, image after image: resumable, within a bound on memory, with the bad ones named."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vae_jax import InputError
from vae_jax.numerics import full_precision
from vae_jax.runs.tasks import content_hash
from vae_jax.training.sharding import over_examples, replicated

Array = jax.Array


def estimate_images(
    estimator: Callable[[Any, Array, Any], dict[str, Array]],
    params: Any,
    key: Array,
    examples: Any,
    *,
    name: str,
    folder: Path,
    memory: float,
    most: int = 25,
    mesh: Mesh | None = None,
) -> tuple[dict[str, np.ndarray], float]:
    """`estimator(params, key, example) -> {name: scalar}` at every example; returns {name: [N]} and the seconds.

    Example i gets the key fold_in(key, i), so its values depend neither on the batches nor on a kill. Batches
    are as large as `memory` (bytes of temporaries on a device, by the compiler's own account) and `most` allow,
    and a multiple of the devices of `mesh`, which share them. What is done
    is kept in `folder`/`name`.npz, and a second call with the same parameters goes on from there. Prints progress
    and time left. Raises InputError where a value is not finite, naming the images.
    """
    path, num_images = folder / f"{name}.npz", jax.tree.leaves(examples)[0].shape[0]
    of = content_hash(params)
    done, seconds = _load(path, of)
    count = min((len(v) for v in done.values()), default=0)
    if count >= num_images:
        return {name: values[:num_images] for name, values in done.items()}, seconds

    num_devices = mesh.size if mesh else 1

    @partial(jax.jit, out_shardings=mesh and replicated(mesh))
    @full_precision
    def batch(params: Any, i: Array, examples: Any) -> dict[str, Array]:
        if mesh:
            i = jax.lax.with_sharding_constraint(i, over_examples(mesh))

        def one(i: Array, example: Any) -> dict[str, Array]:
            return estimator(params, jax.random.fold_in(key, i), example)

        return jax.vmap(one)(i, jax.tree.map(lambda a: a[i], examples))

    size = -(-min(most, num_images) // num_devices) * num_devices
    compiled = _compile(batch, params, examples, size)
    taken = compiled.memory_analysis().temp_size_in_bytes
    if taken > memory and size > num_devices:
        size = max(1, int(size * memory / taken) // num_devices) * num_devices
        compiled = _compile(batch, params, examples, size)
    begin, first = time.perf_counter(), count
    while count < num_images:
        i = np.minimum(np.arange(count, count + size), num_images - 1)
        values = {k: np.asarray(v)[: num_images - count] for k, v in compiled(params, i, examples).items()}
        for key_name, value in values.items():
            bad = i[: len(value)][~np.isfinite(value)]
            if bad.size:
                raise InputError(
                    f"{name}: {key_name} is not finite for images {bad.tolist()}: expected a model and data that "
                    "give finite densities; look at these images and at the parameters"
                )
        done = {k: np.concatenate([done.get(k, np.empty(0)), v.astype(np.float64)]) for k, v in values.items()}
        count = min(count + size, num_images)
        spent = time.perf_counter() - begin
        _save(path, done, seconds + spent, of)
        left = spent / (count - first) * (num_images - count)
        print(f"{name}: {count}/{num_images} images, {left:.0f} s left", flush=True)
    return done, seconds + spent


def _compile(batch: Any, params: Any, examples: Any, size: int) -> Any:
    return batch.lower(params, jnp.arange(size), examples).compile()


def _load(path: Path, of: str) -> tuple[dict[str, np.ndarray], float]:
    if not path.exists():
        return {}, 0.0
    with np.load(io.BytesIO(path.read_bytes())) as file:
        if str(file["parameters"]) != of:
            return {}, 0.0
        return {k: file[k] for k in file.files if k not in ("seconds", "parameters")}, float(file["seconds"])


def _save(path: Path, values: dict[str, np.ndarray], seconds: float, of: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    content = io.BytesIO()
    np.savez(content, seconds=np.float64(seconds), parameters=np.str_(of), **values)  # type: ignore[arg-type]
    partial.write_bytes(content.getvalue())
    partial.replace(path)

"""Long estimates, image after image: resumable, within a bound on memory, with the bad ones named."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vae_jax.errors import InputError, one_line, printable
from vae_jax.files import read_bytes, write_bytes_atomically
from vae_jax.hashes import tree_hash
from vae_jax.numerics import full_precision
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
    is kept in `folder`/`name`.npz, and a second call with the same name, parameters, examples and key goes on from
    there, and says so. Prints progress and time left. Raises InputError where a value is not finite, naming the
    images.
    """
    path, num_images = folder / f"{name}.npz", jax.tree.leaves(examples)[0].shape[0]
    of = tree_hash({"name": name, "parameters": params, "examples": examples, "key": key})
    done = load_done(path, of) or {"seconds": np.float64(0)}
    seconds = float(done.pop("seconds"))
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
        save_done(path, done, seconds + spent, of)
        left = spent / (count - first) * (num_images - count)
        print(f"{name}: {count}/{num_images} images, {left:.0f} s left", flush=True)
    return done, seconds + spent


def _compile(batch: Any, params: Any, examples: Any, size: int) -> Any:
    return batch.lower(params, jnp.arange(size), examples).compile()


def load_done(path: Any, of: str) -> dict[str, Any] | None:
    """What `save_done` kept at `path` of an earlier call, {name: [n]} and "seconds", a number; None for nothing.

    of: the hash of all that the values depend on: parameters, examples, key, the estimator and its settings. What
    is kept of something else, what is damaged, and what another program wrote count as not done. A line says what
    is read and so not computed, and what is passed over.
    """
    try:
        kept = _arrays(read_bytes(path))
        kept_of, digest = str(kept.pop("of")), str(kept.pop("sha256"))
        counts = {name: values.shape for name, values in kept.items()}
        if digest != tree_hash((kept_of, kept)) or counts.pop("seconds") != () or len(set(counts.values())) != 1:
            raise ValueError("not the values that were kept")
        ((count,),) = set(counts.values())
    except FileNotFoundError:
        return None
    except Exception as error:  # numpy and zipfile raise errors of many types
        print(f"{printable(path)}: damaged ({one_line(error)}), computed again", flush=True)
        return None
    if kept_of != of:
        print(f"{printable(path)}: of other parameters, examples or settings, computed again", flush=True)
        return None
    print(f"{printable(path)}: {count} values of an earlier call are read, not computed", flush=True)
    return kept


def _arrays(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # As they are kept: what a compressed archive unpacks to has no bound.
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("a compressed archive")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def save_done(path: Any, values: dict[str, np.ndarray], seconds: float, of: str) -> None:
    """Keeps {name: [n]} and the seconds that they took, for `load_done` with the same `of`: whole or not at all."""
    kept = values | {"seconds": np.float64(seconds)}
    content = io.BytesIO()
    np.savez(content, of=np.str_(of), sha256=np.str_(tree_hash((of, kept))), **kept)  # type: ignore[arg-type]
    write_bytes_atomically(path, content.getvalue())

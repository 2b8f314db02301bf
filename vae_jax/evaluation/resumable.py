"""What a long evaluation has done so far, in a file that a later call goes on from."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vae_jax.errors import one_line, printable
from vae_jax.files import read_bytes, write_bytes_atomically
from vae_jax.hashes import tree_hash
from vae_jax.paths import as_path


def fingerprint(one: Callable[..., Any], key: jax.Array, params: Any, data: Any) -> str:
    """What tells that kept estimates are those that are asked for: a hash of the program and of all it is given.

    one: `(params, key, i, example)`, what is computed of one example; data: the examples. The program is taken as
    it is lowered for one example: names would not tell two models or two transforms of the same name apart.
    """
    example = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], jnp.result_type(a)), data)
    # By shapes alone, so that the devices which the parameters lie on do not count.
    arguments = jax.eval_shape(lambda *a: a, params, key, jnp.int32(0), example)
    program = jax.jit(one).lower(*arguments).as_text().encode()
    return tree_hash({"params": params, "key": key, "data": data, "program": np.frombuffer(program, np.uint8)})


def load_done(path: Any, of: str) -> dict[str, Any] | None:
    """What `save_done` kept at `path`, {name: [n, ...]} and "seconds", a number; None for nothing.

    of: the `fingerprint` of all that the values depend on. What is kept of something else, what is damaged, and
    what another program wrote count as not done. A line says what is read, not computed, and what is passed over.
    """
    try:
        kept = _arrays(read_bytes(as_path(path)))
        kept_of, digest = str(kept.pop("of")), str(kept.pop("sha256"))
        counts = {name: values.shape[:1] for name, values in kept.items()}
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


def save_done(path: Any, values: dict[str, Float[np.ndarray, "n ..."]], seconds: float, of: str) -> None:
    """Keeps {name: [n, ...]} and the seconds that they took, for `load_done` with the same `of`."""
    kept = values | {"seconds": np.float64(seconds)}
    content = io.BytesIO()
    np.savez(content, of=np.str_(of), sha256=np.str_(tree_hash((of, kept))), **kept)  # type: ignore[arg-type]
    write_bytes_atomically(as_path(path), content.getvalue())

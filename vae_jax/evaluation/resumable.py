"""What a long evaluation has done so far, in a file that a later call goes on from."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vae_jax.errors import printable
from vae_jax.files import read_bytes, write_bytes_atomically
from vae_jax.hashes import tree_hash
from vae_jax.paths import as_path


def fingerprint(estimator: Callable[..., Any], tunables: dict[str, Any], key: jax.Array, arrays: Any) -> str:
    """What tells that kept estimates are those that are asked for: a hash of the estimator and all it is given.

    arrays: a tree of arrays, the parameters and the data. An estimator counts by its name, its settings by what
    they print.
    """
    names = getattr(estimator, "__qualname__", repr(estimator)), sorted((k, _named(v)) for k, v in tunables.items())
    digest = hashlib.sha256(repr(names).encode())
    for leaf in [jax.random.key_data(key), *jax.tree.leaves(arrays)]:
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def load_done(path: str | Path, of: str) -> dict[str, np.ndarray]:
    """What `save_done` kept in a file of an earlier call, {name: [done]}; nothing where it is of something else.

    of: the fingerprint of all that the values depend on. What is damaged, and what another program wrote, counts as
    not done. A line says what is read and so not computed, and what is passed over.
    """
    path = as_path(path)
    try:
        kept = _arrays(read_bytes(path))
        kept_of, digest = str(kept.pop("of")), str(kept.pop("sha256"))
        if digest != tree_hash((kept_of, kept)) or len({len(values) for values in kept.values()}) != 1:
            raise ValueError("not the values that were kept")
    except FileNotFoundError:
        return {}
    except Exception as error:  # numpy and zipfile raise errors of many types
        print(f"{printable(path)}: damaged ({_one_line(error)}), computed again", flush=True)
        return {}
    if kept_of != of:
        print(f"{printable(path)}: of other parameters, examples or settings, computed again", flush=True)
        return {}
    count = len(next(iter(kept.values())))
    print(f"{printable(path)}: {count} values of an earlier call are read, not computed", flush=True)
    return kept


def save_done(path: str | Path, values: dict[str, np.ndarray], of: str) -> None:
    """Writes the values under their fingerprint; the file is there whole or not at all."""
    content = io.BytesIO()
    np.savez(content, of=np.str_(of), sha256=np.str_(tree_hash((of, values))), **values)  # type: ignore[arg-type]
    write_bytes_atomically(as_path(path), content.getvalue())


def _arrays(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # As they are kept: what a compressed archive unpacks to has no bound.
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("a compressed archive")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _one_line(error: Exception) -> str:
    return printable(" ".join(str(error).split())[:160] or type(error).__name__)


def _named(value: Any) -> str:
    return getattr(value, "__qualname__", None) or repr(value)

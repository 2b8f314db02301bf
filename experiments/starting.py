"""How a command starts: compiled programs of earlier starts are used again."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
from pathlib import Path

import jax


@dataclasses.dataclass(frozen=True)
class Start:
    """What concerns this start of the command and not its result."""

    cache: bool = True
    """Keep compiled programs in ~/.cache/vae_jax, so that the next start compiles nothing."""


def prepare(start: Start) -> None:
    """Sets up the process; called before anything is compiled.

    Compiled programs are kept in JAX_COMPILATION_CACHE_DIR where that is set, else in XDG_CACHE_HOME/vae_jax
    (~/.cache/vae_jax). A folder that cannot be written costs the cache and nothing else.
    """
    if not start.cache:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = _cache_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        if not os.access(folder, os.W_OK):
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
    # A start consists of many small programs besides the large one.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    # Programs for a CPU hold its instructions, and machines of several kinds may share a home folder.
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.lower().startswith(("flags", "features"))), platform.machine())
    return Path(base) / "vae_jax" / hashlib.sha256(features.encode()).hexdigest()[:12]

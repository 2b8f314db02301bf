"""How a command starts: compiled programs of earlier starts are used again."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import time
import warnings
from pathlib import Path
from typing import Any

import jax

DEVICES = Path("/dev")
_IMPORTED = time.monotonic()


@dataclasses.dataclass(frozen=True)
class Start:
    """What concerns this start of the command and not its result."""

    cache: bool = True
    """Keep compiled programs in ~/.cache/vae_jax, so that the next start of the same need not compile."""


def prepare(start: Start) -> None:
    """Sets up the process; called before anything is compiled.

    Where libtpu is installed but no TPU and no plugin for other devices, and nothing else was asked for, JAX is
    told to use the CPU: looking for a TPU, libtpu would print errors.
    Compiled programs are kept in JAX_COMPILATION_CACHE_DIR where that is set, else in XDG_CACHE_HOME/vae_jax
    (~/.cache/vae_jax). A folder that cannot be written, or no home, costs the cache and nothing else.
    """
    # Without a home that can be written it keeps its fonts in a temporary folder, and says so in five lines.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    if not jax.config.jax_platforms and _only_cpu():  # type: ignore[attr-defined]
        _set("jax_platforms", "cpu")
    if not start.cache:
        _set("jax_enable_compilation_cache", False)
        return
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        try:
            folder = _cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # RuntimeError: a user without a home
            return
        if not os.access(folder, os.W_OK):
            return
        _set("jax_compilation_cache_dir", str(folder))
    # A full disk costs the cache, and the run says for itself what else it could not write.
    warnings.filterwarnings("ignore", message="Error writing persistent compilation cache")
    # A start consists of many small programs besides the large one.
    _set("jax_persistent_cache_min_compile_time_secs", 0.0)
    _set("jax_persistent_cache_min_entry_size_bytes", -1)


def _set(name: str, value: Any) -> None:
    jax.config.update(name, value)


def seconds_since_start() -> float:
    """The seconds since this process began, by the account of Linux; elsewhere since this module was imported."""
    try:
        # The name of the program, in parentheses, may hold spaces; the 22nd field is the start after the boot.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began
    except (OSError, AttributeError, ValueError, IndexError):
        return time.monotonic() - _IMPORTED


def _only_cpu() -> bool:
    """Whether libtpu is installed in vain, and with it nothing for other devices."""
    if importlib.util.find_spec("libtpu") is None or any(DEVICES.glob("accel*")) or (DEVICES / "vfio").exists():
        return False
    # The three ways in which JAX finds plugins; those for GPUs come by the first two.
    found = importlib.util.find_spec("jax_plugins") or importlib.metadata.entry_points(group="jax_plugins")
    return not found and "PJRT_NAMES_AND_LIBRARY_PATHS" not in os.environ


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    # Programs for a CPU hold its instructions, and machines of several kinds may share a home folder.
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.lower().startswith(("flags", "features"))), platform.machine())
    return Path(base) / "vae_jax" / hashlib.sha256(features.encode()).hexdigest()[:12]

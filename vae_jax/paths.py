"""Folders on this machine and in buckets of Google Cloud Storage (gs://), under one interface."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from vae_jax.errors import InputError


def as_path(folder: str | os.PathLike[str]) -> Any:
    """The path of a file or a folder: a `pathlib.Path`, or for gs:// the `etils.epath.Path` that acts like one.

    `pathlib` alone would take "gs://bucket/run" for the folder "gs:" beside the program. Raises InputError for
    another scheme, and for gs:// where no package that reads and writes there is installed.
    """
    text = os.fspath(folder)
    if "://" not in text:
        return Path(text)
    if not text.startswith("gs://"):
        raise InputError(f"{text}: expected a folder of this machine or gs://bucket/folder; mount other storage")
    if not (_installed("gcsfs") or _installed("tensorflow")):
        raise InputError(f"{text}: gcsfs, which writes there, is not installed: install vae-jax[gcs]")
    from etils import epath  # Orbax depends on it; local paths start without it

    return epath.Path(text)


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None

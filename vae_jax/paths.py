"""Folders on this machine and in buckets of Google Cloud Storage (gs://), under one interface."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from vae_jax.errors import InputError, printable


def as_path(folder: str | os.PathLike[str]) -> Any:
    """The path of a file or a folder: a `pathlib.Path`, or for gs:// the `etils.epath.Path` that acts like one.

    `pathlib` alone would take "gs://bucket/run" for the folder "gs:" beside the program. A leading ~ is the home
    folder. Raises InputError for another scheme, for gs:// where no package that reads and writes there is
    installed, and where `local_path` does.
    """
    text = os.fspath(folder)
    if "://" not in text:
        return local_path(text)
    if not text.startswith("gs://"):
        raise InputError(f"{text}: expected a folder of this machine or gs://bucket/folder; mount other storage")
    if not (_installed("gcsfs") or _installed("tensorflow")):
        raise InputError(f"{text}: gcsfs, which writes there, is not installed: install vae-jax[gcs]")
    from etils import epath  # Orbax depends on it; local paths start without it

    return epath.Path(text)


def local_path(path: str | os.PathLike[str]) -> Path:
    """The path that a user wrote, with ~ expanded.

    Raises InputError for what names no file: an empty path, a zero byte, bytes that are no UTF-8, ~ without a home.
    """
    text = os.fspath(path)
    if not text:
        raise InputError("an empty path: expected the name of a file or a folder; write . for the working folder")
    if "\0" in text or not _is_unicode(text):
        raise InputError(f"path {printable(text)}: expected UTF-8 without zero bytes; rename it")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"path {printable(text)}: there is no home folder for ~; write the whole path") from error


def _is_unicode(text: str) -> bool:
    # Python stands lone surrogates for bytes of a name that are no UTF-8; TensorStore and JSON refuse them later.
    return not any("\ud800" <= c <= "\udfff" for c in text)


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None

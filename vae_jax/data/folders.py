"""Which images a folder has, and of which part and class each is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from vae_jax.data.files import is_file, notice
from vae_jax.data.labels import natural_order
from vae_jax.errors import InputError, printable

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}


class Listing(NamedTuple):
    """Images in order, and the class of each; no classes where there are no sub-folders."""

    files: list[Path]
    classes: list[str]


def list_parts(folder: Path) -> dict[str, Listing]:
    """The images of a folder: "all", or of sub-folders `train`, `val` and `test` the parts.

    Sub-folders of a folder without images of its own, or of a part, are classes. Raises InputError where an image
    has no place in this, or there is none.
    """
    subs = _sub_folders(folder)
    parts = {_PARTS[sub.name.lower()]: sub for sub in subs if sub.name.lower() in _PARTS}
    if "train" not in parts or len(parts) < max(2, len(subs)) or _images_in(folder):
        return {"all": _list(folder)}
    return {part: _list(parts[part]) for part in ("train", "validation", "test") if part in parts}


def _list(folder: Path) -> Listing:
    files, subs = _images_in(folder), _sub_folders(folder)
    _tell_lost(folder, below=False)
    within = {sub: _images_below(sub) for sub in subs}
    if files and not any(within.values()):
        return Listing(files, [])
    if files:
        raise InputError(
            f"{printable(folder)} has images of its own ({printable(files[0].name)}) and in sub-folders: expected "
            "one or the other, all images in it or one sub-folder a class"
        )
    for sub, found in within.items():
        if not found:
            raise InputError(f"{printable(sub)} has no image: every sub-folder is a class; fill it or remove it")
    if not within:
        raise InputError(f"{printable(folder)} has no image: expected files ending in {', '.join(SUFFIXES)}")
    below = [file for sub, found in within.items() for file in found if file.parent != sub]
    if below:
        first = printable(below[0])
        notice(f"{printable(folder)}: {len(below)} images lie below the classes, as {first}; read as theirs")
    return Listing(
        [file for found in within.values() for file in found],
        [s.name for s, found in within.items() for _ in found],
    )


def _sub_folders(folder: Path) -> list[Path]:
    found = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    return sorted(found, key=lambda p: natural_order(p.name))


def _images_in(folder: Path) -> list[Path]:
    named = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    return [p for p in named if is_file(p)]


def _tell_lost(folder: Path, *, below: bool) -> None:
    """Says what is left out: links to nothing, what is no regular file, and, `below` a class, links to folders."""
    inside = sorted(folder.iterdir())
    nothing = [p for p in inside if p.is_symlink() and not p.exists()]
    special = [p for p in inside if p.suffix.lower() in SUFFIXES and p.exists() and not (p.is_dir() or is_file(p))]
    linked = [p for p in inside if below and p.is_symlink() and p.is_dir()]
    for found, why in (
        (nothing, "links to nothing"),
        (special, "no regular files"),
        (linked, "links to folders, not followed below a class"),
    ):
        if found:
            notice(f"{printable(folder)}: {len(found)} left out, as {printable(found[0].name)}: {why}")


def _images_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    # Links to folders are not followed below the classes, for they may lead back up.
    for where, folders, _ in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        _tell_lost(Path(where), below=True)
        found += _images_in(Path(where))
    return found


def _raise(error: OSError) -> None:
    raise error

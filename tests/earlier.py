"""Folders that earlier versions wrote, kept with the tests as archives."""

import tarfile
from pathlib import Path


def unpack(path: Path, folder: Path) -> None:
    """Unpacks one of our own archives; Python before 3.11.4, as Debian 12 has it, knows no filters."""
    safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(path) as archive:
        archive.extractall(folder, **safe)

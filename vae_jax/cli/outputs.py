"""What the commands of a finished run write: arrays, tables and pictures, by the ending of their name."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from vae_jax.data import Layout
from vae_jax.errors import InputError, printable
from vae_jax.files import write_bytes_atomically, write_text_atomically
from vae_jax.paths import local_path


def check_out(out: str, *, endings: Sequence[str], folder: bool = False) -> Path:
    """The path of a file to be written; raises InputError, before any work, for an ending that is not served."""
    path = local_path(out)
    if not out:
        raise InputError("out '': expected the name of a file or folder")
    served = path.suffix.lower() in endings or (folder and path.suffix == "")
    if not served:
        wanted = [f"a name ending in {' or '.join(endings)}"] if endings else []
        wanted += ["a folder"] if folder else []
        raise InputError(f"out {printable(path)}: expected {', or '.join(wanted)}")
    if path.is_dir() != (folder and path.suffix == "") and path.exists():
        raise InputError(f"out {printable(path)} is there and is not what would be written: choose another name")
    return path


def write_array(path: Path, array: Num[np.ndarray, "..."]) -> None:
    """A .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_bytes_atomically(path, buffer.getvalue())


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A .csv file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text_atomically(path, text.getvalue())


def as_cells(values: Num[np.ndarray, "N d"], layout: Layout) -> list[list[Any]]:
    """The cells of a table: categories by their names, counts as integers, an empty cell for NaN."""
    assert layout.columns is not None  # of every table
    columns = []
    for column, numbers in zip(layout.columns, values.T, strict=True):
        if column.kind == "categorical":
            most = len(column.categories) - 1
            cells: list[Any] = [
                "" if np.isnan(v) else column.categories[min(max(round(float(v)), 0), most)] for v in numbers
            ]
        else:
            cells = ["" if np.isnan(v) else f"{v:.7g}" for v in numbers]
        columns.append(cells)
    return [list(row) for row in zip(*columns, strict=True)]


def write_examples(path: Path, values: Any, layout: Layout, names: Sequence[str]) -> int:
    """Examples in own units, as .npy, as .csv where they are a table, or as a folder of PNG where they are images.

    values: numbers [N, *event]. Returns how many files were written.
    """
    if path.suffix == ".npy":
        write_array(path, values)
    elif path.suffix == ".csv":
        if layout.form != "table" or layout.columns is None:
            raise InputError(f"out {printable(path)}: {layout.form} are no table; expected a name ending in .npy")
        write_rows(path, [column.name for column in layout.columns], as_cells(values, layout))
    else:
        if layout.form != "images" or layout.event[-1] not in (1, 3):
            raise InputError(
                f"out {printable(path)}: {layout.form} are no pictures; expected a name ending in .npy"
            )
        for name, image in zip(names, values, strict=True):
            write_image(path / f"{name}.png", image, layout)
        return len(values)
    return 1


def write_image(path: Path, image: Num[np.ndarray, "H W C"], layout: Layout) -> None:
    """A PNG: levels as they are, numbers in [0, 1] times 255, real ones between their own least and most."""
    from vae_jax.data.images import pillow

    if layout.stored == "levels":
        levels = image
    elif layout.stored == "unit":
        levels = 255 * image
    else:
        low, high = float(np.min(image)), float(np.max(image))
        levels = 255 * (image - low) / max(high - low, 1e-30)
    pixels = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    picture = pillow("a picture").fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    picture.save(buffer, format="PNG")
    write_bytes_atomically(path, buffer.getvalue())

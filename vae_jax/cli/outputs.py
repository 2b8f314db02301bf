"""What the commands of a finished run write: arrays, tables and pictures, by the ending of their name."""

from __future__ import annotations

import csv
import io
import math
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from vae_jax.data import Layout
from vae_jax.errors import InputError, printable
from vae_jax.files import write_bytes_atomically, write_text_atomically
from vae_jax.paths import local_path

# Of a name in bytes, of which file systems allow 255; ".partial.npz" or ".png" is to come.
_LONGEST = 240


def check_out(out: str, *, endings: Sequence[str], folder: bool = False, data: str | None = None) -> Path:
    """The path of what is to be written, a file by its ending or, if there is none, a `folder` of pictures.

    Raises InputError, before any work, for an ending that is not served, for what is there and is not what would be
    written, a folder that is not empty, the `data` that are read, and a place where nothing can be written.
    """
    if "://" in out:
        raise InputError(f"out {printable(out)}: expected a place on this machine")
    path = local_path(out)
    ending, shown = path.suffix.lower(), printable(path)
    if not (ending in endings or (folder and not ending)):
        wanted = f"a name ending in {' or '.join(endings)}" + (", or a folder, without an ending" if folder else "")
        raise InputError(f"out {shown}: expected {wanted}")
    if len(os.fsencode(path.name)) > _LONGEST:
        raise InputError(f"out {shown[:60]}...: expected a name of at most {_LONGEST} bytes")
    if data is not None and _same(path, local_path(data)):
        raise InputError(f"out {shown} is what --data names, or lies in it: choose another place")
    if path.exists() and path.is_dir() != (not ending):
        raise InputError(f"out {shown} is there and is not what would be written: choose another name")
    if path.is_dir() and any(path.iterdir()):
        raise InputError(f"out {shown} is a folder with something in it: expected a new one, or an empty one")
    _check_place(path)
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
    """The cells of a table: categories by their names, an empty cell for NaN, every digit of a number."""
    assert layout.columns is not None  # of every table
    columns = []
    for column, numbers in zip(layout.columns, values.T, strict=True):
        if column.kind == "categorical":
            most = len(column.categories) - 1
            cells = ["" if v != v else column.categories[min(max(round(v), 0), most)] for v in numbers.tolist()]
        else:
            cells = [_cell(v) for v in numbers.tolist()]
        columns.append(cells)
    return [list(row) for row in zip(*columns, strict=True)]


def rounded(values: Num[np.ndarray, "*shape"], layout: Layout) -> Num[np.ndarray, "*shape"]:
    """Numbers of a model to seven digits of what they vary by, which is what float32 holds: [..., d], a table.

    A year, or 1,000,000.25, keeps the digits that say something.
    """
    if layout.columns is None or values.dtype.kind != "f":
        return values
    columns = [
        np.round(x, 6 - math.floor(math.log10(column.scale))) if column.kind == "real" else _significant(x)
        for column, x in zip(layout.columns, np.moveaxis(values, -1, 0), strict=True)
    ]
    return np.stack(columns, axis=-1)


def write_examples(path: Path, values: Any, layout: Layout, names: Sequence[str]) -> None:
    """Examples in own units, as .npy, as .csv where they are a table, or as a folder of PNG where they are images.

    values: numbers [N, *event]. All is written, or nothing. Raises InputError where `check_examples` does.
    """
    check_examples(path, layout)
    ending = path.suffix.lower()
    if ending == ".npy":
        write_array(path, values)
    elif ending == ".csv":
        assert layout.columns is not None  # `check_examples`
        write_rows(path, [column.name for column in layout.columns], as_cells(rounded(values, layout), layout))
    else:
        _write_pictures(path, values, layout, names)


def check_examples(path: Path, layout: Layout) -> None:
    """Raises InputError for a .csv of what is no table, and a folder of pictures of what are no images."""
    ending, shown = path.suffix.lower(), printable(path)
    if ending == ".csv" and (layout.form != "table" or layout.columns is None):
        raise InputError(f"out {shown}: {layout.form} are no table; expected a name ending in .npy")
    if not ending and (layout.form != "images" or layout.event[-1] not in (1, 3)):
        many = f"images of {layout.event[-1]} channels" if layout.form == "images" else layout.form
        also = " or .csv" if layout.form == "table" else ""
        raise InputError(f"out {shown}: {many} are no pictures; expected a name ending in .npy{also}")


def _write_pictures(path: Path, values: Any, layout: Layout, names: Sequence[str]) -> None:
    # Beside it first: a folder that is there is whole.
    target = path.resolve()
    fresh = target.with_name(f".partial-{secrets.token_hex(8)}")
    try:
        for name, image in zip(names, values, strict=True):
            write_image(fresh / f"{name}.png", image, layout)
        fresh.rename(target)
    except OSError as error:
        raise InputError(f"out {printable(path)} could not be written ({error.strerror})") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


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


def _same(path: Path, data: Path) -> bool:
    """Whether to write at `path` would change the data."""
    out, read = path.resolve(), data.resolve()
    return out == read or (read.is_dir() and out.is_relative_to(read))


def _check_place(path: Path) -> None:
    """Raises InputError where the folder that is to hold `path` cannot be made or written to."""
    above = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise InputError(
            f"out {printable(path)}: nothing can be written in {printable(above)}; expected a folder of your own"
        )


def _cell(value: float | int) -> str:
    if value != value:
        return ""
    if math.isinf(value):
        return repr(value)
    # The shortest text that reads back as this number; a whole one is written as such.
    return str(int(value)) if value == int(value) and abs(value) < 1e16 else repr(value)


def _significant(x: np.ndarray) -> np.ndarray:
    return np.array([float(f"{v:.7g}") for v in x.ravel().tolist()]).reshape(x.shape)

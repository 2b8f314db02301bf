"""Data that do not fit into memory, found as those that do: .npy files of any numbers, and folders of photos.

What a .npy file holds is told from 10,000 examples of all over it. Unless they are bytes, all of it is then read
once: every value is checked, and loc and scale are those of all training examples.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from vae_jax.data.columns import Kind
from vae_jax.data.cutting import MOST_TEST, cut_rows, size_of_validation
from vae_jax.data.factors import FactorImages
from vae_jax.data.files import check_memory, counted, notice
from vae_jax.data.forms import typed
from vae_jax.data.found import Form, Found, Layout, Part
from vae_jax.data.npy import NpyRows, is_archive
from vae_jax.data.photo_stream import AlbumImages
from vae_jax.data.photos import open_album
from vae_jax.data.stored_rows import StoredRows, measured
from vae_jax.data.streaming import gather
from vae_jax.data.tables import as_table, find_table
from vae_jax.errors import InputError, printable

_SAMPLE, _SAMPLE_BYTES = 10_000, 2**26
_HELD_BYTES = 2**28  # of validation and of test examples, which are in memory


def find_streamed(
    path: Path,
    *,
    form: Form | None,
    kinds: Mapping[str, Kind] | Kind | None,
    size: int | None,
    split: Literal["random", "time"],
    num_validation: int,
    given: Mapping[str, Callable[[Layout], Part]],
) -> Found:
    """As `find`: training examples are a `Source`, those for validation and test arrays, of at most 256 MiB each.

    given: "validation" and "test", where the user has them: functions from the layout to a `Part` as stored. At
    most 10,000 are cut off for test. Raises InputError.
    """
    if path.is_dir():
        return _photos(path, form, kinds, size, split, num_validation, given)
    if not is_archive(path) or path.suffix.lower() != ".npy":
        raise InputError(f"{printable(path)}: expected a .npy file or a folder of photos to stream; save it so")
    if size is not None:
        raise InputError(f"{printable(path)}: expected no size of what is streamed; resize the images before")
    name = printable(path)
    source = NpyRows(path)
    num = max(1, min(_SAMPLE, _SAMPLE_BYTES // max(1, source[0].nbytes)))
    rows_of_sample = np.unique(np.linspace(0, len(source) - 1, num, dtype=int))
    sample = gather(source, rows_of_sample)
    layout, reason = _layout_of(sample, rows_of_sample, name, form, kinds)
    rows, said = _cut(len(source), sample[:1].nbytes, split, num_validation, given, name)
    low: float | None = 0.0
    high: float | None = 255.0
    gaps = 0.0
    if layout.stored != "levels":
        layout, low, high, gaps = measured(source, rows["train"], layout, name)
    stored = {part: StoredRows(NpyRows(path, of), layout) for part, of in rows.items()}
    parts = {part: Part(s if part == "train" else gather(s, np.arange(len(s)))) for part, s in stored.items()}
    parts |= {part: read(layout) for part, read in given.items()}
    reason = f"{reason}; streamed"
    three = (parts["train"], parts["validation"], parts["test"])
    return Found(str(path), layout, *three, reason, said, low=low, high=high, gaps=gaps)


def _layout_of(
    sample: np.ndarray, rows: np.ndarray, name: str, form: Form | None, kinds: Mapping[str, Kind] | Kind | None
) -> tuple[Layout, str]:
    found = typed(sample, name, form)
    event = found.values.shape[1:]
    if found.form != "table":
        if kinds is not None:
            raise InputError(f"{name} is {found.form}: expected no kinds, which are of columns; leave them out")
        assert found.stored is not None
        stored = found.stored
        if stored == "levels" and sample.dtype != np.uint8:
            stored = "real"  # others of the file may be no levels
        return Layout(found.form, stored, event), found.reason
    table = find_table(as_table(found.values)._replace(rows=rows), name, kinds=kinds, matrix=found.values)
    return Layout("table", table.stored, (len(table.columns),), table.columns), found.reason


def _cut(
    num: int,
    num_bytes: int,
    split: Literal["random", "time"],
    num_validation: int,
    given: Collection[str],
    name: str,
) -> tuple[dict[str, np.ndarray], str]:
    """The rows of each part that is not given, and in words where the parts come from."""
    if num < 20:
        raise InputError(
            f"{name}: {counted(num, 'example')}; expected at least 20, to train, to validate and to test"
        )
    most = max(1, _HELD_BYTES // num_bytes)
    rows, said = {"train": np.arange(num)}, [f"{part} as given" for part in sorted(given)]
    if "test" not in given:
        rows["test"], rows["train"] = cut_rows(rows["train"], min(num // 5, MOST_TEST, most), split)
        said.append(f"{len(rows['test'])} for test")
    if "validation" not in given:
        size = min(size_of_validation(len(rows["train"]), num_validation), most)
        rows["validation"], rows["train"] = cut_rows(rows["train"], size, split)
        said.append(f"{size} of the training examples for validation")
    return rows, ", ".join([*said, "in their order, test last" if split == "time" else "drawn by a fixed seed"])


def _photos(
    folder: Path,
    form: Form | None,
    kinds: Mapping[str, Kind] | Kind | None,
    size: int | None,
    split: Literal["random", "time"],
    num_validation: int,
    given: Mapping[str, Callable[[Layout], Part]],
) -> Found:
    name = printable(folder)
    if form not in (None, "images") or kinds is not None:
        raise InputError(f"{name} is a folder of images: expected neither another form nor kinds; leave them out")
    album = open_album(folder, size)
    own = {part: np.arange(s.start, s.stop) for part, s in album.rows.items() if part not in ("all", "train")}
    taken = [part for part in own if part in given]
    if taken:
        raise InputError(
            f"{name} has a part {taken[0]!r} of its own: expected none beside --{taken[0]}; leave it out"
        )
    whole = album.rows["all" if "all" in album.rows else "train"]
    num_bytes = int(np.prod(album.shape))
    cut, said = _cut(whole.stop - whole.start, num_bytes, split, num_validation, {**given, **own}, name)
    rows = {part: whole.start + of for part, of in cut.items()} | own
    check_memory(name, num_bytes * sum(len(of) for p, of in rows.items() if p != "train"), "keep fewer for test")
    parts = {}
    for part, of in rows.items():
        images = AlbumImages(album, of)
        if part == "train" and not images.cached:
            notice(
                f"{name}: no room for the pixels on disk (TMPDIR chooses where): photos are decoded at every visit"
            )
        labels = None if album.labels is None else album.labels[of]
        names = tuple(album.names[i] for i in of.tolist())
        parts[part] = Part(images if part == "train" else gather(images, np.arange(len(of))), labels, names)
    layout = Layout("images", "levels", album.shape, classes=album.classes)
    parts |= {part: read(layout) for part, read in given.items()}
    number = None if album.classes is None else len(album.classes)
    reason = "a folder of images; streamed"
    three = (parts["train"], parts["validation"], parts["test"])
    return Found(str(folder), layout, *three, reason, said, num_classes=number, low=0.0, high=255.0)


def find_factors_streamed(
    name: str,
    *,
    split: Literal["random", "time"],
    num_validation: int,
    given: Mapping[str, Callable[[Layout], Part]],
    data_dir: str | None,
    manual_dir: str | None,
) -> Found:
    """dSprites or 3D Shapes as `find_streamed` has data; the factors of the test examples are known."""
    whole = FactorImages(name, data_dir=data_dir, manual_dir=manual_dir)
    rows, said = _cut(len(whole), int(np.prod(whole.dataset.image_shape)), split, num_validation, given, name)
    sources = {part: FactorImages(name, of, data_dir=data_dir, manual_dir=manual_dir) for part, of in rows.items()}
    layout = Layout("images", "levels", whole.dataset.image_shape)
    parts, factors = {"train": Part(sources["train"])}, None
    for part in ("validation", "test"):
        if part in given:
            parts[part] = given[part](layout)
        else:
            images, of_images = sources[part].examples()
            parts[part] = Part(images)
            factors = of_images if part == "test" else factors
    three = (parts["train"], parts["validation"], parts["test"])
    return Found(name, layout, *three, "a known data set; streamed", said, low=0.0, high=255.0, factors=factors)

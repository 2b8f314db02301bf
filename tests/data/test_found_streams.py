"""Streams of any data: what is found is what is found in memory, and each photo is decoded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import NpyRows, checked_labels, find, gather, photo_stream, stored_rows, streamed, to_own_units
from vae_jax.data.photos import open_album
from vae_jax.errors import InputError

RANDOM = np.random.default_rng(0)


def read(source: Any) -> np.ndarray:
    whole: np.ndarray = gather(source, np.arange(len(source)))
    return whole


def mixed(num: int) -> np.ndarray:
    columns = [
        RANDOM.normal(1e6, 1, num),
        np.exp(RANDOM.normal(size=num)),
        RANDOM.poisson(3, num),
        RANDOM.choice([-1, 2, 4], num),
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def with_gaps(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[5::7, ..., 1] = np.nan
    return array


@pytest.mark.parametrize(
    "array",
    [
        RANDOM.integers(0, 256, (60, 8, 8, 2)).astype(np.uint8),
        RANDOM.random((60, 8, 8)).astype(np.float32),
        RANDOM.normal(300, 2, (60, 5, 3)),
        with_gaps(RANDOM.normal(300, 2, (60, 5, 3)).astype(np.float32)),
        RANDOM.poisson(2, (60, 20)).astype(np.uint16),
        RANDOM.normal(-5, 2, (60, 4)).astype(">f8"),
        mixed(60),
        with_gaps(mixed(60)),
    ],
    ids=["levels", "unit", "series", "gaps", "counts", "real", "columns", "columns with gaps"],
)
@pytest.mark.parametrize("split", ["random", "time"])
def test_a_stream_is_what_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, array: np.ndarray, split: Any
) -> None:
    """Fails if streamed data get another layout, split, loc or scale, or an example is read from another place."""
    monkeypatch.setattr(stored_rows, "_BLOCK_BYTES", 7 * array[0].nbytes)
    np.save(tmp_path / "x.npy", array)
    found = find(str(tmp_path / "x.npy"), stream=True, split=split)
    memory = find(str(tmp_path / "x.npy"), split=split)
    ours, theirs = found.layout, memory.layout
    assert (ours.form, ours.stored, ours.event, ours.missing) == (
        theirs.form,
        theirs.stored,
        theirs.event,
        theirs.missing,
    )
    for mine, other in ((ours.loc, theirs.loc), (ours.scale, theirs.scale)):
        assert (mine is None) == (other is None)
        if mine is not None and other is not None:
            np.testing.assert_allclose(mine, other, rtol=1e-9)
    for a, b in zip(ours.columns or (), theirs.columns or (), strict=True):
        assert (a.name, a.kind, a.categories) == (b.name, b.kind, b.categories)
        np.testing.assert_allclose([a.loc, a.scale], [b.loc, b.scale], rtol=1e-9)
    assert (found.low, found.high, found.gaps) == pytest.approx(
        (memory.low, memory.high, memory.gaps) if ours.stored != "levels" else (0, 255, 0)
    )
    parts = [(found.train, memory.train), (found.validation, memory.validation), (found.test, memory.test)]
    for part, other_part in parts:
        values = read(part.values) if part is found.train else part.values
        assert values.dtype == other_part.values.dtype
        np.testing.assert_allclose(
            to_own_units(values, ours), to_own_units(other_part.values, theirs), rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize(("column", "value", "part"), [(0, np.inf, "has inf in row"), (3, 3.0, "has '3' in row")])
def test_every_value_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: int, value: float, part: str
) -> None:
    """Fails if a value that the sample did not have is found while training, or as a wrong number never."""
    monkeypatch.setattr(streamed, "_SAMPLE", 40)
    monkeypatch.setattr(stored_rows, "_BLOCK_BYTES", 7 * 32)
    table = mixed(60)
    row = max(set(range(60)) - set(np.linspace(0, 59, 40, dtype=int).tolist()))
    table[row, column] = value
    np.save(tmp_path / "x.npy", table)
    with pytest.raises(InputError) as caught:
        find(str(tmp_path / "x.npy"), stream=True)
    assert f"{part} {row}, column 'column_{column + 1}'" in str(caught.value)


def jpegs(folder: Path, num: int) -> Path:
    for i in range(num):
        (folder / str(i % 2)).mkdir(parents=True, exist_ok=True)
        pixels = np.kron(RANDOM.integers(0, 256, (4, 4, 3)), np.ones((8, 10, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / str(i % 2) / f"{i:03}.jpg")
    return folder


def test_photos_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a photo is another after it was kept, is decoded at each visit, or has another name or label."""
    folder = jpegs(tmp_path / "photos", 40)
    memory, found = find(str(folder)), find(str(folder), stream=True)
    assert found.layout == memory.layout
    assert found.train.names == memory.train.names
    for ours, theirs in zip(checked_labels(found), checked_labels(memory), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.test.values, memory.test.values)
    decoded = []
    album = type(found.train.values.album)
    before = album.decoded
    monkeypatch.setattr(album, "decoded", lambda self, i: decoded.append(i) or before(self, i))
    for _ in range(3):
        np.testing.assert_array_equal(read(found.train.values), memory.train.values)
    np.testing.assert_array_equal(found.train.values[3], memory.train.values[3])
    # The first of a chunk is looked at for its shape, and then again.
    assert len(decoded) == len(set(decoded)) == len(memory.train.values)


def test_without_room_on_disk_photos_are_decoded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Fails if a full disk stops a run, before or while it trains."""
    folder = jpegs(tmp_path / "photos", 30)
    expected = find(str(folder)).train.values
    album = open_album(folder, None)
    images = photo_stream.AlbumImages(album, np.arange(30))
    assert images.cached

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(photo_stream.os, "pwrite", full)
    np.testing.assert_array_equal(read(images), read(images))
    monkeypatch.setattr(photo_stream.shutil, "disk_usage", full)
    found = find(str(folder), stream=True)
    assert not found.train.values.cached
    assert "no room for the pixels on disk" in capsys.readouterr().out
    np.testing.assert_array_equal(read(found.train.values), expected)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"size": 8}, "expected no size of what is streamed"),
        ({"label": "a"}, "with label is not streamed: expected a .npy file"),
        ({"form": "table"}, r"expected table \[N, d\]"),
        ({"kinds": "real"}, "expected no kinds"),
    ],
)
def test_what_cannot_be_streamed(tmp_path: Path, options: Any, part: str) -> None:
    """Fails if an option is ignored in silence."""
    np.save(tmp_path / "x.npy", RANDOM.normal(size=(40, 4, 5)))
    with pytest.raises(InputError, match=part):
        find(str(tmp_path / "x.npy"), stream=True, **options)
    (tmp_path / "x.csv").write_text("1,2\n")
    with pytest.raises(InputError, match=r"expected a .npy file or a folder of photos to stream"):
        find(str(tmp_path / "x.csv"), stream=True)
    np.save(tmp_path / "y.npy", np.full((40, 2), "a"))
    with pytest.raises(InputError, match="dtype <U1"):
        NpyRows(tmp_path / "y.npy")


def test_parts_beside_a_stream(tmp_path: Path) -> None:
    """Fails if the examples that the user gave for test are not those tested, or have a mean of their own."""
    x, y = RANDOM.normal(7, 1, (60, 3)), RANDOM.normal(9, 1, (25, 3))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    found = find(str(tmp_path / "x.npy"), stream=True, test=str(tmp_path / "y.npy"))
    np.testing.assert_allclose(to_own_units(found.test.values, found.layout), y, atol=1e-6)
    assert len(found.train.values) == 54

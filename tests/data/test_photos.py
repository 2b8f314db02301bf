"""Folders of photos as cameras and phones leave them: read as a viewer shows them, and what is decided is said."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import files
from vae_jax.data.arrays import load_arrays, load_parts
from vae_jax.errors import InputError

BYTES = np.random.default_rng(0).integers(0, 256, (6, 5, 7, 3)).astype(np.uint8)
SMOOTH = np.add.outer(np.linspace(0, 120, 48), np.linspace(0, 120, 96)).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def printed(capsys: pytest.CaptureFixture) -> list[str]:
    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() for line in lines)
    return lines


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_orientation_is_that_of_every_viewer(
    tmp_path: Path, capsys: pytest.CaptureFixture, suffix: str, orientation: int
) -> None:
    """Fails if a photo lies on its side, is mirrored or turned twice, against the table of the EXIF standard."""
    turn = {
        **{2: np.fliplr, 3: lambda x: x[::-1, ::-1], 4: np.flipud, 5: np.transpose},
        **{6: lambda x: np.rot90(x, -1), 7: lambda x: x[::-1, ::-1].T, 8: np.rot90},
    }
    options = {".jpg": {"quality": 95}, ".webp": {"lossless": True}}.get(suffix, {})
    save(tmp_path / f"a{suffix}", SMOOTH, exif=oriented(orientation), **options)
    images, _ = load_arrays(tmp_path)
    expected = turn.get(orientation, np.asarray)(SMOOTH).astype(int)
    np.testing.assert_allclose(images[0, ..., 0], expected, atol=2 if suffix == ".jpg" else 0)
    assert bool(printed(capsys)) == (orientation in turn)


def test_sizes_are_compared_after_turning(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Fails if a photo that lies in the file counts as one of another size, or a damaged entry loses the photo."""
    save(tmp_path / "a.png", BYTES[0])
    save(tmp_path / "b.png", np.rot90(BYTES[1]), exif=oriented(6))
    save(tmp_path / "c.png", BYTES[2], exif=b"Exif\0\0no entry at all")
    images, _ = load_arrays(tmp_path)
    np.testing.assert_array_equal(images, BYTES[:3])
    assert printed(capsys) == [f"{tmp_path}: 1 images turned as their EXIF orientation says, as b.png"]


def with_late_exif(path: Path) -> Path:
    """Moves the EXIF chunk of a PNG behind its pixels, where exiftool and others write it."""
    content, position, chunks = path.read_bytes(), 8, []
    while position < len(content):
        length = 12 + int.from_bytes(content[position : position + 4], "big")
        chunks.append(content[position : position + length])
        position += length
    late = [chunk for chunk in chunks if chunk[4:8] == b"eXIf"]
    assert len(late) == 1
    others = [chunk for chunk in chunks if chunk[4:8] != b"eXIf"]
    path.write_bytes(content[:8] + b"".join([*others[:-1], *late, others[-1]]))
    return path


@pytest.mark.parametrize(("size", "deep"), [(None, False), (4, False), (None, True)])
def test_exif_after_the_pixels_of_a_png(
    tmp_path: Path, capsys: pytest.CaptureFixture, size: int | None, deep: bool
) -> None:
    """Fails if the entry is found in the pixels but not in the header, or if finding it hides 16 bits."""
    pixels = np.add.outer(np.arange(24), np.arange(16)).astype(np.uint8)
    stored = pixels.astype(np.uint16) << 8 if deep else pixels
    with_late_exif(save(tmp_path / "a.png", np.rot90(stored), exif=oriented(6)))
    save(tmp_path / "b.png", pixels)
    images, _ = load_arrays(tmp_path, size=size)
    assert images.shape == (2, size or 24, size or 16, 1)
    np.testing.assert_array_equal(*images)
    lines = printed(capsys)
    assert f"{tmp_path}: 1 images turned as their EXIF orientation says, as a.png" in lines
    assert any("16 bits a channel read as 8" in line for line in lines) == deep


def test_several_sizes_become_one(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Fails if photos of several sizes are refused or squeezed, or if the size is not said."""
    for i, (height, width) in enumerate([(48, 96), (96, 48), (60, 60)]):
        inside = np.zeros((height, width), np.uint8)
        top, left = (height - min(height, width)) // 2, (width - min(height, width)) // 2
        inside[top : height - top or None, left : width - left or None] = 100 + i
        save(tmp_path / f"{i}.png", inside)
    images, _ = load_arrays(tmp_path)
    assert images.shape == (3, 32, 32, 1)
    # What is outside the middle square is left out, so each image has one level but where the filter looks over
    # its edge.
    inner = images[:, 3:-3, 3:-3].reshape(3, -1)
    np.testing.assert_array_equal(np.unique(inner, axis=1), [[100], [101], [102]])
    (line,) = printed(capsys)
    assert "3 images of 48 x 96 to 96 x 48 pixels resized to 32 x 32 (middle square, the power of two" in line
    assert "--size" in line
    assert load_arrays(tmp_path, size=16)[0].shape == (3, 16, 16, 1)
    assert "resized to 16 x 16" in printed(capsys)[0]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_resizing_keeps_the_picture(tmp_path: Path, suffix: str) -> None:
    """Fails if a smooth picture comes out shifted, mirrored or without its contrast by more than two levels."""
    save(tmp_path / f"a{suffix}", SMOOTH, **({"quality": 95} if suffix == ".jpg" else {}))
    images, _ = load_arrays(tmp_path, size=8)
    expected = SMOOTH[:, 24:72].astype(float).reshape(8, 6, 8, 6).mean((1, 3))
    np.testing.assert_allclose(images[0, ..., 0], expected, atol=2)


@pytest.mark.parametrize("size", [0, -3, 10**9])
def test_sizes_that_are_none(tmp_path: Path, size: int) -> None:
    """Fails if a size of no use is found by an allocation."""
    save(tmp_path / "a.png", BYTES[0])
    with pytest.raises(InputError, match=f"size {size}: expected a number of pixels from 1"):
        load_arrays(tmp_path, size=size)


def test_class_folders_in_numeric_order(tmp_path: Path) -> None:
    """Fails if class 2 is folder 10, or if the names of the classes are lost."""
    for i in range(12):
        save(tmp_path / str(i) / "a.png", np.full((4, 4), 10 * i, np.uint8))
    part = load_parts(tmp_path)["all"]
    assert part.labels is not None
    assert part.labels.tolist() == list(range(12))
    np.testing.assert_array_equal(part.images[:, 0, 0, 0], 10 * np.arange(12))
    assert part.classes == tuple(str(i) for i in range(12))
    os.rename(tmp_path / "2", tmp_path / "rose 2")
    classes = load_parts(tmp_path)["all"].classes
    assert classes is not None
    assert classes[-2:] == ("11", "rose 2")


def test_folders_train_and_test_are_a_split(tmp_path: Path) -> None:
    """Fails if `train` and `test` are taken for two classes, or if a class has another number in each."""
    for part, name, level in (("train", "ant", 1), ("train", "bee", 2), ("test", "bee", 3), ("val", "ant", 4)):
        save(tmp_path / part / name / "a.png", np.full((4, 4), level, np.uint8))
    parts = load_parts(tmp_path)
    found = {
        p: (s.images[:, 0, 0, 0].tolist(), s.labels.tolist()) for p, s in parts.items() if s.labels is not None
    }
    assert found == {"train": ([1, 2], [0, 1]), "validation": ([4], [0]), "test": ([3], [1])}
    assert parts["test"].classes == ("ant", "bee")


def test_what_is_chosen_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Fails if sub-folders of a class, links, pipes or linked folders are read or left out in silence."""
    save(tmp_path / "cat" / "a.png", BYTES[0])
    save(tmp_path / "cat" / "more" / "b.png", BYTES[1])
    save(tmp_path / "dog" / "c.png", BYTES[2])
    (tmp_path / "dog" / "lost\x1b[2J.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "dog" / "up").symlink_to(tmp_path)
    (tmp_path / "cow").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    images, labels = load_arrays(tmp_path)
    np.testing.assert_array_equal(images, BYTES[:3])
    assert labels is not None
    assert labels.tolist() == [0, 0, 1]
    lines = printed(capsys)
    for part in (
        "1 images lie below the classes, as " + str(tmp_path / "cat" / "more" / "b.png"),
        r"1 left out, as lost\x1b[2J.png: links to nothing",
        "1 left out, as up: links to folders",
        "1 left out, as cow: links to nothing",
        "1 left out, as pipe.png: no regular files",
    ):
        assert len([line for line in lines if part in line]) == 1, part
    assert len(lines) == 5


def png_16_bit_colour(path: Path, pixels: np.ndarray) -> None:
    """Pillow writes none, so the bytes are put together here. pixels: uint16 [H, W, 3]."""
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def test_16_bits_are_read_as_8_and_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Fails if 16 bits a channel are cut to 255, lose their upper byte, or are cut in silence."""
    deep = np.random.default_rng(0).integers(0, 2**16, (5, 7, 3)).astype(np.uint16)
    (tmp_path / "colour").mkdir()
    png_16_bit_colour(tmp_path / "colour" / "a.png", deep)
    images, _ = load_arrays(tmp_path / "colour")
    np.testing.assert_array_equal(images[0], deep >> 8)
    for suffix in (".png", ".tif"):
        save(tmp_path / "grey" / f"a{suffix}", deep[..., 0])
    images, _ = load_arrays(tmp_path / "grey")
    np.testing.assert_array_equal(images[..., 0], [deep[..., 0] >> 8] * 2)
    colour, grey = printed(capsys)
    assert "1 images of 16 bits a channel read as 8 bits, as a.png" in colour
    assert "2 images of 16 bits" in grey


def test_32_bits_are_refused(tmp_path: Path) -> None:
    """Fails if floats without a known white are cast."""
    save(tmp_path / "a.tif", np.random.default_rng(0).random((4, 5)).astype(np.float32))
    with pytest.raises(InputError, match=r"a.tif has 32 bits a channel .*convert it to 8 bits"):
        load_arrays(tmp_path)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_the_first_frame_is_read_and_said(tmp_path: Path, capsys: pytest.CaptureFixture, suffix: str) -> None:
    """Fails if the last frame is read, or the first in silence."""
    frames = [Image.fromarray(np.full((6, 6), level, np.uint8)) for level in (40, 200)]
    options = {"lossless": True} if suffix == ".webp" else {}
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], **options)
    images, _ = load_arrays(tmp_path)
    np.testing.assert_array_equal(images, np.full(images.shape, 40))
    assert printed(capsys) == [
        f"{tmp_path}: 1 images with several frames or pages: the first is read, as a{suffix}"
    ]


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"P5 2 2 255\n1234"])
def test_content_of_other_formats_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """Fails if PostScript in a .png starts a program, or if a format that we do not name is read."""
    monkeypatch.setattr(subprocess, "check_call", lambda *_, **__: pytest.fail("a program was started"))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a.png cannot be read .* replace or remove it"):
        load_arrays(tmp_path)


def test_pixels_are_counted_before_one_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a picture of 169 MP in 20 kB is decoded, or many that are together more than the memory."""
    Image.new("1", (13_000, 13_000)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("a picture was decoded"))
    with pytest.raises(InputError, match="has 13000 x 13000 pixels: expected at most 89478485"):
        load_arrays(tmp_path)
    (tmp_path / "a.png").unlink()
    for i in range(25):
        Image.new("1", (1300, 1300)).save(tmp_path / f"{i}.png")
    monkeypatch.setattr(files, "available_memory", lambda: 10**7)
    with pytest.raises(InputError, match=r"25 images of 1300 x 1300, would take .* choose a smaller --size"):
        load_arrays(tmp_path, size=1300)


def test_what_is_transparent_is_laid_on_white(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Fails if the colours that lie hidden behind transparent pixels are learned, or white is laid in silence."""
    alpha = np.array([[0, 255], [0, 255]], np.uint8)
    hidden = np.dstack([np.full((2, 2), level, np.uint8) for level in (12, 200, 77)])
    save(tmp_path / "colour" / "a.png", np.dstack([hidden, alpha]))
    save(tmp_path / "colour" / "b.webp", np.dstack([hidden, alpha]), lossless=True, exact=True)
    save(tmp_path / "colour" / "c.tif", np.dstack([hidden, alpha]))
    palette = Image.fromarray(alpha).quantize(2)
    palette.putpalette([12, 200, 77] * 2)
    index = int(np.asarray(palette)[0, 0])
    palette.save(tmp_path / "colour" / "d.gif", transparency=index)
    palette.save(tmp_path / "colour" / "e.png", transparency=bytes(0 if i == index else 255 for i in range(2)))
    half = np.dstack([hidden, np.full((2, 2), 128, np.uint8)])
    save(tmp_path / "half" / "a.png", half)
    images, _ = load_arrays(tmp_path / "colour")
    expected = np.where(alpha[..., None] == 0, 255, hidden)
    np.testing.assert_array_equal(images, [expected] * 5)
    (line,) = printed(capsys)
    assert "5 images with an alpha channel or a transparent colour laid on white, as a.png" in line
    np.testing.assert_allclose(load_arrays(tmp_path / "half")[0][0], hidden * 0.5 + 127.5, atol=1)
    assert load_arrays(tmp_path / "colour", size=1)[0].shape == (5, 1, 1, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparent_grey_stays_grey(tmp_path: Path, dtype: type) -> None:
    """Fails if grey pictures become RGB for their transparency, or a grey level that is transparent is kept."""
    levels = np.array([[30, 90], [30, 90]], dtype)
    deep = dtype == np.uint16
    save(tmp_path / "a.png", levels << 8 if deep else levels, transparency=30 << 8 if deep else 30)
    if not deep:
        save(tmp_path / "b.png", np.dstack([levels, np.where(levels == 30, 0, 255).astype(np.uint8)]))
    images, _ = load_arrays(tmp_path)
    np.testing.assert_array_equal(images[..., 0], [[[255, 90]] * 2] * len(images))

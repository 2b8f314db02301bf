"""Files that claim what they do not have: refused by their headers, in one line, before anything is read."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vae_jax.data import files, npy
from vae_jax.data.arrays import load_arrays
from vae_jax.errors import InputError

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def npy_bytes(shape: object, body: bytes, dtype: str = "|u1", order: bool = False) -> bytes:
    header = f"{{'descr': {dtype!r}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + body


def refused(path: Path) -> str:
    tracemalloc.start()
    with pytest.raises(InputError) as caught:
        load_arrays(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23, "what was claimed was allocated"
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    return str(caught.value)


def zipped(path: Path, content: bytes, name: str = "images.npy") -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)


LIES = {
    "too long": (npy_bytes((10**12, 28, 28), b"1234"), "its header describes 784000000000"),
    "beyond 64 bits": (npy_bytes((10**30, 28, 28), b"1234"), "its header describes"),
    "negative": (npy_bytes((-1, -1, 4), b"1234"), "its header describes"),
    "too short": (npy_bytes((1, 2, 5), bytes(4000)), "its header describes"),
    "no numbers": (npy_bytes((1, 2, 5), bytes(10), dtype="|V1"), "expected uint8 of 0..255"),
    "objects": (npy_bytes((2, 2, 5), bytes(160), dtype="|O"), "Python objects"),
    "a structure": (npy_bytes("(2,), 'more': 1", bytes(10)), "cannot be read"),
    "brackets": (npy_bytes("(" * 9000, bytes(10)), "cannot be read"),
    "a long header": (
        b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1) + bytes(2**20),
        "a header of 4294967295 bytes",
    ),
    "version 9": (b"\x93NUMPY\x09\0" + bytes(100), "cannot be read"),
    "cut": (b"\x93NUMPY\1", "cannot be read"),
}


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("name", LIES)
def test_headers_that_lie(tmp_path: Path, name: str, suffix: str) -> None:
    """Fails if the memory that a header claims is taken, or if what NumPy raises is a traceback."""
    content, part = LIES[name]
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content) if suffix == ".npy" else zipped(path, content)
    assert part in refused(path)


def test_a_small_file_that_unfolds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if 64 MB of zeros in 64 kB are unfolded: under a key not wanted, or with less memory than that."""
    zeros = npy_bytes((64, 1000, 1000), bytes(64_000_000))
    zipped(tmp_path / "other.npz", zeros, "other.npy")
    with zipfile.ZipFile(tmp_path / "other.npz", "a") as archive:
        archive.writestr("images.npy", npy_bytes(IMAGES.shape, IMAGES.tobytes()))
    tracemalloc.start()
    images, _ = load_arrays(tmp_path / "other.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    np.testing.assert_array_equal(images[..., 0], IMAGES)
    zipped(tmp_path / "bomb.npz", zeros)
    monkeypatch.setattr(files, "available_memory", lambda: 100_000_000)
    assert "would take 0.119 GiB of memory, of which 0.0931 GiB" in refused(tmp_path / "bomb.npz")


def test_available_memory_is_less_than_the_machine_has() -> None:
    """Fails if the bound is in other units, or if none is found on this system."""
    available = files.available_memory()
    assert available is not None
    assert 2**26 < available <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(("flag", "method", "part"), [(1, 8, "encrypted"), (0, 99, "compression method")])
def test_archives_that_cannot_be_opened(tmp_path: Path, flag: int, method: int, part: str) -> None:
    """Fails if encryption, or a method that nobody knows, is a traceback."""
    path = tmp_path / "x.npz"
    np.savez_compressed(path, images=IMAGES)
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.index(signature) + place
        content[at : at + 4] = struct.pack("<HH", flag, method)
    path.write_bytes(content)
    assert part in refused(path)


@pytest.mark.parametrize("name", ["X.NPY", "X.NPZ", "wrong.npy", "wrong.npz"])
def test_the_content_decides_how_a_file_is_read(tmp_path: Path, name: str) -> None:
    """Fails if a name in capitals, or the other suffix, keeps a good file from being read."""
    content = io.BytesIO()
    is_npy = name in ("X.NPY", "wrong.npz")
    np.save(content, IMAGES) if is_npy else np.savez(content, x=IMAGES)
    (tmp_path / name).write_bytes(content.getvalue())
    np.testing.assert_array_equal(load_arrays(tmp_path / name)[0][..., 0], IMAGES)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">u2", "<i8", "?"])
def test_every_form_is_read_as_numpy_reads_it(tmp_path: Path, order: str, dtype: str) -> None:
    """Fails if byte order or Fortran order is lost."""
    array = np.asarray(IMAGES % 2, order=order).astype(dtype)
    np.savez(tmp_path / "x.npz", a=array)
    with npy.Archive(tmp_path / "x.npz") as archive:
        np.testing.assert_array_equal(archive.read("a"), array)


def test_a_pipe_or_a_link_to_nothing_is_not_waited_for(tmp_path: Path) -> None:
    """Fails (it hangs) if a named pipe is opened; fails if a link to nothing is a traceback."""
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "link.npz").symlink_to(tmp_path / "gone")
    assert "is no regular file" in refused(tmp_path / "pipe.npy")
    assert "is no regular file" in refused(tmp_path / "link.npz")


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if ~ is taken for a name, in arrays, splits or streams, or no home for a traceback."""
    from vae_jax.data.splits import load_splits

    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "x.npy", np.repeat(IMAGES, 20, axis=0))
    assert len(load_arrays("~/x.npy")[0]) == 60
    assert len(npy.NpyImages("~/x.npy")) == 60
    assert sum(len(split.images) for split in load_splits("~/x.npy")) == 60
    for nowhere in ("~nobody-of-this-name/x.npy", ""):
        with pytest.raises(InputError):
            load_splits(nowhere)
        with pytest.raises(InputError):
            load_arrays(nowhere)


def test_control_characters_of_a_name_are_escaped(tmp_path: Path) -> None:
    """Fails if a file's name can clear the terminal, or break the one line of a message."""
    path = tmp_path / "a\x1b[2J\nb\udcff.npy"
    with pytest.raises(InputError) as caught:
        load_arrays(path)
    assert r"a\x1b[2J\nb\udcff.npy" in str(caught.value)
    assert str(caught.value).isprintable()

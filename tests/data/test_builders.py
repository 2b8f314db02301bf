"""The builders fail these tests if they need TensorFlow or the network twice, accept a byte that is not the
original's, take half-prepared data for prepared, or raise anything but one line that says what to do.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import signal
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.data.sources import CLOSED, flip, run_python, served, truncate
from vae_jax.data import builders, idx
from vae_jax.data.builders import DATA_SETS, load
from vae_jax.data.idx import FASHION_MNIST, MNIST, IdxDataset, IdxFile, read_idx
from vae_jax.errors import InputError


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def tiny_arrays() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = (12, 4, 5), (12,), (7, 4, 5), (7,)
    return [rng.integers(0, 3 if len(s) == 1 else 256, s).astype(np.uint8) for s in shapes]


def tiny_dataset(url: str = CLOSED) -> IdxDataset:
    hashes = [hashlib.sha256(idx_bytes(array)).hexdigest() for array in tiny_arrays()]
    files = tuple(IdxFile(f.name, sha256=h) for f, h in zip(MNIST.files, hashes, strict=True))
    return IdxDataset("tiny", url, "http://localhost/", (4, 5, 1), ("a", "b", "c"), files)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the four compressed files of the tiny data set."""
    folder = tmp_path / "files"
    folder.mkdir()
    for file, array in zip(tiny_dataset().files, tiny_arrays(), strict=True):
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
    return folder


def assert_is_tiny(train, test) -> None:
    for got, expected in zip((*train, *test), tiny_arrays(), strict=True):
        is_image = expected.ndim == 3
        assert got.dtype == (np.uint8 if is_image else np.int32)
        np.testing.assert_array_equal(got, expected[..., None] if is_image else expected)


def one_line_error(*args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        load(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("compressed", [True, False])
def test_manual_files_are_prepared_once_and_in_order(files: Path, tmp_path: Path, compressed: bool) -> None:
    if not compressed:
        for path in list(files.iterdir()):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    where = {"data_dir": tmp_path / "data", "manual_dir": files}
    assert_is_tiny(load(tiny_dataset(), "train", **where), load(tiny_dataset(), "test", **where))
    for path in files.iterdir():
        path.unlink()
    # Neither the files nor a network are there any more.
    where = {"data_dir": str(tmp_path / "data")}
    assert_is_tiny(load(tiny_dataset(), "train", **where), load(tiny_dataset(), "test", **where))
    images, labels = load(tiny_dataset(), "train[3:5]", **where)
    np.testing.assert_array_equal(images[..., 0], tiny_arrays()[0][3:5])
    np.testing.assert_array_equal(labels, tiny_arrays()[1][3:5])


def test_files_are_downloaded_once(files: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    with served(files) as (url, asked):
        dataset = tiny_dataset(url)
        train = load(dataset, "train", data_dir=tmp_path / "data")
        assert_is_tiny(train, load(dataset, "test", data_dir=tmp_path / "data"))
    requested = sorted(line for line in asked if line.startswith("/"))
    assert requested == sorted(f"/{file.name}.gz" for file in dataset.files)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""  # neither bars nor banners


@pytest.mark.parametrize("missing", ["server", "file"])
def test_failed_download_names_the_way_out(files: Path, tmp_path: Path, missing: str) -> None:
    (files / "train-labels-idx1-ubyte.gz").unlink()
    with served(files) as (url, _):
        address = url if missing == "file" else CLOSED
        message = one_line_error(tiny_dataset(address), "train", data_dir=tmp_path / "data")
    assert address in message
    assert "--manual-dir" in message
    assert not (tmp_path / "data" / "tiny" / "1.0.0").exists()


def test_damaged_download_is_not_prepared(files: Path, tmp_path: Path) -> None:
    path = files / "t10k-labels-idx1-ubyte.gz"
    original = path.read_bytes()
    path.write_bytes(gzip.compress(idx_bytes(tiny_arrays()[3] + 1)))
    with served(files) as (url, _):
        message = one_line_error(tiny_dataset(url), "train", data_dir=tmp_path / "data")
        cached = Path(re.search(r"delete (\S+) and run again", message)[1])
        assert tiny_dataset().files[3].sha256 in message
        path.write_bytes(original)
        shutil.rmtree(cached)  # what the message tells to do
        train = load(tiny_dataset(url), "train", data_dir=tmp_path / "data")
        assert_is_tiny(train, load(tiny_dataset(url), "test", data_dir=tmp_path / "data"))


def replace(path: Path) -> None:
    path.write_bytes(gzip.compress(idx_bytes(np.zeros((12, 4, 5), np.uint8))))


@pytest.mark.parametrize("damage", [truncate, flip, replace, lambda path: path.write_bytes(b""), Path.unlink])
def test_damaged_or_missing_manual_file(files: Path, tmp_path: Path, damage) -> None:
    path = files / "train-images-idx3-ubyte.gz"
    damage(path)
    message = one_line_error(tiny_dataset(), "train", data_dir=tmp_path / "data", manual_dir=files)
    assert str(path) in message
    assert "--manual-dir" in message
    assert not (tmp_path / "data" / "tiny" / "1.0.0").exists()


def test_original_gz_is_required_where_only_its_hash_is_known(files: Path, tmp_path: Path) -> None:
    hashes = [hashlib.sha256((files / f"{f.name}.gz").read_bytes()).hexdigest() for f in tiny_dataset().files]
    known = tuple(IdxFile(f.name, gz_sha256=h) for f, h in zip(MNIST.files, hashes, strict=True))
    dataset = tiny_dataset()._replace(files=known)
    where = {"data_dir": tmp_path / "data", "manual_dir": files}
    path = files / f"{known[0].name}.gz"
    original = path.read_bytes()
    path.write_bytes(gzip.compress(gzip.decompress(original), compresslevel=0))
    assert "the original .gz file" in one_line_error(dataset, "train", **where)
    path.write_bytes(original)
    assert_is_tiny(load(dataset, "train", **where), load(dataset, "test", **where))
    unknown = dataset._replace(name="unknown", files=tuple(IdxFile(f.name) for f in known))
    assert "no hash" in one_line_error(unknown, "train", **where)


def test_home_is_expanded(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if ~ in either folder is a name, or a machine without a home directory a traceback."""
    monkeypatch.setenv("HOME", str(tmp_path))
    load(tiny_dataset(), "train", data_dir="~/data", manual_dir="~/files")
    assert (tmp_path / "data" / "tiny" / "1.0.0").is_dir()
    message = one_line_error(tiny_dataset(), "train", data_dir="~nobody-of-this-name/data", manual_dir=files)
    assert "~nobody-of-this-name/data" in message
    assert "--data-dir" in message


def test_compressed_file_that_unfolds_to_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a small file of a stranger is unfolded whole before its hash is known."""
    monkeypatch.setattr(idx, "_MOST_BYTES", 1000)
    (tmp_path / "x.gz").write_bytes(gzip.compress(bytes(10**6)))
    with pytest.raises(InputError, match=r"x\.gz has more than 1000 bytes: replace it"):
        idx.verified_content(tmp_path / "x.gz", MNIST.files[0], "replace it")


@pytest.mark.parametrize("split", ["valid", "", "train[2", "train[:0]"])
def test_unknown_split(files: Path, tmp_path: Path, split: str) -> None:
    message = one_line_error(tiny_dataset(), split, data_dir=tmp_path / "data", manual_dir=files)
    assert repr(split) in message


def test_unusable_places(files: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert str(nowhere) in one_line_error(tiny_dataset(), "train", data_dir=tmp_path, manual_dir=nowhere)
    occupied = tmp_path / "occupied"
    occupied.touch()
    message = one_line_error(tiny_dataset(), "train", data_dir=occupied, manual_dir=files)
    assert str(occupied) in message
    assert "fashion_mnist" in one_line_error("fasion_mnist", "train", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("*test.array_record*", flip),
        ("*test.array_record*", Path.unlink),
        ("dataset_info.json", Path.unlink),
        ("dataset_info.json", truncate),
    ],
)
def test_damaged_prepared_data(files: Path, tmp_path: Path, pattern: str, damage) -> None:
    where = {"data_dir": tmp_path / "data", "manual_dir": files}
    load(tiny_dataset(), "test", **where)
    folder = tmp_path / "data" / "tiny" / "1.0.0"
    damage(next(folder.glob(pattern)))
    message = one_line_error(tiny_dataset(), "test", **where)
    assert f"{folder} " in message
    assert "delete" in message


def test_process_killed_while_it_prepares_leaves_nothing_that_counts(files: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    code = """
import os, signal
import test_builders as t
class Fatal(list):  # labels after the last of which the process dies, when the first split is written
    def __iter__(self):
        yield from super().__iter__()
        os.kill(os.getpid(), signal.SIGKILL)
original = t.builders.read_idx
def read_idx(content, name):
    array = original(content, name)
    return array if "t10k-labels" not in name else Fatal(array)
t.builders.read_idx = read_idx
t.load(t.tiny_dataset(), "train", data_dir=sys.argv[1], manual_dir=sys.argv[2])
"""
    result = run_python(code, data_dir, files)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert list(data_dir.glob("tiny/*/*train*"))  # it was killed in the midst of writing, or this tests nothing
    where = {"data_dir": data_dir, "manual_dir": files}
    assert_is_tiny(load(tiny_dataset(), "train", **where), load(tiny_dataset(), "test", **where))


def test_another_process_may_prepare_the_same_data_meanwhile(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"data_dir": tmp_path / "data", "manual_dir": files}
    original, finished_first = builders.read_idx, []

    def read_idx(content: bytes, name: str) -> np.ndarray:
        # The outer call has begun to prepare; from start to end, the inner one overtakes it.
        monkeypatch.setattr(builders, "read_idx", original)
        if not finished_first:
            finished_first.append(load(tiny_dataset(), "train", **where))
        return original(content, name)

    monkeypatch.setattr(builders, "read_idx", read_idx)
    assert_is_tiny(load(tiny_dataset(), "train", **where), load(tiny_dataset(), "test", **where))
    assert len(finished_first) == 1
    assert os.listdir(tmp_path / "data" / "tiny") == ["1.0.0"]


def test_tensorflow_is_not_needed(files: Path, tmp_path: Path) -> None:
    # On a machine that has it, tensorflow cannot be found either.
    code = """
from importlib.machinery import PathFinder
found = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name == "tensorflow" else found(name, *rest)
import test_builders as t
assert "tensorflow_datasets" not in sys.modules, "imported before it is needed"
with t.served(t.Path(sys.argv[2])) as (url, _):
    where = dict(data_dir=sys.argv[1])
    t.assert_is_tiny(*(t.load(t.tiny_dataset(url), split, **where) for split in ("train", "test")))
assert "tensorflow" not in sys.modules
"""
    result = run_python(code, tmp_path / "data", files)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"\0\0\x08\3\0\0", idx_bytes(np.ones(3, np.uint8))[:-1]])
def test_malformed_idx(content: bytes) -> None:
    with pytest.raises(InputError, match=r"some\.gz is no IDX file"):
        read_idx(content, "some.gz")


def test_read_idx_keeps_shape_and_order() -> None:
    array = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    np.testing.assert_array_equal(read_idx(idx_bytes(array), "x"), array)


def test_urls_and_hashes_are_those_registered_by_tensorflow_datasets() -> None:
    from tensorflow_datasets.core.download import checksums

    registered = checksums.get_all_url_infos()
    for dataset in DATA_SETS.values():
        for file in dataset.files:
            info = registered[f"{dataset.url}{file.name}.gz"]
            assert file.gz_sha256 in (None, info.checksum)
            assert (file.sha256 is None) == (dataset is FASHION_MNIST)


def test_mnist(mnist_dir: Path, tmp_path: Path) -> None:
    where = {"data_dir": tmp_path, "manual_dir": mnist_dir}
    for split, num, (images_file, labels_file) in (
        ("train", 60000, MNIST.files[:2]),
        ("test", 10000, MNIST.files[2:]),
    ):
        images, labels = load("mnist", split, **where)
        assert images.shape == (num, 28, 28, 1)
        # What is read back, with its header before it, has the hash of the original: every byte, in order.
        assert hashlib.sha256(idx_bytes(images[..., 0])).hexdigest() == images_file.sha256
        assert hashlib.sha256(idx_bytes(labels.astype(np.uint8))).hexdigest() == labels_file.sha256

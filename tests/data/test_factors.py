"""Images with known factors fail these tests if they change on the way from their file, need TensorFlow, need the
network or the file twice, need the memory of all images, or if a damaged or wrong file is taken for whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
import shutil
import signal
import sys
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.data.sources import CLOSED, flip, run_python, served, truncate
from vae_jax.data import factor_files, factors, find, gather
from vae_jax.data.factors import DSPRITES, FACTOR_DATA_SETS, SHAPES3D, FactorsDataset, load_factors
from vae_jax.data.sprites import FACTOR_NAMES, FACTOR_SIZES
from vae_jax.data.transforms import scale_to_unit
from vae_jax.errors import InputError

KINDS = {"dsprites": (DSPRITES, (2, 3, 2, 2, 2), (4, 5, 1)), "shapes3d": (SHAPES3D, (3, 2, 2, 2, 2, 2), (4, 5, 3))}


def tiny_dataset(kind: str, url: str = CLOSED) -> FactorsDataset:
    original, sizes, image_shape = KINDS[kind]
    return dataclasses.replace(
        original,
        name="tiny",
        url=url,
        factor_sizes=sizes,
        image_shape=image_shape,
        sha256=None,
        md5=None,
    )


def with_hash(dataset: FactorsDataset, folder: Path) -> FactorsDataset:
    return dataclasses.replace(dataset, sha256=hashlib.sha256((folder / dataset.file).read_bytes()).hexdigest())


def contents(dataset: FactorsDataset) -> tuple[np.ndarray, np.ndarray]:
    """Images and factors as they must be returned; rows in a random order, so that no one can guess the factors."""
    rng = np.random.default_rng(0)
    num = math.prod(dataset.factor_sizes)
    values = np.array([0, 255]) if dataset.image_shape[-1] == 1 else np.arange(256)
    images = rng.choice(values, (num, *dataset.image_shape)).astype(np.uint8)
    combinations = np.stack(np.unravel_index(rng.permutation(num), dataset.factor_sizes), axis=1)
    return images, combinations.astype(np.int32)


def write_file(dataset: FactorsDataset, folder: Path, *, chunks: tuple[int, ...] | None = None, **changed) -> Path:
    """The file of `dataset` with the keys of the original: `changed` replaces some and drops those of None."""
    folder.mkdir(exist_ok=True)
    images, numbers = contents(dataset)
    if dataset.file.endswith(".npz"):
        arrays = {
            "imgs": images[..., 0] // 255,
            "latents_classes": np.insert(numbers, 0, 0, axis=1).astype(np.int64),
            "latents_values": np.insert(numbers / 7, 0, 1, axis=1),
            "metadata": np.array({"title": "pickled, as in the original"}, dtype=object),
        }
    else:
        arrays = {"images": images, "labels": -30.0 + 60.0 / 14.0 * numbers}
    arrays = {key: array for key, array in (arrays | changed).items() if array is not None}
    path = folder / dataset.file
    if dataset.file.endswith(".npz"):
        np.savez_compressed(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for key, array in arrays.items():
                compressed = {"compression": "gzip", "chunks": chunks} if key == "images" and chunks else {}
                file.create_dataset(key, data=array, **compressed)
    return path


def assert_is_tiny(dataset: FactorsDataset, loaded: tuple[np.ndarray, np.ndarray]) -> None:
    for got, expected in zip(loaded, contents(dataset), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


def one_line_error(*args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        load_factors(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(params=list(KINDS))
def dataset(request: pytest.FixtureRequest) -> FactorsDataset:
    return tiny_dataset(request.param)


def test_file_is_prepared_once_and_in_order(dataset: FactorsDataset, tmp_path: Path, monkeypatch) -> None:
    """Fails if an image or a factor moves, also across shards and blocks, or if the second call needs the file."""
    monkeypatch.setattr(factors, "_SHARD_BYTES", 300)
    monkeypatch.setattr(factor_files, "_BLOCK_BYTES", 140)
    monkeypatch.setattr(factors, "_READ_AT_ONCE", 11)
    path = write_file(dataset, tmp_path / "files")
    assert_is_tiny(dataset, load_factors(dataset, data_dir=tmp_path / "data", manual_dir=path.parent))
    shutil.rmtree(path.parent)
    assert_is_tiny(dataset, load_factors(dataset, data_dir=str(tmp_path / "data")))
    assert len(list((tmp_path / "data" / "tiny").glob("*/*train*"))) > 2  # several shards, or this tests less


def test_file_is_downloaded_once(dataset: FactorsDataset, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """Fails if the file is asked for twice, if what is verified is not the file, or if anything is printed."""
    write_file(dataset, tmp_path / "files")
    with served(tmp_path / "files") as (url, asked):
        dataset = with_hash(dataclasses.replace(dataset, url=url), tmp_path / "files")
        for _ in range(2):
            assert_is_tiny(dataset, load_factors(dataset, data_dir=tmp_path / "data"))
    assert [line for line in asked if line.startswith("/")] == [f"/{dataset.file}"]
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_draw_is_by_the_seed_and_without_repetition(dataset: FactorsDataset, tmp_path: Path) -> None:
    """Fails if a draw repeats an example, parts images from factors, or does not depend on the seed alone."""
    write_file(dataset, tmp_path / "files")
    where = {"data_dir": tmp_path / "data", "manual_dir": tmp_path / "files"}
    images, numbers = contents(dataset)
    rows = {tuple(row): i for i, row in enumerate(numbers.tolist())}

    def draw(num: int, seed: int) -> list[int]:
        some_images, some_factors = load_factors(dataset, num_examples=num, seed=seed, **where)
        drawn = [rows[tuple(row)] for row in some_factors.tolist()]
        np.testing.assert_array_equal(some_images, images[drawn])
        return drawn

    drawn = draw(20, 3)
    assert len(set(drawn)) == 20
    assert drawn == draw(20, 3)
    assert drawn[:7] == draw(7, 3)
    assert drawn != draw(20, 4)
    assert drawn != sorted(drawn)
    assert sorted(draw(len(images), 3)) == list(range(len(images)))


def test_only_what_is_drawn_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a draw of three examples reads the record of any other: their files are gone."""
    monkeypatch.setattr(factors, "_SHARD_BYTES", 1)  # one example a file
    dataset = tiny_dataset("dsprites")
    write_file(dataset, tmp_path / "files")
    where = {"data_dir": tmp_path / "data", "manual_dir": tmp_path / "files"}
    expected = load_factors(dataset, num_examples=3, **where)
    num = math.prod(dataset.factor_sizes)
    kept = {f"-{i:05}-of-{num:05}" for i in np.random.default_rng(0).permutation(num)[:3]}
    shards = list((tmp_path / "data" / "tiny" / "1.0.0").glob("*train*"))
    assert len(shards) == num
    for shard in shards:
        if not any(shard.name.endswith(suffix) for suffix in kept):
            shard.unlink()
    for got, want in zip(load_factors(dataset, num_examples=3, **where), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    assert "delete" in one_line_error(dataset, **where)


@pytest.mark.parametrize("num_examples", [0, -1, 49])
def test_impossible_draw(tmp_path: Path, num_examples: int) -> None:
    """Fails if a number of examples that cannot be drawn is taken for another one."""
    message = one_line_error(tiny_dataset("dsprites"), num_examples=num_examples, data_dir=tmp_path)
    assert f"num_examples={num_examples} " in message
    assert "1 to 48" in message


@pytest.mark.parametrize("kind", list(KINDS))
def test_memory_is_that_of_a_part(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if preparing, or reading a draw, holds as much as a quarter of the unpacked images at any time."""
    dataset = tiny_dataset(kind)
    folder = write_file(dataset, tmp_path / "warm").parent
    load_factors(dataset, data_dir=tmp_path / "data", manual_dir=folder)  # so that imports are not counted
    sizes = (2, 4, 4, 4, 8) if kind == "dsprites" else (4, 4, 2, 2, 4, 4)
    image_shape = (96, 96, 1) if kind == "dsprites" else (48, 48, 3)
    dataset = dataclasses.replace(dataset, name="large", factor_sizes=sizes, image_shape=image_shape)
    folder = write_file(dataset, tmp_path / "files", chunks=(16, *image_shape)).parent
    monkeypatch.setattr(factors, "_SHARD_BYTES", 2**17)
    monkeypatch.setattr(factor_files, "_BLOCK_BYTES", 2**17)
    unpacked = math.prod(sizes) * math.prod(image_shape)
    tracemalloc.start()
    try:
        load_factors(dataset, num_examples=10, data_dir=tmp_path / "data", manual_dir=folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < unpacked / 4


@pytest.mark.parametrize(
    ("block", "most", "lengths"), [(25, 99, [20, 20, 8]), (5, 99, [10] * 4 + [8]), (5, 6, [6] * 8)]
)
def test_hdf5_is_read_in_whole_chunks(
    tmp_path: Path, monkeypatch, block: int, most: int, lengths: list[int]
) -> None:
    """Fails if a compressed chunk of 10 images is met by two reads, unless it is larger than `most` images."""
    dataset = dataclasses.replace(tiny_dataset("shapes3d"), factor_sizes=(3, 2, 2, 2, 2, 1))
    path = write_file(dataset, tmp_path / "files", chunks=(10, 4, 5, 3))
    monkeypatch.setattr(factor_files, "_BLOCK_BYTES", block * 60)
    monkeypatch.setattr(factor_files, "_CHUNK_BYTES", most * 60)
    _, blocks = factor_files.read_shapes3d(path, (48, 4, 5, 3))
    blocks = list(blocks)
    assert [len(part) for part in blocks] == lengths
    np.testing.assert_array_equal(np.concatenate(blocks), contents(dataset)[0])


@pytest.mark.parametrize("missing", ["server", "file"])
def test_failed_download_names_the_way_out(dataset: FactorsDataset, tmp_path: Path, missing: str) -> None:
    """Fails if the message lacks the address, the file or the folder to pass instead, or if data are left."""
    (tmp_path / "files").mkdir()
    with served(tmp_path / "files") as (url, _):
        address = url if missing == "file" else CLOSED
        message = one_line_error(dataclasses.replace(dataset, url=address), data_dir=tmp_path / "data")
    assert address in message
    assert f"put {dataset.file} into a folder" in message
    assert "--manual-dir" in message
    assert not (tmp_path / "data" / "tiny" / "1.0.0").exists()


def test_damaged_download_is_not_prepared(dataset: FactorsDataset, tmp_path: Path) -> None:
    """Fails if one changed bit is taken for the original, or if what the message tells to do does not help."""
    path = write_file(dataset, tmp_path / "files")
    original, dataset = path.read_bytes(), with_hash(dataset, path.parent)
    flip(path)
    with served(path.parent) as (url, _):
        dataset = dataclasses.replace(dataset, url=url)
        message = one_line_error(dataset, data_dir=tmp_path / "data")
        assert dataset.sha256 in message
        path.write_bytes(original)
        shutil.rmtree(re.search(r"delete (\S+) and run again", message)[1])
        assert_is_tiny(dataset, load_factors(dataset, data_dir=tmp_path / "data"))


def test_md5_is_verified_where_it_is_all_that_is_known(tmp_path: Path) -> None:
    """Fails if the MD5 of dSprites is not held against the file."""
    path = write_file(tiny_dataset("dsprites"), tmp_path / "files")
    where = {"data_dir": tmp_path / "data", "manual_dir": path.parent}
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    dataset = dataclasses.replace(tiny_dataset("dsprites"), md5="0" * 32)
    message = one_line_error(dataset, **where)
    assert f"{path} has md5 {md5}, expected {'0' * 32}" in message
    dataset = dataclasses.replace(dataset, md5=md5)
    assert_is_tiny(dataset, load_factors(dataset, **where))


@pytest.mark.parametrize("damage", [truncate, lambda path: path.write_bytes(b""), Path.unlink])
def test_damaged_or_missing_manual_file(dataset: FactorsDataset, tmp_path: Path, damage) -> None:
    """Fails if a damaged file is prepared although no hash is known, or if the message lacks file or remedy."""
    path = write_file(dataset, tmp_path / "files")
    damage(path)
    message = one_line_error(dataset, data_dir=tmp_path / "data", manual_dir=path.parent)
    assert str(path) in message
    assert "leave out --manual-dir" in message
    assert not (tmp_path / "data" / "tiny" / "1.0.0").exists()


def test_flipped_bit_of_an_npz_is_seen_without_a_hash(tmp_path: Path) -> None:
    """Fails if the images are read to their end without the checksum that a zip has of them."""
    dataset = tiny_dataset("dsprites")
    path = write_file(dataset, tmp_path / "files", latents_values=None, metadata=None)
    content = bytearray(path.read_bytes())
    content[300] ^= 1  # inside the compressed images, after the header of the member
    path.write_bytes(content)
    assert str(path) in one_line_error(dataset, data_dir=tmp_path / "data", manual_dir=path.parent)


IMAGES, NUMBERS = contents(tiny_dataset("shapes3d"))
SPRITES, CLASSES = contents(tiny_dataset("dsprites"))
COLOURED = np.insert(CLASSES, 0, np.arange(48) % 2, axis=1)


@pytest.mark.parametrize(
    ("kind", "changed", "reason"),
    [
        ("dsprites", {"imgs": None}, "imgs"),
        ("dsprites", {"imgs": SPRITES[:-1, ..., 0] // 255}, "shape (47, 4, 5)"),
        ("dsprites", {"imgs": SPRITES[..., 0] // 255 / 1}, "float64"),
        ("dsprites", {"imgs": SPRITES[..., 0]}, "value 255"),
        ("dsprites", {"imgs": np.asfortranarray(SPRITES[..., 0] // 255)}, "Fortran"),
        ("dsprites", {"latents_classes": None}, "latents_classes"),
        ("dsprites", {"latents_classes": COLOURED}, "constant"),
        ("dsprites", {"latents_classes": np.insert(CLASSES, 0, 0, axis=1)[:, :5]}, "(48, 4)"),
        ("dsprites", {"latents_classes": np.insert(CLASSES % 2, 0, 0, axis=1)}, "factor scale has 2 values"),
        ("shapes3d", {"images": None}, "images"),
        ("shapes3d", {"images": IMAGES[..., :1]}, "shape (96, 4, 5, 1)"),
        ("shapes3d", {"images": IMAGES.astype(np.int16)}, "int16"),
        ("shapes3d", {"labels": None}, "labels"),
        ("shapes3d", {"labels": NUMBERS[:-1]}, "(95, 6)"),
        ("shapes3d", {"labels": np.where(NUMBERS, NUMBERS, np.arange(96)[:, None] + 9)}, "factor floor_hue has"),
    ],
)
def test_wrong_content(kind: str, changed: dict, reason: str, tmp_path: Path) -> None:
    """Fails if a file of the right format with other content is prepared, or the message lacks what is wrong."""
    path = write_file(tiny_dataset(kind), tmp_path / "files", **changed)
    message = one_line_error(tiny_dataset(kind), data_dir=tmp_path / "data", manual_dir=path.parent)
    assert message.startswith(f"{path} cannot be read (")
    assert reason in message
    assert "replace it by the original" in message
    assert not (tmp_path / "data" / "tiny" / "1.0.0").exists()


def test_unusable_places_and_names(dataset: FactorsDataset, tmp_path: Path) -> None:
    """Fails if a folder that cannot be used, or a name that is none, does not appear in the message."""
    path = write_file(dataset, tmp_path / "files")
    nowhere = tmp_path / "nowhere"
    message = one_line_error(dataset, data_dir=tmp_path, manual_dir=nowhere)
    assert f"manual_dir={str(nowhere)!r} is not a folder" in message
    message = one_line_error(dataset, data_dir=path, manual_dir=path.parent)
    assert f"data_dir={str(path)!r}" in message
    assert "dsprites, shapes3d" in one_line_error("dsprite", data_dir=tmp_path)


def test_missing_h5py_names_the_extra(dataset: FactorsDataset, tmp_path: Path, monkeypatch) -> None:
    """Fails if dSprites needs h5py, or if 3D Shapes without it does not tell what to install."""
    where = {"data_dir": tmp_path / "data", "manual_dir": write_file(dataset, tmp_path / "files").parent}
    monkeypatch.setitem(sys.modules, "h5py", None)
    if dataset.file == DSPRITES.file:
        assert_is_tiny(dataset, load_factors(dataset, **where))
    else:
        message = one_line_error(dataset, **where)
        assert message.endswith("needs h5py, which is not installed: pip install 'vae-jax[shapes3d]'")


@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_damaged_prepared_data(dataset: FactorsDataset, tmp_path: Path, damage) -> None:
    """Fails if damaged records are returned, or if the message lacks the folder to delete."""
    where = {"data_dir": tmp_path / "data", "manual_dir": write_file(dataset, tmp_path / "files").parent}
    load_factors(dataset, **where)
    folder = tmp_path / "data" / "tiny" / "1.0.0"
    damage(next(folder.glob("*train.array_record*")))
    message = one_line_error(dataset, **where)
    assert f"{folder} " in message
    assert "delete" in message


def test_process_killed_while_it_prepares_leaves_nothing_that_counts(tmp_path: Path) -> None:
    """Fails if shards that a killed process has written are taken for the data set."""
    dataset = tiny_dataset("dsprites")
    write_file(dataset, tmp_path / "files")
    code = """
import dataclasses, os, signal
import test_factors as t
def read(path, shape):
    labels, blocks = t.DSPRITES.read(path, shape)
    def fatal():
        yield next(blocks)[:30]
        os.kill(os.getpid(), signal.SIGKILL)
    return labels, fatal()
t.factors._SHARD_BYTES = 200
dataset = dataclasses.replace(t.tiny_dataset("dsprites"), read=read)
t.load_factors(dataset, data_dir=sys.argv[1], manual_dir=sys.argv[2])
"""
    result = run_python(code, tmp_path / "data", tmp_path / "files")
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert list(tmp_path.glob("data/tiny/*/*train*"))  # it was killed while it wrote, or this tests nothing
    where = {"data_dir": tmp_path / "data", "manual_dir": tmp_path / "files"}
    assert_is_tiny(dataset, load_factors(dataset, **where))


def test_tensorflow_is_not_needed(tmp_path: Path) -> None:
    """Fails if TensorFlow is imported, or h5py or tensorflow-datasets before they are needed."""
    for kind in KINDS:
        write_file(tiny_dataset(kind), tmp_path / "files")
    # On a machine that has it, tensorflow cannot be found either.
    code = """
from importlib.machinery import PathFinder
found = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name == "tensorflow" else found(name, *rest)
import dataclasses
import vae_jax.data.factors
assert not {"tensorflow_datasets", "h5py"} & set(sys.modules), "imported before it is needed"
import test_factors as t
with t.served(t.Path(sys.argv[2])) as (url, _):
    for kind in t.KINDS:
        dataset = dataclasses.replace(t.tiny_dataset(kind, url), name=kind)
        t.assert_is_tiny(dataset, t.load_factors(dataset, data_dir=sys.argv[1]))
assert "tensorflow" not in sys.modules
"""
    result = run_python(code, tmp_path / "data", tmp_path / "files")
    assert result.returncode == 0, result.stderr


def test_one_transform_serves_both(dataset: FactorsDataset, tmp_path: Path) -> None:
    """Fails if `scale_to_unit` makes of the images anything but floats whose largest is 1."""
    where = {"data_dir": tmp_path / "data", "manual_dir": write_file(dataset, tmp_path / "files").parent}
    unit = np.asarray(scale_to_unit(load_factors(dataset, **where)[0]))
    assert unit.dtype == np.float32
    assert (unit.min(), unit.max()) == (0, 1)


def test_the_two_data_sets_are_described_as_published() -> None:
    """Fails if sizes, names or the registered hash are not those of the originals."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import checksums

    assert {name: math.prod(d.factor_sizes) for name, d in FACTOR_DATA_SETS.items()} == {
        "dsprites": 737280,
        "shapes3d": 480000,
    }
    assert (DSPRITES.factor_names, DSPRITES.factor_sizes) == (FACTOR_NAMES, FACTOR_SIZES)
    assert len(SHAPES3D.factor_names) == len(SHAPES3D.factor_sizes)
    registered = checksums.load_url_infos(tfds.core.tfds_path("datasets/shapes3d/checksums.tsv"))
    registered = registered[f"{SHAPES3D.url}{SHAPES3D.file}"]
    assert registered.checksum == SHAPES3D.sha256
    assert len(DSPRITES.md5) == 32


@pytest.mark.parametrize("stream", [False, True])
def test_as_training_data_with_the_factors_of_the_test_images(
    dataset: FactorsDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """Fails if the factors are not those of the test images, or an image is trained on and tested."""
    name = "dsprites" if dataset.image_shape[-1] == 1 else "shapes3d"
    monkeypatch.setitem(FACTOR_DATA_SETS, name, dataset)
    write_file(dataset, tmp_path / "files")
    folders = {"data_dir": str(tmp_path / "data"), "manual_dir": str(tmp_path / "files")}
    found = find(name, stream=stream, **folders)
    assert found.layout.event == dataset.image_shape
    assert found.num_classes is None
    images, numbers = contents(dataset)
    assert found.factors is not None
    place = {image.tobytes(): row for row, image in enumerate(images)}
    rows = [place[image.tobytes()] for image in found.test.values]
    np.testing.assert_array_equal(found.factors, numbers[rows])
    train = gather(found.train.values, np.arange(len(found.train.values)))
    parts = [rows, *([place[image.tobytes()] for image in x] for x in (train, found.validation.values))]
    assert sorted(row for part in parts for row in part) == list(range(len(images)))
    with pytest.raises(InputError, match=r"expected no label|with label is not streamed"):
        find(name, stream=stream, label="a", **folders)

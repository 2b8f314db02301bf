"""Splits that data bring along, labels of every form, and that nothing is read before it is wanted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vae_jax.data.arrays import load_arrays, load_parts
from vae_jax.data.images import resized
from vae_jax.data.splits import check_labels, load_splits
from vae_jax.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 1)).astype(np.uint8)
LABELS = np.arange(60) % 3


def rows(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def keras() -> dict[str, np.ndarray]:
    return {
        "x_train": IMAGES[:40, ..., 0],
        "y_train": LABELS[:40],
        "x_test": IMAGES[40:, ..., 0],
        "y_test": LABELS[40:],
    }


def medmnist() -> dict[str, np.ndarray]:
    images = {"train_images": IMAGES[:30], "val_images": IMAGES[30:40], "test_images": IMAGES[40:]}
    labels = {"train_labels": LABELS[:30], "val_labels": LABELS[30:40], "test_labels": LABELS[40:]}
    return images | {key: value[:, None].astype(np.uint8) for key, value in labels.items()}


@pytest.mark.parametrize("arrays", [keras(), medmnist(), {key.upper(): value for key, value in keras().items()}])
def test_a_split_that_the_file_brings_is_kept(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Fails if test images of the file are trained on, or images and labels are parted."""
    np.savez(tmp_path / "x.npz", **arrays)
    train, validation, test = load_splits(str(tmp_path / "x.npz"))
    np.testing.assert_array_equal(test.images, IMAGES[40:])
    np.testing.assert_array_equal(test.labels, LABELS[40:])
    assert rows(train.images) | rows(validation.images) == rows(IMAGES[:40])
    assert len(train.images) + len(validation.images) == 40
    if "val_images" in arrays:
        np.testing.assert_array_equal(validation.images, IMAGES[30:40])
    number = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    assert [number[image.tobytes()] for image in train.images] == train.labels.tolist()
    whole, labels = load_arrays(tmp_path / "x.npz")
    np.testing.assert_array_equal(whole, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


def test_splits_of_one_array_are_what_they_were(tmp_path: Path) -> None:
    """Fails if a run begun with an earlier version would train on its test images: the 80:20 cut by seed 0."""
    np.savez(tmp_path / "x.npz", images=IMAGES, labels=LABELS)
    splits = load_splits(str(tmp_path / "x.npz"))
    order = np.random.default_rng(0).permutation(60)
    rest = np.sort(order[12:])
    inner = np.random.default_rng(0).permutation(48)
    np.testing.assert_array_equal(splits.test.images, IMAGES[np.sort(order[:12])])
    np.testing.assert_array_equal(splits.validation.images, IMAGES[rest[np.sort(inner[:4])]])
    np.testing.assert_array_equal(splits.train.labels, LABELS[rest[np.sort(inner[4:])]])


@pytest.mark.parametrize("dtype", ["U", "S"])
def test_names_as_labels_are_numbered(tmp_path: Path, dtype: str) -> None:
    """Fails if names are refused, numbered by part, or lost."""
    names = np.array(["10", "2", "rose"])[LABELS].astype(dtype)
    arrays = keras() | {"y_train": names[:40], "y_test": names[40:]}
    np.savez(tmp_path / "x.npz", **arrays)
    splits = load_splits(str(tmp_path / "x.npz"))
    np.testing.assert_array_equal(splits.test.labels, np.array([1, 0, 2])[LABELS[40:]])
    assert splits.test.labels is not None
    assert splits.test.labels.dtype == np.int32
    assert {split.classes for split in splits} == {("2", "10", "rose")}
    np.testing.assert_array_equal(check_labels(splits.test, 3), splits.test.labels)


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        (LABELS / 2, "dtype float64"),
        (np.eye(60), r"shape \(60, 60\).* argmax of one-hot"),
        (LABELS[:50], r"expected \(60,\)"),
        (LABELS - 1, "the value -1 at index"),
        (LABELS.astype(object), "Python objects"),
    ],
)
def test_labels_matter_to_the_run_that_uses_them(tmp_path: Path, labels: np.ndarray, part: str) -> None:
    """Fails if labels that a run does not use stop it, or if one that uses them gets none, or no reason."""
    np.savez(tmp_path / "x.npz", images=IMAGES, labels=labels)
    splits = load_splits(str(tmp_path / "x.npz"))
    assert splits.train.images.shape[1:] == (4, 4, 1)
    with pytest.raises(InputError, match=part):
        check_labels(splits.train, 3)
    with pytest.raises(InputError, match=part):
        load_arrays(tmp_path / "x.npz")


def test_arrays_of_other_names_are_not_read(tmp_path: Path) -> None:
    """Fails if what is not wanted, an array of Python objects here, keeps the rest from being read."""
    np.savez(tmp_path / "x.npz", x=IMAGES, names=np.array([{}, None]), mean=np.float32(3))
    images, labels = load_arrays(tmp_path / "x.npz")
    np.testing.assert_array_equal(images, IMAGES)
    assert labels is None


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"x": IMAGES, "x_train": IMAGES}, "expected the images under"),
        ({"x_test": IMAGES, "y_test": LABELS}, "expected the images under"),
        ({"x": IMAGES, "images": IMAGES}, "the images 'x' and 'images': expected one of them"),
        ({"x_train": IMAGES, "x_test": IMAGES[:, :2]}, "expected one kind in all parts"),
        ({"x_train": IMAGES[:10], "x_test": IMAGES[:5]}, "15 images; expected at least 20"),
        ({"x_train": IMAGES[:2], "x_test": IMAGES}, "too few training images"),
    ],
)
def test_parts_that_are_no_split(tmp_path: Path, arrays: dict[str, np.ndarray], part: str) -> None:
    """Fails if one of two arrays is chosen in silence, or a model is trained on nothing."""
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=part):
        load_splits(str(tmp_path / "x.npz"))


def test_a_part_without_labels_is_said(tmp_path: Path) -> None:
    """Fails if test images get the labels of others."""
    arrays = keras()
    del arrays["y_test"]
    np.savez(tmp_path / "x.npz", **arrays)
    assert load_parts(tmp_path / "x.npz")["train"].problem is not None
    with pytest.raises(InputError, match="no labels for the part 'test'"):
        check_labels(load_splits(str(tmp_path / "x.npz")).train, 3)


def test_arrays_are_resized_and_floats_are_not(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Fails if `size` is ignored for arrays, in any part, or floats leave [0, 1]."""
    np.savez(tmp_path / "x.npz", **keras())
    splits = load_splits(str(tmp_path / "x.npz"), size=8)
    assert {split.images.shape[1:] for split in splits} == {(8, 8, 1)}
    assert capsys.readouterr().out.count("of 4 x 4 pixels resized to 8 x 8") == 2
    assert resized(IMAGES, 4) is IMAGES
    with pytest.raises(InputError, match="expected uint8 to resize to 8; resize it before"):
        resized(IMAGES / np.float32(255), 8)

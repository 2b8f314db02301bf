"""`load_arrays` fails these tests if it changes a pixel, mixes up classes, or lets through data that a
likelihood would take for something else; each refusal is one line that names the file, the value and the place.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis.extra import numpy as hypothesis_numpy
from PIL import Image

from vae_jax.data import REAL_NUMBERS
from vae_jax.data.arrays import as_images, check_images, is_grey, load_arrays
from vae_jax.errors import InputError

BYTES = np.random.default_rng(0).integers(0, 256, (6, 5, 7, 3)).astype(np.uint8)
FLOATS = np.random.default_rng(1).random((6, 5, 7), np.float32)
LABELS = np.array([2, 0, 1, 1, 0, 2])


def one_line_error(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_arrays(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (BYTES, BYTES),
        (BYTES[..., 0], BYTES[..., :1]),
        (BYTES.astype(">i8"), BYTES),
        (FLOATS, FLOATS[..., None]),
        (FLOATS[..., None].astype(np.float64), FLOATS[..., None]),
        (FLOATS.astype(np.float16), FLOATS.astype(np.float16).astype(np.float32)[..., None]),
        (BYTES > 127, (BYTES > 127).astype(np.float32)),
        (np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 1, 1), np.uint8)),
    ],
)
def test_npy_keeps_every_value(tmp_path: Path, array: np.ndarray, expected: np.ndarray) -> None:
    images, labels = load_arrays(str(saved(tmp_path / "a.npy", array)))
    assert labels is None
    assert images.dtype == expected.dtype
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("image_key", ["images", "x", "anything"])
@pytest.mark.parametrize("label_key", ["labels", "y", None])
def test_npz_keys(tmp_path: Path, image_key: str, label_key: str | None) -> None:
    arrays = {image_key: BYTES} if label_key is None else {label_key: LABELS.astype(np.uint8), image_key: BYTES}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    images, labels = load_arrays(tmp_path / "a.npz")
    np.testing.assert_array_equal(images, BYTES)
    if label_key is None:
        assert labels is None
    else:
        assert labels is not None
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, LABELS)


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array[3, 2, 1] = value
    return array


@pytest.mark.parametrize(
    ("array", "parts"),
    [
        (with_value(FLOATS, np.nan), ["nan", "(3, 2, 1)"]),
        (with_value(FLOATS, np.inf), ["inf", "(3, 2, 1)"]),
        (with_value(FLOATS, -0.25), ["-0.25", "(3, 2, 1)", "(x + 1) / 2", "vae_jax.data.find reads them"]),
        (with_value(FLOATS, -40.5), ["-40.5", "(3, 2, 1)", "vae_jax.data.find reads them"]),
        (with_value(FLOATS, 7), ["7.0", "(3, 2, 1)", "divide the images by 255"]),
        (with_value(FLOATS.astype(np.float64), 1 + 1e-9), ["1.000000001", "(3, 2, 1)"]),
        (with_value(BYTES[..., 0].astype(np.int16), 256), ["256", "(3, 2, 1)", "shift pixels of 16 bits"]),
        (with_value(BYTES[..., 0].astype(np.int64), -1), ["-1", "(3, 2, 1)"]),
        ((BYTES > 127).astype(np.uint8), ["largest is 1", "multiply by 255"]),
        (BYTES.astype(complex), ["complex128"]),
        (np.full((2, 3, 3), "a"), ["<U1"]),
        (
            BYTES.reshape(6, -1),
            ["(6, 105)", "reshape flattened images; tables and series are read by vae_jax.data.find"],
        ),
        (BYTES[None], ["(1, 6, 5, 7, 3)"]),
        (BYTES[0], ["(5, 7, 3)", "one image"]),
        (np.moveaxis(BYTES, -1, 1), ["(6, 3, 5, 7)", "transpose"]),
        (np.zeros((0, 28, 28), np.float32), ["(0, 28, 28)", "empty"]),
        (np.zeros((4, 28, 0, 1), np.uint8), ["(4, 28, 0, 1)", "empty"]),
        (np.float32(0.5), ["()"]),
    ],
)
def test_unusable_arrays_are_refused(tmp_path: Path, array: np.ndarray, parts: list[str]) -> None:
    path = saved(tmp_path / "mine.npy", array)
    message = one_line_error(path)
    for part in [str(path), *parts]:
        assert part in message


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle of a stranger was run",)


def test_pickles_are_refused_unopened(tmp_path: Path) -> None:
    np.save(tmp_path / "object.npy", np.array([Bomb()]), allow_pickle=True)
    np.savez(tmp_path / "object.npz", images=np.array([Bomb()]))
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Bomb()))
    for path in tmp_path.iterdir():
        assert str(path) in one_line_error(path)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_truncated_files_are_refused(tmp_path: Path, name: str, kept: float) -> None:
    path = tmp_path / name
    np.save(path, BYTES) if name == "a.npy" else np.savez_compressed(path, images=BYTES)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert str(path) in one_line_error(path)


def test_flipped_bit_in_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, images=BYTES)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    assert str(path) in one_line_error(path)


def test_paths_that_are_no_data(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2")
    (tmp_path / "empty").mkdir()
    assert "a.csv is neither" in one_line_error(tmp_path / "a.csv")
    assert "b.npy does not exist" in one_line_error(tmp_path / "b.npy")
    assert "empty has no image" in one_line_error(tmp_path / "empty")


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"train": BYTES, "test": BYTES}, "['test', 'train']"),
        ({"labels": LABELS}, "['labels']"),
        ({"x": BYTES, "y": LABELS[:5]}, "expected (6,)"),
        ({"x": BYTES, "y": np.eye(6, dtype=int)}, "(6, 6)"),
        ({"x": BYTES, "y": LABELS / 2}, "float64"),
        ({"x": BYTES, "y": LABELS - 1}, "-1 at index (1,)"),
        ({"x": BYTES, "y": LABELS + 2**31}, "2147483650 at index (0,)"),
        ({"x": with_value(FLOATS, 2.0), "y": LABELS}, "['x'] has the value 2.0 at index (3, 2, 1)"),
    ],
)
def test_unusable_npz_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], part: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    message = one_line_error(tmp_path / "a.npz")
    assert str(tmp_path / "a.npz") in message
    assert part in message


def write_images(folder: Path, images: np.ndarray, suffix: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}{suffix}")


@pytest.mark.parametrize("images", [BYTES, BYTES[..., :1]])
@pytest.mark.parametrize("suffix", [".png", ".BMP", ".tiff"])
def test_folder_of_images(tmp_path: Path, images: np.ndarray, suffix: str) -> None:
    write_images(tmp_path, images.squeeze(-1) if images.shape[-1] == 1 else images, suffix)
    (tmp_path / "README.txt").write_text("no image")
    (tmp_path / "._0.png").write_text("what some systems leave beside a file")
    loaded, labels = load_arrays(tmp_path)
    assert labels is None
    assert loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, images)


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    write_images(tmp_path / "dog", BYTES[:2])
    write_images(tmp_path / "ant", BYTES[2:5])
    write_images(tmp_path / "cat", BYTES[5:])
    (tmp_path / ".hidden").mkdir()
    images, labels = load_arrays(tmp_path)
    np.testing.assert_array_equal(images, BYTES[[2, 3, 4, 5, 0, 1]])
    assert labels is not None
    assert labels.dtype == np.int32
    assert labels.tolist() == [0, 0, 0, 1, 2, 2]
    (tmp_path / "bee").mkdir()  # would renumber cat and dog, or not, without a word
    assert "bee has no image" in one_line_error(tmp_path)
    (tmp_path / "bee").rmdir()
    write_images(tmp_path, BYTES[:1])
    assert "sub-folders" in one_line_error(tmp_path)


def test_one_colour_image_makes_all_colour(tmp_path: Path) -> None:
    write_images(tmp_path, BYTES[:2])
    Image.fromarray(BYTES[2, ..., 0]).save(tmp_path / "2.png")
    opaque = np.full_like(BYTES[3, ..., :1], 255)
    Image.fromarray(np.concatenate([BYTES[3], opaque], axis=-1)).save(tmp_path / "3.png")  # RGBA
    Image.fromarray(BYTES[4, ..., 0] > 127).save(tmp_path / "4.png")
    images, _ = load_arrays(tmp_path)
    np.testing.assert_array_equal(images[[0, 1, 3]], BYTES[[0, 1, 3]])
    np.testing.assert_array_equal(images[2], np.repeat(BYTES[2, ..., :1], 3, axis=-1))
    np.testing.assert_array_equal(images[4], np.repeat(255 * (BYTES[4, ..., :1] > 127), 3, axis=-1))


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "cannot be read"),
    ],
)
def test_image_that_does_not_fit_is_named(tmp_path: Path, spoil, part: str) -> None:
    write_images(tmp_path, BYTES)
    spoil(tmp_path / "3.png")
    message = one_line_error(tmp_path)
    assert str(tmp_path / "3.png") in message
    assert part in message


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path, BYTES)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install 'vae_jax[images]'" in one_line_error(tmp_path)


@hypothesis.given(
    hypothesis_numpy.arrays(
        hypothesis.strategies.sampled_from([np.float32, np.float64, np.int16, np.uint8, np.bool_]),
        hypothesis_numpy.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4),
    )
)
def test_as_images_returns_what_it_promises_or_refuses(array: np.ndarray) -> None:
    try:
        images = as_images(array)
    except InputError:
        return
    assert images.shape == (*array.shape, 1)[:4]
    assert images.dtype == (np.uint8 if array.dtype.kind in "iu" else np.float32)
    np.testing.assert_array_equal(images.reshape(array.shape), array.astype(images.dtype))
    check_images(images, support=(0, 255 if images.dtype == np.uint8 else 1))


def test_check_images_names_the_first_value_outside() -> None:
    check_images(np.array([[0.0, 1.0]]))
    check_images(np.array([[-1.0, 1.0]]), support=(-1, 1))
    with pytest.raises(InputError, match=r"x has the value -1.0 at index \(0, 1\): expected 0.0 to 1.0"):
        check_images(np.array([[0.5, -1.0], [3.0, np.nan]]), name="x")


@pytest.mark.parametrize("values", [np.linspace(-3, 40, 90), np.linspace(0, 200, 90), np.linspace(-1, 1, 90)])
def test_a_table_or_a_series_is_not_led_to_a_bernoulli(values: np.ndarray) -> None:
    """Fails if the message for values that are no pixels tells to rescale them and no more."""
    with pytest.raises(InputError) as caught:
        as_images(values.reshape(3, 5, 6))
    assert "need a likelihood of real numbers: vae_jax.data.find reads them" in str(caught.value)
    assert "rescale" not in str(caught.value)
    # What the message names leads on.
    images = as_images(values.reshape(3, 5, 6), support=REAL_NUMBERS)
    np.testing.assert_array_equal(images[..., 0], values.reshape(3, 5, 6).astype(np.float32))


def test_real_numbers_of_any_dtype() -> None:
    """Fails if integers beyond 8 bits are led in a circle, levels become numbers, or what is no number is read."""
    for array in (np.arange(-3, 1197, dtype=np.int16).reshape(10, 10, 12), np.full((2, 4, 4), 256, np.uint16)):
        images = as_images(array, support=REAL_NUMBERS)
        assert images.dtype == np.float32
        np.testing.assert_array_equal(images[..., 0], array)
    assert as_images(BYTES.astype(np.int64), support=REAL_NUMBERS).dtype == np.uint8
    for value in (np.nan, np.inf, 1e39):
        with pytest.raises(InputError, match=r"at index \(3, 2, 1\): expected a finite number; ") as error:
            as_images(with_value(FLOATS.astype(np.float64), value), support=REAL_NUMBERS)
        assert "normal-pixels" not in str(error.value)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (np.array([0.0, 1.0], np.float32), False),
        (np.array([0.0, 0.5, 1.0], np.float32), True),
        (np.array([0, 255], np.uint8), False),
        (np.array([0, 254], np.uint8), True),
        (np.array([0, 1], np.uint8), True),
        (np.array([False, True]), False),
    ],
)
def test_is_grey(images: np.ndarray, expected: bool) -> None:
    assert is_grey(images) is expected

"""A user's own images, from a .npy or .npz file or a folder, and checks of what they contain."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from vae_jax.errors import InputError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_IMAGE_KEYS = ("images", "x")
_LABEL_KEYS = ("labels", "y")


def load_arrays(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Images, and labels where there are any, from one of

    - `.npy`: the images;
    - `.npz`: the images under `images` or `x` or as the only array, the labels under `labels` or `y`;
    - a folder of images; where they lie in sub-folders, the names of these, sorted, are the classes 0, 1, ...
      Images in grey alone give one channel, otherwise all become RGB; an alpha channel is dropped.

    Returns:
      images: uint8 [N, H, W, C] of 0..255, or float32 [N, H, W, C] in [0, 1]; an axis C = 1 is added to
        [N, H, W]. Booleans become 0.0 and 1.0.
      labels: int32 [N], or None.

    Raises:
      InputError: the file is missing, damaged, pickled, or holds something else; images differ in size;
        Pillow is not installed.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _load_folder(path)
    if path.suffix not in (".npy", ".npz") or not path.is_file():
        problem = "is neither .npy, .npz nor a folder" if path.exists() else "does not exist"
        raise InputError(f"{path} {problem}: pass a .npy or .npz file, or a folder of images")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return as_images(loaded, str(path)), None
        with loaded:
            arrays = {key: loaded[key] for key in loaded.files}
    except InputError:
        raise
    except (OSError, EOFError, ValueError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read ({_one_line(error)}): expected arrays of numbers as numpy.save or "
            "numpy.savez write them; save it again without pickled objects"
        ) from error
    return _from_npz(arrays, path)


def _from_npz(arrays: dict[str, np.ndarray], path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    label_key = next((key for key in _LABEL_KEYS if key in arrays), None)
    image_key = next((key for key in _IMAGE_KEYS if key in arrays), None)
    if image_key is None:
        others = [key for key in arrays if key != label_key]
        if len(others) != 1:
            raise InputError(
                f"{path} has the arrays {sorted(arrays)}: expected the images under 'images' or 'x' "
                "(labels, if any, under 'labels' or 'y')"
            )
        image_key = others[0]
    images = as_images(arrays[image_key], f"{path}[{image_key!r}]")
    if label_key is None:
        return images, None
    return images, _as_labels(arrays[label_key], len(images), f"{path}[{label_key!r}]")


def as_images(array: np.ndarray, name: str = "images") -> np.ndarray:
    """uint8 [N, H, W, C] of 0..255 or float32 [N, H, W, C] in [0, 1], from [N, H, W] or [N, H, W, C].

    Raises: InputError, which calls the array `name`, for another shape, dtype or range, or an empty array.
    """
    if array.dtype.kind not in "buif":
        raise InputError(f"{name} has dtype {array.dtype}: expected uint8 of 0..255 or floats in [0, 1]")
    if array.ndim not in (3, 4):
        raise InputError(f"{name} has shape {array.shape}: expected [N, H, W] or [N, H, W, C]; reshape it")
    if array.size == 0:
        raise InputError(f"{name} has shape {array.shape}, which is empty: expected at least one image")
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[-1] > 4:
        raise InputError(
            f"{name} has shape {array.shape}, channels first: expected [N, H, W, C]; transpose it by (0, 2, 3, 1)"
        )
    if array.ndim == 3 and array.shape[-1] in (3, 4):
        raise InputError(
            f"{name} has shape {array.shape}, one image in colour: expected [N, H, W] or [N, H, W, C]; "
            "add the missing axis"
        )
    if array.dtype.kind == "b":
        array = array.astype(np.float32)
    elif array.dtype.kind == "f":
        check_images(array, name=name)
        array = array.astype(np.float32)
    else:
        check_images(array, support=(0, 255), name=name)
        array = array.astype(np.uint8)
        if array.max() == 1:
            raise InputError(
                f"{name} has integers of which the largest is 1, and 255 is white: "
                "multiply by 255, or save binary images as booleans or floats"
            )
    return array[..., None] if array.ndim == 3 else array


def check_images(images: np.ndarray, *, support: tuple[float, float] = (0.0, 1.0), name: str = "images") -> None:
    """Raises InputError that names the first value outside `support`, ends included, and its index.

    images: any shape; NaN is outside. Likelihoods differ in support: [0, 1] for Bernoulli, for instance.
    """
    low, high = support
    outside = ~((images >= low) & (images <= high))
    if not outside.any():
        return
    index = tuple(int(i) for i in np.unravel_index(np.argmax(outside), images.shape))
    value = images[index]
    remedy = "replace it" if not np.isfinite(value) else "rescale or clip the images"
    if high == 1 and 1 < value <= 255 and np.nanmin(images) >= 0:
        remedy = "divide the images by 255"
    raise InputError(f"{name} has the value {value} at index {index}: expected {low} to {high}; {remedy}")


def is_grey(images: np.ndarray) -> bool:
    """Whether any value lies strictly between black and white (0 and 255 for uint8, 0 and 1 otherwise).

    On such images the Bernoulli log-density is minus a cross-entropy and no log-likelihood.
    """
    white = 255 if images.dtype == np.uint8 else 1
    return bool(np.any((images > 0) & (images < white)))


def _as_labels(labels: np.ndarray, num_images: int, name: str) -> np.ndarray:
    if labels.shape != (num_images,):
        raise InputError(f"{name} has shape {labels.shape}: expected ({num_images},), one label an image")
    if labels.dtype.kind not in "bui":
        raise InputError(f"{name} has dtype {labels.dtype}: expected integers 0, 1, ...")
    check_images(labels, support=(0, np.iinfo(np.int32).max), name=name)
    return labels.astype(np.int32)


def _load_folder(folder: Path) -> tuple[np.ndarray, np.ndarray | None]:
    files = _images_in(folder)
    folders = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if files and not any(_images_in(sub) for sub in folders):
        return _decode(files), None
    if files:
        raise InputError(
            f"{folder} has images of its own ({files[0].name}) and in sub-folders: expected one or "
            "the other, all images in it or one sub-folder a class"
        )
    classes = [_images_in(sub) for sub in folders]
    for sub, found in zip(folders, classes, strict=True):
        if not found:
            raise InputError(f"{sub} has no image: every sub-folder is a class; fill it or remove it")
    if not classes:
        raise InputError(f"{folder} has no image: expected files ending in {', '.join(_SUFFIXES)}")
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), [len(found) for found in classes])
    return _decode([file for found in classes for file in found]), labels


def _images_in(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and not p.name.startswith(".") and p.is_file()
    )


def _decode(files: list[Path]) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(
            f"reading {files[0]} needs Pillow, which is not installed: pip install 'vae_jax[images]'"
        ) from error

    def read(file: Path, use: Any) -> Any:
        try:
            with Image.open(file) as image:
                return use(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"{file} cannot be read ({_one_line(error)}): replace or remove it") from error

    # Sizes and modes are in the headers, so that nothing is decoded before the whole folder is known to fit.
    headers = [read(file, lambda image: (image.size, image.mode)) for file in files]
    (width, height), _ = headers[0]
    for file, (size, mode) in zip(files, headers, strict=True):
        if size != (width, height):
            raise InputError(
                f"{file} has {size[0]} x {size[1]} pixels, but {files[0].name} {width} x {height}: "
                "expected one size; resize or remove it"
            )
        if mode.startswith(("I", "F")):
            raise InputError(f"{file} has more than 8 bits a channel (mode {mode}): convert it to 8 bits")
    grey = all(mode in ("1", "L", "LA") for _, mode in headers)
    images = np.empty((len(files), height, width, 1 if grey else 3), np.uint8)
    for i, file in enumerate(files):
        pixels = read(file, lambda image: np.asarray(image.convert("L" if grey else "RGB")))
        images[i] = pixels.reshape(images.shape[1:])
    return images


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]

"""Folders of photos, of which the headers are read first and decide the size, the colour and what is said."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from vae_jax.data.files import check_memory, notice, readable
from vae_jax.data.folders import list_parts
from vae_jax.data.images import pillow, square
from vae_jax.data.labels import number_classes
from vae_jax.errors import InputError, printable

# Those of the suffixes alone: for others Pillow may start a program on the content (PostScript).
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_ORIENTATION = 0x0112  # the tag of EXIF; a camera held upright writes 6 or 8 and leaves the pixels lying
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_DEFAULT_SIZE = 64


class Photos(NamedTuple):
    """Images uint8 [N, H, W, C] and labels int32 [N] or None by part, "all" or of "train", "validation", "test"."""

    parts: dict[str, tuple[UInt8[np.ndarray, "_ H W C"], Int[np.ndarray, " _"] | None]]
    classes: tuple[str, ...] | None


class _Header(NamedTuple):
    file: Path
    size: tuple[int, int]  # width, height, as a viewer shows it
    grey: bool
    deep: bool  # more than 8 bits a channel
    turned: bool
    animated: bool


def load_photos(folder: Path, size: int | None) -> Photos:
    """The images of a folder, its sub-folders the classes, or `train`, `val` and `test` with classes in them.

    What was decided about them (turned, resized, ...) is printed, a line for each kind. Raises InputError.
    """
    with readable(folder, "make it readable"):
        listings = list_parts(folder)
    headers = [_read_header(file) for listing in listings.values() for file in listing.files]
    side = _common_size(folder, headers, size)
    _tell(folder, headers)
    images = _decode(folder, headers, side, grey=all(header.grey for header in headers))
    names = [name for listing in listings.values() for name in listing.classes]
    labels, classes = None, None
    if len(names) == len(headers):
        number, classes = number_classes(names)
        labels = np.array([number[name] for name in names], np.int32)
    ends = np.cumsum([len(listing.files) for listing in listings.values()])
    rows = [slice(end - len(listing.files), end) for end, listing in zip(ends, listings.values(), strict=True)]
    return Photos(
        {p: (images[i], None if labels is None else labels[i]) for p, i in zip(listings, rows, strict=True)},
        classes,
    )


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
    image = pillow(printable(file))
    image.init()
    # Not by its name: Pillow 13 maps such a file into memory, and rows of a TIFF that is to be turned get mixed.
    with file.open("rb") as content:
        yield image.open(content, formats=[name for name in _FORMATS if name in image.OPEN])


def _read_header(file: Path) -> _Header:
    with readable(file, "replace or remove it"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes, which are looked at below
        with _opened(file) as image:
            mode, (width, height) = image.mode, image.size
            most = pillow(printable(file)).MAX_IMAGE_PIXELS
            if most is not None and width * height > most:
                raise InputError(
                    f"{printable(file)} has {width} x {height} pixels: expected at most {most} in all; shrink it"
                )
            if mode == "F" or (mode == "I" and image.format != "PNG"):
                raise InputError(f"{printable(file)} has 32 bits a channel (mode {mode}): convert it to 8 bits")
            if image.format == "TIFF":  # as it lies in the file, where some versions of Pillow turn it already
                width, height = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]
            deep = mode.startswith("I") or ";16" in _raw_mode(image)
            if image.format == "PNG" and _has_late_exif(file):
                image.load()  # Pillow reads what stands after the pixels once it has decoded them
            orientation = _orientation(image)
            if orientation >= 5:
                width, height = height, width
            return _Header(
                file,
                (width, height),
                grey=mode in ("1", "L", "LA", "I") or mode.startswith("I;16"),
                deep=deep,
                turned=orientation > 1,
                # A camera's second picture (MPO) is no animation.
                animated=image.format != "MPO" and bool(getattr(image, "is_animated", False)),
            )


def _raw_mode(image: Any) -> str:
    arguments = image.tile[0][3] if image.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _has_late_exif(file: Path) -> bool:
    """Whether the EXIF entries of a PNG stand after its pixels, as some programs write them; decodes nothing."""
    profile, after_pixels = b"Raw profile type exif", False
    with file.open("rb") as content:
        content.seek(8)
        while len(head := content.read(8)) == 8:
            length, name = int.from_bytes(head[:4], "big"), head[4:]
            start = content.read(min(length, len(profile)))
            if after_pixels and (name == b"eXIf" or start == profile):
                return True
            after_pixels = after_pixels or name == b"IDAT"
            content.seek(length - len(start) + 4, 1)
    return False


def _orientation(image: Any) -> int:
    # A PNG without this entry would be decoded to look for it.
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & set(image.info):
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged entries are no reason to lose the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _common_size(folder: Path, headers: list[_Header], size: int | None) -> int | None:
    """The side of the squares that all become, or None where they have one size already and keep it."""
    sizes = {header.size for header in headers}
    if size is None and len(sizes) == 1:
        return None
    sides = sorted(min(header.size) for header in headers)
    # A multiple of 8, so that convolutional networks can halve it three times.
    side = size or max(8, min(_DEFAULT_SIZE, sides[len(sides) // 2]) // 8 * 8)
    if sizes == {(side, side)}:
        return None
    least, most = min(sizes), max(sizes)
    found = f"{least[0]} x {least[1]}" + (f" to {most[0]} x {most[1]}" if len(sizes) > 1 else "")
    choose = "middle square" if size else "middle square; --size chooses"
    notice(f"{printable(folder)}: {len(headers)} images of {found} pixels resized to {side} x {side} ({choose})")
    return side


def _tell(folder: Path, headers: list[_Header]) -> None:
    for chosen, done in (
        ([h for h in headers if h.turned], "turned as their EXIF orientation says"),
        ([h for h in headers if h.deep], "of 16 bits a channel read as 8 bits"),
        ([h for h in headers if h.animated], "with several frames or pages: the first is read"),
    ):
        if chosen:
            notice(f"{printable(folder)}: {len(chosen)} images {done}, as {printable(chosen[0].file.name)}")


def _decode(folder: Path, headers: list[_Header], side: int | None, grey: bool) -> np.ndarray:
    width, height = (side, side) if side else headers[0].size
    shape = (len(headers), height, width, 1 if grey else 3)
    remedy = "choose a smaller --size, keep fewer images, or stream a uint8 .npy file (--stream)"
    # Twice, for they are cut into parts; and one picture at its full size.
    check_memory(
        f"{printable(folder)}, {len(headers)} images of {width} x {height},",
        2 * math.prod(shape) + 4 * max(h.size[0] * h.size[1] for h in headers),
        remedy,
    )
    images = np.empty(shape, np.uint8)
    for i, header in enumerate(headers):
        pixels = _read_pixels(header.file, "L" if grey else "RGB", side)
        if pixels.shape[:2] != (height, width):
            raise InputError(
                f"{printable(header.file)} has {pixels.shape[1]} x {pixels.shape[0]} pixels, but its header says "
                f"{width} x {height}: save it again"
            )
        images[i] = pixels.reshape(shape[1:])
    return images


def _read_pixels(file: Path, mode: str, side: int | None) -> np.ndarray:
    """uint8 [H, W] for the mode L, [H, W, 3] for RGB."""
    with readable(file, "replace or remove it"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _opened(file) as image:
            if side:
                image.draft(None, (2 * side, 2 * side))  # a JPEG need not be decoded at its full size
            image.load()
            return np.asarray(_finished(image, mode, side))


def _finished(image: Any, mode: str, side: int | None) -> Any:
    from PIL.Image import Transpose, fromarray

    turns = {
        **{2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM},
        **{5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90},
    }
    orientation = _orientation(image)
    if image.mode.startswith("I"):
        image = fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if orientation in turns:
        image = image.transpose(turns[orientation])
    image = image.convert(mode)
    return square(image, side) if side else image

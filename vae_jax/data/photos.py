"""Folders of photos, of which the headers are read first and decide the size, the colour and what is said."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from vae_jax.data.files import check_memory, notice, readable
from vae_jax.data.folders import list_parts
from vae_jax.data.images import pillow, square
from vae_jax.data.labels import number_classes
from vae_jax.data.photo_headers import Header, is_transparent, opened_photo, orientation_of, read_photo_header
from vae_jax.data.threads import in_threads, num_threads
from vae_jax.errors import InputError, printable

# Of squares that are chosen for the user: networks halve them, and the largest still train on one processor.
_LEAST_SIZE, _MOST_SIZE = 16, 64
_KEPT_SIZE = 128  # up to which photos of one size stay as they are


class Photos(NamedTuple):
    """Images uint8 [N, H, W, C] and labels int32 [N] or None by part, "all" or of "train", "validation", "test".

    `names`: of the images of each part, their paths within the folder.
    """

    parts: dict[str, tuple[UInt8[np.ndarray, "_ H W C"], Int[np.ndarray, " _"] | None]]
    classes: tuple[str, ...] | None
    names: dict[str, tuple[str, ...]]


class Album(NamedTuple):
    """A folder whose headers were read: what its images will be, none decoded yet.

    `headers`, `labels` int32 [N]: of all parts one after another; `rows`: which of them each part has. `shape`:
    [H, W, C] of all images. `side`: of the squares that they become, None where they are as they were.
    """

    headers: list[Header]
    labels: Int[np.ndarray, " N"] | None
    classes: tuple[str, ...] | None
    names: tuple[str, ...]
    rows: dict[str, slice]
    shape: tuple[int, int, int]
    side: int | None

    def decoded(self, i: int) -> UInt8[np.ndarray, "H W C"]:
        """Image i; raises InputError where it is damaged, or has another size than its header says."""
        pixels = _read_pixels(self.headers[i].file, "L" if self.shape[-1] == 1 else "RGB", self.side)
        if pixels.shape[:2] != self.shape[:2]:
            raise InputError(
                f"{printable(self.headers[i].file)} has {pixels.shape[1]} x {pixels.shape[0]} pixels, but "
                f"its header says {self.shape[1]} x {self.shape[0]}: save it again"
            )
        return pixels.reshape(self.shape)


def load_photos(folder: Path, size: int | tuple[int, int] | None, *, channels: int | None = None) -> Photos:
    """The images of a folder, its sub-folders the classes, or `train`, `val` and `test` with classes in them.

    size: side of the squares that they become, or the height and width that they must have. channels: 1 or 3 to
    make all grey or RGB. What was decided about them (turned, resized, ...) is printed, a line for each kind. They
    are decoded by as many threads as there are processors. Raises InputError.
    """
    album = open_album(folder, size, channels=channels)
    images = decode_all(folder, album)
    return Photos(
        {p: (images[i], None if album.labels is None else album.labels[i]) for p, i in album.rows.items()},
        album.classes,
        {p: album.names[i] for p, i in album.rows.items()},
    )


def open_album(folder: Path, size: int | tuple[int, int] | None, *, channels: int | None = None) -> Album:
    """A folder of photos before any is decoded; arguments and errors as of `load_photos`."""
    with readable(folder, "make it readable"):
        listings = list_parts(folder)
    files = [file for listing in listings.values() for file in listing.files]
    pillow(printable(folder)).init()  # here, for threads would do so several times
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes, which are looked at, and of damaged entries
        headers = list(in_threads(read_photo_header, files, f"{printable(folder)}: reading headers"))
    side, (height, width) = _common_size(folder, headers, size)
    grey = all(header.grey for header in headers) if channels is None else channels == 1
    _tell(folder, headers, grey)
    of_classes = [name for listing in listings.values() for name in listing.classes]
    labels, classes = None, None
    if len(of_classes) == len(headers):
        number, classes = number_classes(of_classes)
        labels = np.array([number[name] for name in of_classes], np.int32)
    ends = np.cumsum([len(listing.files) for listing in listings.values()]).tolist()
    rows = {
        part: slice(end - len(listing.files), end)
        for end, (part, listing) in zip(ends, listings.items(), strict=True)
    }
    names = tuple(printable(file.relative_to(folder)) for file in files)
    return Album(headers, labels, classes, names, rows, (height, width, 1 if grey else 3), side)


def _common_size(
    folder: Path, headers: list[Header], size: int | tuple[int, int] | None
) -> tuple[int | None, tuple[int, int]]:
    """The side of the squares that all become, None where they have one size already and keep it; height, width."""
    sizes = {header.size for header in headers}
    least, most = min(sizes), max(sizes)
    if isinstance(size, tuple) and size[0] != size[1]:
        if sizes != {size[::-1]}:
            odd = next(header for header in headers if header.size != size[::-1])
            raise InputError(
                f"{printable(odd.file)} has {odd.size[0]} x {odd.size[1]} pixels: expected {size[1]} x "
                f"{size[0]}, as the training data, which are no squares that others could be cut to"
            )
        return None, size
    if size is None and len(sizes) == 1 and max(least) <= _KEPT_SIZE:
        return None, least[::-1]
    side = size[0] if isinstance(size, tuple) else size or _default_size(headers)
    if sizes == {(side, side)}:
        return None, (side, side)
    found = f"{least[0]} x {least[1]}" + (f" to {most[0]} x {most[1]}" if len(sizes) > 1 else "")
    choose = "middle square" if size else "middle square, the power of two near the median; --size chooses"
    notice(f"{printable(folder)}: {len(headers)} images of {found} pixels resized to {side} x {side} ({choose})")
    return side, (side, side)


def _default_size(headers: list[Header]) -> int:
    sides = sorted(min(header.size) for header in headers)
    median = sides[len(sides) // 2]
    # The smaller of two that are as near, for enlarging adds no detail.
    power = min((1 << k for k in range(16)), key=lambda p: abs(p - median))
    return min(max(power, _LEAST_SIZE), _MOST_SIZE)


def _tell(folder: Path, headers: list[Header], grey: bool) -> None:
    for chosen, done in (
        ([h for h in headers if h.turned], "turned as their EXIF orientation says"),
        ([h for h in headers if h.deep], "of 16 bits a channel read as 8 bits"),
        ([h for h in headers if h.transparent], "with an alpha channel or a transparent colour laid on white"),
        ([h for h in headers if h.animated], "with several frames or pages: the first is read"),
        ([h for h in headers if grey and not h.grey], "in colour made grey, as the training data are"),
    ):
        if chosen:
            notice(f"{printable(folder)}: {len(chosen)} images {done}, as {printable(chosen[0].file.name)}")


def decode_all(folder: Path, album: Album) -> UInt8[np.ndarray, "N H W C"]:
    """All images of an album; raises InputError for those that are damaged, or together more than the memory."""
    height, width = album.shape[:2]
    remedy = "choose a smaller --size, keep fewer images, or stream them (--stream)"
    workers = num_threads()
    # Twice, for they are cut into parts; and for each thread one picture at its full size.
    check_memory(
        f"{printable(folder)}, {len(album.headers)} images of {width} x {height},",
        2 * math.prod(album.shape) * len(album.headers)
        + 4 * workers * max(h.size[0] * h.size[1] for h in album.headers),
        remedy,
    )
    images = np.empty((len(album.headers), *album.shape), np.uint8)

    def decode(i: int) -> None:
        images[i] = album.decoded(i)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in in_threads(decode, range(len(images)), f"{printable(folder)}: decoding"):
            pass
    return images


def _read_pixels(file: Path, mode: str, side: int | None) -> np.ndarray:
    """uint8 [H, W] for the mode L, [H, W, 3] for RGB."""
    with readable(file, "replace or remove it"), opened_photo(file) as image:
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
    orientation = orientation_of(image)
    if image.mode.startswith("I"):
        levels = np.asarray(image)
        clear = levels == image.info.get("transparency", -1)
        image = fromarray(np.where(clear, 255, levels >> 8).astype(np.uint8))
    if orientation in turns:
        image = image.transpose(turns[orientation])
    if is_transparent(image):
        image = _on_white(image)
    image = image.convert(mode)
    return square(image, side) if side else image


def _on_white(image: Any) -> Any:
    """What a page shows: the colours that programs leave behind transparent pixels are not part of a picture."""
    from PIL.Image import alpha_composite, new

    if image.mode == "La":  # of which Pillow makes no other
        image = image.convert("LA")
    return alpha_composite(new("RGBA", image.size, "white"), image.convert("RGBA"))

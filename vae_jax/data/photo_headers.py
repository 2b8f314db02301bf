"""What the header of a photo says, before any pixel is decoded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vae_jax.data.files import readable
from vae_jax.data.images import pillow
from vae_jax.errors import InputError, printable

# Those of the suffixes alone: for others Pillow may start a program on the content (PostScript).
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_ORIENTATION = 0x0112  # the tag of EXIF; a camera held upright writes 6 or 8 and leaves the pixels lying
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257


class Header(NamedTuple):
    """What the header of a photo says."""

    file: Path
    size: tuple[int, int]  # width, height, as a viewer shows it
    grey: bool
    deep: bool  # more than 8 bits a channel
    turned: bool
    animated: bool
    transparent: bool  # whether any pixel may be; an image that has such a channel can be opaque all over


@contextlib.contextmanager
def opened_photo(file: Path) -> Iterator[Any]:
    """A picture as Pillow opens it, of one of the formats that are read; `init` of Pillow was called before."""
    image = pillow(printable(file))
    # Not by its name: Pillow 13 maps such a file into memory, and rows of a TIFF that is to be turned get mixed.
    with file.open("rb") as content:
        yield image.open(content, formats=[name for name in _FORMATS if name in image.OPEN])


def read_photo_header(file: Path) -> Header:
    """The header of a photo; raises InputError for what is none, too large, or of 32 bits a channel."""
    with readable(file, "replace or remove it"), opened_photo(file) as image:
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
        orientation = orientation_of(image)
        if orientation >= 5:
            width, height = height, width
        return Header(
            file,
            (width, height),
            grey=mode in ("1", "L", "LA", "I") or mode.startswith("I;16"),
            deep=deep,
            turned=orientation > 1,
            # A camera's second picture (MPO) is no animation.
            animated=image.format != "MPO" and bool(getattr(image, "is_animated", False)),
            transparent=is_transparent(image),
        )


def is_transparent(image: Any) -> bool:
    """Whether a picture says how transparent its pixels are, or has a colour that is."""
    alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    return alpha or (image.mode == "P" and image.palette is not None and image.palette.mode.endswith("A"))


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


def orientation_of(image: Any) -> int:
    """The entry 1 to 8 of EXIF that says how a picture is turned; 1, as it lies, where there is none."""
    # A PNG without this entry would be decoded to look for it.
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & set(image.info):
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged entries are no reason to lose the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1

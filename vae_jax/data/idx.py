"""The IDX files that MNIST and Fashion-MNIST come in: where they are and how to trust them."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from vae_jax.errors import InputError, one_line, printable

_NAMES = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


_MOST_BYTES = 2**29  # ten times the largest original; what a small file may unfold to is not known before


class IdxFile(NamedTuple):
    """One IDX file of unsigned bytes, and the hash by which it is known to be the original.

    `sha256` is that of the decompressed bytes. Where it is not known, None: then `gz_sha256`, that of
    the compressed file, is verified instead, and only the original .gz is accepted.
    """

    name: str
    sha256: str | None = None
    gz_sha256: str | None = None


class IdxDataset(NamedTuple):
    """A data set of four IDX files: images [N, H, W] and labels [N], for training and for testing."""

    name: str  # of the folder in data_dir; not "mnist", which holds what the stock builder prepares
    url: str  # of the folder that has the four files, each as <name>.gz
    homepage: str
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    files: tuple[IdxFile, ...]  # training images, training labels, test images, test labels


# The hashes are those of the decompressed originals, so that files compressed again are accepted too. What
# is downloaded is also held by tensorflow-datasets against the hashes of the .gz that it registers.
MNIST = IdxDataset(
    name="vae_jax_mnist",
    url="https://storage.googleapis.com/cvdf-datasets/mnist/",
    homepage="http://yann.lecun.com/exdb/mnist/",
    image_shape=(28, 28, 1),
    classes=tuple("0123456789"),
    files=(
        IdxFile(_NAMES[0], sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        IdxFile(_NAMES[1], sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        IdxFile(_NAMES[2], sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        IdxFile(_NAMES[3], sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ),
)

# The hashes are those of the .gz files, as registered by tensorflow-datasets in its
# url_checksums/fashion_mnist.txt; a trustworthy hash of the decompressed bytes was not at hand.
FASHION_MNIST = IdxDataset(
    name="vae_jax_fashion_mnist",
    url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    image_shape=(28, 28, 1),
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    files=(
        IdxFile(_NAMES[0], gz_sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        IdxFile(_NAMES[1], gz_sha256="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        IdxFile(_NAMES[2], gz_sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        IdxFile(_NAMES[3], gz_sha256="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
)


def read_idx(content: bytes, name: str) -> UInt8[np.ndarray, "..."]:
    """The array of an IDX file of unsigned bytes: 0, 0, type 8, the rank, big-endian sizes, then the data.

    Raises: InputError if `content`, decompressed, is no such file; `name` is what the message calls it.
    """
    rank = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    shape = np.frombuffer(content[4:], ">u4", count=rank) if len(content) >= 4 + 4 * rank else ()
    size = math.prod(int(n) for n in shape)
    if not rank or len(content) != 4 + 4 * rank + size:
        raise InputError(
            f"{printable(name)} is no IDX file of unsigned bytes ({len(content)} bytes, starting with "
            f"{content[:4].hex(' ') or 'nothing'}): replace it by the original"
        )
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape([int(n) for n in shape])


def verified_content(path: Path, file: IdxFile, remedy: str) -> bytes:
    """The decompressed bytes of `path`, known to be those of the original; `remedy` ends the message if not.

    Raises: InputError if the file cannot be read or decompressed, or has another hash.
    """
    try:
        raw = path.read_bytes()
        content = raw
        if raw[:2] == b"\x1f\x8b":
            with gzip.open(path) as file_content:
                content = file_content.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise InputError(f"{printable(path)} has more than {_MOST_BYTES} bytes: {remedy}")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{printable(path)} cannot be read ({one_line(error)}): {remedy}") from error
    if file.sha256 is not None:
        what, expected, got = "the decompressed file", file.sha256, hashlib.sha256(content).hexdigest()
    elif file.gz_sha256 is not None:
        what, expected, got = "the original .gz file", file.gz_sha256, hashlib.sha256(raw).hexdigest()
    else:
        raise InputError(f"{file.name} has no hash to be verified by: give sha256 or gz_sha256 in its IdxFile")
    if got != expected:
        raise InputError(f"{printable(path)} has sha256 {got}, expected {expected} of {what}: {remedy}")
    return content

"""Image data for the command line: what is read, what there is to know of it, and the likelihood that fits it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vae_jax.data import (
    NUM_SPRITES,
    REAL_NUMBERS,
    Split,
    Splits,
    binarize,
    check_labels,
    dequantize,
    factors_of,
    gather,
    is_grey,
    load_splits,
    render,
    scale_to_unit,
    static_binarize,
    stream_splits,
)
from vae_jax.data.files import check_memory, notice
from vae_jax.data.images import UNIT
from vae_jax.errors import InputError, check_at_least, printable
from vae_jax.likelihoods import BernoulliPixels, Likelihood, NormalPixels
from vae_jax.runs.json_config import to_json
from vae_jax.runs.task import Data

Array = jax.Array
Transform = Callable[[Array, Any], Any]
Look = Literal["binary", "nearly binary", "grey", "colour"]
Stored = Literal["sprites", "levels", "unit", "real"]
SPRITES = "sprites"
NUM_TEST_SPRITES, NUM_VALIDATION_SPRITES = 5000, 2000


@dataclasses.dataclass(frozen=True)
class ImageFacts:
    """What a model of images must know of them."""

    x_shape: tuple[int, int, int]
    """Height, width and channels of one image."""
    num_train: int
    stored: Stored
    """Numbers of sprites, 8-bit levels, numbers in [0, 1], or any real numbers."""
    look: Look
    """Of all parts together, before they are binarized."""
    num_classes: int | None = None
    """Of the labels, in a conditional run."""
    classes: tuple[str, ...] | None = None
    """What the labels stand for, in a conditional run on data that name it."""

    def __post_init__(self) -> None:
        if min(self.x_shape) < 1:
            raise InputError(f"x_shape {self.x_shape}: expected sizes of at least 1")
        if self.num_classes is not None:
            check_at_least("num_classes", self.num_classes, 1)
        if not 1 <= self.num_train < 2**63:
            raise InputError(f"num_train {self.num_train}: expected between 1 and 2^63 - 1")


def load_sprites(size: int) -> Data:
    """The sprites, rendered when they are seen: an example is the number of one. size: side of the images."""
    if size < 1:
        raise InputError(f"image size {size}: expected at least 1")
    check_memory(f"images of {size} x {size}", 4 * NUM_VALIDATION_SPRITES * size**2, "choose a lower --size")
    order = np.random.default_rng(0).permutation(NUM_SPRITES).astype(np.int32)
    test, validation, training = np.split(order, [NUM_TEST_SPRITES, NUM_TEST_SPRITES + NUM_VALIDATION_SPRITES])
    facts = ImageFacts((size, size, 1), len(training), "sprites", "binary")
    factors = np.asarray(jax.vmap(factors_of)(jnp.asarray(test)))
    return Data(training, validation, test, to_json(facts), factors, examples=validation)


def load_images(
    name: str,
    *,
    size: int | None = None,
    streamed: bool = False,
    static: bool = False,
    real: bool = False,
    num_classes: int | None = None,
    conditional: bool = False,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> Data:
    """The splits of a data set or of a user's own images; of a conditional run pairs (image, label).

    static: every image is binarized once. real: pixels may be any real numbers. num_classes: by default as many as
    there are in the data. Raises InputError for what the loaders raise it, and for what cannot be streamed.
    """
    if streamed:
        for chosen, why in (
            (static, "a set drawn once is kept in memory"),
            (conditional, "a .npy file has no labels"),
            (size is not None, "images are resized in memory"),
        ):
            if chosen:
                raise InputError(f"--stream of {name}: {why}; leave out one of the two")
        splits = stream_splits(name)
    else:
        support = REAL_NUMBERS if real else UNIT
        splits = load_splits(name, data_dir=data_dir, manual_dir=manual_dir, size=size, support=support)
    some = _some_examples(splits.train.images) if streamed else splits.train.images
    seen = [some, splits.validation.images, splits.test.images]
    stored = _stored(printable(name), seen)
    look = _look(seen, stored)
    if static:
        splits = Splits(*(s._replace(images=static_binarize(i, s.images)) for i, s in enumerate(splits)))
        some = splits.train.images
    if not conditional:
        num_classes = None
    elif num_classes is None:
        num_classes = _number_of_classes(splits)
    facts = ImageFacts(
        tuple(splits.test.images.shape[1:]),
        len(splits.train.images),
        "levels" if splits.test.images.dtype == np.uint8 else stored,
        look,
        num_classes,
        splits.train.classes if conditional else None,
    )
    parts = [(s.images, check_labels(s, num_classes)) if num_classes is not None else s.images for s in splits]
    train, validation, test = parts
    return Data(train, validation, test, facts=to_json(facts), examples=some)


def default_likelihood(facts: ImageFacts, binarization: str) -> Likelihood:
    """Bernoulli for images in black and white, nearly so, or binarized once; else normal with one learned scale."""
    black_and_white = facts.look in ("binary", "nearly binary") or binarization == "static"
    return BernoulliPixels() if black_and_white else NormalPixels("learned")


def described(likelihood: Likelihood, facts: ImageFacts, binarization: str) -> str:
    """One line that says which likelihood was chosen, and on what."""
    if isinstance(likelihood, BernoulliPixels):
        how = "" if facts.look == "binary" else f", {binarization} binarization"
        if facts.look in ("grey", "colour"):
            how += ": all numbers are of what is drawn from them; likelihood:normal-pixels is for them as they are"
        return f"{facts.look} images: likelihood:bernoulli-pixels{how}"
    on = "values dequantized to [0, 1)" if facts.stored == "levels" else "values in [0, 1] as they are"
    return (
        f"{facts.look} images: likelihood:normal-pixels with one learned scale, on {on}; "
        "likelihood:bernoulli-pixels would binarize them"
    )


def transform_of(facts: ImageFacts, likelihood: Likelihood, binarization: str) -> Transform:
    """From a stored image to what the likelihood is defined on."""
    if facts.stored == "sprites":
        return lambda key, index: render(factors_of(index), size=facts.x_shape[0])
    if isinstance(likelihood, BernoulliPixels):
        return binarize if binarization == "dynamic" else lambda key, x: scale_to_unit(x)
    return dequantize if facts.stored == "levels" else lambda key, x: scale_to_unit(x)


def mean_image(facts: ImageFacts, examples: Any) -> Float[np.ndarray, "H W C"]:
    """The mean of stored images, in [0, 1]: [H, W, C]."""
    if facts.stored == "sprites":
        images = jax.jit(jax.vmap(lambda index: render(factors_of(index), size=facts.x_shape[0])))
        return np.asarray(jnp.mean(images(examples), axis=0))
    return np.asarray(scale_to_unit(examples.mean(axis=0).astype(examples.dtype)))


def _some_examples(images: Any) -> np.ndarray:
    # Ten thousand images from all over the file, or 64 MiB of large ones, stand for all of them.
    num = max(1, min(10_000, 2**26 // images[0].nbytes))
    found: np.ndarray = gather(images, np.unique(np.linspace(0, len(images) - 1, num, dtype=int)))
    return found


def _number_of_classes(splits: Splits) -> int:
    named: Split = splits.train
    if named.classes is not None:
        return len(named.classes)
    found = [int(s.labels.max()) + 1 for s in splits if s.labels is not None and len(s.labels)]
    return max(found, default=1)


def _stored(name: str, parts: Sequence[np.ndarray]) -> Stored:
    if parts[0].dtype == np.uint8:
        return "levels"
    low, high = min(part.min() for part in parts), max(part.max() for part in parts)
    if low >= 0 and high <= 1:
        return "unit"
    remedy = "; divide them by their size, for networks learn numbers of about 1" if max(-low, high) > 10 else ""
    notice(f"{name}: real numbers from {low:.6g} to {high:.6g}, as they are{remedy}")
    return "real"


def _look(parts: Sequence[np.ndarray], stored: Stored) -> Look:
    # In pieces, for a comparison makes an array as large as what it compares.
    pieces = [piece for part in parts for piece in np.array_split(part, max(1, part.nbytes // 2**24))]
    if stored != "real" and not any(is_grey(piece) for piece in pieces):
        return "binary"
    if parts[0].shape[-1] != 1:
        return "colour"
    if stored == "real":
        return "grey"
    white = 255 if stored == "levels" else 1
    extreme = sum(np.count_nonzero((piece < 0.05 * white) | (piece > 0.95 * white)) for piece in pieces)
    return "nearly binary" if extreme >= 0.75 * sum(part.size for part in parts) else "grey"

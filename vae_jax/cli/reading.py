"""The data of a run: what is read, and what there is to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from vae_jax.cli.facts import Facts, Look
from vae_jax.data import (
    NUM_SPRITES,
    Found,
    Layout,
    checked_labels,
    described,
    factors_of,
    gather,
    is_grey,
    render,
    scale_to_unit,
    static_binarize,
)
from vae_jax.data.files import check_memory
from vae_jax.errors import InputError
from vae_jax.runs.json_config import to_json
from vae_jax.runs.task import Data

SPRITES = "sprites"
NUM_TEST_SPRITES, NUM_VALIDATION_SPRITES = 5000, 2000


def load_sprites(size: int) -> Data:
    """The sprites, rendered when they are seen: an example is the number of one. size: side of the images."""
    if size < 1:
        raise InputError(f"image size {size}: expected at least 1")
    check_memory(f"images of {size} x {size}", 4 * NUM_VALIDATION_SPRITES * size**2, "choose a lower --size")
    order = np.random.default_rng(0).permutation(NUM_SPRITES).astype(np.int32)
    test, validation, training = np.split(order, [NUM_TEST_SPRITES, NUM_TEST_SPRITES + NUM_VALIDATION_SPRITES])
    facts = Facts(Layout("images", "unit", (size, size, 1)), len(training), "rendered")
    factors = np.asarray(jax.vmap(factors_of)(jnp.asarray(test)))
    return Data(training, validation, test, to_json(facts), factors, examples=validation)


def of_run(
    found: Found,
    *,
    static: bool,
    conditional: bool,
    num_classes: int | None,
    num_train: int,
    before: Look | None = None,
) -> Data:
    """The data of a run, pairs (example, label) in a conditional one, from what was found.

    static: every image is binarized once. before: the look of the run that this one goes on from. Raises InputError
    for labels that cannot be used.
    """
    streamed = not isinstance(found.train.values, np.ndarray)
    parts = [found.train, found.validation, found.test]
    some = _some_examples(found.train.values) if streamed else found.train.values
    look = look_of([some, *(part.values for part in parts[1:])], found.layout)
    if before is not None and look is not None:
        look = look_as(look, before)
    if static:
        parts = [part._replace(values=static_binarize(i, part.values)) for i, part in enumerate(parts)]
        some = parts[0].values
    if conditional:
        num_classes = found.num_classes if num_classes is None else num_classes
        labels = checked_labels(found, num_classes)
        pairs: list[Any] = [(part.values, c) for part, c in zip(parts, labels, strict=True)]
    else:
        num_classes, pairs = None, [part.values for part in parts]
    size = None
    if found.layout.stored == "counts":
        sizes = np.nansum(some.reshape(len(some), -1), axis=1, dtype=np.float64)
        size = max(1.0, float(np.median(sizes)))
    facts = Facts(found.layout, num_train, look, num_classes, size)
    train, validation, test = pairs
    return Data(train, validation, test, to_json(facts), found.factors, some, described(found))


def look_of(parts: Sequence[Num[np.ndarray, " _ *event"]], layout: Layout) -> Look | None:
    """What images look like, of all parts together; None for other data."""
    if layout.form != "images":
        return None
    # In pieces, for a comparison makes an array as large as what it compares.
    pieces = [piece for part in parts for piece in np.array_split(part, max(1, part.nbytes // 2**24))]
    pieces = [piece[np.isfinite(piece)] for piece in pieces] if layout.missing else pieces
    if layout.stored in ("levels", "unit") and not any(is_grey(piece) for piece in pieces):
        return "binary"
    if layout.event[-1] != 1:
        return "colour"
    if layout.stored not in ("levels", "unit"):
        return "grey"
    white = 255 if layout.stored == "levels" else 1
    extreme = sum(np.count_nonzero((piece < 0.05 * white) | (piece > 0.95 * white)) for piece in pieces)
    return "nearly binary" if extreme >= 0.75 * sum(piece.size for piece in pieces) else "grey"


def look_as(look: Look, before: Look) -> Look:
    """The look with which a model of images that look as `before` stays the same: binary or not, as these are."""
    if before in ("grey", "colour"):
        return before
    return "binary" if look == "binary" else "nearly binary"


def mean_image(facts: Facts, examples: Any) -> Float[np.ndarray, "*event"]:
    """The mean of stored images without gaps, in [0, 1]: [*event]."""
    if facts.look == "rendered":
        images = jax.jit(jax.vmap(lambda index: render(factors_of(index), size=facts.layout.event[0])))
        return np.asarray(jnp.mean(images(examples), axis=0))
    return np.asarray(scale_to_unit(examples.mean(axis=0).astype(examples.dtype)))


def _some_examples(source: Any) -> np.ndarray:
    # Ten thousand examples from all over the source, or 64 MiB of large ones, stand for all of them.
    num = max(1, min(10_000, 2**26 // source[0].nbytes))
    found: np.ndarray = gather(source, np.unique(np.linspace(0, len(source) - 1, num, dtype=int)))
    return found

"""Data whose factors are known: the sprites of this repository, dSprites or 3D Shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from vae_jax import InputError
from vae_jax.data.factors import FACTOR_DATA_SETS, load_factors
from vae_jax.data.sprites import FACTOR_NAMES, FACTOR_SIZES, render
from vae_jax.data.transforms import scale_to_unit

# Where a factor does not vary: an ellipse, of the fourth size, upright, in the middle.
_FIXED = (1, 3, 0, 16, 16)


class FactorData(NamedTuple):
    """Examples, how each becomes an image in [0, 1], and the factors that it was made from."""

    examples: np.ndarray  # [N, ...]
    transform: Callable[[jax.Array, Any], jax.Array]  # key, example -> [H, W, C]
    factors: np.ndarray  # integers [N, k]
    factor_names: tuple[str, ...]
    x_shape: tuple[int, int, int]


def sprites(levels: Sequence[int], size: int) -> FactorData:
    """Every combination of `levels[k]` evenly spaced values of factor k; where that is 1 the factor is fixed."""
    if len(levels) != len(FACTOR_SIZES) or any(not 1 <= n <= m for n, m in zip(levels, FACTOR_SIZES, strict=True)):
        raise InputError(
            f"levels {tuple(levels)}: expected a number of values for each of {', '.join(FACTOR_NAMES)}, "
            f"from 1 to {FACTOR_SIZES}"
        )
    values = [
        np.arange(n) * m // n if n > 1 else np.array([fixed])
        for n, m, fixed in zip(levels, FACTOR_SIZES, _FIXED, strict=True)
    ]
    varying = [k for k, n in enumerate(levels) if n > 1]
    if not varying:
        raise InputError(f"levels {tuple(levels)}: expected at least one factor that varies")
    grid = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, len(levels)).astype(np.int32)

    def transform(key: jax.Array, factors: jax.Array) -> jax.Array:
        return partial(render, size=size)(factors)

    names = tuple(FACTOR_NAMES[k] for k in varying)
    return FactorData(grid, transform, grid[:, varying], names, (size, size, 1))


def loaded(name: str, *, num_images: int, data_dir: str | None, manual_dir: str | None) -> FactorData:
    """dSprites or 3D Shapes, or `num_images` of it at random (0: all)."""
    images, factors = load_factors(name, num_examples=num_images or None, data_dir=data_dir, manual_dir=manual_dir)
    names = FACTOR_DATA_SETS[name].factor_names
    return FactorData(images, lambda key, x: scale_to_unit(x), factors, names, images.shape[1:])


def mean_image(data: FactorData, num: int = 2000) -> np.ndarray:
    """The mean of up to `num` images spread over the data: [H, W, C]."""
    some = data.examples[:: math.ceil(len(data.examples) / num)]
    images = jax.jit(jax.vmap(partial(data.transform, jax.random.key(0))))(some)
    return np.asarray(images.mean(axis=0))


def scored_examples(data: FactorData, num: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
    """The examples and factors that scores are computed on: `num` at random, the same ones always, or all."""
    order = np.random.default_rng(0).permutation(len(data.examples))[:num]
    return data.examples[order], data.factors[order]

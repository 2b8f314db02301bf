"""Where the scale of a location-scale likelihood comes from: a number, a parameter, or the decoder."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vae_jax.distributions import MAX_LOG_SCALE, bounded_scale
from vae_jax.errors import InputError
from vae_jax.shapes import AnyArray

Array = jax.Array


def check_scale(scale: Any, *words: str) -> None:
    """Raises InputError for a scale that is neither a number above 0 nor one of the words."""
    if not (scale in words if isinstance(scale, str) else 0 < scale < math.inf):
        *most, last = (f"'{word}'" for word in words)
        raise InputError(f"likelihood scale {scale}: expected a number above 0, {', '.join(most)} or {last}")


def scale_size(scale: float | str, channels: int) -> int:
    """Numbers that are read at each position: a location a channel, and a scale where the decoder has one."""
    return 2 * channels if scale == "head" else channels


def init_scale(scale: float | str, event: tuple[int, ...]) -> dict[str, Float[Array, "*shape"]]:
    """`scale`, numbers through `bounded_scale`, where it is learned; it starts at 1."""
    shapes: dict[Any, tuple[int, ...]] = {"learned": (), "channel": event[-1:], "element": event}
    return {"scale": jnp.zeros(shapes[scale])} if scale in shapes else {}


def scale_of_examples(scale: float | str, params: Any, examples: Float[AnyArray, " N *event"]) -> Any:
    """`init_scale` at the spread of examples about their mean, in place of 1; as it is where nothing is learned."""
    if "scale" not in params:
        return params
    x = np.asarray(examples, np.float64)
    variance = np.var(x, axis=0)
    axes = {"learned": None, "channel": tuple(range(variance.ndim - 1)), "element": ()}[str(scale)]
    spread = np.sqrt(np.mean(variance, axis=axes))
    # Of a constant element the scale may become small, but begins where it can still be learned.
    return {**params, "scale": unbounded_scale(np.asarray(np.maximum(spread, 1e-2), np.float32))}


def loc_and_scale(
    scale: float | str, params: Any, raw: Float[Array, "*positions size"]
) -> tuple[Float[Array, "*event"], Float[Array, "*#event"]]:
    """The location of each element and the scale, which broadcasts to it. raw: [*positions, size]."""
    if scale == "head":
        loc, own = jnp.split(raw, 2, axis=-1)
        return loc, bounded_scale(own)
    if isinstance(scale, str):
        shared = bounded_scale(params["scale"])
        # As many axes as raw, for `jax_numpy_rank_promotion` may forbid to add them; not as many numbers.
        return raw, shared if shared.ndim == 0 else jnp.expand_dims(shared, range(raw.ndim - shared.ndim))
    return raw, jnp.full_like(raw, scale)


def loc_and_log_scale(
    scale: float | str, loc: Float[np.ndarray, "*event"], spread: Float[np.ndarray, "*event"]
) -> Float[np.ndarray, "*positions size"]:
    """The output of a decoder that has this location and, where it has one, this scale; at least 0.01."""
    if scale != "head":
        return loc
    return np.concatenate([loc, np.log(np.clip(spread, 1e-2, None))], axis=-1)


def unbounded_scale(scale: Float[AnyArray, "*shape"]) -> Float[Array, "*shape"]:
    """The number that `bounded_scale` makes this scale of, the nearest where it makes it of none. Any shape."""
    tanh = jnp.clip(jnp.log(scale) / MAX_LOG_SCALE, -1 + 1e-6, 1 - 1e-6)
    return MAX_LOG_SCALE * jnp.arctanh(tanh)

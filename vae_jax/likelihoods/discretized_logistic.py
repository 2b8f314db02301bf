"""The likelihood of 8-bit data: masses of the 256 levels, rounded from one logistic distribution each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from vae_jax import distributions
from vae_jax.errors import InputError
from vae_jax.likelihoods.levels import check_levels, from_unit, to_unit, unit_scale
from vae_jax.likelihoods.reading import Reading, Stored, as_levels
from vae_jax.likelihoods.scales import init_scale, loc_and_log_scale, loc_and_scale, scale_size

Array = jax.Array


@dataclass(frozen=True)
class DiscretizedLogistic:
    """Independent rounded logistic distributions: 8-bit images, masses of levels; the decoder emits locations.

    The decoder emits m in [-1, 1] for levels 0..255. The scale is learned, one number a channel or one an element,
    or emitted too; in either case 0 stands for an eighth of all levels, about the spread of whole pictures.
    """

    scale: Literal["channel", "element", "head"] = "channel"
    """Scale: `channel` (learned, one a channel), `element` (one an element), or `head` (by the decoder)."""

    levels: int = 256
    """Number of levels: the data are integers from 0 to levels - 1."""

    def __post_init__(self) -> None:
        if self.scale not in ("channel", "element", "head"):
            raise InputError(f"likelihood scale {self.scale}: expected 'channel', 'element' or 'head'")
        check_levels(self.levels)

    def size(self, channels: int) -> int:
        """Numbers that are read at each position: a location a channel, and a scale where the decoder has one."""
        return scale_size(self.scale, channels)

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Float[Array, "*shape"]]:
        """`scale` through `bounded_scale`, [channels] or [*event], where it is learned."""
        return init_scale(self.scale, event)

    def apply(
        self, params: Any, raw: Float[Array, "*positions size"], context: Num[Array, " context"] | None = None
    ) -> distributions.DiscretizedLogistic:
        """raw: [*positions, size(channels)]. Returns rounded logistic distributions over [*positions, channels]."""
        loc, scale = loc_and_scale(self.scale, params, raw)
        scale = unit_scale(self.levels) * scale
        return distributions.DiscretizedLogistic(from_unit(loc, self.levels), scale, self.levels)

    def features(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """What the encoder reads of x: the levels in [-1, 1]."""
        return to_unit(jnp.asarray(x), self.levels)

    def reads(self, stored: Stored) -> Reading:
        """8-bit levels: `as_levels`."""
        return as_levels(stored, "likelihood:discretized-logistic", self.levels)

    def bias(self, examples: Any) -> Float[np.ndarray, "*positions size"]:
        """The output at the marginals, [*positions, size]: mean and, where the decoder has one, log scale."""
        examples = np.asarray(examples, np.float32)
        loc = to_unit(np.mean(examples, axis=0), self.levels)
        # The standard deviation of a logistic distribution is pi / sqrt(3) scales.
        spread = np.std(examples, axis=0) * math.sqrt(3) / math.pi / unit_scale(self.levels)
        return loc_and_log_scale(self.scale, loc, spread)

"""The likelihood of real numbers whose errors are absolute, not squared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float, Num

from vae_jax import distributions
from vae_jax.likelihoods.reading import Reading, Stored, as_real
from vae_jax.likelihoods.scales import (
    check_scale,
    init_scale,
    loc_and_log_scale,
    loc_and_scale,
    scale_of_examples,
    scale_size,
)

Array = jax.Array


@dataclass(frozen=True)
class Laplace:
    """Independent Laplace distributions: real numbers with outliers, or sharp edges; the decoder emits medians.

    log p(x|z) = -sum |x - m(z)| / b - log(2 b) with b given, learned as one number or one a channel or element,
    or emitted by the decoder.
    """

    scale: float | Literal["learned", "channel", "element", "head"] = "learned"
    """b: a number, `learned` (one for all), one a `channel` or `element`, or `head` (by the decoder)."""

    def __post_init__(self) -> None:
        check_scale(self.scale, "learned", "channel", "element", "head")

    def size(self, channels: int) -> int:
        """Numbers that are read at each position: a median a channel, and a scale where the decoder has one."""
        return scale_size(self.scale, channels)

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Float[Array, "*shape"]]:
        """`scale` through `bounded_scale`, one number, [c] or [*event], where learned; it starts at b = 1."""
        return init_scale(self.scale, event)

    def init_from(self, params: Any, examples: Any) -> Any:
        """The same with a learned scale at the spread of the examples, [N, *event], about their mean."""
        return scale_of_examples(self.scale, params, examples)

    def apply(
        self, params: Any, raw: Float[Array, "*positions size"], context: Num[Array, " context"] | None = None
    ) -> distributions.Laplace:
        """raw: [*positions, size(channels)]. Returns Laplace distributions over [*positions, channels]."""
        return distributions.Laplace(*loc_and_scale(self.scale, params, raw))

    def features(self, x: Num[Array, "*event"]) -> Num[Array, "*event"]:
        """What the encoder reads of x: x itself."""
        return x

    def reads(self, stored: Stored) -> Reading:
        """Real numbers: `as_real`."""
        return as_real(stored, "likelihood:laplace")

    def bias(self, examples: Any) -> Float[np.ndarray, "*positions size"]:
        """The output at the marginals, [*positions, size]: median and log of the mean distance from it."""
        examples = np.asarray(examples, np.float32)
        median: np.ndarray = np.median(examples, axis=0)
        return loc_and_log_scale(self.scale, median, np.mean(np.abs(examples - median), axis=0))

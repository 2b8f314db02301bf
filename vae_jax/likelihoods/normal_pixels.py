"""The likelihood of images whose pixels are real numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float, Num

from vae_jax.distributions import Normal
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
class NormalPixels:
    """Independent normals: grey and colour images, real numbers; the decoder emits means.

    p(x|z) = N(x; m(z), s^2) with the standard deviation s given, learned as one number, or one a channel or
    element, or emitted by the decoder for each pixel. The best value of a learned s is known: `with_optimal_scale`
    sets it.
    """

    scale: float | Literal["learned", "channel", "element", "head"] = "learned"
    """Standard deviation: a number, `learned` (one), one a `channel` or `element`, `head` (by the decoder)."""

    def __post_init__(self) -> None:
        check_scale(self.scale, "learned", "channel", "element", "head")

    def size(self, channels: int) -> int:
        """Numbers that are read at each position: a mean a channel, and a scale where the decoder has one."""
        return scale_size(self.scale, channels)

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Float[Array, "*shape"]]:
        """`scale` through `bounded_scale`, one number, [c] or [*event], where learned; it starts at s = 1."""
        return init_scale(self.scale, event)

    def init_from(self, params: Any, examples: Any) -> Any:
        """The same with a learned scale at the spread of the examples, [N, *event], about their mean."""
        return scale_of_examples(self.scale, params, examples)

    def apply(
        self, params: Any, raw: Float[Array, "*positions size"], context: Num[Array, " context"] | None = None
    ) -> Normal:
        """raw: [*positions, size(channels)]. Returns normals over [*positions, channels]."""
        return Normal(*loc_and_scale(self.scale, params, raw))

    def features(self, x: Num[Array, "*event"]) -> Num[Array, "*event"]:
        """What the encoder reads of x: x itself."""
        return x

    def reads(self, stored: Stored) -> Reading:
        """Real numbers: `as_real`."""
        return as_real(stored, "likelihood:normal-pixels")

    def bias(self, examples: Any) -> Float[np.ndarray, "*positions size"]:
        """The output of the decoder at the marginals of the examples, [*positions, size]: mean and log scale."""
        examples = np.asarray(examples, np.float32)
        return loc_and_log_scale(self.scale, np.mean(examples, axis=0), np.std(examples, axis=0))

"""The likelihood of images whose pixels are real numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from vae_jax.distributions import Normal, bounded_scale
from vae_jax.errors import InputError
from vae_jax.likelihoods.reading import Reading, Stored, as_real

Array = jax.Array


@dataclass(frozen=True)
class NormalPixels:
    """Independent normals: grey and colour images, real numbers; the decoder emits means.

    p(x|z) = N(x; m(z), s^2) with the standard deviation s given, learned as one number for all pixels, or emitted
    by the decoder for each pixel.
    """

    scale: float | Literal["learned", "head"] = "learned"
    """Standard deviation: a number, `learned` (one for all pixels), or `head` (one a pixel, from the decoder)."""

    def __post_init__(self) -> None:
        named = self.scale in ("learned", "head")
        if not (named or (not isinstance(self.scale, str) and 0 < self.scale < math.inf)):
            raise InputError(
                f"likelihood scale {self.scale}: expected a standard deviation above 0, 'learned' or 'head'"
            )

    def size(self, channels: int) -> int:
        """Numbers that are read at each position: a mean a channel, and a scale where the decoder has one."""
        return 2 * channels if self.scale == "head" else channels

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Float[Array, ""]]:
        """`scale`, one number through `bounded_scale`, where it is learned; it starts at s = 1."""
        return {"scale": jnp.zeros(())} if self.scale == "learned" else {}

    def apply(
        self, params: Any, raw: Float[Array, "*positions size"], context: Num[Array, " context"] | None = None
    ) -> Normal:
        """raw: [*positions, size(channels)]. Returns normals over [*positions, channels]."""
        if self.scale == "head":
            loc, scale = jnp.split(raw, 2, axis=-1)
            return Normal(loc, bounded_scale(scale))
        if self.scale == "learned":
            return Normal(raw, bounded_scale(params["scale"]))
        return Normal(raw, jnp.full_like(raw, self.scale))

    def features(self, x: Num[Array, "*event"]) -> Num[Array, "*event"]:
        """What the encoder reads of x: x itself."""
        return x

    def reads(self, stored: Stored) -> Reading:
        """Real numbers: `as_real`."""
        return as_real(stored, "likelihood:normal-pixels")

    def bias(self, examples: Any) -> Float[np.ndarray, "*positions size"]:
        """The output of the decoder at the marginals of the examples, [*positions, size]: mean and log scale."""
        examples = np.asarray(examples, np.float32)
        mean: np.ndarray = np.mean(examples, axis=0)
        if self.scale != "head":
            return mean
        spread = np.log(np.clip(np.std(examples, axis=0), 1e-2, None))
        return np.concatenate([mean, spread], axis=-1)

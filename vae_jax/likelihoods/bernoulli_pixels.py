"""The likelihood of binary images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Num

from vae_jax.distributions import Bernoulli
from vae_jax.likelihoods.reading import Reading, Stored, as_binary

Array = jax.Array


@dataclass(frozen=True)
class BernoulliPixels:
    """Independent Bernoullis: black and white images, 0 and 1; the decoder emits logits."""

    def size(self, channels: int) -> int:
        """Numbers that are read at each position: one a channel."""
        return channels

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Any]:
        """No parameters of its own."""
        return {}

    def apply(
        self, params: Any, raw: Float[Array, "*event"], context: Num[Array, " context"] | None = None
    ) -> Bernoulli:
        """raw: [*positions, channels]. Returns Bernoullis of the same shape."""
        return Bernoulli(raw)

    def features(self, x: Num[Array, "*event"]) -> Num[Array, "*event"]:
        """What the encoder reads of x: x itself."""
        return x

    def reads(self, stored: Stored) -> Reading:
        """Binarized at every visit: `as_binary`."""
        return as_binary(stored, "likelihood:bernoulli-pixels")

    def bias(self, examples: Any) -> Float[np.ndarray, "*event"]:
        """The output of the decoder at the marginals of the examples, [*event]: the logit of their mean.

        Clipped to [0.001, 0.999] first, as in the code of Burda et al. 2016 (arXiv:1509.00519).
        """
        mean = np.clip(np.mean(np.asarray(examples, np.float32), axis=0), 0.001, 0.999)
        logits: np.ndarray = np.log(mean / (1 - mean))
        return logits

"""The likelihood of numbers between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Num

from vae_jax import distributions
from vae_jax.likelihoods.reading import Reading, Stored, as_unit

Array = jax.Array


@dataclass(frozen=True)
class ContinuousBernoulli:
    """Independent continuous Bernoullis: grey and colour images, numbers in [0, 1]; the decoder emits logits.

    A density of grey pixels, where `BernoulliPixels` has one of black and white alone. It can be narrow at 0 and 1,
    but nowhere between: its standard deviation at the mean 1/2 is sqrt(1/12). Source: Loaiza-Ganem and Cunningham
    2019 (arXiv:1907.06845).
    """

    def size(self, channels: int) -> int:
        """Numbers that are read at each position: one a channel."""
        return channels

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Any]:
        """No parameters of its own."""
        return {}

    def apply(
        self, params: Any, raw: Float[Array, "*event"], context: Num[Array, " context"] | None = None
    ) -> distributions.ContinuousBernoulli:
        """raw: [*positions, channels]. Returns continuous Bernoullis of the same shape."""
        return distributions.ContinuousBernoulli(raw)

    def features(self, x: Num[Array, "*event"]) -> Num[Array, "*event"]:
        """What the encoder reads of x: x itself."""
        return x

    def reads(self, stored: Stored) -> Reading:
        """Numbers in [0, 1], dequantized where they are levels: `as_unit`."""
        return as_unit(stored, "likelihood:continuous-bernoulli")

    def bias(self, examples: Any) -> Float[np.ndarray, "*event"]:
        """The output of the decoder at the marginals, [*event]: the logit whose mean is theirs, up to +-1000."""
        mean: np.ndarray = np.mean(np.asarray(examples, np.float32), axis=0)
        # The mean has no inverse in closed form: between the points of a grid, which is denser at 0 and without it,
        # it is a straight line.
        grid = 10 * np.sinh(np.linspace(-1, 1, 2000) * np.arcsinh(100))
        means = 0.5 + 0.5 / np.tanh(grid / 2) - 1 / grid
        logits: np.ndarray = np.interp(mean, means, grid).astype(np.float32)
        return logits

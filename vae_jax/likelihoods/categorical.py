"""The likelihood of levels that have no order: a probability for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from vae_jax import distributions
from vae_jax.likelihoods.levels import check_levels, to_unit
from vae_jax.likelihoods.reading import Reading, Stored, as_levels

Array = jax.Array


@dataclass(frozen=True)
class Categorical:
    """Independent categorical distributions: 8-bit images, or integers without an order; the decoder emits logits.

    One logit a level and channel: 768 at each pixel of a colour image. It can have any masses, and learns them for
    each level alone. Source: van den Oord et al. 2016 (arXiv:1601.06759), the output of PixelRNN.
    """

    levels: int = 256
    """Number of levels: the data are integers from 0 to levels - 1."""

    def __post_init__(self) -> None:
        check_levels(self.levels)

    def size(self, channels: int) -> int:
        """Numbers that are read at each position: one a channel and level."""
        return channels * self.levels

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Any]:
        """No parameters of its own."""
        return {}

    def apply(
        self, params: Any, raw: Float[Array, "*positions size"], context: Num[Array, " context"] | None = None
    ) -> distributions.Categorical:
        """raw: [*positions, channels * levels], the levels of a channel side by side. Returns it over [*event]."""
        return distributions.Categorical(jnp.reshape(raw, (*raw.shape[:-1], -1, self.levels)))

    def features(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """What the encoder reads of x: the levels in [-1, 1]."""
        return to_unit(jnp.asarray(x), self.levels)

    def reads(self, stored: Stored) -> Reading:
        """8-bit levels: `as_levels`."""
        return as_levels(stored, "likelihood:categorical", self.levels)

    def bias(self, examples: Any) -> Float[np.ndarray, "*positions size"]:
        """The output at the marginals, [*positions, size]: the log of how often each level occurs.

        One more example in which every level has the same share leaves all of them finite.
        """
        examples = np.asarray(examples)
        number, shape = len(examples), examples.shape[1:]
        first = self.levels * np.arange(examples[0].size)
        counts: np.ndarray = np.zeros(self.levels * first.size)
        for x in examples:
            counts[first + np.ravel(x).astype(int)] += 1
        logits: np.ndarray = np.log((counts + 1 / self.levels) / (number + 1)).astype(np.float32)
        return np.reshape(logits, (*shape[:-1], shape[-1] * self.levels))

"""The likelihood of 8-bit colour images: mixtures of discretized logistics whose channels depend on each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num
from scipy.special import ndtri

from vae_jax import distributions
from vae_jax.distributions import bounded_scale
from vae_jax.errors import InputError
from vae_jax.likelihoods.levels import check_levels, from_unit, to_unit, unit_scale
from vae_jax.likelihoods.reading import Reading, Stored, as_levels

Array = jax.Array


@dataclass(frozen=True)
class LogisticMixture:
    """Mixtures of rounded logistics at each position: 8-bit colour images, masses of the levels of all channels.

    The decoder emits, at each position, K logits, and for each of the K components a location and a scale a channel
    and a coefficient a pair of channels, by which a later channel follows an earlier one. Any number of channels.
    A gap masks whole positions, for the channels of one have no terms of their own. Source: Salimans et al. 2017
    (arXiv:1701.05517), the output of PixelCNN++.
    """

    components: int = 10
    """Components at each position."""

    levels: int = 256
    """Number of levels: the data are integers from 0 to levels - 1."""

    def __post_init__(self) -> None:
        check_levels(self.levels)
        if isinstance(self.components, bool) or not isinstance(self.components, int) or self.components < 1:
            raise InputError(f"likelihood components {self.components}: expected a whole number from 1 up")

    def size(self, channels: int) -> int:
        """Numbers that are read at each position: K (1 + 2 c + c (c - 1)/2)."""
        return self.components * (1 + 2 * channels + channels * (channels - 1) // 2)

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Any]:
        """No parameters of its own."""
        return {}

    def apply(
        self, params: Any, raw: Float[Array, "*positions size"], context: Num[Array, " context"] | None = None
    ) -> distributions.LogisticMixture:
        """raw: [*positions, size(channels)]. Returns mixtures over [*positions, channels].

        The rows of raw, transposed: K logits; of each channel K locations, in [-1, 1] for all levels; of each K
        scales through `bounded_scale`, 0 for an eighth of all levels; of each pair K coefficients through tanh.
        """
        k, c = self.components, _channels(raw.shape[-1] // self.components)
        # The gradient of a split is one concatenation, that of slices a sum of padded copies: twice the whole time.
        logits, *others = jnp.split(jnp.moveaxis(raw, -1, 0), [k, k * (1 + c), k * (1 + 2 * c)])
        loc, scale, coefficients = (jnp.reshape(rows, (-1, k, *rows.shape[1:])) for rows in others)
        return distributions.LogisticMixture(
            logits,
            from_unit(loc, self.levels),
            unit_scale(self.levels) * bounded_scale(scale),
            jnp.tanh(coefficients),
            self.levels,
        )

    def features(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """What the encoder reads of x: the levels in [-1, 1]."""
        return to_unit(jnp.asarray(x), self.levels)

    def reads(self, stored: Stored) -> Reading:
        """8-bit levels: `as_levels`."""
        return as_levels(stored, "likelihood:logistic-mixture")

    def bias(self, examples: Any) -> Float[np.ndarray, "*positions size"]:
        """The output at the marginals, [*positions, size]: its mean and spread are those of the data.

        The locations are at the quantiles of a normal half as wide as the examples, because equal components stay
        equal; the scales are what is left. Weights are equal, and no channel follows another.
        """
        examples = np.asarray(examples, np.float32)
        mean, spread = np.mean(examples, axis=0), np.maximum(np.std(examples, axis=0), 1.0)
        at = ndtri((np.arange(self.components) + 0.5) / self.components)
        loc = to_unit(mean[..., None] + spread[..., None] * at / 2, self.levels)
        scale = np.log(spread * math.sqrt(3 / 4) * math.sqrt(3) / math.pi / unit_scale(self.levels))
        zeros = np.zeros((*mean.shape[:-1], self.components), np.float32)
        pairs = mean.shape[-1] * (mean.shape[-1] - 1) // 2
        groups = [zeros, *np.moveaxis(loc, -2, 0), *(zeros + s[..., None] for s in np.moveaxis(scale, -1, 0))]
        return np.concatenate([*groups, *[zeros] * pairs], axis=-1).astype(np.float32)


def _channels(groups: int) -> int:
    """c, of which 1 + 2 c + c (c - 1)/2 are the groups of K numbers."""
    return (math.isqrt(8 * groups + 1) - 3) // 2

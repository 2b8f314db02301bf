"""Counts that vary more than their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from vae_jax.distributions import NegativeBinomial as NegativeBinomialDistribution
from vae_jax.likelihoods.rates import bounded_log_r, log_mean, log_of_mean
from vae_jax.likelihoods.reading import Reading, Stored, as_counts

Array = jax.Array


@dataclass(frozen=True)
class NegativeBinomial:
    """Independent negative binomial counts: variance m + m^2 / r; the decoder emits log means, r is learned.

    r is one number an element of the event. With the size s of an example (`make_conditional_vae(size=)`) the means
    are s softmax(raw) over the whole event. Source of the choice for single cells: Lopez et al. 2018, "Deep
    generative modeling for single-cell transcriptomics", DOI 10.1038/s41592-018-0229-2.
    """

    def size(self, channels: int) -> int:
        """Numbers that are read at each position: one a channel."""
        return channels

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Float[Array, "*event"]]:
        """`log_r`, one an element, through `bounded_log_r`; it starts at r = 1."""
        return {"log_r": jnp.zeros(event)}

    def apply(
        self,
        params: Any,
        raw: Float[Array, "*event"],
        context: Num[Array, " context"] | None = None,
        size: Num[Array, ""] | None = None,
    ) -> NegativeBinomialDistribution:
        """raw: [*positions, channels]; size: a scalar. Returns counts of the same shape."""
        return NegativeBinomialDistribution(log_mean(raw, size), bounded_log_r(params["log_r"]))

    def features(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """What the encoder reads of x: log(1 + x)."""
        return jnp.log1p(x)

    def reads(self, stored: Stored) -> Reading:
        """Counts: `as_counts`."""
        return as_counts(stored, "likelihood:negative-binomial")

    def bias(self, examples: Any) -> Float[np.ndarray, "*event"]:
        """The output of the decoder at the marginals of the examples, [*event]: the log of their mean."""
        return log_of_mean(examples)

"""The likelihood of real numbers with outliers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num
from scipy.special import stdtrit

from vae_jax import distributions
from vae_jax.distributions import bounded_scale
from vae_jax.errors import InputError
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
_FIRST = 5.0  # degrees of freedom where they are learned


@dataclass(frozen=True)
class StudentT:
    """Independent Student's t distributions: real numbers with outliers; the decoder emits medians.

    The degrees of freedom are given or learned, one number above 1 for all elements, so that there is a mean; many
    make a normal. The scale is given, learned as one number or one a channel or element, or emitted
    by the decoder.
    """

    df: float | Literal["learned"] = "learned"
    """Degrees of freedom: a number above 0, or `learned`."""

    scale: float | Literal["learned", "channel", "element", "head"] = "learned"
    """Scale: a number, `learned` (one for all), one a `channel` or `element`, or `head` (by the decoder)."""

    def __post_init__(self) -> None:
        check_scale(self.scale, "learned", "channel", "element", "head")
        if not (self.df == "learned" if isinstance(self.df, str) else 0 < self.df < math.inf):
            raise InputError(f"likelihood df {self.df}: expected degrees of freedom above 0, or 'learned'")

    def size(self, channels: int) -> int:
        """Numbers that are read at each position: a median a channel, and a scale where the decoder has one."""
        return scale_size(self.scale, channels)

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Float[Array, "*shape"]]:
        """What is learned: `scale` as of `NormalPixels`; `df`, df = 1 + bounded_scale(.), which starts near 5."""
        df = {"df": jnp.asarray(math.log(_FIRST - 1))} if self.df == "learned" else {}
        return init_scale(self.scale, event) | df

    def init_from(self, params: Any, examples: Any) -> Any:
        """The same with a learned scale at the spread of the examples, [N, *event], about their mean."""
        return scale_of_examples(self.scale, params, examples)

    def apply(
        self, params: Any, raw: Float[Array, "*positions size"], context: Num[Array, " context"] | None = None
    ) -> distributions.StudentT:
        """raw: [*positions, size(channels)]. Returns t distributions over [*positions, channels]."""
        df = 1 + bounded_scale(params["df"]) if isinstance(self.df, str) else jnp.asarray(self.df, raw.dtype)
        return distributions.StudentT(df, *loc_and_scale(self.scale, params, raw))

    def features(self, x: Num[Array, "*event"]) -> Num[Array, "*event"]:
        """What the encoder reads of x: x itself."""
        return x

    def reads(self, stored: Stored) -> Reading:
        """Real numbers: `as_real`."""
        return as_real(stored, "likelihood:student-t")

    def bias(self, examples: Any) -> Float[np.ndarray, "*positions size"]:
        """The output at the marginals, [*positions, size]: median and log scale, by the quartiles around it."""
        examples = np.asarray(examples, np.float32)
        median: np.ndarray = np.median(examples, axis=0)
        # Half of a t distribution lies within this many scales of its median.
        quartile = stdtrit(_FIRST if isinstance(self.df, str) else self.df, 0.75)
        return loc_and_log_scale(self.scale, median, np.median(np.abs(examples - median), axis=0) / quartile)

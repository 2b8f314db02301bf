"""Probability distributions as frozen pytrees whose event is the whole array.

Each has `sample(key)`, `log_prob(x)` (a scalar, in nats) and `mean()`. There is no batch shape: a batch of
distributions is a distribution of batched leaves under `jax.vmap`.

Numerics: `Bernoulli` keeps logits to the end and `Normal` is given by its scale, not its variance, so that
values and gradients stay finite in float32 for logits of +-1e3 and for log-variances of +-30 (scales of
exp(+-15)). Networks emit an unbounded number; `bounded_scale` is the only place where it is bounded, so that
the sample, the density and the KL divergence can never disagree about the scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from vae_jax.errors import InputError
from vae_jax.fast.activations import softplus

Array = jax.Array
MAX_LOG_SCALE = 15.0


class Distribution(Protocol):
    """What every objective and estimator needs of q(z|x), p(x|z) and p(z)."""

    def sample(self, key: Array) -> Any:
        """One draw of the whole event."""

    def log_prob(self, x: Any) -> Array:
        """log p(x), a scalar in nats."""

    def mean(self) -> Any:
        """E[x], of the shape of the event."""


def _check_event(shape: tuple[int, ...], expected: tuple[int, ...], what: str) -> None:
    # Broadcasting would otherwise turn a missing axis into a sum over a matrix: a number, but a wrong one.
    if shape != expected:
        raise InputError(
            f"{what} of shape {shape}, but the distribution's event has shape {expected}: "
            "pass one example of that shape (vmap over a batch)"
        )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Normal:
    """Independent normals, N(x; loc, scale^2).

    log p(x) = -sum_i [ ((x_i - loc_i) / scale_i)^2 / 2 + log scale_i + log(2 pi) / 2 ]

    `loc`, `scale`: [*event], or broadcastable to each other. Scale is a standard deviation, above 0.
    """

    loc: Array
    scale: Array

    @property
    def _shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.loc), jnp.shape(self.scale))

    def sample(self, key: Array) -> Array:
        """Reparameterization of Kingma and Welling 2013 (arXiv:1312.6114): loc + scale * eps, eps ~ N(0, I)."""
        eps = jax.random.normal(key, self._shape, jnp.result_type(self.loc, self.scale, jnp.float32))
        return self.loc + self.scale * eps

    def log_prob(self, x: Array) -> Array:
        """log N(x; loc, scale^2) summed over the event, a scalar in nats. x: [*event]."""
        _check_event(jnp.shape(x), self._shape, "Normal.log_prob got an array")
        standardized = jnp.ravel((x - self.loc) / self.scale)
        log_scale = jnp.ravel(jnp.broadcast_to(jnp.log(self.scale), self._shape))
        return -jnp.sum(0.5 * standardized**2 + log_scale + 0.5 * math.log(2 * math.pi))

    def mean(self) -> Array:
        """loc: [*event]."""
        return jnp.broadcast_to(self.loc, self._shape)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Bernoulli:
    """Independent Bernoullis with P(x_i = 1) = sigmoid(logits_i).

    log p(x) = sum_i [ x_i logits_i - softplus(logits_i) ]

    which is finite for every finite logit. `logits`: [*event]. Support: {0, 1}. For x strictly between 0 and 1
    the same expression is minus a cross-entropy and no log-likelihood; binarize first, or use another
    likelihood. Outside [0, 1] it is -inf, so that 8-bit images which nobody divided by 255 cannot train.
    """

    logits: Array

    def sample(self, key: Array) -> Array:
        """0 or 1 in the dtype of the logits: [*event]."""
        draw = jax.random.bernoulli(key, jax.nn.sigmoid(self.logits))
        return draw.astype(jnp.result_type(self.logits, jnp.float32))

    def log_prob(self, x: Array) -> Array:
        """log p(x) summed over the event, a scalar in nats. x: [*event]."""
        _check_event(jnp.shape(x), jnp.shape(self.logits), "Bernoulli.log_prob got an array")
        # Flat, because XLA on CPU sums over a last axis of length 1, as images have, ten times more slowly.
        x, logits = jnp.ravel(x), jnp.ravel(self.logits)
        # The support is a matter of x alone: under `vmap` over z it is looked at once.
        inside = jnp.all((x >= 0) & (x <= 1))
        return jnp.where(inside, jnp.sum(x * logits - softplus(logits)), -jnp.inf)

    def mean(self) -> Array:
        """P(x_i = 1): [*event]."""
        return jax.nn.sigmoid(self.logits)


def bounded_scale(raw: Array) -> Array:
    """A scale from an unbounded network output: exp(15 tanh(raw / 15)), so that |log variance| < 30.

    exp(raw) to first order, smooth, and neither 0 nor infinite for any finite `raw`. raw: any shape; returns
    the same shape.
    """
    return jnp.exp(MAX_LOG_SCALE * jnp.tanh(raw / MAX_LOG_SCALE))


def standard_normal(shape: tuple[int, ...]) -> Normal:
    """N(0, I) over arrays of the given shape."""
    return Normal(jnp.zeros(shape), jnp.ones(shape))


def kl_divergence(q: Distribution, p: Distribution, z: Any) -> Array:
    """KL(q || p) in nats: in closed form where the pair has one, else the one-sample estimate at z ~ q.

    Normal against Normal:       sum_i [ (s_q^2 + (m_q - m_p)^2) / (2 s_p^2) - 1/2 - log(s_q / s_p) ]
    Bernoulli against Bernoulli: sum_i [ P_q (l_q - l_p) - softplus(l_q) + softplus(l_p) ]
    any other pair:              log q(z) - log p(z), unbiased for z ~ q

    Args: q, p: distributions over the same event. z: a sample of q, used only where there is no closed form.
    Returns: a scalar. Source: Kingma and Welling 2013 (arXiv:1312.6114), appendix B.
    """
    match q, p:
        case Normal(), Normal():
            _check_event(q._shape, p._shape, "kl_divergence got a q")
            ratio = q.scale / p.scale
            terms = 0.5 * (ratio**2 + ((q.loc - p.loc) / p.scale) ** 2 - 1.0) - jnp.log(ratio)
        case Bernoulli(), Bernoulli():
            _check_event(jnp.shape(q.logits), jnp.shape(p.logits), "kl_divergence got a q")
            terms = q.mean() * (q.logits - p.logits)
            terms += softplus(p.logits) - softplus(q.logits)
        case _:
            return q.log_prob(z) - p.log_prob(z)
    return jnp.sum(terms)

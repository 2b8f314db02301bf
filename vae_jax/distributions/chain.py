"""Levels of latents, each given those before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
from jaxtyping import Float

from vae_jax.distributions.base import Distribution, center, sample_and_log_prob, support
from vae_jax.distributions.kl import rates, register_kl, total
from vae_jax.errors import InputError

Array = jax.Array
Step = Callable[[Any, tuple[Any, ...]], Distribution]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Chain:
    """p(z_1) p(z_2 | z_1) ... p(z_L | z_1 ... z_{L-1}).

    `params`: a tree of arrays that the steps read. `steps`: L functions (params, z_<l) -> the distribution of z_l,
    with z_<l the tuple of the levels before. The event is the tuple (z_1, ..., z_L).
    """

    params: Any
    steps: tuple[Step, ...] = field(metadata={"static": True})

    def levels(self, z: tuple[Any, ...]) -> list[Distribution]:
        """The distribution of each level given the levels of z before it."""
        return [step(self.params, z[:i]) for i, step in enumerate(self.steps)]

    def sample(self, key: Array) -> tuple[Any, ...]:
        """Level after level, each with a key of its own."""
        return self.sample_and_log_prob(key)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[tuple[Any, ...], Float[Array, ""]]:
        """The draws of all levels, and the sum of their log-densities in nats."""
        z: tuple[Any, ...] = ()
        log_probs: list[Array] = []
        for step, k in zip(self.steps, jax.random.split(key, len(self.steps)), strict=True):
            drawn, log_p = sample_and_log_prob(step(self.params, z), k)
            z, log_probs = (*z, drawn), [*log_probs, log_p]
        return z, total(log_probs)

    def log_prob(self, z: tuple[Any, ...]) -> Float[Array, ""]:
        """sum_l log p(z_l | z_<l), a scalar in nats."""
        return total([level.log_prob(z_l) for level, z_l in zip(self.levels(z), z, strict=True)])

    def mean(self) -> Any:
        """Not known: the mean of a level is an integral over the levels before it. Raises InputError."""
        raise InputError("Chain: the mean of a chain has no closed form; use `center`, or average samples")

    def center(self) -> tuple[Any, ...]:
        """The centre of each level given the centres of the levels before it."""
        z: tuple[Any, ...] = ()
        for step in self.steps:
            z = (*z, center(step(self.params, z)))
        return z

    def support(self) -> tuple[Any, ...]:
        """That of each level."""
        return tuple(support(level) for level in self.levels(self.center()))


@register_kl(Chain, Chain)
def _chain_chain(q: Chain, p: Chain, z: Any) -> tuple[Any, ...]:
    """KL(q_l || p_l) of each level at z_<l ~ q: exact in the last level, one sample of the levels before."""
    if len(q.steps) != len(p.steps):
        raise InputError(f"kl_divergence of {len(q.steps)} and {len(p.steps)} levels: expected as many of both")
    levels = zip(q.levels(z), p.levels(z), z, strict=True)
    return tuple(rates(q_l, p_l, z_l) for q_l, p_l, z_l in levels)

"""Controlled capacity: the rate is drawn to a target that grows during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from vae_jax.estimates import Estimate
from vae_jax.model import VAE, ConditionalVAE
from vae_jax.objectives.bound import mean_terms, terms
from vae_jax.objectives.lifting import Array, Trained, over_batch, whole_batch
from vae_jax.objectives.schedules import Linear


def controlled_capacity(
    vae: VAE | ConditionalVAE,
    params: Any,
    key: Array,
    batch: Any,
    *,
    gamma: float | Float[Array, ""],
    capacity: float | Float[Array, ""],
) -> Estimate:
    """The ELBO with its rate held near a capacity C: the "annealed VAE".

    loss = mean distortion + gamma | mean rate - C |

    The means are over the batch, inside the absolute value: single examples may spend more and less than C.

    batch: x: [batch, *event], or (x, c). capacity: C in nats, usually a schedule of the step,
    `whole_batch(controlled_capacity, vae, gamma=1000.0, capacity=optax.linear_schedule(0.0, 25.0, 100_000))`.
    Returns the loss and `elbo`, `distortion`, `rate`, in nats per example.
    Source: Burgess et al. 2018 (arXiv:1804.03599).
    """
    at = over_batch(terms, vae, params, key, batch)
    metrics = mean_terms(at)
    return Estimate(metrics["distortion"] + gamma * jnp.abs(metrics["rate"] - capacity), metrics)


@dataclass(frozen=True)
class ControlledCapacity:
    """ELBO with the rate held near a capacity that grows during training (annealed VAE)."""

    gamma: float = 1000.0
    """Weight of the distance of the rate from the capacity."""
    capacity: float = 25.0
    """Capacity at the end of its growth, in nats."""
    growth: Linear = Linear(100_000)
    """How the capacity grows from 0."""

    def bind(self, vae: Any, z_shape: tuple[int, ...], num_examples: int) -> Trained:
        """`controlled_capacity` of a batch."""
        capacity = self.growth.schedule(self.capacity)
        return Trained(vae, whole_batch(controlled_capacity, vae, gamma=self.gamma, capacity=capacity))

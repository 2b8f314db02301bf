"""Controlled capacity: the rate is drawn to a target that grows during training."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from vae_jax.model import VAE, ConditionalVAE
from vae_jax.objectives.bound import terms
from vae_jax.objectives.lifting import Array, Metrics, over_batch


def controlled_capacity(
    vae: VAE | ConditionalVAE,
    params: Any,
    key: Array,
    batch: Any,
    *,
    gamma: float | Array,
    capacity: float | Array,
) -> tuple[Array, Metrics]:
    """The ELBO with its rate held near a capacity C: the "annealed VAE".

    loss = mean distortion + gamma | mean rate - C |

    The means are over the batch, inside the absolute value: single examples may spend more and less than C.

    batch: x: [batch, *event], or (x, c). capacity: C in nats, usually a schedule of the step,
    `whole_batch(controlled_capacity, vae, gamma=1000.0, capacity=optax.linear_schedule(0.0, 25.0, 100_000))`.
    Returns the loss and `elbo`, `distortion`, `rate`, in nats per example.
    Source: Burgess et al. 2018 (arXiv:1804.03599).
    """
    at = over_batch(terms, vae, params, key, batch)
    distortion, rate = jnp.mean(at.distortion), jnp.mean(at.rate)
    loss = distortion + gamma * jnp.abs(rate - capacity)
    return loss, {"elbo": jnp.mean(at.elbo), "distortion": distortion, "rate": rate}

"""DIP-VAE: the covariance of the aggregate posterior is drawn to the identity, that of the prior."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from vae_jax.model import VAE, ConditionalVAE
from vae_jax.objectives.bound import Terms, terms
from vae_jax.objectives.lifting import Array, Metrics, over_batch


def dip_vae_i(
    vae: VAE | ConditionalVAE,
    params: Any,
    key: Array,
    batch: Any,
    *,
    lambda_off_diagonal: float | Array,
    lambda_diagonal: float | Array,
) -> tuple[Array, Metrics]:
    """DIP-VAE I: minus the ELBO plus a penalty on the covariance of the posterior means.

    loss = distortion + rate + lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2,   C = Cov_x[ E_q[z] ]

    batch: x: [batch, *event], or (x, c); the covariance is that of the batch, divided by its size. Locatello et
    al. 2019 take lambda_d = 10 lambda_od. Returns the loss and `elbo`, `distortion`, `rate`, `covariance_penalty`,
    in nats per example. Source: Kumar et al. 2018 (arXiv:1711.00848), equation 6.
    """
    at = over_batch(terms, vae, params, key, batch)
    return _penalized(at, _covariance(_means(at)), lambda_off_diagonal, lambda_diagonal)


def dip_vae_ii(
    vae: VAE | ConditionalVAE,
    params: Any,
    key: Array,
    batch: Any,
    *,
    lambda_off_diagonal: float | Array,
    lambda_diagonal: float | Array,
) -> tuple[Array, Metrics]:
    """DIP-VAE II: as `dip_vae_i`, with the covariance of the samples z in place of that of the means.

    C = Cov_{q(z)}[ z ] = E_x[ diag(sigma^2(x)) ] + Cov_x[ E_q[z] ]

    q(z|x) must be a `Normal`, of which the first term is taken in closed form. Locatello et al. 2019 take
    lambda_d = lambda_od. Source: Kumar et al. 2018 (arXiv:1711.00848), equation 7.
    """
    at = over_batch(terms, vae, params, key, batch)
    within = jnp.diag(jnp.mean(at.q.scale**2, axis=0))  # type: ignore[attr-defined]
    return _penalized(at, within + _covariance(_means(at)), lambda_off_diagonal, lambda_diagonal)


def covariance_penalty(covariance: Array, lambda_off_diagonal: Any, lambda_diagonal: Any) -> Array:
    """lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2, a scalar; 0 for the identity. C: [d, d]."""
    diagonal = jnp.diag(covariance)
    off_diagonal = covariance - jnp.diag(diagonal)
    return lambda_off_diagonal * jnp.sum(off_diagonal**2) + lambda_diagonal * jnp.sum((diagonal - 1) ** 2)


def _means(at: Terms) -> Array:
    return jax.vmap(lambda q: q.mean())(at.q)


def _covariance(points: Array) -> Array:
    centred = points - jnp.mean(points, axis=0)
    return centred.T @ centred / len(points)


def _penalized(at: Terms, covariance: Array, off_diagonal: Any, diagonal: Any) -> tuple[Array, Metrics]:
    penalty = covariance_penalty(covariance, off_diagonal, diagonal)
    distortion, rate = jnp.mean(at.distortion), jnp.mean(at.rate)
    metrics = {"elbo": jnp.mean(at.elbo), "distortion": distortion, "rate": rate, "covariance_penalty": penalty}
    return distortion + rate + penalty, metrics

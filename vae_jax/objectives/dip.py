"""DIP-VAE: the covariance of the aggregate posterior is drawn to the identity, that of the prior."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from vae_jax.distributions import Distribution, covariance
from vae_jax.estimates import Estimate
from vae_jax.model import VAE, ConditionalVAE
from vae_jax.objectives.bound import Terms, mean_terms, terms_and_posterior
from vae_jax.objectives.lifting import Array, Trained, over_batch, whole_batch


def dip_vae_i(
    vae: VAE | ConditionalVAE,
    params: Any,
    key: Array,
    batch: Any,
    *,
    lambda_off_diagonal: float | Float[Array, ""],
    lambda_diagonal: float | Float[Array, ""],
) -> Estimate:
    """DIP-VAE I: minus the ELBO plus a penalty on the covariance of the posterior means.

    loss = distortion + rate + lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2,   C = Cov_x[ E_q[z] ]

    batch: x: [batch, *event], or (x, c); the covariance is that of the batch, divided by its size. Locatello et
    al. 2019 take lambda_d = 10 lambda_od. Returns the loss and `elbo`, `distortion`, `rate`, `covariance_penalty`,
    in nats per example. Source: Kumar et al. 2018 (arXiv:1711.00848), equation 6.
    """
    at, q = over_batch(terms_and_posterior, vae, params, key, batch)
    return _penalized(at, _covariance(_means(q)), lambda_off_diagonal, lambda_diagonal)


def dip_vae_ii(
    vae: VAE | ConditionalVAE,
    params: Any,
    key: Array,
    batch: Any,
    *,
    lambda_off_diagonal: float | Float[Array, ""],
    lambda_diagonal: float | Float[Array, ""],
) -> Estimate:
    """DIP-VAE II: as `dip_vae_i`, with the covariance of the samples z in place of that of the means.

    C = Cov_{q(z)}[ z ] = E_x[ Cov_{q(z|x)}[ z ] ] + Cov_x[ E_q[z] ]

    The first term is diag(sigma^2(x)) of independent latents, L L' of a `MultivariateNormal`. Locatello et al. 2019
    take lambda_d = lambda_od. Source: Kumar et al. 2018 (arXiv:1711.00848), equation 7.
    """
    at, q = over_batch(terms_and_posterior, vae, params, key, batch)
    within = jnp.mean(jax.vmap(covariance)(q), axis=0)
    return _penalized(at, within + _covariance(_means(q)), lambda_off_diagonal, lambda_diagonal)


def covariance_penalty(
    matrix: Float[Array, "d d"],
    lambda_off_diagonal: float | Float[Array, ""],
    lambda_diagonal: float | Float[Array, ""],
) -> Float[Array, ""]:
    """lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2, a scalar; 0 for the identity. matrix: [d, d]."""
    diagonal = jnp.diag(matrix)
    off_diagonal = matrix - jnp.diag(diagonal)
    off, on = jnp.sum(off_diagonal**2), jnp.sum((diagonal - 1) ** 2)
    penalty: Array = lambda_off_diagonal * off + lambda_diagonal * on
    return penalty


def _means(q: Distribution) -> Array:
    return jax.vmap(lambda q: q.mean())(q)  # type: ignore[no-any-return]


def _covariance(points: Array) -> Array:
    centred = points - jnp.mean(points, axis=0, keepdims=True)
    return centred.T @ centred / len(points)


def _penalized(at: Terms, matrix: Array, off_diagonal: Any, diagonal: Any) -> Estimate:
    penalty = covariance_penalty(matrix, off_diagonal, diagonal)
    metrics = mean_terms(at)
    loss = metrics["distortion"] + metrics["rate"] + penalty
    return Estimate(loss, metrics | {"covariance_penalty": penalty})


@dataclass(frozen=True)
class DipVAEI:
    """ELBO with a penalty on the covariance of the posterior means (DIP-VAE I)."""

    lambda_off_diagonal: float = 5.0
    """Weight of the squares off the diagonal."""
    lambda_diagonal: float = 50.0
    """Weight of the squared distance of the diagonal from 1."""

    def bind(self, vae: Any, z_shape: tuple[int, ...], num_examples: int) -> Trained:
        """`dip_vae_i` of a batch."""
        return Trained(vae, whole_batch(dip_vae_i, vae, **dataclasses.asdict(self)))


@dataclass(frozen=True)
class DipVAEII:
    """ELBO with a penalty on the covariance of the latents (DIP-VAE II)."""

    lambda_off_diagonal: float = 5.0
    """Weight of the squares off the diagonal."""
    lambda_diagonal: float = 5.0
    """Weight of the squared distance of the diagonal from 1."""

    def bind(self, vae: Any, z_shape: tuple[int, ...], num_examples: int) -> Trained:
        """`dip_vae_ii` of a batch."""
        return Trained(vae, whole_batch(dip_vae_ii, vae, **dataclasses.asdict(self)))

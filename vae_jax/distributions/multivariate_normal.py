"""The normal with a full covariance, given by the Cholesky factor of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Float, Num

from vae_jax.distributions.base import Support, check_event
from vae_jax.distributions.kl import register_kl
from vae_jax.distributions.normal import Normal

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class MultivariateNormal:
    """N(x; loc, L L') with L lower triangular.

    log p(x) = -|L^-1 (x - loc)|^2 / 2 - sum_i log L_ii - d log(2 pi) / 2

    `loc`: [d]. `scale_tril`: L, [d, d], its diagonal above 0; what stands above the diagonal is not read.
    """

    loc: Float[Array, "*batch d"]  # under `vmap` alone is there a batch
    scale_tril: Float[Array, "*batch d d"]

    def sample(self, key: Array) -> Float[Array, " d"]:
        """loc + L eps, eps ~ N(0, I): [d]."""
        eps = jax.random.normal(key, jnp.shape(self.loc), jnp.result_type(self.loc, jnp.float32))
        return self.loc + jnp.tril(self.scale_tril) @ eps

    def log_prob(self, x: Num[Array, " d"]) -> Float[Array, ""]:
        """log N(x; loc, L L'), a scalar in nats. x: [d]."""
        check_event(jnp.shape(x), jnp.shape(self.loc), "MultivariateNormal.log_prob got an array")
        standardized = solve_triangular(self.scale_tril, x - self.loc, lower=True)
        normalizer = self._log_det() + 0.5 * self.loc.size * math.log(2 * math.pi)
        return -0.5 * jnp.sum(standardized**2) - normalizer

    def mean(self) -> Float[Array, " d"]:
        """loc: [d]."""
        return self.loc

    def stddev(self) -> Float[Array, " d"]:
        """sqrt(diag(L L')): [d]."""
        norms: Array = jnp.linalg.norm(jnp.tril(self.scale_tril), axis=1)
        return norms

    def covariance(self) -> Float[Array, "d d"]:
        """L L': [d, d]."""
        lower = jnp.tril(self.scale_tril)
        return lower @ lower.T

    def marginals(self) -> Normal:
        """N(x_i; loc_i, (L L')_ii) of each element."""
        return Normal(self.loc, self.stddev())

    def support(self) -> Support:
        """All real numbers."""
        return "real"

    def _log_det(self) -> Float[Array, ""]:
        return jnp.sum(jnp.log(jnp.diagonal(self.scale_tril)))


@register_kl(MultivariateNormal, MultivariateNormal)
def _full_full(q: MultivariateNormal, p: MultivariateNormal, z: Array) -> Array:
    """[ |L_p^-1 L_q|^2 + |L_p^-1 (m_q - m_p)|^2 - d ] / 2 + log|L_p| - log|L_q|."""
    check_event(jnp.shape(q.loc), jnp.shape(p.loc), "kl_divergence got a q")
    ratio = solve_triangular(p.scale_tril, jnp.tril(q.scale_tril), lower=True)
    shift = solve_triangular(p.scale_tril, q.loc - p.loc, lower=True)
    quadratic = jnp.sum(ratio**2) + jnp.sum(shift**2) - q.loc.size
    return 0.5 * quadratic + p._log_det() - q._log_det()


@register_kl(MultivariateNormal, Normal)
def _full_diagonal(q: MultivariateNormal, p: Normal, z: Array) -> Array:
    check_event(jnp.shape(q.loc), p._shape, "kl_divergence got a q")
    scale = p.stddev()
    ratio = jnp.tril(q.scale_tril) / scale[:, None]
    quadratic = jnp.sum(ratio**2) + jnp.sum(((q.loc - p.mean()) / scale) ** 2) - q.loc.size
    return 0.5 * quadratic + jnp.sum(jnp.log(scale)) - q._log_det()


@register_kl(Normal, MultivariateNormal)
def _diagonal_full(q: Normal, p: MultivariateNormal, z: Array) -> Array:
    return _full_full(MultivariateNormal(q.mean(), jnp.diag(q.stddev())), p, z)

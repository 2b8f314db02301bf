"""Importance weights of the latent, and the importance-weighted bound made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Float, Int, Key

from vae_jax.distributions import Distribution, sample_and_log_prob
from vae_jax.errors import InputError, check_at_least
from vae_jax.estimates import Estimate
from vae_jax.model import VAE
from vae_jax.numerics import effective_sample_size
from vae_jax.objectives.bound import log_joint, terms
from vae_jax.objectives.lifting import Trained, per_example

Array = jax.Array


def log_weight(vae: VAE, params: Any, key: Array, x: Any) -> Float[Array, ""]:
    """One log importance weight, log w = log p(x, z) - log q(z|x) with z ~ q(z|x).

    E[w] = p(x) and E[log w] = ELBO. Differentiable through z where q is reparameterized. x: [*event]. Returns a
    scalar in nats.
    """
    at = terms(vae, params, key, x)
    return at.log_likelihood + at.log_prior - at.log_posterior


def log_weight_under(vae: VAE, params: Any, q: Distribution, key: Array, x: Any) -> Float[Array, ""]:
    """One log importance weight of any proposal: log p(x, z) - log q(z) with z ~ q. x: [*event]. In nats."""
    z, log_q = sample_and_log_prob(q, key)
    return log_joint(vae, params, x, z) - log_q


def sample_keys(key: Array, indices: Int[Array, " n"]) -> Key[Array, " n"]:
    """The key of sample i is fold_in(key, i), so that a sample is the same however many are drawn with it."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(indices)


def iwae(vae: VAE, params: Any, key: Array, x: Any, *, num_samples: int) -> Estimate:
    """Minus the importance-weighted bound of one example.

    L_k = E[ log (1/k) sum_i w_i ],  w_i = p(x, z_i) / q(z_i|x),  z_i ~ q(z|x);  ELBO = L_1 <= L_k <= log p(x)

    The value is -L_k itself and the gradient is its plain derivative, in which sample i counts with the
    self-normalized weight w_i / sum_j w_j. With k = 1 it is the ELBO with a Monte Carlo rate, also where `elbo`
    uses a closed form.

    x: [*event]. Returns the loss and `bound` = L_k, `elbo` = (1/k) sum_i log w_i, in nats, and `ess`, the
    effective number of the k samples. Raises InputError for num_samples below 1.
    Source: Burda et al. 2016 (arXiv:1509.00519).
    """
    if num_samples < 1:
        raise InputError(f"num_samples {num_samples}: expected at least one importance sample")
    keys = sample_keys(key, jnp.arange(num_samples))
    log_weights = jax.vmap(lambda k: log_weight(vae, params, k, x))(keys)  # x is encoded once: it has no batch axis
    bound = logsumexp(log_weights) - jnp.log(num_samples)
    ess = effective_sample_size(log_weights)
    return Estimate(-bound, {"bound": bound, "elbo": jnp.mean(log_weights), "ess": ess})


@dataclass(frozen=True)
class IWAE:
    """Importance-weighted bound of k samples (IWAE)."""

    num_samples: int = 5
    """Importance samples of each example, k."""

    def __post_init__(self) -> None:
        check_at_least("num_samples", self.num_samples, 1)

    def bind(self, vae: Any, z_shape: tuple[int, ...], num_examples: int) -> Trained:
        """The mean of `iwae` over a batch."""
        return Trained(vae, per_example(iwae, vae, num_samples=self.num_samples))

"""The evidence lower bound of one example, and the terms that it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from vae_jax.distributions import Distribution, rates, sample_and_log_prob, total
from vae_jax.errors import InputError
from vae_jax.estimates import Estimate, Metrics
from vae_jax.model import VAE
from vae_jax.objectives.lifting import Trained, per_example
from vae_jax.objectives.schedules import Linear

Array = jax.Array


class Terms(NamedTuple):
    """What the objectives of one example are made of, at one sample z ~ q(z|x). In nats.

    The properties are those of one example; `mean_terms` takes a batch.
    """

    z: Any  # a reparameterized sample of q(z|x)
    log_likelihood: Float[Array, "*batch"]  # log p(x|z)
    log_prior: Float[Array, "*batch"]  # log p(z)
    log_posterior: Float[Array, "*batch"]  # log q(z|x)
    rates: Any  # terms whose sum is KL(q(z|x) || p(z)), in closed form where the pair has one

    @property
    def distortion(self) -> Float[Array, ""]:
        """-log p(x|z)."""
        return -self.log_likelihood

    @property
    def rate(self) -> Float[Array, ""]:
        """KL(q(z|x) || p(z)), the sum of the rates."""
        return total(self.rates)

    @property
    def elbo(self) -> Float[Array, ""]:
        """log p(x|z) - KL(q(z|x) || p(z))."""
        return -(self.distortion + self.rate)


def terms(vae: Any, params: Any, key: Array, x: Any) -> Terms:
    """The terms at one sample z of q(z|x): `vae.terms` where the model has it, else from its four functions.

    x: [*event].
    """
    if getattr(vae, "terms", None) is not None:
        return vae.terms(params, key, x)  # type: ignore[no-any-return]
    return terms_and_posterior(vae, params, key, x)[0]


def terms_and_posterior(vae: Any, params: Any, key: Array, x: Any) -> tuple[Terms, Distribution]:
    """The terms, and q(z|x) for objectives that ask more of it; always by the four functions. x: [*event]."""
    q, prior = vae.encode(params, x), vae.prior(params)
    z, log_posterior = sample_and_log_prob(q, key)
    log_likelihood = vae.decode(params, z).log_prob(x)
    return Terms(z, log_likelihood, prior.log_prob(z), log_posterior, rates(q, prior, z, log_posterior)), q


def mean_terms(at: Terms) -> Metrics:
    """The means of `elbo`, `distortion` and `rate` over a batch, in nats. at: leaves [batch, ...]."""
    distortion, rate, elbo = jax.vmap(lambda at: (at.distortion, at.rate, at.elbo))(at)
    return {"elbo": jnp.mean(elbo), "distortion": jnp.mean(distortion), "rate": jnp.mean(rate)}


def log_joint(vae: VAE, params: Any, x: Any, z: Any) -> Float[Array, ""]:
    """log p(x, z) = log p(z) + log p(x|z), in nats: by `vae.log_joint` where the model has it. x: [*event]."""
    if getattr(vae, "log_joint", None) is not None:
        return vae.log_joint(params, x, z)  # type: ignore[misc]
    return vae.prior(params).log_prob(z) + vae.decode(params, z).log_prob(x)


def elbo(vae: VAE, params: Any, key: Array, x: Any, *, beta: float | Float[Array, ""] = 1.0) -> Estimate:
    """Minus the (beta-weighted) evidence lower bound of one example, from one reparameterized sample of z.

    loss       = distortion + beta * rate
    distortion = -log p(x|z),  z = mu + sigma * eps ~ q(z|x)
    rate       = KL(q(z|x) || p(z)), in closed form where the pair has one
    elbo       = -(distortion + rate) <= log p(x) in expectation, whatever beta is

    x: [*event]. Returns the loss and `elbo`, `distortion`, `rate`: scalars in nats, summed over the event.
    beta = 1: Kingma and Welling 2013 (arXiv:1312.6114). Otherwise: Higgins et al. 2017, "beta-VAE".
    """
    at = terms(vae, params, key, x)
    metrics = {"elbo": at.elbo, "distortion": at.distortion, "rate": at.rate}
    return Estimate(at.distortion + beta * at.rate, metrics)


@dataclass(frozen=True)
class ELBO:
    """Evidence lower bound, its rate weighted by beta (beta-VAE)."""

    beta: float = 1.0
    """Weight of the rate."""
    warmup: Linear | None = None
    """How the weight grows from 0 to beta; from the start it is beta where this is none."""

    def __post_init__(self) -> None:
        if not isinstance(self.beta, jax.core.Tracer) and not self.beta >= 0:
            raise InputError(f"beta {self.beta}: expected a weight from 0 up")

    def bind(self, vae: Any, z_shape: tuple[int, ...], num_examples: int) -> Trained:
        """The mean of `elbo` over a batch."""
        beta = self.beta if self.warmup is None else self.warmup.schedule(self.beta)
        return Trained(vae, per_example(elbo, vae, beta=beta))

"""The evidence lower bound of one example, and the terms that it is made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from vae_jax.distributions import Distribution, kl_divergence
from vae_jax.model import VAE

Array = jax.Array
Metrics = dict[str, Array]


class Terms(NamedTuple):
    """What the objectives of one example are made of."""

    q: Distribution  # q(z|x)
    prior: Distribution  # p(z)
    z: Any  # one reparameterized sample of q
    distortion: Array  # -log p(x|z), nats
    rate: Array  # KL(q(z|x) || p(z)), nats, in closed form where the pair has one

    @property
    def elbo(self) -> Array:
        return -(self.distortion + self.rate)


def terms(vae: VAE, params: Any, key: Array, x: Any) -> Terms:
    """q(z|x), one sample z = mu + sigma * eps of it, and the two terms of the ELBO there. x: [*event]."""
    q, prior = vae.encode(params, x), vae.prior(params)
    z = q.sample(key)
    return Terms(q, prior, z, -vae.decode(params, z).log_prob(x), kl_divergence(q, prior, z))


def elbo(vae: VAE, params: Any, key: Array, x: Any, *, beta: float | Array = 1.0) -> tuple[Array, Metrics]:
    """Minus the (beta-weighted) evidence lower bound of one example, from one reparameterized sample of z.

    loss       = distortion + beta * rate
    distortion = -log p(x|z),  z = mu + sigma * eps ~ q(z|x)
    rate       = KL(q(z|x) || p(z)), in closed form where the pair has one
    elbo       = -(distortion + rate) <= log p(x) in expectation, whatever beta is

    x: [*event]. Returns the loss and `elbo`, `distortion`, `rate`: scalars in nats, summed over the event.
    beta = 1: Kingma and Welling 2013 (arXiv:1312.6114). Otherwise: Higgins et al. 2017, "beta-VAE".
    """
    at = terms(vae, params, key, x)
    return at.distortion + beta * at.rate, {"elbo": at.elbo, "distortion": at.distortion, "rate": at.rate}

"""Probability distributions as frozen pytrees whose event is the whole array."""

from vae_jax.distributions.normal import MAX_LOG_SCALE as MAX_LOG_SCALE
from vae_jax.distributions.normal import Bernoulli as Bernoulli
from vae_jax.distributions.normal import Distribution as Distribution
from vae_jax.distributions.normal import Normal as Normal
from vae_jax.distributions.normal import bounded_scale as bounded_scale
from vae_jax.distributions.normal import kl_divergence as kl_divergence
from vae_jax.distributions.normal import standard_normal as standard_normal

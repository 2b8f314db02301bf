"""Families of p(z), and of p(z|c) where the model is given a condition."""

from vae_jax.priors.conditional_normal import ConditionalNormal as ConditionalNormal
from vae_jax.priors.mixture import Mixture as Mixture
from vae_jax.priors.standard import StandardNormal as StandardNormal
from vae_jax.priors.vamp import Vamp as Vamp

Prior = StandardNormal | Mixture | Vamp | ConditionalNormal

"""Families of q(z|x): what turns the numbers that an encoder emits into a distribution of z."""

from vae_jax.posteriors.diagonal_normal import DiagonalNormal as DiagonalNormal
from vae_jax.posteriors.full_normal import FullNormal as FullNormal

Posterior = DiagonalNormal | FullNormal

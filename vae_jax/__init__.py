"""Variational autoencoders as pure functions of one example, in JAX."""

from vae_jax.distributions import Bernoulli as Bernoulli
from vae_jax.distributions import Distribution as Distribution
from vae_jax.distributions import Normal as Normal
from vae_jax.distributions import bounded_scale as bounded_scale
from vae_jax.distributions import kl_divergence as kl_divergence
from vae_jax.distributions import standard_normal as standard_normal
from vae_jax.errors import InputError as InputError
from vae_jax.model import VAE as VAE
from vae_jax.model import ConditionalVAE as ConditionalVAE
from vae_jax.model import bernoulli as bernoulli
from vae_jax.model import diagonal_normal as diagonal_normal
from vae_jax.model import fixed_scale_normal as fixed_scale_normal
from vae_jax.model import make_conditional_vae as make_conditional_vae
from vae_jax.model import make_vae as make_vae
from vae_jax.model import one_hot as one_hot
from vae_jax.objectives import elbo as elbo
from vae_jax.objectives import per_example as per_example

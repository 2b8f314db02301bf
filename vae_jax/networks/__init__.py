"""Flax networks of one example; nothing outside this folder imports Flax.

An encoder maps x (and context vectors, for a conditional model) to `heads` arrays of the latent's shape, a
decoder maps z (and context) to `heads` arrays of the shape of x. What the heads mean (location and scale,
logits) is decided by the posterior and the likelihood given to `vae_jax.make_vae`.
"""

from vae_jax.networks.conv import ConvDecoder as ConvDecoder
from vae_jax.networks.conv import ConvEncoder as ConvEncoder
from vae_jax.networks.mlp import Discriminator as Discriminator
from vae_jax.networks.mlp import MLPDecoder as MLPDecoder
from vae_jax.networks.mlp import MLPEncoder as MLPEncoder
from vae_jax.networks.mlp import logit_bias as logit_bias

"""Flax networks of one example; nothing outside this folder imports Flax.

An encoder maps x (and context vectors, for a conditional model) to the numbers that the posterior reads, a decoder
maps z (and context) to those that the likelihood reads: [*positions, size] in float32. The families say what size
is, and `make_vae` sizes the networks by it, through `sized`.
"""

from vae_jax.networks.activations import Activation as Activation
from vae_jax.networks.choices import Network as Network
from vae_jax.networks.choices import choose as choose
from vae_jax.networks.conv import Conv as Conv
from vae_jax.networks.conv import ConvDecoder as ConvDecoder
from vae_jax.networks.conv import ConvEncoder as ConvEncoder
from vae_jax.networks.mlp import MLP as MLP
from vae_jax.networks.mlp import Discriminator as Discriminator
from vae_jax.networks.mlp import MLPDecoder as MLPDecoder
from vae_jax.networks.mlp import MLPEncoder as MLPEncoder
from vae_jax.networks.mlp import logit_bias as logit_bias
from vae_jax.networks.residual import Residual as Residual
from vae_jax.networks.residual import ResidualDecoder as ResidualDecoder
from vae_jax.networks.residual import ResidualEncoder as ResidualEncoder

"""What the latents hold: generation, reconstruction, paths, traversals, rates, the aggregate posterior."""

from vae_jax.latents.aggregate import ActiveUnits as ActiveUnits
from vae_jax.latents.aggregate import FullDataRate as FullDataRate
from vae_jax.latents.aggregate import active_units as active_units
from vae_jax.latents.aggregate import full_data_rate_decomposition as full_data_rate_decomposition
from vae_jax.latents.generation import interpolate as interpolate
from vae_jax.latents.generation import linear as linear
from vae_jax.latents.generation import rate_per_latent as rate_per_latent
from vae_jax.latents.generation import reconstruct as reconstruct
from vae_jax.latents.generation import sample as sample
from vae_jax.latents.generation import sample_means as sample_means
from vae_jax.latents.generation import spherical as spherical
from vae_jax.latents.generation import traverse as traverse

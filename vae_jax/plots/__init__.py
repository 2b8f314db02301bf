"""Figures from arrays, as matplotlib figures that `save` writes to PNG."""

from vae_jax.plots.figures import image_grid as image_grid
from vae_jax.plots.figures import information as information
from vae_jax.plots.figures import interpolations as interpolations
from vae_jax.plots.figures import prior_samples as prior_samples
from vae_jax.plots.figures import reconstructions as reconstructions
from vae_jax.plots.figures import save as save
from vae_jax.plots.figures import show as show
from vae_jax.plots.figures import training_curves as training_curves
from vae_jax.plots.figures import traversals as traversals
from vae_jax.plots.figures import violins as violins

"""Variational autoencoders as pure functions of one example, in JAX."""

# The first of all, for Ctrl-C during the other imports.
from vae_jax import ending as ending

# isort: split
import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from vae_jax.disentanglement import mutual_information_gap as mutual_information_gap
from vae_jax.distributions import Bernoulli as Bernoulli
from vae_jax.distributions import Distribution as Distribution
from vae_jax.distributions import Normal as Normal
from vae_jax.distributions import bounded_scale as bounded_scale
from vae_jax.distributions import kl_divergence as kl_divergence
from vae_jax.distributions import sample_and_log_prob as sample_and_log_prob
from vae_jax.distributions import standard_normal as standard_normal
from vae_jax.errors import InputError as InputError
from vae_jax.estimates import Estimate as Estimate
from vae_jax.evaluation import evaluate as evaluate
from vae_jax.evaluation import evaluator as evaluator
from vae_jax.evaluation import mean_and_error as mean_and_error
from vae_jax.evaluation import plug_in as plug_in
from vae_jax.evidence import annealed_log_likelihood as annealed_log_likelihood
from vae_jax.evidence import bidirectional_bounds as bidirectional_bounds
from vae_jax.evidence import importance_log_likelihood as importance_log_likelihood
from vae_jax.latents import active_units as active_units
from vae_jax.latents import interpolate as interpolate
from vae_jax.latents import linear as linear
from vae_jax.latents import rate_per_latent as rate_per_latent
from vae_jax.latents import reconstruct as reconstruct
from vae_jax.latents import sample as sample
from vae_jax.latents import sample_means as sample_means
from vae_jax.latents import spherical as spherical
from vae_jax.latents import traverse as traverse
from vae_jax.loading import load_run as load_run
from vae_jax.model import VAE as VAE
from vae_jax.model import ConditionalVAE as ConditionalVAE
from vae_jax.model import bernoulli as bernoulli
from vae_jax.model import diagonal_normal as diagonal_normal
from vae_jax.model import fixed_scale_normal as fixed_scale_normal
from vae_jax.model import make_conditional_vae as make_conditional_vae
from vae_jax.model import make_vae as make_vae
from vae_jax.model import one_hot as one_hot
from vae_jax.objectives import beta_tcvae as beta_tcvae
from vae_jax.objectives import controlled_capacity as controlled_capacity
from vae_jax.objectives import dip_vae_i as dip_vae_i
from vae_jax.objectives import dip_vae_ii as dip_vae_ii
from vae_jax.objectives import elbo as elbo
from vae_jax.objectives import factor_vae as factor_vae
from vae_jax.objectives import iwae as iwae
from vae_jax.objectives import log_weight as log_weight
from vae_jax.objectives import per_example as per_example
from vae_jax.objectives import whole_batch as whole_batch
from vae_jax.objectives import with_discriminator as with_discriminator
from vae_jax.training import NonFiniteLossError as NonFiniteLossError
from vae_jax.training import TrainState as TrainState
from vae_jax.training import fit as fit
from vae_jax.training import init_many as init_many
from vae_jax.training import init_state as init_state
from vae_jax.training import run_of as run_of
from vae_jax.training import scan_steps as scan_steps
from vae_jax.training import train_many as train_many
from vae_jax.training import train_step as train_step

if TYPE_CHECKING:
    from vae_jax import cli as cli
    from vae_jax import plots as plots
    from vae_jax import runs as runs
    from vae_jax import testing as testing
else:

    def __getattr__(name: str) -> ModuleType:
        """The folders that only commands, figures and tests need, imported when they are asked for."""
        if name in ("cli", "plots", "runs", "testing"):
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

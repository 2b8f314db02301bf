"""Estimates of log p(x), bounds on their error, and what the ELBO falls short of it for."""

from vae_jax.likelihood.aggregate import ActiveUnits as ActiveUnits
from vae_jax.likelihood.aggregate import FullDataRate as FullDataRate
from vae_jax.likelihood.aggregate import active_units as active_units
from vae_jax.likelihood.aggregate import full_data_rate_decomposition as full_data_rate_decomposition
from vae_jax.likelihood.annealed import AnnealedInfo as AnnealedInfo
from vae_jax.likelihood.annealed import annealed_log_likelihood as annealed_log_likelihood
from vae_jax.likelihood.annealed import linear_schedule as linear_schedule
from vae_jax.likelihood.annealed import posterior_base as posterior_base
from vae_jax.likelihood.annealed import prior_base as prior_base
from vae_jax.likelihood.annealed import sigmoid_schedule as sigmoid_schedule
from vae_jax.likelihood.bidirectional import BidirectionalInfo as BidirectionalInfo
from vae_jax.likelihood.bidirectional import GapRow as GapRow
from vae_jax.likelihood.bidirectional import bidirectional_bounds as bidirectional_bounds
from vae_jax.likelihood.bidirectional import bound_until as bound_until
from vae_jax.likelihood.decomposition import InferenceGaps as InferenceGaps
from vae_jax.likelihood.decomposition import inference_gaps as inference_gaps
from vae_jax.likelihood.decomposition import optimize_posterior as optimize_posterior
from vae_jax.likelihood.decomposition import posterior_elbo as posterior_elbo
from vae_jax.likelihood.hmc import HMCInfo as HMCInfo
from vae_jax.likelihood.hmc import HMCState as HMCState
from vae_jax.likelihood.hmc import hmc_init as hmc_init
from vae_jax.likelihood.hmc import hmc_step as hmc_step
from vae_jax.likelihood.hmc import leapfrog as leapfrog
from vae_jax.likelihood.importance import ImportanceEstimate as ImportanceEstimate
from vae_jax.likelihood.importance import importance_log_likelihood as importance_log_likelihood

"""Estimates of log p(x), bounds on their error, and what the ELBO falls short of it for."""

from vae_jax.evidence.annealing import AnnealedInfo as AnnealedInfo
from vae_jax.evidence.annealing import Base as Base
from vae_jax.evidence.annealing import Schedule as Schedule
from vae_jax.evidence.annealing import annealed_log_likelihood as annealed_log_likelihood
from vae_jax.evidence.annealing import linear_schedule as linear_schedule
from vae_jax.evidence.annealing import posterior_base as posterior_base
from vae_jax.evidence.annealing import prior_base as prior_base
from vae_jax.evidence.annealing import sigmoid_schedule as sigmoid_schedule
from vae_jax.evidence.bidirectional import BidirectionalInfo as BidirectionalInfo
from vae_jax.evidence.bidirectional import GapRow as GapRow
from vae_jax.evidence.bidirectional import bidirectional_bounds as bidirectional_bounds
from vae_jax.evidence.bidirectional import bound_until as bound_until
from vae_jax.evidence.gaps import inference_gaps as inference_gaps
from vae_jax.evidence.gaps import optimize_posterior as optimize_posterior
from vae_jax.evidence.gaps import posterior_elbo as posterior_elbo
from vae_jax.evidence.hmc import HMCInfo as HMCInfo
from vae_jax.evidence.hmc import HMCState as HMCState
from vae_jax.evidence.hmc import hmc_init as hmc_init
from vae_jax.evidence.hmc import hmc_step as hmc_step
from vae_jax.evidence.hmc import leapfrog as leapfrog
from vae_jax.evidence.hmc import require_real as require_real
from vae_jax.evidence.importance import importance_log_likelihood as importance_log_likelihood

"""Training objectives: estimators of one example, and objectives of a batch made from them."""

from vae_jax.objectives.elbo import elbo as elbo
from vae_jax.objectives.elbo import estimate as estimate
from vae_jax.objectives.elbo import per_example as per_example
from vae_jax.objectives.importance import iwae as iwae
from vae_jax.objectives.importance import log_weight as log_weight

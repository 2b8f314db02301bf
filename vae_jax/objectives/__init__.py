"""Training objectives: estimators of one example or of a whole batch, and objectives made from them."""

from vae_jax.objectives.capacity import controlled_capacity as controlled_capacity
from vae_jax.objectives.covariance import dip_vae_i as dip_vae_i
from vae_jax.objectives.covariance import dip_vae_ii as dip_vae_ii
from vae_jax.objectives.elbo import elbo as elbo
from vae_jax.objectives.elbo import estimate as estimate
from vae_jax.objectives.elbo import per_example as per_example
from vae_jax.objectives.elbo import whole_batch as whole_batch
from vae_jax.objectives.factor import factor_vae as factor_vae
from vae_jax.objectives.factor import with_discriminator as with_discriminator
from vae_jax.objectives.importance import iwae as iwae
from vae_jax.objectives.importance import log_weight as log_weight
from vae_jax.objectives.total_correlation import beta_tcvae as beta_tcvae

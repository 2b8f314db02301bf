"""Training objectives: estimators of one example or of a whole batch, and objectives made from them."""

from vae_jax.objectives.adversarial import DiscriminatedVAE as DiscriminatedVAE
from vae_jax.objectives.adversarial import factor_vae as factor_vae
from vae_jax.objectives.adversarial import permute_latents as permute_latents
from vae_jax.objectives.adversarial import with_discriminator as with_discriminator
from vae_jax.objectives.bound import Terms as Terms
from vae_jax.objectives.bound import elbo as elbo
from vae_jax.objectives.bound import terms as terms
from vae_jax.objectives.capacity import controlled_capacity as controlled_capacity
from vae_jax.objectives.covariance import covariance_penalty as covariance_penalty
from vae_jax.objectives.covariance import dip_vae_i as dip_vae_i
from vae_jax.objectives.covariance import dip_vae_ii as dip_vae_ii
from vae_jax.objectives.importance_weighted import iwae as iwae
from vae_jax.objectives.importance_weighted import log_weight as log_weight
from vae_jax.objectives.importance_weighted import log_weight_under as log_weight_under
from vae_jax.objectives.importance_weighted import sample_keys as sample_keys
from vae_jax.objectives.lifting import Metrics as Metrics
from vae_jax.objectives.lifting import Objective as Objective
from vae_jax.objectives.lifting import estimate as estimate
from vae_jax.objectives.lifting import over_batch as over_batch
from vae_jax.objectives.lifting import per_example as per_example
from vae_jax.objectives.lifting import whole_batch as whole_batch
from vae_jax.objectives.total_correlation import aggregate_log_density as aggregate_log_density
from vae_jax.objectives.total_correlation import beta_tcvae as beta_tcvae
from vae_jax.objectives.total_correlation import stratified as stratified
from vae_jax.objectives.total_correlation import weighted as weighted

"""Training objectives: estimators of one example or of a whole batch, and the parts that bind them to a model."""

from vae_jax.objectives.adversarial import DiscriminatedVAE as DiscriminatedVAE
from vae_jax.objectives.adversarial import FactorVAE as FactorVAE
from vae_jax.objectives.adversarial import factor_vae as factor_vae
from vae_jax.objectives.adversarial import permute_latents as permute_latents
from vae_jax.objectives.adversarial import with_discriminator as with_discriminator
from vae_jax.objectives.bound import ELBO as ELBO
from vae_jax.objectives.bound import Terms as Terms
from vae_jax.objectives.bound import elbo as elbo
from vae_jax.objectives.bound import log_joint as log_joint
from vae_jax.objectives.bound import mean_terms as mean_terms
from vae_jax.objectives.bound import terms as terms
from vae_jax.objectives.bound import terms_and_posterior as terms_and_posterior
from vae_jax.objectives.capacity import ControlledCapacity as ControlledCapacity
from vae_jax.objectives.capacity import controlled_capacity as controlled_capacity
from vae_jax.objectives.dip import DipVAEI as DipVAEI
from vae_jax.objectives.dip import DipVAEII as DipVAEII
from vae_jax.objectives.dip import covariance_penalty as covariance_penalty
from vae_jax.objectives.dip import dip_vae_i as dip_vae_i
from vae_jax.objectives.dip import dip_vae_ii as dip_vae_ii
from vae_jax.objectives.importance_weighted import IWAE as IWAE
from vae_jax.objectives.importance_weighted import iwae as iwae
from vae_jax.objectives.importance_weighted import log_weight as log_weight
from vae_jax.objectives.importance_weighted import log_weight_under as log_weight_under
from vae_jax.objectives.importance_weighted import sample_keys as sample_keys
from vae_jax.objectives.lifting import Loss as Loss
from vae_jax.objectives.lifting import Trained as Trained
from vae_jax.objectives.lifting import estimate as estimate
from vae_jax.objectives.lifting import over_batch as over_batch
from vae_jax.objectives.lifting import per_example as per_example
from vae_jax.objectives.lifting import whole_batch as whole_batch
from vae_jax.objectives.schedules import Linear as Linear
from vae_jax.objectives.total_correlation import BetaTCVAE as BetaTCVAE
from vae_jax.objectives.total_correlation import aggregate_log_density as aggregate_log_density
from vae_jax.objectives.total_correlation import beta_tcvae as beta_tcvae
from vae_jax.objectives.total_correlation import stratified as stratified
from vae_jax.objectives.total_correlation import weighted as weighted

Objective = ELBO | IWAE | ControlledCapacity | BetaTCVAE | FactorVAE | DipVAEI | DipVAEII

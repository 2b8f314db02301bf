"""Property suites and oracles for tests, of the parts of this library and of a user's own."""

from vae_jax.testing.commands import check_command as check_command
from vae_jax.testing.distributions import check_bijection as check_bijection
from vae_jax.testing.distributions import check_distribution as check_distribution
from vae_jax.testing.estimators import check_evidence_estimator as check_evidence_estimator
from vae_jax.testing.estimators import check_objective as check_objective
from vae_jax.testing.networks import check_network as check_network
from vae_jax.testing.networks import check_source as check_source
from vae_jax.testing.optimizers import check_optimizer as check_optimizer
from vae_jax.testing.parts import check_likelihood as check_likelihood
from vae_jax.testing.parts import check_part as check_part
from vae_jax.testing.parts import check_posterior as check_posterior
from vae_jax.testing.parts import check_prior as check_prior

"""Probability distributions as frozen pytrees whose event is the whole array, one a file with its KL pairs."""

from vae_jax.distributions.base import Distribution as Distribution
from vae_jax.distributions.base import Support as Support
from vae_jax.distributions.base import center as center
from vae_jax.distributions.base import covariance as covariance
from vae_jax.distributions.base import log_prob_each as log_prob_each
from vae_jax.distributions.base import marginals as marginals
from vae_jax.distributions.base import sample_and_log_prob as sample_and_log_prob
from vae_jax.distributions.base import stddev as stddev
from vae_jax.distributions.base import support as support
from vae_jax.distributions.bernoulli import Bernoulli as Bernoulli
from vae_jax.distributions.chain import Chain as Chain
from vae_jax.distributions.joint import Joint as Joint
from vae_jax.distributions.kl import kl_divergence as kl_divergence
from vae_jax.distributions.kl import rates as rates
from vae_jax.distributions.kl import register_kl as register_kl
from vae_jax.distributions.kl import total as total
from vae_jax.distributions.mixture import Mixture as Mixture
from vae_jax.distributions.multivariate_normal import MultivariateNormal as MultivariateNormal
from vae_jax.distributions.normal import MAX_LOG_SCALE as MAX_LOG_SCALE
from vae_jax.distributions.normal import Normal as Normal
from vae_jax.distributions.normal import bounded_scale as bounded_scale
from vae_jax.distributions.normal import standard_normal as standard_normal
from vae_jax.distributions.transformed import Bijection as Bijection
from vae_jax.distributions.transformed import Transformed as Transformed

"""Families of p(x|z): what turns the numbers that a decoder emits into a distribution of x."""

from vae_jax.likelihoods.bernoulli_pixels import BernoulliPixels as BernoulliPixels
from vae_jax.likelihoods.categorical import Categorical as Categorical
from vae_jax.likelihoods.continuous_bernoulli import ContinuousBernoulli as ContinuousBernoulli
from vae_jax.likelihoods.discretized_logistic import DiscretizedLogistic as DiscretizedLogistic
from vae_jax.likelihoods.in_units import InUnits as InUnits
from vae_jax.likelihoods.laplace import Laplace as Laplace
from vae_jax.likelihoods.logistic_mixture import LogisticMixture as LogisticMixture
from vae_jax.likelihoods.masked import Masked as Masked
from vae_jax.likelihoods.masked import with_gaps as with_gaps
from vae_jax.likelihoods.mixed_columns import MixedColumns as MixedColumns
from vae_jax.likelihoods.negative_binomial import NegativeBinomial as NegativeBinomial
from vae_jax.likelihoods.normal_pixels import NormalPixels as NormalPixels
from vae_jax.likelihoods.optimal import with_optimal_scale as with_optimal_scale
from vae_jax.likelihoods.poisson import Poisson as Poisson
from vae_jax.likelihoods.reading import Reading as Reading
from vae_jax.likelihoods.reading import Stored as Stored
from vae_jax.likelihoods.student_t import StudentT as StudentT
from vae_jax.likelihoods.zero_inflated import ZeroInflatedNegativeBinomial as ZeroInflatedNegativeBinomial

Likelihood = (
    BernoulliPixels
    | ContinuousBernoulli
    | NormalPixels
    | Laplace
    | StudentT
    | DiscretizedLogistic
    | LogisticMixture
    | Categorical
    | Poisson
    | NegativeBinomial
    | ZeroInflatedNegativeBinomial
)
# Made of what the data are, around a choice or in its place: no option of a command.
FromData = InUnits | Masked | MixedColumns

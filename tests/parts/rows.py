"""The table of parts: every part of the library has a row here, and each row goes through its property suite."""

from __future__ import annotations

import jax.numpy as jnp

from vae_jax import distributions, likelihoods, objectives, optimizers, posteriors, priors
from vae_jax.data import Column

PRIORS = [
    priors.StandardNormal(),
    priors.Mixture(components=3),
    priors.Vamp(components=3),
    priors.ConditionalNormal(),
    priors.ConditionalNormal(hidden=(6,)),
]
POSTERIORS = [posteriors.DiagonalNormal(), posteriors.FullNormal()]
LIKELIHOODS = [
    likelihoods.BernoulliPixels(),
    likelihoods.NormalPixels(scale=0.5),
    likelihoods.NormalPixels(scale="learned"),
    likelihoods.NormalPixels(scale="channel"),
    likelihoods.NormalPixels(scale="element"),
    likelihoods.NormalPixels(scale="head"),
    likelihoods.Poisson(),
    likelihoods.NegativeBinomial(),
    likelihoods.ZeroInflatedNegativeBinomial(),
    likelihoods.MixedColumns((Column("a", "real", scale=20.0),)),
    likelihoods.MixedColumns((Column("a", "positive", loc=3.0, scale=0.5),)),
    likelihoods.MixedColumns((Column("a", "count"),)),
    likelihoods.MixedColumns((Column("a", "categorical", ("x", "y", "z")),)),
    likelihoods.InUnits(likelihoods.NormalPixels("learned"), scale=(20.0,)),
    likelihoods.Masked(likelihoods.InUnits(likelihoods.NormalPixels("head"), scale=(0.1,))),
    likelihoods.ContinuousBernoulli(),
    likelihoods.Laplace(scale=0.5),
    likelihoods.Laplace(scale="head"),
    likelihoods.StudentT(),
    likelihoods.StudentT(df=3.0, scale="head"),
    likelihoods.DiscretizedLogistic(),
    likelihoods.DiscretizedLogistic(scale="head"),
    likelihoods.LogisticMixture(components=2),
    likelihoods.Categorical(levels=5),
]
OBJECTIVES = [
    objectives.ELBO(),
    objectives.ELBO(beta=4.0, warmup=objectives.Linear(steps=10)),
    objectives.IWAE(num_samples=3),
    objectives.ControlledCapacity(gamma=10.0, capacity=0.5, growth=objectives.Linear(steps=10)),
    objectives.BetaTCVAE(beta=2.0),
    objectives.FactorVAE(gamma=2.0, hidden=(8,), learning_rate=1e-2),
    objectives.DipVAEI(lambda_off_diagonal=1.0, lambda_diagonal=1.0),
    objectives.DipVAEII(lambda_off_diagonal=1.0, lambda_diagonal=1.0),
]
OPTIMIZERS = [
    optimizers.Adam(),
    optimizers.AdamW(weight_decay=0.1),
    optimizers.Adamax(),
    optimizers.SGD(momentum=0.5, nesterov=True),
    optimizers.Ademamix(weight_decay=0.1),
    optimizers.Adopt(),
    optimizers.Cocob(),
    optimizers.DAdaptAdamW(),
    optimizers.Madgrad(),
    optimizers.MomoAdam(),
    optimizers.Muon(weight_decay=0.1),
    optimizers.Prodigy(),
    optimizers.ScheduleFree(),
]

_NORMAL = distributions.Normal(jnp.array([0.5, -1.0]), jnp.array([0.5, 2.0]))
_FULL = distributions.MultivariateNormal(jnp.array([1.0, 0.0]), jnp.array([[0.5, 0.0], [0.6, 0.8]]))
_MIXTURE = distributions.Mixture(
    distributions.Normal(jnp.array([[0.0, 2.0], [1.0, -1.0], [-2.0, 0.0]]), jnp.ones((3, 2)) / 2),
    jnp.array([0.0, 1.0, -0.5]),
)

_COUNTS = distributions.NegativeBinomial(jnp.array([[-1.0, 1.0, 3.0]]), jnp.array([[1.0, -1.0, 2.0]]))
_POSITIVE = distributions.LogNormal(jnp.array([0.5, -1.0]), jnp.array([0.5, 0.3]))


class Doubling:
    """y = 2 z + 1, the bijection of the row of `Transformed`."""

    def forward(self, z):
        return 2 * z + 1, jnp.asarray(z.size * jnp.log(2.0))

    def inverse(self, y):
        return (y - 1) / 2, jnp.asarray(-y.size * jnp.log(2.0))


def _second(params, z):
    return distributions.Normal(params * jnp.tanh(z[0]), jnp.ones(2) / 2)


DISTRIBUTIONS = [
    _NORMAL,
    _FULL,
    distributions.Bernoulli(jnp.array([[-1.0, 0.3, 2.0]])),
    distributions.ContinuousBernoulli(jnp.array([-30.0, 0.0, 2.0])),
    distributions.Laplace(jnp.array([0.5, -1.0]), jnp.array([0.5, 2.0])),
    distributions.StudentT(jnp.array(6.0), jnp.array([0.5, -1.0]), jnp.array([0.5, 2.0])),
    distributions.DiscretizedLogistic(jnp.array([-20.0, 1.0, 300.0]), jnp.array([0.1, 2.0, 40.0])),
    distributions.LogisticMixture(
        jnp.array([[0.0], [1.0]]),
        jnp.array([[[1.0], [9.0]], [[4.0], [2.0]]]),
        jnp.array([[[1.0], [3.0]], [[0.3], [2.0]]]),
        jnp.array([[[0.5], [-0.9]]]),
        levels=12,
    ),
    distributions.Categorical(jnp.array([[0.0, 1.0, -1.0, 2.0], [0.0, 0.0, 0.0, -3.0]])),
    _MIXTURE,
    distributions.Joint({"a": _NORMAL, "b": (_FULL, distributions.Normal(jnp.zeros((2, 1)), jnp.ones(())))}),
    distributions.Chain(jnp.array(1.5), (lambda params, z: _NORMAL, _second)),
    distributions.Transformed(_FULL, Doubling()),
    distributions.Poisson(jnp.array([[-1.0, 1.0, 3.0]])),
    _COUNTS,
    distributions.ZeroInflatedNegativeBinomial(_COUNTS, jnp.array([[-1.0, 0.0, 2.0]])),
    _POSITIVE,
    distributions.Categories(jnp.array([[0.5, 0.0, -1.0], [2.0, 1.0, -jnp.inf]])),
    distributions.Columns((_POSITIVE, _NORMAL), ((3, 0), (1, 2))),
    distributions.Masked(_NORMAL),
    distributions.Scaled(_NORMAL, jnp.array([100.0, 0.01])),
]

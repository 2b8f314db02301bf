"""Every part goes through its property suite by its row in `rows`, and no part is without a row."""

import typing

import jax
import pytest

from tests.parts.rows import DISTRIBUTIONS, LIKELIHOODS, OBJECTIVES, OPTIMIZERS, POSTERIORS, PRIORS, Doubling
from vae_jax import distributions, likelihoods, objectives, optimizers, posteriors, priors, testing
from vae_jax.evidence import annealed_log_likelihood, importance_log_likelihood


def each(rows):
    return pytest.mark.parametrize("part", rows, ids=lambda part: repr(part)[:40])


@pytest.mark.parametrize(
    ("union", "rows"),
    [
        (priors.Prior, PRIORS),
        (posteriors.Posterior, POSTERIORS),
        (likelihoods.Likelihood, LIKELIHOODS),
        (objectives.Objective, OBJECTIVES),
        (optimizers.Optimizer, OPTIMIZERS),
    ],
    ids=["prior", "posterior", "likelihood", "objective", "optimizer"],
)
def test_every_part_has_a_row(union, rows):
    """Fails if a part that can be chosen is in no row, or a row holds a part that cannot be chosen."""
    from_data = typing.get_args(likelihoods.FromData) if union is likelihoods.Likelihood else ()
    assert {*typing.get_args(union), *from_data} == {type(part) for part in rows}


@pytest.mark.parametrize("face", [priors, posteriors, likelihoods, optimizers])
def test_every_public_part_can_be_chosen(face):
    """Fails if a public part is not in its union, and so on no command line, nor made of what the data are."""
    public = {
        value for value in vars(face).values() if isinstance(value, type) and {"apply", "make"} & set(dir(value))
    }
    union = getattr(face, face.__name__.rpartition(".")[2].removesuffix("s").capitalize())
    from_data = typing.get_args(getattr(face, "FromData", None))
    assert public == {*typing.get_args(union), *from_data}


def test_every_distribution_has_a_row():
    """Fails if a public distribution is in no row."""
    public = {
        value
        for value in vars(distributions).values()
        if isinstance(value, type) and hasattr(value, "log_prob") and value is not distributions.Distribution
    }
    assert public == {type(d) for d in DISTRIBUTIONS}


@pytest.mark.parametrize("d", DISTRIBUTIONS, ids=lambda d: type(d).__name__)
def test_distribution(d):
    """Fails if a draw, a density, a moment or the support of a distribution contradicts another."""
    testing.check_distribution(d)


def test_the_bijection_of_the_row():
    """Fails if the bijection under `Transformed` is none, which would make its row worthless."""
    testing.check_bijection(Doubling(), jax.numpy.array([0.3, -2.0]))


@each(PRIORS)
def test_prior(part):
    """Fails if a prior is no option, depends on more than its key, or gives no sound distribution."""
    testing.check_distribution(testing.check_prior(part))


@each(POSTERIORS)
def test_posterior(part):
    """Fails if a posterior reads other numbers than it asks for, or gives no sound distribution."""
    testing.check_distribution(testing.check_posterior(part))


@each(LIKELIHOODS)
def test_likelihood(part):
    """Fails if a likelihood reads other numbers than it asks for, or gives no sound distribution."""
    testing.check_distribution(testing.check_likelihood(part))


@each(OBJECTIVES)
def test_objective(part):
    """Fails if an objective does not bind, does not train, or leaves a parameter without a gradient."""
    testing.check_objective(part)


@each(OPTIMIZERS)
def test_optimizer(part):
    """Fails if an optimizer is no option, does not train by its own rate, or takes no schedule of it."""
    testing.check_optimizer(part)


@pytest.mark.parametrize(
    ("estimator", "tunables"),
    [
        (importance_log_likelihood, {"num_samples": 20}),
        (annealed_log_likelihood, {"num_temperatures": 10, "num_chains": 2, "num_leapfrog": 2}),
    ],
    ids=["importance", "annealed"],
)
def test_evidence_estimator(estimator, tunables):
    """Fails if an estimator of log p(x) is above the exact answer, or calls it by another name."""
    testing.check_evidence_estimator(estimator, **tunables)

"""The cube prior x posterior x likelihood: each pair is traced, a covering set runs from end to end."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.parts.rows import LIKELIHOODS, POSTERIORS, PRIORS
from vae_jax import (
    Estimate,
    bidirectional_bounds,
    elbo,
    evaluate,
    fit,
    importance_log_likelihood,
    init_state,
    interpolate,
    iwae,
    make_conditional_vae,
    make_vae,
    one_hot,
    per_example,
    reconstruct,
    sample,
    traverse,
)
from vae_jax.data import shuffled_batches
from vae_jax.distributions import Observed
from vae_jax.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from vae_jax.priors import ConditionalNormal
from vae_jax.training import open_checkpoints, read_checkpoints, restore_params, save

X_SHAPE = (4, 4, 1)
X = np.random.default_rng(0).integers(0, 2, (24, *X_SHAPE)).astype(np.float32)
C = np.arange(24) % 3
# Without a pilot; the lower bound on simulated examples is annealed importance sampling.
ANNEALING = {"num_temperatures": 4, "num_chains": 2, "num_leapfrog": 1, "step_sizes": 0.1}


def examples(likelihood):
    """All of them, of which a likelihood with gaps is given some that are not seen."""
    if not hasattr(likelihood, "example"):
        return X
    seen = np.random.default_rng(1).integers(0, 2, X.shape).astype(np.float32)
    return Observed(X * seen, seen)


def one(likelihood, i):
    return jax.tree.map(lambda a: a[i], examples(likelihood))


def name(cell):
    return "-".join(type(part).__name__ for part in cell)


def all_of_them(vae, params, key, x):
    found = [
        elbo(vae, params, key, x),
        importance_log_likelihood(vae, params, key, x, num_samples=3),
        bidirectional_bounds(vae, params, key, **ANNEALING),
    ]
    return Estimate(found[0].value, {k: v for e in reversed(found) for k, v in e.metrics.items()})


def covering():
    """Each prior with each posterior, and in the same cells each likelihood; a row a class."""
    priors, likelihoods = ({type(part): part for part in rows}.values() for rows in (PRIORS, LIKELIHOODS))
    pairs = list(itertools.product(priors, POSTERIORS))
    number = max(len(pairs), len(likelihoods))
    around = zip(itertools.cycle(pairs), itertools.cycle(likelihoods), strict=True)
    return [(*pair, likelihood) for pair, likelihood in itertools.islice(around, number)]


def model(cell):
    """The conditional model of a cell, for every part has a conditional form, and the plain one where it can be."""
    prior, posterior, likelihood = cell
    parts = {"prior": prior, "posterior": posterior, "likelihood": likelihood, "examples": examples(likelihood)}
    made = MLPEncoder(2, hidden=(6,)), MLPDecoder(X_SHAPE, hidden=(6,))
    conditional = make_conditional_vae(*made, condition=one_hot(3), **parts)
    return conditional, (None if isinstance(prior, ConditionalNormal) else make_vae(*made, **parts))


def traced():
    """Each prior with each likelihood, the posteriors in turn, for these meet a likelihood only through z."""
    pairs = enumerate(itertools.product(PRIORS, LIKELIHOODS))
    return [(prior, POSTERIORS[i % len(POSTERIORS)], likelihood) for i, (prior, likelihood) in pairs]


@pytest.mark.parametrize("cell", traced(), ids=name)
def test_cells_can_be_traced(cell):
    """Fails if two parts do not fit together in an estimator, plain or conditional."""
    conditional, plain = model(cell)
    for estimator, vae, init in (
        (elbo, conditional.given(1), conditional.init),
        (functools.partial(iwae, num_samples=2), plain, plain and plain.init),
    ):
        if vae is not None:

            def both(key, estimator=estimator, vae=vae, init=init):
                return estimator(vae, init(key), key, one(cell[2], 0)).value

            assert jax.eval_shape(both, jax.random.key(0)).shape == ()


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=repr)
def test_convolutional_networks_are_sized_too(likelihood):
    """Fails if a likelihood reads other numbers than a convolutional decoder emits."""
    vae = make_vae(
        ConvEncoder(2, hidden=()),
        ConvDecoder(X_SHAPE, hidden=()),
        likelihood=likelihood,
        examples=examples(likelihood),
    )
    value = jax.eval_shape(lambda key: elbo(vae, vae.init(key), key, one(likelihood, 0)).value, jax.random.key(0))
    assert value.shape == ()


def test_the_covering_set_covers():
    """Fails if a prior meets not every posterior, or a likelihood is in no cell."""
    cells = covering()
    with_posterior = {(type(prior), posterior) for prior, posterior, _ in cells}
    assert with_posterior == set(itertools.product(map(type, PRIORS), POSTERIORS))
    assert {type(cell[2]) for cell in cells} == set(map(type, LIKELIHOODS))
    """Fails if a prior meets not every posterior, a likelihood is in no cell, or there are over 20 cells."""
    cells = covering()
    with_posterior = {(type(prior), posterior) for prior, posterior, _ in cells}
    assert with_posterior == set(itertools.product(map(type, PRIORS), POSTERIORS))
    assert {type(likelihood) for _, _, likelihood in cells} == set(map(type, LIKELIHOODS))
    assert len(cells) <= 20


@pytest.mark.slow
@pytest.mark.parametrize("cell", covering(), ids=name)
def test_a_cell_from_training_to_estimates(cell, tmp_path):
    """Fails if a cell does not train, is lost in a checkpoint, or an estimate, a draw or a path is not finite."""
    conditional, _ = model(cell)
    optimizer = optax.adam(1e-2)
    state = init_state(conditional.init, optimizer, jax.random.key(0))
    before = jax.tree.map(np.array, state.params)
    state = fit(
        per_example(elbo, conditional), optimizer, shuffled_batches(8), state, (examples(cell[2]), C), num_steps=3
    )
    still = jax.tree.map(lambda a, b: bool(np.all(a == np.asarray(b))), before, state.params)
    assert not any(jax.tree.leaves(still)), f"parameters that did not move: {still}"
    with open_checkpoints(tmp_path) as checkpointer:
        save(checkpointer, state)
    with read_checkpoints(tmp_path) as checkpointer:
        params = restore_params(checkpointer, jax.eval_shape(conditional.init, jax.random.key(0)))
    assert jax.tree.all(jax.tree.map(np.array_equal, params, state.ema))
    key = jax.random.key(1)
    # What is not finite raises inside `evaluate`. One program for all estimators: most of the time is compilation.
    assert evaluate(all_of_them, conditional, params, key, (one(cell[2], slice(2)), C[:2])).keys() >= {
        "elbo",
        "upper",
        "gap",
    }

    @jax.jit
    def drawn(params, key):
        vae = conditional.given(2)
        return (
            sample(vae, params, key, 2),
            reconstruct(vae, params, key, one(cell[2], 0)),
            interpolate(vae, params, one(cell[2], 0), one(cell[2], 1), num_steps=3),
            traverse(vae, params, jnp.zeros(2), num_steps=3),
        )

    for leaf in jax.tree.leaves(drawn(params, key)):
        assert np.isfinite(leaf).all()

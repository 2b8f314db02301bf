"""The cube prior x posterior x likelihood: every cell is traced, a covering set of cells runs from end to end."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.parts.rows import LIKELIHOODS, POSTERIORS, PRIORS
from vae_jax import (
    annealed_log_likelihood,
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
from vae_jax.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from vae_jax.priors import ConditionalNormal
from vae_jax.training import open_checkpoints, read_checkpoints, restore_params, save

X_SHAPE = (4, 4, 1)
X = np.random.default_rng(0).integers(0, 2, (24, *X_SHAPE)).astype(np.float32)
C = np.arange(24) % 3
ANNEALING = {"num_temperatures": 4, "num_chains": 2, "num_leapfrog": 1}


def name(cell):
    return "-".join(type(part).__name__ for part in cell)


def covering():
    """Each part once with each part of one other family: priors with posteriors, posteriors with likelihoods."""
    pairs = itertools.zip_longest(itertools.product(PRIORS, POSTERIORS), [], fillvalue=None)
    cells = [
        (prior, posterior, LIKELIHOODS[i % len(LIKELIHOODS)]) for i, ((prior, posterior), _) in enumerate(pairs)
    ]
    seen = {(posterior, likelihood) for _, posterior, likelihood in cells}
    missing = [pair for pair in itertools.product(POSTERIORS, LIKELIHOODS) if pair not in seen]
    return cells + [(PRIORS[i % 3], *pair) for i, pair in enumerate(missing)]


def model(cell, *, networks=(MLPEncoder, MLPDecoder), options=(("hidden", (6,)),)):
    """The conditional model of a cell, for every part has a conditional form, and the plain one where it can be."""
    prior, posterior, likelihood = cell
    encoder, decoder = networks
    parts = {"prior": prior, "posterior": posterior, "likelihood": likelihood, "examples": X}
    made = encoder(2, **dict(options)), decoder(X_SHAPE, **dict(options))
    conditional = make_conditional_vae(*made, condition=one_hot(3), **parts)
    return conditional, (None if isinstance(prior, ConditionalNormal) else make_vae(*made, **parts))


@pytest.mark.parametrize("cell", list(itertools.product(PRIORS, POSTERIORS, LIKELIHOODS)), ids=name)
def test_every_cell_can_be_traced(cell):
    """Fails if two parts do not fit together in any estimator, on either network, plain or conditional."""
    for networks in ((MLPEncoder, MLPDecoder), (ConvEncoder, ConvDecoder)):
        conditional, plain = model(cell, networks=networks)
        for vae, init in ((conditional.given(1), conditional.init), (plain, plain and plain.init)):
            if vae is None:
                continue
            params = jax.eval_shape(init, jax.random.key(0))
            for estimator in (elbo, functools.partial(iwae, num_samples=2)):
                value = jax.eval_shape(lambda p, f=estimator, v=vae: f(v, p, jax.random.key(1), X[0]).value, params)
                assert value.shape == ()


def test_the_covering_set_covers():
    """Fails if a prior meets not every posterior, a posterior not every likelihood, or there are over 20 cells."""
    cells = covering()
    assert {cell[:2] for cell in cells} == set(itertools.product(PRIORS, POSTERIORS))
    assert {cell[1:] for cell in cells} == set(itertools.product(POSTERIORS, LIKELIHOODS))
    assert len(cells) <= 20


@pytest.mark.slow
@pytest.mark.parametrize("cell", covering(), ids=name)
def test_a_cell_from_training_to_estimates(cell, tmp_path):
    """Fails if a cell does not train, is not kept in a checkpoint, or an estimate, draw or path is not finite."""
    conditional, _ = model(cell)
    optimizer = optax.adam(1e-2)
    state = init_state(conditional.init, optimizer, jax.random.key(0))
    before = jax.tree.map(np.array, state.params)
    state = fit(per_example(elbo, conditional), optimizer, shuffled_batches(8), state, (X, C), num_steps=3)
    still = jax.tree.map(lambda a, b: bool(np.all(a == np.asarray(b))), before, state.params)
    assert not any(jax.tree.leaves(still)), f"parameters that did not move: {still}"
    with open_checkpoints(tmp_path) as checkpointer:
        save(checkpointer, state)
    with read_checkpoints(tmp_path) as checkpointer:
        params = restore_params(checkpointer, jax.eval_shape(conditional.init, jax.random.key(0)))
    assert jax.tree.all(jax.tree.map(np.array_equal, params, state.ema))
    key = jax.random.key(1)
    # What is not finite raises inside `evaluate`.
    for estimator, tunables in (
        (elbo, {}),
        (importance_log_likelihood, {"num_samples": 3}),
        (annealed_log_likelihood, ANNEALING),
    ):
        assert evaluate(estimator, conditional, params, key, (X[:2], C[:2]), **tunables)
    assert evaluate(bidirectional_bounds, conditional, params, key, C[:2], **ANNEALING)

    @jax.jit
    def drawn(params, key):
        vae = conditional.given(2)
        return (
            sample(vae, params, key, 2),
            reconstruct(vae, params, key, X[0]),
            interpolate(vae, params, X[0], X[1], num_steps=3),
            traverse(vae, params, jnp.zeros(2), num_steps=3),
        )

    for leaf in jax.tree.leaves(drawn(params, key)):
        assert np.isfinite(leaf).all()

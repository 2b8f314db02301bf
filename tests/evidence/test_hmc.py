"""One Hamiltonian Monte Carlo transition: it leaves its target alone, and knows when to refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_jax import Bernoulli, InputError
from vae_jax.evidence.hmc import hmc_init, hmc_step, leapfrog

KEY = jax.random.key(0)


def quartic(z):
    """A target on which leapfrog errs: exp(-z^4 / 4 + z / 2), unnormalized."""
    return jnp.sum(-(z**4) / 4 + z / 2)


def _quartic_table():
    grid = np.linspace(-4, 4, 20_001)
    density = np.exp(-(grid**4) / 4 + grid / 2)
    cdf = np.cumsum(density)
    return grid, (cdf - density / 2) / cdf[-1]


@pytest.mark.parametrize("step_size", [0.3, 1.0])
def test_exact_draws_stay_exact_draws(step_size):
    """Fails without the accept step, with its sign wrong, with a lost half step or with unequal masses."""
    grid, cdf = _quartic_table()
    uniform = (np.arange(4000) + 0.5) / 4000
    start = jnp.asarray(np.random.default_rng(0).permutation(np.interp(uniform, cdf, grid)), jnp.float32)[:, None]

    def chain(key, z):
        def step(state, key):
            return hmc_step((quartic,), key, state, step_size=step_size, num_leapfrog=3)

        state, info = jax.lax.scan(step, hmc_init((quartic,), z), jax.random.split(key, 15))
        return state.position, info.acceptance_probability

    end, acceptance = jax.jit(jax.vmap(chain))(jax.random.split(KEY, 4000), start)
    assert 0.2 < acceptance.mean() < 0.99  # the accept step matters
    assert abs(np.corrcoef(start[:, 0], end[:, 0])[0, 1]) < 0.1  # the chains have moved
    assert stats.kstest(np.asarray(end)[:, 0], lambda z: np.interp(z, grid, cdf)).pvalue > 1e-3


def test_moments_of_a_correlated_normal_stay():
    """Fails if two densities are not mixed by their weights, in the gradient and in the energy alike."""
    cov = np.array([[1.0, 0.8], [0.8, 2.0]])
    precision = jnp.asarray(np.linalg.inv(cov), jnp.float32)
    halves = (lambda z: -z @ precision @ z, lambda z: -0.5 * z @ precision @ z)
    start = jnp.asarray(np.random.default_rng(0).multivariate_normal([0, 0], cov, size=4000), jnp.float32)

    def chain(key, z):
        def step(state, key):
            return hmc_step(halves, key, state, step_size=0.9, num_leapfrog=3, weights=(0.25, 0.5))

        return jax.lax.scan(step, hmc_init(halves, z), jax.random.split(key, 10))[0].position

    end = np.asarray(jax.jit(jax.vmap(chain))(jax.random.split(KEY, 4000), start), np.float64)
    white = end @ np.linalg.inv(np.linalg.cholesky(cov)).T
    assert np.all(abs(white.mean(0)) < 4 / np.sqrt(4000))
    assert np.all(abs(white.T @ white / 4000 - np.eye(2)) < 4 * np.sqrt(np.array([[2, 1], [1, 2]]) / 4000))
    for column in white.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3


def _trajectory(step_size, num_leapfrog):
    state = hmc_init((quartic,), jnp.array([0.3, -0.8, 1.1]))
    momentum = jnp.array([0.5, 1.0, -0.7])
    end, v = leapfrog((quartic,), state, momentum, step_size=step_size, num_leapfrog=num_leapfrog)
    energy = lambda s, v: 0.5 * jnp.sum(v**2) - s.log_densities[0]  # noqa: E731
    return state, momentum, end, v, abs(float(energy(end, v) - energy(state, momentum)))


def test_leapfrog_is_reversible():
    state, momentum, end, v, _ = _trajectory(0.2, 10)
    assert np.max(abs(end.position - state.position)) > 0.1
    back, u = leapfrog((quartic,), end, -v, step_size=0.2, num_leapfrog=10)
    np.testing.assert_allclose(back.position, state.position, atol=1e-5)
    np.testing.assert_allclose(-u, momentum, atol=1e-5)


def test_energy_error_is_of_second_order():
    """Fails for Euler steps (slope 1) and for a half step left out."""
    errors = [_trajectory(0.2 / 2**i, 5 * 2**i)[-1] for i in range(4)]
    slopes = np.diff(np.log(errors)) / np.log(0.5)
    assert np.all(abs(slopes - 2) < 0.25), slopes


def test_acceptance_tends_to_one():
    def acceptance(step_size):
        state = hmc_init((quartic,), jnp.array([0.3, -0.8, 1.1]))
        step = lambda k: hmc_step((quartic,), k, state, step_size=step_size, num_leapfrog=5)  # noqa: E731
        return jax.vmap(step)(jax.random.split(KEY, 200))[1].acceptance_probability.mean()

    assert acceptance(0.8) < 0.95
    assert acceptance(0.01) > 0.999


@pytest.mark.parametrize("beyond", [jnp.nan, -jnp.inf, jnp.inf])
def test_a_trajectory_to_no_finite_energy_is_rejected(beyond):
    def walled(z):
        return jnp.where(jnp.all(abs(z) < 1), -0.5 * jnp.sum(z**2), beyond)

    state = hmc_init((walled,), jnp.array([0.5]))
    after, info = hmc_step((walled,), KEY, state, step_size=50.0, num_leapfrog=2)
    assert not info.accepted
    assert info.acceptance_probability == 0
    jax.tree.map(np.testing.assert_array_equal, after, state)


def test_the_state_is_evaluated_once_a_leapfrog_step():
    """Fails if the start is evaluated again, or if the state carried on is not that of its position."""
    calls = []

    def counted(z):
        jax.debug.callback(lambda _: calls.append(1), z)
        return quartic(z)

    state = hmc_init((counted,), jnp.array([0.3, -0.8]))
    jax.effects_barrier()
    assert len(calls) == 1
    for i in range(4):
        state, _ = hmc_step((counted,), jax.random.key(i), state, step_size=0.7, num_leapfrog=6)
    jax.effects_barrier()
    assert len(calls) == 1 + 4 * 6
    fresh = hmc_init((quartic,), state.position)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), state, fresh)


def test_positions_may_be_a_pytree():
    """Fails if the leaves do not move as the one flat vector does."""
    tree = {"a": jnp.array([0.3]), "b": jnp.array([[-0.8], [1.1]])}
    split = lambda z: jnp.sum(jnp.array([quartic(z["a"]), quartic(z["b"])]))  # noqa: E731
    step = {"step_size": 0.3, "num_leapfrog": 4}
    moved, info = hmc_step((split,), KEY, hmc_init((split,), tree), **step)
    flat, flat_info = hmc_step((quartic,), KEY, hmc_init((quartic,), jnp.array([0.3, -0.8, 1.1])), **step)
    np.testing.assert_allclose(info.energy_error, flat_info.energy_error, atol=1e-5)
    np.testing.assert_allclose(
        jnp.concatenate([moved.position["a"], moved.position["b"][:, 0]]), flat.position, 1e-5
    )


def test_integer_latents_are_refused():
    with pytest.raises(InputError, match=r"discrete latents \(dtype int32\)"):
        hmc_init((quartic,), jnp.array([1, 0]))


def test_saturated_logits_leave_the_chain_finite():
    density = lambda z: Bernoulli(1e3 * z).log_prob(jnp.array([1.0, 0.0])) - 0.5 * jnp.sum(z**2)  # noqa: E731
    state = hmc_init((density,), jnp.array([-3.0, 2.0]))
    assert np.all(np.isfinite(state.gradients[0]))
    state, info = hmc_step((density,), KEY, state, step_size=0.1, num_leapfrog=5)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((state, info)))


@pytest.mark.parametrize("num_leapfrog", [1, 2, 5])
def test_the_end_of_a_trajectory_is_that_of_the_steps_written_out(num_leapfrog):
    """Fails if a step is lost or made twice, or if the state at the end holds the density, or the gradient, of
    another place."""
    gradient = jax.grad(quartic)
    z, v = jnp.array(0.7), jnp.array(-0.4)
    state = hmc_init((quartic,), z)
    end, momentum = leapfrog((quartic,), state, v, step_size=0.1, num_leapfrog=num_leapfrog)
    for _ in range(num_leapfrog):
        v = v + 0.05 * gradient(z)
        z = z + 0.1 * v
        v = v + 0.05 * gradient(z)
    np.testing.assert_allclose((end.position, momentum), (z, v), rtol=1e-6)
    np.testing.assert_allclose(end.log_densities[0], quartic(end.position), rtol=1e-6)
    np.testing.assert_allclose(end.gradients[0], gradient(end.position), rtol=1e-6)


def test_a_trajectory_has_at_least_one_step():
    """Fails if a number of steps that would be ignored is taken without a word."""
    state = hmc_init((quartic,), jnp.array(0.7))
    with pytest.raises(InputError, match="num_leapfrog 0: expected at least 1"):
        leapfrog((quartic,), state, jnp.array(0.1), step_size=0.1, num_leapfrog=0)

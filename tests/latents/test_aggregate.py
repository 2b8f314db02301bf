"""Active units and the three parts of the rate, against quadrature and Gaussian closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from vae_jax import InputError, Normal
from vae_jax.latents.aggregate import active_units, full_data_rate_decomposition

KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def no_implicit_rank_promotion():
    """Fails a test in which an estimator relies on NumPy to add axes: jax_numpy_rank_promotion='raise'."""
    with jax.numpy_rank_promotion("raise"):
        yield


def test_active_units_of_a_ppca_optimum():
    """A_u = (l_u - s2) / l_u for eigenvalue l_u above the noise s2, and 0 for a collapsed latent."""
    s2, spectrum = 0.5, np.array([4.0, 1.0, 0.6, 0.5])
    means = np.random.default_rng(0).normal(size=(20_000, 4)) * np.sqrt((spectrum - s2) / spectrum) + 3.0
    units = active_units(means)
    expected = (spectrum - s2) / spectrum
    np.testing.assert_allclose(units.activity, expected, atol=5 * np.sqrt(2 / 20_000))
    assert units.num_active == 3
    assert active_units(means, threshold=0.5).num_active == 1 + (expected[1] < units.activity[1])
    np.testing.assert_allclose(units.activity, np.var(means, axis=0, ddof=1), rtol=1e-4)


def _mixture():
    """Five components in two dimensions, correlated, of unequal widths."""
    loc = np.array([[-2.0, -1.5], [-0.5, 0.1], [0.3, 0.2], [1.0, 2.0], [2.5, 1.5]])
    scale = np.array([[0.5, 0.7], [0.3, 0.4], [1.0, 0.6], [0.4, 0.5], [0.6, 0.3]])
    return loc, scale


def _by_quadrature(loc, scale):
    axis = np.linspace(-8, 8, 801)
    cell = axis[1] - axis[0]
    log_q = stats.norm.logpdf(axis[None, :, None], loc[:, None], scale[:, None])  # [N, grid, d]
    log_prior = stats.norm.logpdf(axis)
    log_marginals = logsumexp(log_q, axis=0) - np.log(len(loc))  # [grid, d]
    log_joint = logsumexp(log_q[:, :, None, 0] + log_q[:, None, :, 1], axis=0) - np.log(len(loc))
    entropy = -np.sum(np.exp(log_joint) * log_joint) * cell**2
    marginal_entropy = -np.sum(np.exp(log_marginals) * log_marginals, 0) * cell
    conditional_entropy = np.mean(np.sum(np.log(scale) + 0.5 * np.log(2 * np.pi * np.e), 1))
    per_latent = np.sum(np.exp(log_marginals) * (log_marginals - log_prior[:, None]), 0) * cell
    return entropy - conditional_entropy, marginal_entropy.sum() - entropy, per_latent


def test_parts_agree_with_quadrature():
    """Fails for a minibatch estimator, whose total correlation is off by whole nats, and for a part in the wrong
    place: their sum alone would not tell."""
    loc, scale = _mixture()
    mutual, correlation, per_latent = _by_quadrature(loc, scale)
    got = full_data_rate_decomposition(KEY, loc, scale, num_samples=20_000, chunk_size=5)
    # Standard deviations of the integrands are below 1.5; 100,000 draws in all.
    np.testing.assert_allclose(got.mutual_information, mutual, atol=0.02)
    np.testing.assert_allclose(got.total_correlation, correlation, atol=0.02)
    np.testing.assert_allclose(got.dimension_wise_kl, per_latent, atol=0.02)
    variance = scale**2
    rate = np.mean(np.sum(0.5 * (variance + loc**2 - 1 - np.log(variance)), 1))
    np.testing.assert_allclose(got.rate, rate, atol=0.03)
    assert correlation > 0.2 > 0.02


def test_parts_of_a_linear_encoder_of_normal_data():
    """MI = (log|S| - sum log v) / 2, TC = (sum log S_jj - log|S|) / 2, KL_j = (S_jj - 1 - log S_jj) / 2."""
    rng, num = np.random.default_rng(0), 2000
    v = np.array([0.3, 0.5])
    loc = rng.multivariate_normal([0, 0], [[0.8, 0.5], [0.5, 0.9]], size=num)
    aggregate = loc.T @ loc / num + np.diag(v)
    log_det = np.linalg.slogdet(aggregate)[1]
    got = full_data_rate_decomposition(KEY, loc, np.sqrt(np.tile(v, (num, 1))), num_samples=4, chunk_size=500)
    np.testing.assert_allclose(got.mutual_information, 0.5 * (log_det - np.log(v).sum()), atol=0.05)
    np.testing.assert_allclose(got.total_correlation, 0.5 * (np.log(np.diag(aggregate)).sum() - log_det), atol=0.05)
    diagonal = np.diag(aggregate)
    np.testing.assert_allclose(got.dimension_wise_kl, 0.5 * (diagonal - 1 - np.log(diagonal)), atol=0.05)


@pytest.mark.parametrize("chunk_size", [1, 3, 4, 1000])
def test_chunks_change_nothing(chunk_size):
    """Fails if a remainder is dropped, or if its padding counts."""
    loc, scale = _mixture()
    whole = full_data_rate_decomposition(KEY, loc, scale, num_samples=2, chunk_size=5)
    chunked = full_data_rate_decomposition(KEY, loc, scale, num_samples=2, chunk_size=chunk_size)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), chunked, whole)


def test_limits():
    """A collapsed q has no part; codes far apart have log N nats of information; the prior is that given."""
    collapsed = full_data_rate_decomposition(KEY, jnp.zeros((50, 3)), jnp.ones((50, 3)))
    jax.tree.map(lambda a: np.testing.assert_allclose(a, 0, atol=1e-5), collapsed)
    corners = 1e3 * np.arange(8.0)[:, None] * np.ones(2)
    far = full_data_rate_decomposition(KEY, corners, np.full((8, 2), 0.1))
    np.testing.assert_allclose(far.mutual_information, np.log(8), rtol=1e-5)
    np.testing.assert_allclose(far.total_correlation, np.log(8), rtol=1e-5)
    prior = Normal(jnp.array([3.0, -1.0]), jnp.array([0.5, 2.0]))
    same = full_data_rate_decomposition(
        KEY, jnp.full((9, 2), prior.loc), jnp.full((9, 2), prior.scale), prior=prior
    )
    jax.tree.map(lambda a: np.testing.assert_allclose(a, 0, atol=1e-5), same)


def test_values_that_make_no_sense_are_named():
    """Fails if arrays of another shape, NaN, infinities or scales of 0 give numbers."""
    with pytest.raises(InputError, match=r"loc of shape \(5,\)"):
        active_units(np.zeros(5))
    with pytest.raises(InputError, match=r"loc of shape \(1, 5\)"):
        active_units(np.zeros((1, 5)))
    for bad in (np.nan, -np.inf):
        with pytest.raises(InputError, match="not finite"):
            active_units(np.array([[0.0, 1.0], [bad, 1.0]]))
        with pytest.raises(InputError, match="not finite"):
            full_data_rate_decomposition(KEY, np.full((4, 2), bad), np.ones((4, 2)))
    with pytest.raises(InputError, match="scale of 0 or less"):
        full_data_rate_decomposition(KEY, np.zeros((4, 2)), np.zeros((4, 2)))
    with pytest.raises(InputError, match=r"loc of shape \(4, 2\), scale of shape \(4, 3\)"):
        full_data_rate_decomposition(KEY, np.zeros((4, 2)), np.ones((4, 3)))
    with pytest.raises(InputError, match="1 samples in chunks of 0"):
        full_data_rate_decomposition(KEY, np.zeros((4, 2)), np.ones((4, 2)), chunk_size=0)


def test_active_units_of_few_examples_far_from_zero():
    """Three means 0, 1, 2 have variance 1 with n - 1, and 2/3 with n. Fails if it is the other, or if means around
    1e6 or a date, in float64, are rounded to float32 before they are centred; traced means too."""
    means = np.array([[0.0, 0.0], [1.0, 0.1], [2.0, 0.2]])
    for offset in (0.0, 1e6, 20240101.0):
        units = active_units(means + offset)
        np.testing.assert_allclose(units.activity, [1, 0.01], rtol=1e-5)
    np.testing.assert_allclose(jax.jit(active_units)(means.astype(np.float32)).activity, [1, 0.01], rtol=1e-5)

"""Sampling, reconstruction, paths and traversals, on decoders simple enough to know the answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import (
    VAE,
    InputError,
    Normal,
    interpolate,
    kl_divergence,
    linear,
    make_conditional_vae,
    make_vae,
    one_hot,
    rate_per_latent,
    reconstruct,
    sample,
    sample_means,
    spherical,
    standard_normal,
    traverse,
)
from vae_jax.likelihoods import LogisticMixture
from vae_jax.networks import MLPDecoder, MLPEncoder

W = jnp.array([[1.0, 2.0], [0.0, 1.0], [3.0, 0.0]])
PRIOR = Normal(jnp.array([1.0, -1.0]), jnp.array([2.0, 0.5]))
# x = W z + noise, encoded by the first two coordinates.
LINEAR = VAE(
    init=lambda key: {},
    encode=lambda params, x: Normal(x[:2], jnp.full(2, 0.1)),
    decode=lambda params, z: Normal(W @ z, jnp.full(3, 0.3)),
    prior=lambda params: PRIOR,
)


def test_samples_have_the_moments_of_the_model():
    """Fails if z is not from the prior, or if x is the decoder's mean in place of a sample of it."""
    x = np.asarray(sample(LINEAR, {}, jax.random.key(0), 20000))
    covariance = W @ np.diag(PRIOR.scale**2) @ W.T + 0.09 * np.eye(3)
    np.testing.assert_allclose(x.mean(0), W @ PRIOR.loc, atol=4 * np.sqrt(covariance.max() / 20000))
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=4 * covariance.max() * np.sqrt(2 / 20000))
    means = np.asarray(sample_means(LINEAR, {}, jax.random.key(0), 20000))
    np.testing.assert_allclose((x - means).std(0), 0.3, rtol=0.03)


def test_reconstruction_is_the_mean_at_a_sample_of_the_posterior():
    """Fails if reconstructions ignore the key, or the posterior's spread."""
    x = jnp.array([1.0, 2.0, 3.0])
    keys = jax.random.split(jax.random.key(0), 5000)
    x_hat = jax.vmap(lambda k: reconstruct(LINEAR, {}, k, x))(keys)
    np.testing.assert_allclose(x_hat.mean(0), W @ x[:2], atol=4 * 0.1 * 3.2 / np.sqrt(5000))
    np.testing.assert_allclose(x_hat.std(0), 0.1 * np.linalg.norm(W, axis=1), rtol=0.05)


@pytest.mark.parametrize("path", [linear, spherical])
def test_interpolation_meets_both_ends(path):
    """Fails if a path misses its ends or its number of steps."""
    x0, x1 = jnp.array([1.0, 0.0, 5.0]), jnp.array([0.0, 2.0, 7.0])
    rows = interpolate(LINEAR, {}, x0, x1, num_steps=7, path=path)
    assert rows.shape == (7, 3)
    np.testing.assert_allclose(rows[0], W @ x0[:2], atol=1e-5)
    np.testing.assert_allclose(rows[-1], W @ x1[:2], atol=1e-5)


def test_spherical_path():
    """Fails if the arc leaves the sphere, moves unevenly, or breaks for parallel, opposite or zero ends."""
    z0, z1 = jnp.array([3.0, 0.0]), jnp.array([0.0, 3.0])
    path = jax.vmap(lambda t: spherical(z0, z1, t))(jnp.linspace(0, 1, 10))
    np.testing.assert_allclose(jnp.linalg.norm(path, axis=1), 3.0, rtol=1e-5)
    np.testing.assert_allclose(jnp.arctan2(path[:, 1], path[:, 0]), np.linspace(0, np.pi / 2, 10), atol=1e-5)
    for end in (2 * z0, -z0, 0 * z0):
        middle = spherical(z0, end, jnp.float32(0.5))
        np.testing.assert_allclose(middle, (z0 + end) / 2, atol=1e-6)


def test_pictures_of_a_likelihood_without_a_mean():
    """Fails if pictures ask for the mean of mixtures over three channels, which is not known but has a centre."""
    shape, made = (2, 2, 3), LogisticMixture(components=2)
    vae = make_vae(MLPEncoder(2, hidden=(3,)), MLPDecoder(shape, hidden=(3,)), likelihood=made)
    x, key = jnp.arange(24.0).reshape(2, *shape), jax.random.key(1)

    @jax.jit
    def pictures(params):
        return (
            sample_means(vae, params, key, 2),
            reconstruct(vae, params, key, x[0])[None],
            interpolate(vae, params, x[0], x[1], num_steps=2),
            traverse(vae, params, jnp.zeros(2), num_steps=2)[0],
        )

    for found in pictures(vae.init(jax.random.key(0))):
        assert found.shape[1:] == shape
        assert np.all((np.asarray(found) >= 0) & (np.asarray(found) <= 255))


def test_traversal_runs_over_the_prior():
    """Fails if the span is not in units of the prior, or if more than one latent moves."""
    z = jnp.array([0.5, 0.25])
    rows = traverse(LINEAR, {}, z, span=2.0, num_steps=3)
    assert rows.shape == (2, 3, 3)
    for j in range(2):
        for u, picture in zip((-2.0, 0.0, 2.0), rows[j], strict=True):
            moved = z.at[j].set(PRIOR.loc[j] + u * PRIOR.scale[j])
            np.testing.assert_allclose(picture, W @ moved, rtol=1e-5)


def test_traversal_under_a_prior_without_closed_form_scale():
    """Fails if such a prior cannot be traversed, or if its spread is not found by sampling."""

    class Laplace:
        def sample(self, key):
            return jax.random.laplace(key, (2,))

    rows = traverse(LINEAR._replace(prior=lambda params: Laplace()), {}, jnp.zeros(2), span=1.0, num_steps=2)
    np.testing.assert_allclose(rows[0, 1] - rows[0, 0], 2 * np.sqrt(2) * W[:, 0], rtol=0.1)


def test_all_serve_conditional_models():
    """Fails if any of them needs to know that there is a condition, or ignores it."""
    cvae = make_conditional_vae(MLPEncoder(2, hidden=(8,)), MLPDecoder((3,), hidden=(8,)), condition=one_hot(4))
    params, x, key = cvae.init(jax.random.key(0)), jnp.ones(3), jax.random.key(1)
    calls = [
        lambda vae: sample_means(vae, params, key, 2),
        lambda vae: reconstruct(vae, params, key, x),
        lambda vae: interpolate(vae, params, x, 0 * x),
        lambda vae: traverse(vae, params, jnp.zeros(2)),
    ]
    for call in calls:
        zero, one = call(cvae.given(0)), call(cvae.given(1))
        assert zero.shape == one.shape
        assert not np.allclose(zero, one)


def test_rate_per_latent_sums_to_the_rate():
    """Fails if a latent's share is not its own KL divergence."""
    x = jnp.array([1.0, 2.0, 3.0])
    rates = rate_per_latent(LINEAR, {}, x)
    q = LINEAR.encode({}, x)
    assert rates.shape == (2,)
    assert float(rates.sum()) == pytest.approx(float(kl_divergence(q, PRIOR, x[:2])), rel=1e-5)
    collapsed = LINEAR._replace(
        encode=lambda params, x: standard_normal((2,)), prior=lambda p: standard_normal((2,))
    )
    np.testing.assert_array_equal(rate_per_latent(collapsed, {}, x), 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: sample(LINEAR, {}, jax.random.key(0), 0),
        lambda: interpolate(LINEAR, {}, jnp.ones(3), jnp.ones(3), num_steps=1),
        lambda: traverse(LINEAR, {}, jnp.zeros(2), span=0.0),
        lambda: traverse(LINEAR, {}, jnp.zeros(2), num_steps=0),
    ],
)
def test_bad_sizes_are_refused(call):
    """Fails if an empty figure is returned in place of an error."""
    with pytest.raises(InputError, match="expected"):
        call()

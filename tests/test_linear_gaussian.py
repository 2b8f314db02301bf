"""A linear VAE trained with `fit` becomes probabilistic PCA, whose maximum likelihood is known exactly.

Sources: Tipping and Bishop 1999; Lucas et al. 2019 (arXiv:1911.02469): the ELBO of the linear VAE has the same
maximum as the likelihood, with the principal axes as the columns of W.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax import elbo, evaluate, fit, init_state, per_example
from vae_jax.testing import oracles

EVENT, LATENT, NUM = 5, 3, 400
SPECTRUM = np.array([4.0, 2.0, 0.6, 0.25, 0.25])


def data_of_spectrum():
    """[NUM, EVENT] whose covariance (1/N) has exactly these eigenvalues."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(NUM, EVENT))
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / NUM)).T
    rotation = np.linalg.qr(rng.normal(size=(EVENT, EVENT)))[0]
    return x * np.sqrt(SPECTRUM) @ rotation.T + rng.normal(size=EVENT)


def trained(vae, x, **tunables):
    optimizer = optax.adam(optax.cosine_decay_schedule(2e-2, 6000))
    state = init_state(vae.init, optimizer, jax.random.key(0))
    batches = lambda data, key, step: jnp.concatenate([data] * 4)  # noqa: E731  full data: noise from z alone
    return fit(
        per_example(elbo, vae, **tunables), optimizer, batches, state, jnp.asarray(x, jnp.float32), num_steps=6000
    ).params


def test_trained_elbo_reaches_the_maximum_likelihood_of_ppca():
    """Fails if objective, gradient or training miss the optimum by 0.01 nats, or go above it."""
    x = data_of_spectrum()
    vae = oracles.linear_gaussian_vae(EVENT, LATENT)
    params = trained(vae, x)
    best = oracles.ppca_maximum(x, LATENT)
    exact = oracles.exact_elbo(params, x).mean()
    assert best - 0.01 < exact <= best + 1e-4
    assert exact <= oracles.log_evidence(params, x).mean() + 1e-6
    # The library's own estimate, sampled, agrees with the closed form at these parameters.
    repeated = jnp.asarray(np.tile(x, (50, 1)), jnp.float32)
    sampled = evaluate(elbo, vae, params, jax.random.key(1), repeated)["elbo"]
    spread = np.std(sampled.reshape(50, NUM).mean(1), ddof=1) / np.sqrt(50)
    assert abs(sampled.mean() - exact) < 4 * spread + 1e-3


@pytest.mark.parametrize(("s2", "beta"), [(0.8, 1.0), (0.4, 2.0), (0.4, 1.0)])
def test_directions_below_the_noise_collapse(s2, beta):
    """Fails if a direction with eigenvalue at most beta s2 stays in use, or one above it collapses.

    With the noise s2 held fixed the beta-VAE learns columns of length sqrt(max(l_i - beta s2, 0)): of the
    eigenvalues 4, 2 and 0.6 the last is below the noise in the first two cases and above it in the third.
    """
    vae = oracles.linear_gaussian_vae(EVENT, LATENT, fixed_s2=s2)
    params = trained(vae, data_of_spectrum(), beta=beta)
    lengths = np.sort(np.linalg.norm(np.asarray(params["W"], np.float64), axis=0))[::-1]
    expected = np.sqrt(np.maximum(SPECTRUM[:LATENT] - beta * s2, 0))
    np.testing.assert_allclose(lengths, expected, atol=0.05)

"""The scale of a normal likelihood in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import InputError, elbo, make_vae
from vae_jax.likelihoods import BernoulliPixels, InUnits, Laplace, NormalPixels, StudentT, with_optimal_scale
from vae_jax.likelihoods.scales import unbounded_scale
from vae_jax.networks import MLPDecoder, MLPEncoder

KEY = jax.random.key(3)
X = (np.random.default_rng(0).normal(size=(11, 4)) * [0.1, 1, 2, 5] + [3, 0, 0, 1]).astype(np.float32)


def model(likelihood):
    vae = make_vae(MLPEncoder(2, hidden=(3,)), MLPDecoder((4,), hidden=(3,)), likelihood=likelihood)
    return vae, vae.init(jax.random.key(0))


def errors(vae, params):
    def one(i, x):
        z = vae.encode(params, x).sample(jax.random.fold_in(KEY, i))
        return x - vae.decode(params, z).mean()

    return np.asarray(jax.vmap(one)(jnp.arange(len(X)), X), np.float64)


@pytest.mark.parametrize(("scale", "axis"), [("learned", None), ("element", 0)])
def test_it_is_the_root_of_the_mean_squared_error(scale, axis):
    """Fails if the scale is another than the closed form, or depends on the batches or on the scale before."""
    vae, params = model(NormalPixels(scale))
    expected = np.sqrt(np.mean(errors(vae, params) ** 2, axis=axis))
    for batch_size, start in ((4, 0.0), (256, -1.5)):
        started = params | {"likelihood": {"scale": params["likelihood"]["scale"] + start}}
        found = with_optimal_scale(vae, started, KEY, X, batch_size=batch_size)
        np.testing.assert_allclose(
            vae.decode(found, jnp.zeros(2)).stddev(), np.broadcast_to(expected, 4), rtol=1e-5
        )
        assert jax.tree.structure(found) == jax.tree.structure(params)


def test_one_scale_a_channel():
    """Fails if the errors of one channel count in the scale of another, or not at all positions."""
    event, scales = (3, 2), jnp.asarray([0.5, 4.0])
    x = scales * jax.random.normal(jax.random.key(1), (500, *event))
    decoder = MLPDecoder(event, hidden=(3,))
    vae = make_vae(MLPEncoder(2, hidden=(3,)), decoder, likelihood=NormalPixels("channel"))
    params = vae.init(jax.random.key(0))
    params = params | {"decoder": jax.tree.map(jnp.zeros_like, params["decoder"])}
    found = with_optimal_scale(vae, params, KEY, x)
    expected = np.sqrt(np.mean(np.asarray(x) ** 2, axis=(0, 1)))
    np.testing.assert_allclose(
        vae.decode(found, jnp.zeros(2)).stddev(), np.broadcast_to(expected, event), rtol=1e-5
    )


def test_no_other_scale_is_better():
    """Fails if the ELBO of the data at the same z is higher at any other scale."""
    vae, params = model(NormalPixels("learned"))
    best = with_optimal_scale(vae, params, KEY, X)
    scales = best["likelihood"]["scale"] + jnp.linspace(-2, 2, 9)

    def log_likelihood(scale, i, x):
        z = vae.encode(params, x).sample(jax.random.fold_in(KEY, i))
        return vae.decode(best | {"likelihood": {"scale": scale}}, z).log_prob(x)

    values = jax.vmap(lambda s: jnp.mean(jax.vmap(lambda i, x: log_likelihood(s, i, x))(jnp.arange(len(X)), X)))(
        scales
    )
    assert np.argmax(values) == 4
    # The bound itself, with other z: the best scale moves little, far ones are worse.
    bounds = [
        np.mean(jax.vmap(lambda x, p=p: -elbo(vae, p, jax.random.key(5), x).value)(X))
        for p in (best, params, best | {"likelihood": {"scale": scales[-1]}})
    ]
    assert np.argmax(bounds) == 0


def test_what_it_is_not_for():
    """Fails if a likelihood without a learned scale, or no data, gives something else than a line that says so."""
    for likelihood in (NormalPixels(0.3), NormalPixels("head"), BernoulliPixels(), Laplace(), StudentT()):
        with pytest.raises(InputError, match="NormalPixels"):
            with_optimal_scale(*model(likelihood), KEY, X)
    with pytest.raises(InputError, match="0 examples"):
        with_optimal_scale(*model(NormalPixels("learned")), KEY, X[:0])


def test_unbounded_scale_undoes_the_bound():
    """Fails if a scale that is set is not the scale that is read."""
    scale = np.array([1e-6, 1e-3, 1.0, 50.0, 1e6])
    raw = np.asarray(unbounded_scale(jnp.asarray(scale, jnp.float32)), np.float64)
    np.testing.assert_allclose(np.exp(15 * np.tanh(raw / 15)), scale, rtol=1e-4)


@pytest.mark.parametrize("scale", ["learned", "element"])
def test_a_learned_scale_starts_at_the_spread_of_the_data(scale):
    """Fails if a learned scale starts at 1 whatever the data are, which costs a thousand updates on dark images."""
    x = np.random.default_rng(0).normal(size=(400, 3)) * [0.1, 0.2, 20.0] + 5
    vae = make_vae(
        MLPEncoder(2, hidden=(3,)),
        MLPDecoder((3,), hidden=(3,)),
        likelihood=InUnits(NormalPixels(scale), (1.0, 1.0, 100.0)),
        examples=x.astype(np.float32),
    )
    params = vae.init(jax.random.key(0))
    spread = x.std(axis=0)
    expected = (
        spread if scale == "element" else np.sqrt(np.mean((spread / [1, 1, 100]) ** 2)) * np.array([1, 1, 100])
    )
    np.testing.assert_allclose(vae.decode(params, jnp.zeros(2)).stddev(), expected, rtol=1e-4)

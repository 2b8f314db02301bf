"""The likelihoods of levels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import InputError
from vae_jax.likelihoods import Categorical, DiscretizedLogistic, LogisticMixture

KEY = jax.random.key(0)
X = np.random.default_rng(0).integers(0, 256, (40, 2, 2, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("scale", "shape", "size"), [("channel", (3,), 3), ("element", (2, 2, 3), 3), ("head", None, 6)]
)
def test_logistic_in_the_units_of_networks(scale, shape, size):
    """Fails if outputs of -1, 0 and 1 are not the levels 0, 127.5 and 255 with a scale of 32 levels."""
    part = DiscretizedLogistic(scale)
    assert part.size(3) == size
    params = part.init(KEY, (2, 2, 3))
    assert shape is None or params["scale"].shape == shape
    for raw, loc in ((-1.0, 0.0), (0.0, 127.5), (1.0, 255.0)):
        out = jnp.zeros((2, 2, size)).at[..., :3].set(raw)
        p = part.apply(params, out)
        np.testing.assert_allclose(p.loc, np.full((2, 2, 3), loc), atol=1e-4)
        np.testing.assert_allclose(np.broadcast_to(p.scale, (2, 2, 3)), 32, rtol=1e-6)
    np.testing.assert_allclose(part.features(jnp.array([0.0, 127.5, 255.0])), [-1, 0, 1])


def test_bias_of_the_logistic_is_the_mean_and_the_spread():
    """Fails if an output started at its bias has not the mean and the spread of the examples."""
    examples = 100 + 20 * np.random.default_rng(1).normal(size=(2000, 2, 1)).round()
    part = DiscretizedLogistic("head")
    p = part.apply({}, jnp.asarray(part.bias(examples)))
    np.testing.assert_allclose(p.mean(), examples.mean(0), rtol=1e-3)
    np.testing.assert_allclose(p.stddev(), examples.std(0), rtol=0.01)
    assert np.all(np.isfinite(part.bias(np.zeros((5, 2, 1)))))


@pytest.mark.parametrize("make", [DiscretizedLogistic, LogisticMixture, Categorical])
def test_settings_and_data_that_are_none(make):
    """Fails if one level, another scale or data that are no levels are taken."""
    for levels in (1, 0, -3, 2.5, True):
        with pytest.raises(InputError, match=f"levels {levels}"):
            make(levels=levels)
    for stored in ("unit", "real", "counts", "columns"):
        with pytest.raises(InputError, match="8-bit levels"):
            make().reads(stored)
    read = make().reads("levels")
    np.testing.assert_array_equal(read.transform(KEY, X.astype(np.uint8)), X)
    assert read.log_levels == 0
    with pytest.raises(InputError, match="scale learned"):
        DiscretizedLogistic("learned")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_mixture_reads_its_numbers_in_order(channels):
    """Fails if the numbers of a position are read in another order than said, or not in the units of networks."""
    part = LogisticMixture(components=5)
    size = part.size(channels)
    assert size == 5 * (1 + 2 * channels + channels * (channels - 1) // 2)
    raw = np.random.default_rng(0).normal(size=(2, 3, size)).astype(np.float32)
    p = part.apply(part.init(KEY, (2, 3, channels)), jnp.asarray(raw))
    logits, loc, scale, coefficients = np.split(
        np.moveaxis(raw, -1, 0), np.array([1, 1 + channels, 1 + 2 * channels]) * 5
    )
    np.testing.assert_array_equal(p.logits, logits)
    np.testing.assert_allclose(p.loc, 127.5 + 127.5 * loc.reshape(channels, 5, 2, 3), rtol=1e-5)
    np.testing.assert_allclose(p.scale, 32 * np.exp(15 * np.tanh(scale / 15)).reshape(channels, 5, 2, 3), rtol=1e-5)
    np.testing.assert_allclose(p.coefficients, np.tanh(coefficients).reshape(-1, 5, 2, 3), rtol=1e-5)


def test_bias_of_the_mixture_is_near_the_examples():
    """Fails if components start as one, or an output started at its bias has not the mean of the examples."""
    examples = (128 + 20 * np.random.default_rng(1).normal(size=(500, 2, 3))).round()
    part = LogisticMixture(components=4)
    p = part.apply({}, jnp.asarray(part.bias(examples)))
    np.testing.assert_allclose(p.center(), examples.mean(0), atol=0.1)
    assert np.all(np.diff(p.loc, axis=1) > 2)
    log_probs = np.asarray(jax.jit(jax.vmap(p.log_prob))(examples)) / 6
    normal = -np.log(examples.std() * np.sqrt(2 * np.pi * np.e))
    assert abs(log_probs.mean() - normal) < 0.1
    assert np.all(np.isfinite(part.bias(np.zeros((5, 2, 1)))))


@pytest.mark.parametrize("components", [0, -1, 1.5, True])
def test_components_that_are_none(components):
    """Fails if a mixture of nothing can be chosen."""
    with pytest.raises(InputError, match=f"components {components}"):
        LogisticMixture(components)


def test_bias_of_categorical_is_how_often_levels_occur():
    """Fails if logits are laid out otherwise than read, or a level that is never seen has no mass."""
    part = Categorical(levels=4)
    assert part.size(3) == 12
    examples = np.random.default_rng(1).integers(0, 3, (60, 2, 3)).astype(np.float32)
    examples[:, 0, 1] = 2
    raw = part.bias(examples)
    assert raw.shape == (2, 12)
    p = part.apply({}, jnp.asarray(raw))
    found = np.exp(np.asarray(jax.vmap(lambda k: p.log_prob_each(jnp.full((2, 3), k)))(jnp.arange(4.0))))
    exact = np.stack([(examples == k).mean(0) for k in range(4)])
    np.testing.assert_allclose(found, (60 * exact + 0.25) / 61, rtol=1e-5)

"""The likelihoods of real numbers with outliers and of numbers in [0, 1]."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_jax import InputError
from vae_jax.likelihoods import ContinuousBernoulli, Laplace, NormalPixels, StudentT

KEY = jax.random.key(0)
RAW = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
X = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)


def bounded(raw):
    return np.exp(15 * np.tanh(np.asarray(raw, np.float64) / 15))


@pytest.mark.parametrize(
    ("family", "logpdf"),
    [
        (NormalPixels, stats.norm.logpdf),
        (Laplace, stats.laplace.logpdf),
        (lambda scale: StudentT(3.0, scale), lambda *at: stats.t.logpdf(at[0], 3.0, *at[1:])),
    ],
    ids=["normal", "laplace", "student-t"],
)
def test_the_five_scales(family, logpdf):
    """Fails if a scale that is given, learned or emitted is another than that of the density."""
    cases = [
        (0.3, {}, RAW, 0.3),
        ("learned", {"scale": jnp.float32(-0.7)}, RAW, bounded(-0.7)),
        ("channel", {"scale": jnp.asarray(RAW[0] / 2)}, RAW, bounded(RAW[:1] / 2)),
        ("element", {"scale": jnp.asarray(RAW / 2)}, RAW, bounded(RAW / 2)),
        ("head", {}, np.concatenate([RAW, RAW / 3], -1), bounded(RAW / 3)),
    ]
    for scale, params, raw, expected in cases:
        part = family(scale)
        assert jax.tree.map(jnp.shape, part.init(KEY, (3, 4))) == jax.tree.map(jnp.shape, params)
        assert part.size(4) == raw.shape[-1]
        p = part.apply(params, jnp.asarray(raw))
        np.testing.assert_allclose(p.log_prob(X), logpdf(X, RAW, expected).sum(), rtol=1e-5)


def test_learned_degrees_of_freedom():
    """Fails if they do not start at 5, or may fall to where there is no mean."""
    part = StudentT(scale=1.0)
    start = part.init(KEY, (3, 4))
    np.testing.assert_allclose(part.apply(start, jnp.asarray(RAW)).df, 5, rtol=0.01)
    lowest = part.apply({"df": jnp.float32(-1e6)}, jnp.asarray(RAW))
    np.testing.assert_array_equal(lowest.center(), RAW)
    assert lowest.df >= 1


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf"), "other"])
def test_settings_that_are_none(wrong):
    """Fails if a density that is 0, infinite or NaN everywhere can be chosen."""
    for make in (Laplace, StudentT, lambda value: StudentT(scale=value)):
        with pytest.raises(InputError, match=str(wrong)):
            make(wrong)


def test_biases_are_the_output_at_the_marginals():
    """Fails if an output started at its bias is not the median, or mean, and the spread of the examples."""
    examples = np.random.default_rng(2).standard_t(3.0, size=(4000, 2)) * [1, 4] + [0, 9]
    for part, spread in (
        (Laplace("head"), np.abs(examples - np.median(examples, 0)).mean(0)),
        (StudentT(3.0, "head"), [1, 4]),
    ):
        p = part.apply({}, jnp.asarray(part.bias(examples)))
        np.testing.assert_allclose(
            p.center() if hasattr(p, "center") else p.mean(), np.median(examples, 0), rtol=1e-4
        )
        np.testing.assert_allclose(p.scale, spread, rtol=0.05)
        assert np.all(np.isfinite(part.bias(np.zeros((3, 2)))))
    grey = np.random.default_rng(3).uniform(size=(50, 5)) ** [0.01, 0.5, 1, 4, 40]
    part = ContinuousBernoulli()
    np.testing.assert_allclose(part.apply({}, jnp.asarray(part.bias(grey))).mean(), grey.mean(0), rtol=1e-3)
    np.testing.assert_allclose(np.abs(part.bias(np.array([[0.0, 1.0]]))), 1000, rtol=1e-3)


def test_what_is_read():
    """Fails if levels are not dequantized to [0, 1), or data that a density is none of are taken."""
    x = np.array([0, 255], np.uint8)
    for part in (ContinuousBernoulli(), Laplace(), StudentT()):
        reading = part.reads("levels")
        read = np.asarray(reading.transform(KEY, x))
        assert np.all((read >= 0) & (read < 1))
        assert reading.log_levels == np.log(256)
        with pytest.raises(InputError, match="columns"):
            part.reads("columns")
    with pytest.raises(InputError, match="continuous-bernoulli of real numbers"):
        ContinuousBernoulli().reads("real")

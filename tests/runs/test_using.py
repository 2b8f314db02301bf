"""A finished run as a tool in Python: exact where the answer is known, whatever the batches and the units."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.runs.own import X, own
from vae_jax import InputError, evaluate, importance_log_likelihood, make_conditional_vae, make_vae, one_hot
from vae_jax.distributions import Masked, Normal, Observed
from vae_jax.distributions.masked import from_nan
from vae_jax.latents import spherical
from vae_jax.likelihoods import InUnits, NormalPixels
from vae_jax.model import VAE
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.runs import EVALUATION_SEED, Finished, load_run, train, using
from vae_jax.runs.gaps import impute
from vae_jax.runs.task import Units
from vae_jax.testing.oracles import exact_elbo, linear_gaussian_vae, log_evidence, random_params

KEY = jax.random.key(3)
PARAMS = random_params(0, 4, 2)
LINEAR = linear_gaussian_vae(4, 2)
ROWS = np.random.default_rng(1).normal(size=(257, 4)).astype(np.float32)


def made(vae, params, transform=lambda key, x: x, event=(4,), facts=None, **units):
    return Finished("", None, vae, params, transform, facts or {}, {}, Units(event, **units))


def covariance(params):
    w = np.asarray(params["W"], np.float64)
    return w @ w.T + np.exp(params["log_s2"]) * np.eye(4)


RUN = made(LINEAR, PARAMS)


def test_methods_are_those_of_the_model():
    """Fails if a code is no posterior mean, a reconstruction not that of it, or a way not between two of them."""
    codes = np.asarray(ROWS[:3] - PARAMS["b"]) @ PARAMS["V"].T
    np.testing.assert_allclose(RUN.encode(ROWS[:3]), codes, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(RUN.decode(codes), codes @ PARAMS["W"].T + PARAMS["b"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(RUN.reconstruct(ROWS[:3]), RUN.decode(codes), rtol=1e-4, atol=1e-5)
    way = RUN.interpolate(ROWS[0], ROWS[1], num_steps=3)
    np.testing.assert_allclose(way[[0, 2]], RUN.reconstruct(ROWS[:2]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(way[1], way[[0, 2]].mean(axis=0), rtol=1e-4, atol=1e-5)
    round_way = using.interpolate(RUN, ROWS[0], ROWS[1], num_steps=3, path=spherical)
    np.testing.assert_allclose(round_way[[0, 2]], way[[0, 2]], rtol=1e-4, atol=1e-5)


def test_a_log_likelihood_is_that_of_an_evaluation():
    """Fails if the noise is not that of `evaluate` under the seed of a run, or the estimate not log p(x)."""
    found = RUN.log_likelihood(ROWS[:5], num_samples=200)
    key = jax.random.key(EVALUATION_SEED)
    same = evaluate(importance_log_likelihood, LINEAR, PARAMS, key, ROWS[:5], num_samples=200)
    np.testing.assert_allclose(found, same["log_likelihood"], rtol=1e-5)
    exact, error = log_evidence(PARAMS, ROWS[:5]), same["standard_error"]
    np.testing.assert_array_less(np.abs(found - exact), 4 * error + 1e-4)
    elbos = RUN.elbo(np.repeat(ROWS[:1], 200, axis=0))
    assert abs(elbos.mean() - exact_elbo(PARAMS, ROWS[0])) < 4 * elbos.std() / np.sqrt(200)


def test_own_units():
    """Fails if a log-likelihood is not in the units of the data: 1,000 times a column is log 1000 less."""

    def run_of(scale):
        vae = make_vae(
            MLPEncoder(2, hidden=(3,)), MLPDecoder((2,), hidden=(3,)), likelihood=InUnits(NormalPixels(1.0), scale)
        )
        return made(vae, vae.init(KEY), event=(2,))

    a, b = run_of((1.0, 1.0)), run_of((1000.0, 1.0))
    x = ROWS[:4, :2]
    thousand = x * np.array([1000.0, 1.0], np.float32)
    np.testing.assert_allclose(
        b.log_likelihood(thousand, num_samples=20), a.log_likelihood(x, num_samples=20) - np.log(1000), rtol=1e-5
    )
    np.testing.assert_allclose(b.elbo(thousand), a.elbo(x) - np.log(1000), rtol=1e-5)
    np.testing.assert_allclose(b.reconstruct(thousand), a.reconstruct(x) * [1000, 1], rtol=1e-5)


def test_moments_of_samples():
    """Fails if a sample is a mean, or has the noise of another."""
    drawn = RUN.sample(KEY, 20_000)
    np.testing.assert_allclose(drawn.mean(axis=0), PARAMS["b"], atol=0.06)
    np.testing.assert_allclose(np.cov(drawn.T), covariance(PARAMS), atol=0.12)
    assert len(np.unique(drawn, axis=0)) == 20_000


@pytest.mark.parametrize("num", [1, 3, 256, 257])
def test_numbers_do_not_depend_on_the_batches(num):
    """Fails if the noise of an example depends on how many others there are, or on the piece that it comes in."""
    whole = {name: of(ROWS, 0) for name, of in DRAWN.items()}
    for name, of in DRAWN.items():
        np.testing.assert_allclose(of(ROWS[:num], 0), whole[name][:num], rtol=1e-4, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(of(ROWS[200:], 200), whole[name][200:], rtol=1e-4, atol=1e-4, err_msg=name)


DRAWN = {
    "encode": lambda x, first: using.encode(RUN, x, first=first),
    "reconstruct": lambda x, first: using.reconstruct(RUN, x, first=first),
    "bound": lambda x, first: using.bound(RUN, x, first=first),
    "log_likelihood": lambda x, first: using.log_likelihood(RUN, x, num_samples=7, first=first),
    "sample": lambda x, first: using.sample(RUN, KEY, len(x), first=first),
    "impute": lambda x, first: np.moveaxis(
        impute(GAPPY, KEY, with_gaps(x), num_draws=2, num_samples=5, first=first), 0, 1
    ),
}


def with_gaps(x):
    x = np.array(x)
    x[:, 1] = np.nan
    return x


def masked_vae():
    """The linear-Gaussian model of examples with gaps, with a q that is wide and not the posterior."""

    def encode(params, x):
        seen = x.seen * (x.value - params["b"])
        return Normal(params["V"] @ seen, jnp.ones(2))

    return VAE(LINEAR.init, encode, lambda params, z: Masked(LINEAR.decode(params, z)), LINEAR.prior)


GAPPY = made(masked_vae(), PARAMS, lambda key, x: from_nan(x))


def test_gaps_are_drawn_from_what_is_not_known_given_what_is_seen():
    """Fails if a draw is not one of p(x_missing | x_seen), or what is seen changes in its last digit."""
    x = np.array([[0.1, np.nan, 1.7, np.nan], [0.1, 0.2, 0.3, 0.4]])
    drawn = impute(GAPPY, KEY, x, num_draws=1000, num_samples=4000)
    assert drawn.shape == (1000, 2, 4)
    assert drawn.dtype == np.float64
    np.testing.assert_array_equal(drawn[:, 0, [0, 2]], np.broadcast_to(x[0, [0, 2]], (1000, 2)))
    np.testing.assert_array_equal(drawn[:, 1], np.broadcast_to(x[1], (1000, 4)))
    s, b = covariance(PARAMS), np.asarray(PARAMS["b"], np.float64)
    seen, gap = [0, 2], [1, 3]
    gain = s[np.ix_(gap, seen)] @ np.linalg.inv(s[np.ix_(seen, seen)])
    mean, cov = b[gap] + gain @ (x[0, seen] - b[seen]), s[np.ix_(gap, gap)] - gain @ s[np.ix_(seen, gap)]
    found = drawn[:, 0, gap]
    error = np.sqrt(np.diag(cov) / 1000)
    np.testing.assert_array_less(np.abs(found.mean(axis=0) - mean), 4 * error)
    np.testing.assert_allclose(np.cov(found.T), cov, atol=5 * np.diag(cov).max() * np.sqrt(2 / 1000))


def test_gaps_that_cannot_be_filled():
    """Fails if draws are made by a model that cannot read gaps, by weights that are all 0, or of no number."""
    with pytest.raises(InputError, match="without gaps: expected one on examples with some"):
        impute(RUN, KEY, ROWS[:2], num_samples=2)
    far = np.array([[0.0, np.nan, 0, 0], [1e30, np.nan, 0, 0]])
    with pytest.raises(InputError, match="example 7 is impossible under the model"):
        impute(GAPPY, KEY, far, num_samples=2, first=6)
    for name in ("num_draws", "num_samples"):
        with pytest.raises(InputError, match=f"{name} 0: expected at least 1"):
            impute(GAPPY, KEY, far, **{name: 0})


def test_one_shape_is_compiled_once():
    """Fails if every call of the same shape traces the model anew."""
    traced = []

    def encode(params, x):
        traced.append(1)
        return LINEAR.encode(params, x)

    run = made(LINEAR._replace(encode=encode), PARAMS)
    for _ in range(3):
        run.encode(ROWS[:5])
        run.encode(ROWS[:7])  # filled up to eight, as five are
    assert len(traced) == 1
    run.log_likelihood(ROWS[:2], num_samples=3)
    run.log_likelihood(ROWS[:2], num_samples=3)
    once = len(traced)
    run.log_likelihood(ROWS[2:4], num_samples=3)
    assert len(traced) == once


SETTINGS = {
    "64 bits": lambda: jax.enable_x64(True),
    "no promotion of ranks": lambda: jax.numpy_rank_promotion("raise"),
    "NaN ends it": lambda: jax.debug_nans(True),
    "no jit": jax.disable_jit,
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_under_the_settings_of_the_user(setting):
    """Fails if a run is of no use under a setting of JAX, or gives other codes there."""
    x = ROWS[:2]
    calls = [
        *(lambda of=of: of(x) for of in (RUN.encode, RUN.reconstruct, RUN.elbo)),
        lambda: RUN.log_likelihood(x, num_samples=3),
        lambda: RUN.interpolate(x[0], x[1], num_steps=2),
        lambda: impute(GAPPY, KEY, with_gaps(x), num_draws=2, num_samples=3),
    ]
    codes = RUN.encode(x)
    with setting():
        # Without jit every operation is compiled by itself.
        found = [call() for call in (calls[:2] if setting is jax.disable_jit else calls)]
        drawn = RUN.sample(KEY, 2)
    np.testing.assert_allclose(found[0], codes, rtol=1e-5)
    assert all(np.isfinite(a).all() for a in [*found, drawn])


def no_gaps(x):
    x = np.array(x, np.float32)
    x[0, 0] = np.nan
    return x


REFUSED = {
    "one example": (lambda: RUN.encode(ROWS[0]), r"examples of shape \(4,\): expected \['N', 4\]"),
    "a column that would be broadcast": (lambda: RUN.elbo(ROWS[:, :1]), r"shape \(257, 1\): expected \['N', 4\]"),
    "no example": (lambda: RUN.reconstruct(ROWS[:0]), "no examples: expected at least one"),
    "texts": (lambda: RUN.encode(np.full((2, 4), "a")), "dtype <U1: expected numbers, categories as codes"),
    "gaps": (lambda: RUN.log_likelihood(no_gaps(ROWS[:2])), "trained on examples without any; fill them first"),
    "a condition": (lambda: RUN.encode(ROWS[:2], [0, 1]), "has no conditions: expected examples alone"),
    "a condition of a sample": (lambda: RUN.sample(KEY, 2, [0, 1]), "has no conditions"),
    "no samples": (lambda: RUN.sample(KEY, 0), "0 samples: expected at least 1"),
    "no weights": (lambda: RUN.log_likelihood(ROWS, num_samples=0), "num_samples 0: expected at least 1"),
    "one step": (lambda: RUN.interpolate(ROWS[0], ROWS[1], num_steps=1), "num_steps 1: expected at least 2"),
    "two shapes": (lambda: RUN.interpolate(ROWS[0], ROWS[0, :2]), r"shape \(4,\) and \(2,\): expected two of one"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(call, message):
    """Fails if what the model cannot read gives numbers, or an error from deep inside."""
    with pytest.raises(InputError, match=message):
        call()


def conditional(facts):
    vae = make_conditional_vae(
        MLPEncoder(2, hidden=(3,)),
        MLPDecoder((4,), hidden=(3,)),
        condition=one_hot(3),
        likelihood=NormalPixels(1.0),
    )
    return made(vae, vae.init(KEY), facts=facts)


@pytest.mark.parametrize("facts", [{}, {"num_classes": 3}])
def test_conditions(facts):
    """Fails if a label changes nothing, goes to another example, or if a missing or unknown one gives numbers."""
    run, c = conditional(facts), np.array([0, 2, 1])
    x = np.repeat(ROWS[:1], 3, axis=0)
    for of in (run.encode, run.reconstruct, run.elbo, run.log_likelihood):
        found = of(x, c)
        assert len(np.unique(found, axis=0)) == 3
        with pytest.raises(InputError, match="expected c, one for each example"):
            of(x)
    np.testing.assert_allclose(run.encode(x, c)[1], run.encode(x[:1], np.array([2]))[0], rtol=1e-5)
    with pytest.raises(InputError, match="expected c, one for each example"):
        run.sample(KEY, 3)
    with pytest.raises(InputError, match=r"examples\[1\] has 2|c of shape \(2,\) and dtype int64: expected 3"):
        run.encode(x, c[:2])
    if facts:
        for wrong, said in (
            ([0, 3, 1], "label 3 of example 1: expected 0 to 2"),
            ([0.0, 1, 2], "expected 3 integers"),
        ):
            for call in (
                lambda w: run.encode(x, w),
                lambda w: run.sample(KEY, 3, w),
                lambda w: run.decode(x[:, :2], w),
            ):
                with pytest.raises(InputError, match=said):
                    call(np.array(wrong))
    way = using.interpolate(run, ROWS[0], ROWS[1], 0, 2, num_steps=2)
    z = run.encode(ROWS[:2], np.array([0, 2]))
    np.testing.assert_allclose(way, run.decode(z, np.array([0, 0])), rtol=1e-5)


def test_a_run_of_a_config_of_ones_own(tmp_path):
    """Fails if a run whose config knows no units cannot be used, or not after it is loaded from its folder."""
    config = own(tmp_path / "run", num_steps=4, eval_every=4)
    train(config)
    run = load_run(tmp_path / "run", type(config))
    assert run.encode(X).shape == (20, 2)
    for of in (run.reconstruct, lambda x: run.sample(KEY, 20), lambda x: run.decode(run.encode(x))):
        assert of(X).shape == (20, 3)
    assert run.interpolate(X[0], X[1], num_steps=4).shape == (4, 3)
    assert np.all(run.elbo(X) <= 0)  # of a Bernoulli
    assert np.isfinite(run.log_likelihood(X, num_samples=5)).all()
    with pytest.raises(InputError, match="without gaps"):
        impute(run, KEY, X, num_samples=2)


def test_gaps_of_a_config_of_ones_own():
    """Fails if draws of a run whose `Units` say nothing come with what says that all of them are seen."""
    run = GAPPY._replace(units=Units())
    x = with_gaps(ROWS[:2])
    drawn = impute(run, KEY, x, num_draws=3, num_samples=4)
    assert drawn.shape == (3, 2, 4)
    assert np.isfinite(drawn).all()
    np.testing.assert_array_equal(drawn[0][:, 0], x[:, 0])
    assert isinstance(run.sample(KEY, 2), Observed)
    assert dataclasses.is_dataclass(own("x"))

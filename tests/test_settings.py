"""Settings of JAX that are the user's: 64 bits, no implicit rank promotion, NaN checks, no jit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import (
    Normal,
    annealed_log_likelihood,
    bidirectional_bounds,
    elbo,
    evaluate,
    importance_log_likelihood,
    interpolate,
    iwae,
    make_conditional_vae,
    make_vae,
    one_hot,
    sample,
    spherical,
    traverse,
)
from vae_jax.distributions import Joint, Mixture, kl_divergence, rates, stddev
from vae_jax.evidence import hmc_init, hmc_step, inference_gaps, posterior_base
from vae_jax.latents import full_data_rate_decomposition
from vae_jax.likelihoods import BernoulliPixels, NormalPixels
from vae_jax.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from vae_jax.objectives import (
    ELBO,
    IWAE,
    BetaTCVAE,
    ControlledCapacity,
    DipVAEI,
    DipVAEII,
    FactorVAE,
    Linear,
)
from vae_jax.posteriors import DiagonalNormal, FullNormal
from vae_jax.priors import ConditionalNormal, StandardNormal, Vamp
from vae_jax.priors import Mixture as MixturePrior
from vae_jax.testing.oracles import linear_gaussian_vae, log_evidence, random_params

ANNEALING = {"num_temperatures": 3, "num_chains": 2, "num_leapfrog": 2}
OBJECTIVES = (
    ELBO(beta=2.0, warmup=Linear(10)),
    IWAE(3),
    ControlledCapacity(growth=Linear(10)),
    BetaTCVAE(),
    FactorVAE(hidden=(3,)),
    DipVAEI(),
    DipVAEII(),
)
PAIRS = (
    (StandardNormal(), FullNormal()),
    (MixturePrior(2), DiagonalNormal()),
    (Vamp(2), FullNormal()),
    (ConditionalNormal((3,)), DiagonalNormal()),
)


def x_of(*shape):
    return np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)


def networks():
    return MLPEncoder(2, hidden=(3,)), MLPDecoder((4,), hidden=(3,))


def losses(vae, step=3):
    """The sum of the losses of all objectives, as one function of their parameters: one program for all."""
    bound = [objective.bind(vae, (2,), 50) for objective in OBJECTIVES]

    def loss(params, key, batch):
        return sum(b.loss(p, key, batch, jnp.int32(step)).value for b, p in zip(bound, params, strict=True))

    return loss, [b.vae.init for b in bound]


def all_finite(tree):
    return all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(tree))


def in_dtype(tree, dtype):
    return jax.tree.map(lambda a: jnp.asarray(a, dtype), tree)


ESTIMATORS = {
    "importance": functools.partial(importance_log_likelihood, num_samples=5, chunk_size=2),
    "annealed from q": functools.partial(annealed_log_likelihood, base=posterior_base, step_sizes=0.1, **ANNEALING),
    "bidirectional": lambda vae, params, key, x: bidirectional_bounds(vae, params, key, **ANNEALING),
    "gaps": functools.partial(
        inference_gaps, log_likelihood=0.0, num_steps=2, num_samples=2, num_evaluation_samples=2
    ),
}


@pytest.mark.parametrize(
    ("prior", "dtype", "expected"),
    [
        (StandardNormal(), np.float64, np.float64),
        (StandardNormal(), np.float32, np.float64),
        (MixturePrior(2), np.float32, np.float32),
    ],
    ids=["64", "prior of 64 and networks of 32", "32"],
)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_in_64_bits(name, prior, dtype, expected):
    """Fails if a scan carries another dtype than it began with, or numbers of 32 bits become 64 by a constant."""
    with jax.enable_x64(True):
        vae = make_vae(*networks(), prior=prior)
        params = in_dtype(vae.init(jax.random.key(0)), dtype)
        x = jnp.asarray(x_of(4), dtype)
        found = jax.jit(lambda p, x: ESTIMATORS[name](vae, p, jax.random.key(1), x)[:2])(params, x)
        assert all_finite(found)
        assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(expected)}


def test_64_bits_are_kept_to_the_end():
    """Fails if something inside is rounded to 32 bits: weights under the exact posterior have no variance."""
    with jax.enable_x64(True):
        vae, params = linear_gaussian_vae(5, 2), random_params(0, 5, 2, orthogonal=True)
        params = in_dtype(params, np.float64)
        w = np.asarray(params["W"])
        s2 = float(np.exp(params["log_s2"]))
        m = np.diag(w.T @ w) + s2  # W is orthogonal up to the float32 that it was rounded to
        off = np.abs(w.T @ w - np.diag(np.diag(w.T @ w))).max()
        params |= {"V": jnp.asarray(w.T / m[:, None]), "log_v": jnp.log(s2 / m)}
        x = np.random.default_rng(1).normal(size=5)
        exact = float(log_evidence(params, x))
        found = importance_log_likelihood(vae, params, jax.random.key(0), x, num_samples=3)
        assert abs(found.value - exact) < 100 * off + 1e-12
        assert off < 1e-6
        found = annealed_log_likelihood(
            vae, params, jax.random.key(0), x, base=posterior_base, step_sizes=0.1, **ANNEALING
        )
        assert abs(found.value - exact) < 100 * off + 1e-12


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_objectives_and_their_gradients_in_64_bits(dtype):
    """Fails if an objective cannot be traced in 64 bits, or if a gradient has another dtype than its parameter."""
    with jax.enable_x64(True):
        loss, inits = losses(make_vae(*networks()))
        params = in_dtype([init(jax.random.key(0)) for init in inits], dtype)
        value, gradient = jax.jit(jax.value_and_grad(loss))(params, jax.random.key(1), jnp.asarray(x_of(6, 4)))
        assert all_finite((value, gradient))
        assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {np.dtype(dtype)}


@pytest.mark.parametrize(("prior", "posterior"), PAIRS, ids=lambda part: type(part).__name__)
def test_parts_in_64_bits_and_without_rank_promotion(prior, posterior):
    """Fails if a prior or posterior relies on 32 bits or on axes that NumPy adds, in value and gradient."""
    likelihood = NormalPixels("head") if isinstance(posterior, FullNormal) else NormalPixels("learned")
    with jax.enable_x64(True), jax.numpy_rank_promotion("raise"):
        cvae = make_conditional_vae(
            *networks(), condition=one_hot(2), prior=prior, posterior=posterior, likelihood=likelihood
        )
        params = in_dtype(cvae.init(jax.random.key(0)), np.float32)

        def both(params, x):
            vae, key = cvae.given(1), jax.random.key(1)
            z = vae.encode(params, x).mean()
            pictures = traverse(vae, params, z, num_steps=2), interpolate(vae, params, x, -x, path=spherical)
            one = elbo(vae, params, key, x).value + iwae(vae, params, key, x, num_samples=2).value
            return one, (pictures, sample(vae, params, key, 2))

        (value, pictures), gradient = jax.jit(jax.value_and_grad(both, has_aux=True))(params, jnp.asarray(x_of(4)))
        assert all_finite((value, pictures, gradient))
        assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {np.dtype(np.float32)}


def test_the_rest_in_64_bits(tmp_path):
    """Fails if the full-data rate, a transition or an evaluation in a file needs 32 bits."""
    with jax.enable_x64(True):
        for dtype in (np.float32, np.float64):
            loc = np.random.default_rng(0).normal(size=(5, 2)).astype(dtype)
            found = full_data_rate_decomposition(jax.random.key(0), loc, np.ones_like(loc), chunk_size=2)
            assert all_finite(found)
            densities = (lambda z: -0.5 * jnp.sum(z**2), lambda z: -jnp.sum(z**4))
            state = hmc_init(densities, jnp.ones(2, dtype))
            after, info = hmc_step(
                densities, jax.random.key(0), state, step_size=0.1, num_leapfrog=2, weights=(0.5, 0.5)
            )
            assert after.position.dtype == state.position.dtype
            assert np.isfinite(info.energy_error)
        vae = make_vae(*networks(), likelihood=BernoulliPixels())
        params = in_dtype(vae.init(jax.random.key(0)), np.float32)
        found = evaluate(elbo, vae, params, jax.random.key(0), x_of(5, 4), batch_size=2, file=tmp_path / "a.npz")
        assert found["elbo"].shape == (5,)


@pytest.fixture
def explicit_ranks():
    with jax.numpy_rank_promotion("raise"):
        yield


@pytest.mark.usefixtures("explicit_ranks")
def test_objectives_without_rank_promotion():
    """Fails if an objective relies on NumPy to add axes."""
    loss, inits = losses(make_vae(*networks()))
    params = [init(jax.random.key(0)) for init in inits]
    value, gradient = jax.jit(jax.value_and_grad(loss))(params, jax.random.key(1), jnp.asarray(x_of(6, 4)))
    assert all_finite((value, gradient))


@pytest.mark.usefixtures("explicit_ranks")
@pytest.mark.parametrize("shape", [(8, 8, 3), (4, 12, 1)])
def test_convolutions_without_rank_promotion(shape):
    """Fails if a convolutional network relies on it, forward or in the gradient, plain or given a condition."""
    cvae = make_conditional_vae(
        ConvEncoder(2, channels=(2, 3), hidden=(4,)),
        ConvDecoder(shape, channels=(3, 2), hidden=(4,)),
        condition=one_hot(2),
        likelihood=NormalPixels("head"),
    )

    def loss(params, x):
        return elbo(cvae.given(0), params, jax.random.key(1), x).value

    params = jax.jit(cvae.init)(jax.random.key(0))
    value, gradient = jax.jit(jax.value_and_grad(loss))(params, jnp.asarray(x_of(*shape)))
    assert all_finite((value, gradient))


@pytest.mark.usefixtures("explicit_ranks")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_without_rank_promotion(name):
    """Fails if an estimator of log p(x) relies on it, here under a mixture prior and a full covariance."""
    vae = make_vae(*networks(), prior=MixturePrior(2), posterior=FullNormal())
    params = vae.init(jax.random.key(0))
    found = jax.jit(lambda p: ESTIMATORS[name](vae, p, jax.random.key(1), jnp.asarray(x_of(4))).value)(params)
    assert all_finite(found)


@pytest.mark.usefixtures("explicit_ranks")
def test_distributions_without_rank_promotion():
    """Fails if a moment, a density or a divergence adds axes: one scale for all, mixtures, trees."""
    shared = Normal(jnp.zeros((2, 3)), jnp.float32(2.0))
    mixture = Mixture(Normal(jnp.zeros((4, 2, 3)), jnp.ones((4, 2, 3))), jnp.zeros(4))
    z = mixture.sample(jax.random.key(0))
    tree = Joint({"a": shared, "b": mixture})
    found = [
        stddev(tree),
        tree.log_prob({"a": z, "b": z}),
        kl_divergence(shared, mixture, z),
        rates(shared, Normal(jnp.float32(0.0), jnp.ones((2, 3))), z),
    ]
    assert all_finite(found)


def test_nothing_is_nan_on_the_way():
    """Fails if a NaN is made and thrown away, on which `jax_debug_nans` stops a user who looks for their own."""
    vae = make_vae(*networks(), prior=MixturePrior(2))
    with jax.debug_nans(True):
        params = vae.init(jax.random.key(0))
        x = jnp.asarray(x_of(4))
        loss = lambda p: elbo(vae, p, jax.random.key(1), x).value  # noqa: E731
        gradient = jax.jit(jax.grad(loss))(params)
        found = jax.jit(lambda p: ESTIMATORS["importance"](vae, p, jax.random.key(1), x))(params)
        annealed = annealed_log_likelihood(vae, params, jax.random.key(1), x, step_sizes=0.1, **ANNEALING)
        # A step that leaves every finite energy behind is rejected, and says so without a NaN.
        state = hmc_init((lambda z: -jnp.sum(z**2),), jnp.ones(2))
        far, info = hmc_step((lambda z: -jnp.sum(z**2),), jax.random.key(0), state, step_size=1e3, num_leapfrog=2)
    assert all_finite((gradient, found, annealed.value, far))
    assert not info.accepted


def test_without_jit(tmp_path):
    """Fails if something needs to be compiled to run, or is another number then."""
    vae = make_vae(*networks())
    params = vae.init(jax.random.key(0))
    x, key = jnp.asarray(x_of(1, 4)), jax.random.key(1)
    small = {"num_temperatures": 2, "num_chains": 1, "num_leapfrog": 1, "step_sizes": 0.1}

    def everything():
        return (
            elbo(vae, params, key, x[0]),
            importance_log_likelihood(vae, params, key, x[0], num_samples=2),
            annealed_log_likelihood(vae, params, key, x[0], **small),
            evaluate(elbo, vae, params, key, x, batch_size=1, memory=1e6, file=tmp_path / "a.npz"),
        )

    with jax.disable_jit():
        plain = everything()
    (tmp_path / "a.npz").unlink()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), plain, everything())

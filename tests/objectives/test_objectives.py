"""Every objective goes through the whole suite by one row of OBJECTIVES.

The oracle is the linear-Gaussian VAE, where log p(x), the ELBO and their gradients are known in float64.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.errors import KeyReuseError

from tests.oracles import exact_elbo, linear_gaussian_vae, log_evidence, random_params
from vae_jax import VAE, ConditionalVAE, InputError, Normal, elbo, make_vae, per_example, standard_normal
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.objectives.importance import iwae

D, LATENT, NUM_KEYS = 5, 2, 4000
LINEAR = linear_gaussian_vae(D, LATENT)
# q is the exact posterior of the first params, and a wrong one of the second.
AT_POSTERIOR = random_params(0, D, LATENT, s2=0.5, orthogonal=True)
AWAY = random_params(1, D, LATENT, s2=0.5)
AWAY = {**AWAY, "V": 0.7 * AWAY["V"], "log_v": AWAY["log_v"] + np.array([0.6, -0.4], np.float32)}
X = np.array([1.2, -0.3, 0.4, 2.0, -1.1], np.float32)
KEY = jax.random.key(0)


def exact_rate(params: dict, x: np.ndarray) -> float:
    """KL(q(z|x) || p(z)) in closed form, in float64."""
    v = np.exp(np.asarray(params["log_v"], np.float64))
    loc = np.asarray(params["V"], np.float64) @ (x - np.asarray(params["b"], np.float64))
    return 0.5 * np.sum(v + loc**2 - 1 - np.log(v))


class Objective(NamedTuple):
    """An estimator of one example, and what is known of it on the linear-Gaussian VAE."""

    name: str
    estimator: Callable
    tunables: dict[str, Any]
    bound: str  # the metric that is at most log p(x) in expectation
    params: dict  # where E[loss] has the closed form
    exact_loss: Callable[[dict, np.ndarray], float]  # E[loss] as a function of params, in the directions `known`
    known: tuple[str, ...] = ("W", "b", "log_s2", "V", "log_v")

    def __call__(self, vae: VAE, params: Any, key: jax.Array, x: Any) -> tuple[jax.Array, dict]:
        return self.estimator(vae, params, key, x, **self.tunables)


OBJECTIVES = [
    Objective("elbo", elbo, {}, "elbo", AWAY, lambda p, x: -exact_elbo(p, x)),
    Objective(
        "elbo-beta-4", elbo, {"beta": 4.0}, "elbo", AWAY, lambda p, x: 3 * exact_rate(p, x) - exact_elbo(p, x)
    ),
    # At the exact posterior all weights are p(x); the gradient there is that of log p(x), and 0 for q.
    Objective("iwae-5", iwae, {"num_samples": 5}, "bound", AT_POSTERIOR, lambda p, x: -log_evidence(p, x)),
]
each = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)


def assert_mean_is(samples: Any, expected: Any, name: str = "") -> None:
    """Within 4 standard errors, and what float32 rounds off one estimate."""
    samples = np.asarray(samples, np.float64)
    standard_error = samples.std(0) / math.sqrt(len(samples))
    rounding = 1e-5 * (1 + np.abs(samples).max(0))
    assert np.all(np.abs(samples.mean(0) - expected) < 4 * standard_error + rounding), name


def over_keys(function: Callable, num: int = NUM_KEYS) -> Any:
    return jax.jit(jax.vmap(function))(jax.random.split(jax.random.key(1), num))


@functools.cache
def network_vae() -> tuple[VAE, Any, jax.Array]:
    """A small VAE of the library's networks with a Bernoulli likelihood, and a batch for it."""
    vae = make_vae(MLPEncoder(2, hidden=(6,)), MLPDecoder((3, 2), hidden=(6,)))
    batch = jax.random.bernoulli(jax.random.key(2), 0.4, (4, 3, 2)).astype(jnp.float32)
    return vae, jax.jit(vae.init)(jax.random.key(3)), batch


def independent_vae(num_pixels: int) -> VAE:
    """q(z|x) = p(z) and a decoder that ignores z: every estimate is -log p(x), whatever the key."""
    return VAE(
        init=lambda key: jnp.float32(0.3),
        encode=lambda params, x: standard_normal((2,)),
        decode=lambda params, z: Normal(jnp.full(num_pixels, params), jnp.full(num_pixels, 0.7)),
        prior=lambda params: standard_normal((2,)),
    )


@each
def test_value_metrics_and_gradient_are_finite_scalars(objective):
    """Fails if the loss or a metric is no scalar, not finite, or if some parameter gets no gradient."""
    vae, params, batch = network_vae()
    (loss, metrics), gradient = jax.jit(
        jax.value_and_grad(lambda p: objective(vae, p, KEY, batch[0]), has_aux=True)
    )(params)
    assert objective.bound in metrics
    for value in (loss, *metrics.values()):
        assert value.shape == ()
        assert value.dtype == jnp.float32
        assert np.isfinite(value)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))


@each
def test_jit_changes_nothing(objective):
    """Fails if the estimator depends on Python values that jit hides from it."""
    plain = objective(LINEAR, AWAY, KEY, X)
    jitted = jax.jit(lambda p, k, x: objective(LINEAR, p, k, x))(AWAY, KEY, X)
    chex.assert_trees_all_close(plain, jitted, rtol=1e-5)


@each
def test_no_key_is_used_twice(objective):
    """Fails if a key is consumed twice within one estimate, or within one batch."""

    def twice(key):
        return jax.random.normal(key) + jax.random.normal(key)

    lifted = per_example(objective.estimator, LINEAR, **objective.tunables)
    with jax.debug_key_reuse(True):
        with pytest.raises(KeyReuseError):  # the check itself works
            jax.jit(twice)(jax.random.key(0))
        jax.jit(lambda k: objective(LINEAR, AWAY, k, X))(jax.random.key(0))
        jax.jit(lambda k: lifted(AWAY, k, jnp.stack([X, X]), 0))(jax.random.key(0))


@each
def test_the_key_decides_the_estimate(objective):
    """Fails if an estimate is not repeatable, or ignores its key."""
    first = objective(LINEAR, AWAY, KEY, X)
    chex.assert_trees_all_equal(first, objective(LINEAR, AWAY, jax.random.key(0), X))
    assert first[0] != objective(LINEAR, AWAY, jax.random.key(1), X)[0]


@each
@pytest.mark.parametrize("params", [AT_POSTERIOR, AWAY], ids=["at-posterior", "away"])
def test_bound_is_below_log_p(objective, params):
    """Fails if E[bound] is above log p(x), below the exact ELBO (4 SE), or loose at the exact posterior."""
    bounds = over_keys(lambda k: objective(LINEAR, params, k, X)[1][objective.bound])
    mean, standard_error = np.mean(np.asarray(bounds, np.float64)), np.std(bounds) / math.sqrt(NUM_KEYS)
    rounding = 1e-5 * abs(mean)
    assert mean <= log_evidence(params, X) + 4 * standard_error + rounding
    assert mean >= exact_elbo(params, X) - 4 * standard_error - rounding
    if params is AT_POSTERIOR:
        assert_mean_is(bounds, log_evidence(params, X))


@each
def test_loss_and_its_gradient_are_unbiased(objective):
    """Fails if E[loss] or E[gradient of the loss] is not the closed form and its derivative (4 SE)."""
    (losses, _), gradients = over_keys(
        lambda k: jax.value_and_grad(lambda p: objective(LINEAR, p, k, X), has_aux=True)(objective.params)
    )
    assert_mean_is(losses, objective.exact_loss(objective.params, X))
    exact = {name: np.asarray(value, np.float64) for name, value in objective.params.items()}
    for name in objective.known:
        slope = np.zeros(exact[name].shape)
        for index in np.ndindex(slope.shape):
            step = np.zeros(slope.shape)
            step[index] = 1e-5
            up, down = ({**exact, name: exact[name] + sign * step} for sign in (1, -1))
            slope[index] = (objective.exact_loss(up, X) - objective.exact_loss(down, X)) / 2e-5
        assert_mean_is(gradients[name], slope, name)


@each
def test_nats_are_summed_over_the_event_and_averaged_over_the_batch(objective):
    """Fails if twice the pixels are not twice the nats, or if the size of the batch changes the loss."""
    losses = {}
    for copies, batch_size in ((1, 1), (2, 1), (1, 7)):
        lifted = per_example(objective.estimator, independent_vae(copies * D), **objective.tunables)
        batch = jnp.tile(X, (batch_size, copies))
        losses[copies, batch_size], metrics = jax.jit(lifted)(jnp.float32(0.3), KEY, batch, 0)
        np.testing.assert_allclose(losses[copies, batch_size], -metrics[objective.bound], rtol=1e-5)
    nats = np.sum(0.5 * ((X - 0.3) / 0.7) ** 2 + math.log(0.7) + 0.5 * math.log(2 * math.pi))
    np.testing.assert_allclose(losses[1, 1], nats, rtol=1e-5)
    np.testing.assert_allclose(losses[2, 1], 2 * nats, rtol=1e-5)
    np.testing.assert_allclose(losses[1, 7], nats, rtol=1e-5)


@each
def test_batch_is_the_mean_of_examples_with_keys_of_their_own(objective):
    """Fails if examples share a key, or if a metric of the batch is not its mean over the examples."""
    vae, params, batch = network_vae()
    lifted = per_example(objective.estimator, vae, **objective.tunables)
    loss, metrics = jax.jit(lifted)(params, KEY, batch, 0)
    single = jax.jit(lambda k, x: objective(vae, params, k, x))
    results = [single(k, x) for k, x in zip(jax.random.split(KEY, 4), batch, strict=True)]
    mean = jax.tree.map(lambda *values: np.mean(values, dtype=np.float32), *results)
    chex.assert_trees_all_close((loss, metrics), mean, rtol=1e-5)


@each
def test_one_trace(objective):
    """Fails if other params, keys, batches or steps of the same shapes compile again."""
    lifted = per_example(objective.estimator, LINEAR, **objective.tunables)
    chex.clear_trace_counter()  # it counts by name, and all objectives have the same
    traced = jax.jit(chex.assert_max_traces(lifted, n=1))
    losses = {
        float(traced(params, jax.random.key(i), jnp.stack([X, X + i]), jnp.int32(i))[0])
        for i, params in enumerate((AWAY, AT_POSTERIOR, AWAY))
    }
    assert len(losses) == 3


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Ladder:
    """Independent normals over a tuple of arrays: a distribution of the user's own, whose event is a pytree."""

    rungs: tuple[Normal, ...]

    def sample(self, key):
        keys = jax.random.split(key, len(self.rungs))
        return tuple(rung.sample(k) for rung, k in zip(self.rungs, keys, strict=True))

    def log_prob(self, z):
        return sum(rung.log_prob(part) for rung, part in zip(self.rungs, z, strict=True))

    def mean(self):
        return tuple(rung.mean() for rung in self.rungs)


@each
def test_latents_can_be_a_pytree(objective):
    """Fails if an estimator looks inside z: the latents of the linear VAE as a tuple of two arrays."""

    def encode(params, x):
        q = LINEAR.encode(params, x)
        return Ladder((Normal(q.loc[:1], q.scale[:1]), Normal(q.loc[1:], q.scale[1:])))

    ladder = LINEAR._replace(
        encode=encode,
        decode=lambda params, z: LINEAR.decode(params, jnp.concatenate(z)),
        prior=lambda params: Ladder((standard_normal((1,)), standard_normal((1,)))),
    )
    losses = over_keys(lambda k: objective(ladder, objective.params, k, X)[0])
    assert_mean_is(losses, objective.exact_loss(objective.params, X))


@each
def test_conditional_batch_is_a_pair(objective):
    """Fails if (x, c) is not the plain objective of given(c): here c shifts x."""

    def given(c: Any) -> VAE:
        def shifted(params):
            return {**params, "b": params["b"] + c}

        return LINEAR._replace(
            encode=lambda params, x: LINEAR.encode(shifted(params), x),
            decode=lambda params, z: LINEAR.decode(shifted(params), z),
        )

    xs = jnp.stack([X, -X, 2 * X])
    cs = jnp.array([[0.0], [1.0], [-2.0]]) * jnp.ones(D)
    cvae = ConditionalVAE(LINEAR.init, given)
    conditional, plain = (
        jax.jit(per_example(objective.estimator, vae, **objective.tunables)) for vae in (cvae, LINEAR)
    )
    expected = plain(AWAY, KEY, xs - cs, 0)
    chex.assert_trees_all_close(conditional(AWAY, KEY, (xs, cs), 0), expected, rtol=1e-4)
    assert abs(plain(AWAY, KEY, xs, 0)[0] - expected[0]) > 1


def test_a_tunable_may_be_a_schedule_of_the_step():
    """Fails if beta at a step is not the schedule's value there, or is frozen at the first step traced."""
    schedule = optax.linear_schedule(0.0, 2.0, 10)
    scheduled = jax.jit(per_example(elbo, LINEAR, beta=schedule))
    batch = jnp.stack([X, -X])
    for step in (0, 3, 10, 50):
        fixed = per_example(elbo, LINEAR, beta=float(schedule(step)))
        chex.assert_trees_all_close(
            scheduled(AWAY, KEY, batch, jnp.int32(step)), fixed(AWAY, KEY, batch, jnp.int32(7)), rtol=1e-5
        )


def test_elbo_of_any_beta():
    """Fails if the metrics depend on beta, or if the loss is not distortion + beta * rate."""
    (_, reference) = elbo(LINEAR, AWAY, KEY, X)
    np.testing.assert_allclose(reference["elbo"], -(reference["distortion"] + reference["rate"]), rtol=1e-6)
    np.testing.assert_allclose(reference["rate"], exact_rate(AWAY, X), rtol=1e-5)
    for beta in (0.0, 0.5, 1.0, 4.0):
        loss, metrics = elbo(LINEAR, AWAY, KEY, X, beta=beta)
        chex.assert_trees_all_equal(metrics, reference)
        np.testing.assert_allclose(loss, metrics["distortion"] + beta * metrics["rate"], rtol=1e-6)


def test_elbo_in_expectation():
    """Fails if E[elbo] is not the closed form on the linear-Gaussian VAE (4 SE)."""
    for params in (AWAY, AT_POSTERIOR):
        assert_mean_is(over_keys(lambda k, p=params: elbo(LINEAR, p, k, X)[1]["elbo"]), exact_elbo(params, X))


def test_iwae_of_no_samples():
    """Fails if a bound of no samples is a number."""
    for num_samples in (0, -1):
        with pytest.raises(InputError, match=f"num_samples {num_samples}"):
            iwae(LINEAR, AWAY, KEY, X, num_samples=num_samples)

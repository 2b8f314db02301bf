"""Every objective goes through the whole suite by one row of OBJECTIVES.

The oracle is the linear-Gaussian VAE, where log p(x), the ELBO and their gradients are known in float64.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.errors import KeyReuseError

from tests.objectives.exact import exact_dip, exact_distortion, exact_quadratic, exact_rate, exact_tcvae
from vae_jax import (
    VAE,
    ConditionalVAE,
    InputError,
    Normal,
    beta_tcvae,
    controlled_capacity,
    dip_vae_i,
    dip_vae_ii,
    elbo,
    factor_vae,
    iwae,
    make_vae,
    per_example,
    standard_normal,
    whole_batch,
    with_discriminator,
)
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.objectives import weighted
from vae_jax.testing.oracles import exact_elbo, linear_gaussian_vae, log_evidence, random_params

D, LATENT, NUM_KEYS, BATCH = 5, 2, 2000, 7
LINEAR = linear_gaussian_vae(D, LATENT)
# q is the exact posterior of the first params, and a wrong one of the second.
AT_POSTERIOR = random_params(0, D, LATENT, s2=0.5, orthogonal=True)
AWAY = random_params(1, D, LATENT, s2=0.5)
AWAY = {**AWAY, "V": 0.7 * AWAY["V"], "log_v": AWAY["log_v"] + np.array([0.6, -0.4], np.float32)}
XS = np.random.default_rng(0).normal(size=(BATCH, D)).astype(np.float32)
X = XS[0]
KEY = jax.random.key(0)


class Quadratic(NamedTuple):
    """A discriminator whose expected logit is known in closed form: z'Az."""

    weights: np.ndarray = np.array([[0.3, -0.2], [0.5, 0.1]], np.float32)

    def init(self, key: jax.Array, z: jax.Array) -> jax.Array:
        return jnp.asarray(self.weights)

    def apply(self, params: jax.Array, z: jax.Array) -> jax.Array:
        return z @ params @ z


def factor_objective(vae: VAE) -> Callable:
    """FactorVAE under a fixed discriminator, as a function of the parameters of the VAE."""
    objective = whole_batch(factor_vae, with_discriminator(vae, Quadratic(), LATENT), gamma=3.0)

    def of_vae_params(params: Any, *rest: Any) -> Any:
        return objective({"vae": params, "discriminator": jnp.asarray(Quadratic().weights)}, *rest)

    return of_vae_params


class Objective(NamedTuple):
    """An objective made from a VAE, and what is known of it on the linear-Gaussian VAE at the batch `XS`."""

    name: str
    make: Callable[[VAE], Callable]  # -> objective(params, key, batch, step)
    bound: str  # the metric that is at most log p(x) in expectation
    params: dict  # where E[loss] has the closed form
    exact_loss: Callable[[dict, np.ndarray], float]  # params, xs [B, D] -> E[loss]
    any_latents: bool = True  # or z must be one vector, for the objective looks at its elements
    conditional: bool = True  # or there is no form for a ConditionalVAE


OBJECTIVES = [
    Objective("elbo", lambda vae: per_example(elbo, vae), "elbo", AWAY, lambda p, xs: -np.mean(exact_elbo(p, xs))),
    Objective(
        "elbo-beta-4",
        lambda vae: per_example(elbo, vae, beta=4.0),
        "elbo",
        AWAY,
        lambda p, xs: 3 * np.mean(exact_rate(p, xs)) - np.mean(exact_elbo(p, xs)),
    ),
    # At the exact posterior all weights are p(x); the gradient there is that of log p(x), and 0 for q.
    Objective(
        "iwae-5",
        lambda vae: per_example(iwae, vae, num_samples=5),
        "bound",
        AT_POSTERIOR,
        lambda p, xs: -np.mean(log_evidence(p, xs)),
    ),
    # The capacity is between the rates of the examples, so that |mean rate - C| is not the mean of |rate - C|.
    Objective(
        "controlled-capacity",
        lambda vae: whole_batch(controlled_capacity, vae, gamma=10.0, capacity=1.0),
        "elbo",
        AWAY,
        lambda p, xs: np.mean(exact_distortion(p, xs)) + 10 * abs(np.mean(exact_rate(p, xs)) - 1.0),
        any_latents=False,  # a rate without closed form is noisy, and its absolute value biased
    ),
    Objective(
        "dip-vae-i",
        lambda vae: whole_batch(dip_vae_i, vae, lambda_off_diagonal=5.0, lambda_diagonal=2.0),
        "elbo",
        AWAY,
        lambda p, xs: exact_dip(p, xs, 5.0, 2.0, within=0.0),
        any_latents=False,
    ),
    Objective(
        "dip-vae-ii",
        lambda vae: whole_batch(dip_vae_ii, vae, lambda_off_diagonal=5.0, lambda_diagonal=2.0),
        "elbo",
        AWAY,
        lambda p, xs: exact_dip(p, xs, 5.0, 2.0, within=1.0),
        any_latents=False,
    ),
    # With the whole data set as batch the stratified weights are exact, the weighted ones off by known constants.
    Objective(
        "beta-tcvae",
        lambda vae: whole_batch(beta_tcvae, vae, alpha=0.5, beta=6.0, gamma=2.0, dataset_size=BATCH),
        "elbo",
        AWAY,
        lambda p, xs: exact_tcvae(p, xs, 0.5, 6.0, 2.0),
        any_latents=False,
    ),
    Objective(
        "beta-tcvae-weighted",
        lambda vae: whole_batch(partial(beta_tcvae, weights=weighted), vae, beta=6.0, dataset_size=BATCH),
        "elbo",
        AWAY,
        lambda p, xs: exact_tcvae(p, xs, 1.0, 6.0, 1.0) + (1 + 6 * (LATENT - 1) - LATENT) * math.log(BATCH),
        any_latents=False,
    ),
    Objective(
        "factor-vae",
        factor_objective,
        "elbo",
        AWAY,
        lambda p, xs: -np.mean(exact_elbo(p, xs)) + 3 * exact_quadratic(p, xs, Quadratic().weights),
        any_latents=False,
        conditional=False,
    ),
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


def differentiated(objective: Callable) -> Callable:
    """The loss and the whole estimate, and the gradient of the loss in the parameters."""

    def loss(*arguments: Any) -> Any:
        estimate = objective(*arguments)
        return estimate.value, estimate

    return jax.value_and_grad(loss, has_aux=True)


@functools.cache
def network_vae() -> tuple[VAE, Any, jax.Array]:
    """A small VAE of the library's networks with a Bernoulli likelihood, and a batch for it."""
    vae = make_vae(MLPEncoder(2, hidden=(6,)), MLPDecoder((3, 2), hidden=(6,)))
    batch = jax.random.bernoulli(jax.random.key(2), 0.4, (BATCH, 3, 2)).astype(jnp.float32)
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
    value_and_gradient = jax.jit(differentiated(objective.make(vae)))
    (_, (loss, metrics, _)), gradient = value_and_gradient(params, KEY, batch, 0)
    assert objective.bound in metrics
    for value in (loss, *metrics.values()):
        assert value.shape == ()
        assert value.dtype == jnp.float32
        assert np.isfinite(value)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))


@each
def test_jit_changes_nothing(objective):
    """Fails if the objective depends on Python values that jit hides from it."""
    plain, jitted = objective.make(LINEAR), jax.jit(objective.make(LINEAR))
    chex.assert_trees_all_close(plain(AWAY, KEY, XS, 0), jitted(AWAY, KEY, XS, 0), rtol=1e-4, atol=1e-5)


@each
def test_no_key_is_used_twice(objective):
    """Fails if a key is consumed twice within one batch."""

    def twice(key):
        return jax.random.normal(key) + jax.random.normal(key)

    with jax.debug_key_reuse(True):
        with pytest.raises(KeyReuseError):  # the check itself works
            jax.jit(twice)(jax.random.key(0))
        jax.jit(lambda k: objective.make(LINEAR)(AWAY, k, XS, 0))(jax.random.key(0))


@each
def test_the_key_decides_the_loss(objective):
    """Fails if a loss is not repeatable, or ignores its key."""
    loss = jax.jit(objective.make(LINEAR))
    first = loss(AWAY, KEY, XS, 0)
    chex.assert_trees_all_equal(first, loss(AWAY, jax.random.key(0), XS, 0))
    assert first.value != loss(AWAY, jax.random.key(1), XS, 0).value


@each
@pytest.mark.parametrize("params", [AT_POSTERIOR, AWAY], ids=["at-posterior", "away"])
def test_bound_is_below_log_p(objective, params):
    """Fails if E[bound] is above log p(x), below the exact ELBO (4 SE), or loose at the exact posterior."""
    bounds = over_keys(lambda k: objective.make(LINEAR)(params, k, XS, 0).metrics[objective.bound])
    mean, standard_error = np.mean(np.asarray(bounds, np.float64)), np.std(bounds) / math.sqrt(NUM_KEYS)
    rounding, evidence = 1e-5 * abs(mean), np.mean(log_evidence(params, XS))
    assert mean <= evidence + 4 * standard_error + rounding
    assert mean >= np.mean(exact_elbo(params, XS)) - 4 * standard_error - rounding
    if params is AT_POSTERIOR:
        assert_mean_is(bounds, evidence)


@each
def test_loss_and_its_gradient_are_unbiased(objective):
    """Fails if E[loss] or E[gradient of the loss] is not the closed form and its derivative (4 SE)."""
    value_and_gradient = differentiated(objective.make(LINEAR))
    (losses, _), gradients = over_keys(lambda k: value_and_gradient(objective.params, k, XS, 0))
    exact = {name: np.asarray(value, np.float64) for name, value in objective.params.items()}
    assert_mean_is(losses, objective.exact_loss(exact, XS))
    for name in exact:
        slope = np.zeros(exact[name].shape)
        for index in np.ndindex(slope.shape):
            step = np.zeros(slope.shape)
            step[index] = 1e-5
            up, down = ({**exact, name: exact[name] + sign * step} for sign in (1, -1))
            slope[index] = (objective.exact_loss(up, XS) - objective.exact_loss(down, XS)) / 2e-5
        assert_mean_is(gradients[name], slope, name)


@each
def test_nats_are_summed_over_the_event_and_averaged_over_the_batch(objective):
    """Fails if twice the pixels are not twice the nats, or if the size of the batch changes the loss.

    The latents carry nothing here, so what an objective adds to the nats of the pixels is the same throughout.
    """
    losses = {}
    for copies, batch_size in ((1, 2), (2, 2), (1, BATCH)):
        batch = jnp.tile(X, (batch_size, copies))
        loss = jax.jit(objective.make(independent_vae(copies * D)))
        losses[copies, batch_size], metrics, _ = loss(jnp.float32(0.3), KEY, batch, 0)
        nats = copies * np.sum(0.5 * ((X - 0.3) / 0.7) ** 2 + math.log(0.7) + 0.5 * math.log(2 * math.pi))
        np.testing.assert_allclose(-metrics[objective.bound], nats, rtol=1e-5)
    if objective.name != "factor-vae":  # its discriminator has an opinion on each z
        np.testing.assert_allclose(losses[2, 2] - losses[1, 2], nats, rtol=1e-4)
        np.testing.assert_allclose(losses[1, BATCH], losses[1, 2], rtol=1e-5)


@pytest.mark.parametrize("estimator", [elbo, partial(iwae, num_samples=5)], ids=["elbo", "iwae"])
def test_batch_is_the_mean_of_examples_with_keys_of_their_own(estimator):
    """Fails if examples share a key, or if a metric of the batch is not its mean over the examples."""
    vae, params, batch = network_vae()
    found = jax.jit(per_example(estimator, vae))(params, KEY, batch, 0)
    single = jax.jit(lambda k, x: estimator(vae, params, k, x))
    results = [single(k, x) for k, x in zip(jax.random.split(KEY, len(batch)), batch, strict=True)]
    mean = jax.tree.map(lambda *values: np.mean(values, dtype=np.float32), *results)
    chex.assert_trees_all_close(found, mean, rtol=1e-5)


@each
def test_one_trace(objective):
    """Fails if other params, keys, batches or steps of the same shapes compile again."""
    lifted = objective.make(LINEAR)
    chex.clear_trace_counter()  # it counts by name, and all objectives have the same
    traced = jax.jit(chex.assert_max_traces(lifted, n=1))
    losses = {
        float(traced(params, jax.random.key(i), jnp.asarray(XS + i), jnp.int32(i)).value)
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


@pytest.mark.parametrize("objective", [o for o in OBJECTIVES if o.any_latents], ids=lambda o: o.name)
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
    losses = over_keys(lambda k: objective.make(ladder)(objective.params, k, XS, 0).value)
    assert_mean_is(losses, objective.exact_loss(objective.params, XS))


@pytest.mark.parametrize("objective", [o for o in OBJECTIVES if o.conditional], ids=lambda o: o.name)
def test_conditional_batch_is_a_pair(objective):
    """Fails if (x, c) is not the plain objective of given(c): here c shifts x."""

    def given(c: Any) -> VAE:
        def shifted(params):
            return {**params, "b": params["b"] + c}

        return LINEAR._replace(
            encode=lambda params, x: LINEAR.encode(shifted(params), x),
            decode=lambda params, z: LINEAR.decode(shifted(params), z),
        )

    cs = jnp.arange(float(BATCH))[:, None] * jnp.ones(D)
    cvae = ConditionalVAE(LINEAR.init, given)
    conditional, plain = (jax.jit(objective.make(vae)) for vae in (cvae, LINEAR))
    expected = plain(AWAY, KEY, XS - cs, 0)
    chex.assert_trees_all_close(conditional(AWAY, KEY, (XS, cs), 0), expected, rtol=1e-4)
    assert abs(plain(AWAY, KEY, XS, 0).value - expected.value) > 1


def test_capacity_of_the_table_is_between_rates():
    """Fails if the row of controlled capacity could not tell |mean rate - C| from the mean of |rate - C|."""
    rates = exact_rate(AWAY, XS)
    assert rates.min() < 1.0 < rates.max()
    assert abs(abs(np.mean(rates) - 1.0) - np.mean(np.abs(rates - 1.0))) > 0.05


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
    reference = elbo(LINEAR, AWAY, KEY, X).metrics
    np.testing.assert_allclose(reference["elbo"], -(reference["distortion"] + reference["rate"]), rtol=1e-6)
    np.testing.assert_allclose(reference["rate"], exact_rate(AWAY, X), rtol=1e-5)
    for beta in (0.0, 0.5, 1.0, 4.0):
        loss, metrics, _ = elbo(LINEAR, AWAY, KEY, X, beta=beta)
        chex.assert_trees_all_equal(metrics, reference)
        np.testing.assert_allclose(loss, metrics["distortion"] + beta * metrics["rate"], rtol=1e-6)


def test_elbo_in_expectation():
    """Fails if E[elbo] is not the closed form on the linear-Gaussian VAE (4 SE)."""
    for params in (AWAY, AT_POSTERIOR):
        assert_mean_is(over_keys(lambda k, p=params: elbo(LINEAR, p, k, X).metrics["elbo"]), exact_elbo(params, X))


def test_iwae_of_no_samples():
    """Fails if a bound of no samples is a number."""
    for num_samples in (0, -1):
        with pytest.raises(InputError, match=f"num_samples {num_samples}"):
            iwae(LINEAR, AWAY, KEY, X, num_samples=num_samples)

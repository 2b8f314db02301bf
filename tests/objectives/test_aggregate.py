"""What the objectives of the aggregate posterior are known to get wrong elsewhere, each with its exact answer."""

import itertools
import math
from functools import partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.objectives.exact import exact_rate_parts
from vae_jax import (
    VAE,
    InputError,
    Normal,
    beta_tcvae,
    controlled_capacity,
    dip_vae_ii,
    factor_vae,
    fit,
    init_state,
    make_conditional_vae,
    one_hot,
    standard_normal,
    whole_batch,
    with_discriminator,
)
from vae_jax.distributions import Joint
from vae_jax.networks import Discriminator, MLPDecoder, MLPEncoder
from vae_jax.objectives import (
    BetaTCVAE,
    FactorVAE,
    aggregate_log_density,
    covariance_penalty,
    permute_latents,
    stratified,
    weighted,
)
from vae_jax.testing.oracles import linear_gaussian_vae, random_params

KEY = jax.random.key(0)


@pytest.mark.parametrize(("batch_size", "dataset_size"), [(2, 2), (4, 4), (4, 1000), (64, 5000)])
def test_stratified_weights(batch_size, dataset_size):
    """Fails if a row does not sum to 1, or if 1/N is not on the diagonal (column 0 is the usual mistake)."""
    weights = np.exp(np.asarray(stratified(batch_size, dataset_size), np.float64))
    np.testing.assert_allclose(weights.sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.diag(weights), 1 / dataset_size, rtol=1e-5)
    if batch_size == dataset_size:
        np.testing.assert_allclose(weights, 1 / dataset_size, rtol=1e-5)


def test_stratified_density_is_unbiased():
    """Fails if the mean of q(z_i) over all batches that hold example i is not q(z_i) over the data set."""
    num, batch_size = 6, 3
    loc, scale, z = (jax.random.normal(k, (num, 2)) for k in jax.random.split(KEY, 3))
    q = Normal(loc, 0.2 + jnp.abs(scale))
    exact, exact_each = aggregate_log_density(q, z, jnp.full((num, num), -math.log(num)))
    batches = np.array(list(itertools.combinations(range(num), batch_size)))
    estimate = jax.vmap(
        lambda i: aggregate_log_density(jax.tree.map(lambda a: a[i], q), z[i], stratified(batch_size, num))
    )
    log_q, log_q_each = estimate(batches)
    for i in range(num):
        np.testing.assert_allclose(np.mean(np.exp(log_q[batches == i])), np.exp(exact[i]), rtol=1e-5)
        np.testing.assert_allclose(
            np.mean(np.exp(log_q_each[batches == i]), axis=0), np.exp(exact_each[i]), rtol=1e-5
        )


def correlated_vae() -> tuple[VAE, np.ndarray, float, float]:
    """z = x + 0.3 eps of correlated normal x: [2000, 2], with the TC and the I_q(x; z) of so many data."""
    scale = 0.3
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    xs = np.random.default_rng(0).multivariate_normal(np.zeros(2), covariance, 2000).astype(np.float32)
    vae = VAE(
        init=lambda key: {},
        encode=lambda params, x: Normal(x, jnp.full(2, scale)),
        decode=lambda params, z: Normal(z, jnp.ones(2)),
        prior=lambda params: standard_normal((2,)),
    )
    aggregate = covariance + scale**2 * np.eye(2)
    log_det = np.linalg.slogdet(aggregate)[1]
    total_correlation = 0.5 * (np.sum(np.log(np.diag(aggregate))) - log_det)
    return vae, xs, total_correlation, 0.5 * (log_det - 2 * math.log(scale**2))


def test_values_from_minibatches():
    """Fails if stratified values are not near the closed form, or if weighted ones are not off by log N each.

    0.05 nats covers what 2,000 points and batches of 128 leave; column 0 in place of the diagonal is off by more.
    """
    vae, xs, total_correlation, information = correlated_vae()
    batches = xs[: 15 * 128].reshape(15, 128, 2)
    keys = jax.random.split(KEY, len(batches))

    def mean_metrics(weights) -> dict:
        estimator = partial(beta_tcvae, beta=1.0, dataset_size=len(xs), weights=weights)
        metrics = jax.jit(jax.vmap(lambda k, b: estimator(vae, {}, k, b).metrics))(keys, batches)
        return {name: float(np.mean(value)) for name, value in metrics.items()}

    def column_0(batch_size: int, dataset_size: int) -> jax.Array:
        others = (dataset_size - 1) / (dataset_size * (batch_size - 1))
        return jnp.log(jnp.full((batch_size, batch_size), others).at[:, 0].set(1 / dataset_size))

    found = mean_metrics(stratified)
    assert abs(found["total_correlation_stratified"] - total_correlation) < 0.05
    assert abs(found["mutual_information_stratified"] - information) < 0.05
    assert abs(mean_metrics(column_0)["mutual_information_column_0"] - information) > 0.1
    offset, found = math.log(len(xs)), mean_metrics(weighted)
    assert abs(found["total_correlation_weighted"] - total_correlation - offset) < 0.5
    assert abs(found["mutual_information_weighted"] - information - offset) < 0.5


def test_identical_posteriors_have_no_total_correlation():
    """Fails if collapsed latents show any with stratified weights, or other than (d - 1) log N with weighted."""
    vae = VAE(
        lambda key: {},
        lambda params, x: standard_normal((10,)),
        lambda params, z: Normal(jnp.zeros(3), jnp.ones(3)),
        lambda params: standard_normal((10,)),
    )
    batch = jnp.zeros((20, 3))
    metrics = beta_tcvae(vae, {}, KEY, batch, beta=1.0, dataset_size=10_000).metrics
    assert float(metrics["total_correlation_stratified"]) == pytest.approx(0.0, abs=1e-4)
    metrics = beta_tcvae(vae, {}, KEY, batch, beta=1.0, dataset_size=10_000, weights=weighted).metrics
    assert float(metrics["total_correlation_weighted"]) == pytest.approx(82.893, abs=1e-2)


def test_the_whole_data_set_as_batch_is_exact():
    """Fails if the three terms are not those of the mixture q(z), by quadrature (4 SE)."""
    params = random_params(3, 5, 2)
    xs = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)
    loss = jax.jit(
        jax.vmap(lambda k: beta_tcvae(linear_gaussian_vae(5, 2), params, k, xs, beta=1.0, dataset_size=6).metrics)
    )
    metrics = loss(jax.random.split(KEY, 2000))
    names = ("mutual_information", "total_correlation", "dimension_rate")
    for name, exact in zip(names, exact_rate_parts(params, xs), strict=True):
        values = np.asarray(metrics[f"{name}_stratified"], np.float64)
        assert abs(values.mean() - exact) < 4 * values.std() / math.sqrt(len(values)) + 1e-5, name


@pytest.mark.parametrize("batch_size", [1, 9])
def test_batches_that_do_not_fit_the_data(batch_size):
    """Fails if a batch of one, or a wrong dataset_size, gives a number."""
    xs = jnp.zeros((batch_size, 5))
    with pytest.raises(InputError, match=f"batch of {batch_size}.*dataset_size 8"):
        beta_tcvae(linear_gaussian_vae(5, 2), random_params(0, 5, 2), KEY, xs, beta=1.0, dataset_size=8)


@pytest.mark.parametrize(
    ("covariance", "expected"),
    [(np.ones((10, 10)), 90.0), (np.zeros((10, 10)), 10.0), (np.eye(10), 0.0), (2 * np.eye(10), 10.0)],
)
def test_covariance_penalty(covariance, expected):
    """Fails if the penalty differs from the values that disentanglement_lib tests."""
    assert float(covariance_penalty(jnp.asarray(covariance), 1.0, 1.0)) == pytest.approx(expected)


def test_variances_within_are_averaged_over_examples():
    """Fails if DIP-VAE II takes (E sigma)^2, one example's variance, or one number for all latents."""
    vae, xs, _, _ = correlated_vae()
    vae = vae._replace(encode=lambda params, x: Normal(x, jnp.exp(0.3 * x + jnp.array([0.0, -1.0]))))
    batch = xs[:200]
    metrics = dip_vae_ii(vae, {}, KEY, batch, lambda_off_diagonal=2.0, lambda_diagonal=3.0).metrics
    scale = np.exp(0.3 * batch.astype(np.float64) + np.array([0.0, -1.0]))
    covariance = np.cov(batch.astype(np.float64).T, bias=True) + np.diag(np.mean(scale**2, axis=0))
    expected = 2 * 2 * covariance[0, 1] ** 2 + 3 * np.sum((np.diag(covariance) - 1) ** 2)
    np.testing.assert_allclose(metrics["covariance_penalty"], expected, rtol=1e-4)


def test_capacity_follows_its_schedule():
    """Fails if the capacity at a step is not the schedule's there: min(t, 100) as in disentanglement_lib."""
    vae, params = linear_gaussian_vae(5, 2), random_params(1, 5, 2)
    capacity = optax.linear_schedule(0.0, 100.0, 100)
    objective = jax.jit(whole_batch(controlled_capacity, vae, gamma=2.0, capacity=capacity))
    for step in (0, 30, 100, 170):
        loss, metrics, _ = objective(params, KEY, jnp.ones((4, 5)), jnp.int32(step))
        expected = metrics["distortion"] + 2 * abs(metrics["rate"] - min(step, 100))
        np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_permuted_latents_keep_their_marginals():
    """Fails if a latent loses values, or if two latents are permuted alike."""
    z = jnp.stack([jnp.arange(1000.0)] * 3, axis=1)
    permuted = np.asarray(permute_latents(KEY, z))
    np.testing.assert_array_equal(np.sort(permuted, axis=0), z)
    assert np.all(np.abs(np.corrcoef(permuted.T) - np.eye(3)) < 0.15)


class QuadraticLogit(NamedTuple):
    """A discriminator of the form of the best one between normals: a + z'Az."""

    def init(self, key, z):
        return {"a": jnp.zeros(()), "A": jnp.zeros((z.size, z.size))}

    def apply(self, params, z):
        return params["a"] + z @ params["A"] @ z


def test_a_trained_discriminator_finds_the_total_correlation():
    """Fails if the discriminator descends on another loss: of normals the best logit, and so TC, is known.

    Within 0.06 nats of the closed form for 2,000 points, after a few hundred steps.
    """
    vae, xs, total_correlation, _ = correlated_vae()
    model = with_discriminator(vae, QuadraticLogit(), 2)
    optimizer = optax.adam(0.02)
    state = init_state(model.init, optimizer, KEY)
    objective = whole_batch(factor_vae, model, gamma=1.0)
    rows: list[dict] = []
    fit(
        objective,
        optimizer,
        lambda data, key, step: jax.random.choice(jax.random.fold_in(key, step), data, (500,)),
        state,
        jnp.asarray(xs),
        num_steps=600,
        after_call=lambda state, metrics: rows.append(metrics),
    )
    found = np.mean(rows[-1]["total_correlation_discriminator"])
    assert abs(found - total_correlation) < 0.06
    assert np.mean(rows[-1]["discriminator_loss"]) < math.log(2)


def test_one_gradient_serves_both_networks():
    """Fails if either network descends on the loss of the other, or if the value is not the loss of the VAE."""
    vae = linear_gaussian_vae(5, 2)
    model = with_discriminator(vae, Discriminator((8,)), 2)
    params = model.init(KEY) | {"vae": random_params(1, 5, 2)}
    batch = jax.random.normal(jax.random.key(1), (16, 5))

    def gradient(gamma):
        def loss(params):
            estimate = factor_vae(model, params, KEY, batch, gamma=gamma)
            return estimate.value, estimate.metrics

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)

    (loss, metrics), with_penalty = gradient(5.0)
    expected = -metrics["elbo"] + 5 * metrics["total_correlation_discriminator"]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    (_, _), without = gradient(0.0)
    chex.assert_trees_all_close(with_penalty["discriminator"], without["discriminator"], rtol=1e-5, atol=1e-8)
    (_, _), plain = jax.value_and_grad(
        lambda p: (-factor_vae(model, params | {"vae": p}, KEY, batch, gamma=0.0).metrics["elbo"], None),
        has_aux=True,
    )(params["vae"])
    chex.assert_trees_all_close(without["vae"], plain, rtol=1e-4, atol=1e-6)
    slope = jax.grad(
        lambda p: factor_vae(model, params | {"discriminator": p}, KEY, batch, gamma=5.0).metrics[
            "discriminator_loss"
        ]
    )(params["discriminator"])
    chex.assert_trees_all_close(with_penalty["discriminator"], slope, rtol=1e-5, atol=1e-8)


def test_each_network_has_its_optimizer():
    """Fails if a step does not update both networks, or if one optimizer touches the other's network."""
    model = with_discriminator(linear_gaussian_vae(5, 2), Discriminator((8,)), 2)
    labels = {"vae": "vae", "discriminator": "discriminator"}
    data = jax.random.normal(jax.random.key(1), (32, 5))
    for rates in ((0.1, 0.1), (0.0, 0.1), (0.1, 0.0)):
        parts = {name: optax.sgd(rate) for name, rate in zip(labels, rates, strict=True)}
        optimizer = optax.partition(parts, labels)
        state = init_state(model.init, optimizer, KEY)
        begin = jax.tree.map(np.array, state.params)
        objective = whole_batch(factor_vae, model, gamma=2.0)
        state = fit(objective, optimizer, lambda data, key, step: data, state, data, num_steps=2)
        for name, rate in zip(labels, rates, strict=True):
            changed = [
                not np.array_equal(a, b)
                for a, b in zip(jax.tree.leaves(begin[name]), jax.tree.leaves(state.params[name]), strict=True)
            ]
            assert any(changed) == (rate > 0), (name, rate)


def test_factor_vae_of_one_example():
    """Fails if a batch of one, which no permutation changes, trains a discriminator."""
    model = with_discriminator(linear_gaussian_vae(5, 2), Discriminator((8,)), 2)
    with pytest.raises(InputError, match="batch of 1"):
        factor_vae(model, model.init(KEY), KEY, jnp.zeros((1, 5)), gamma=1.0)


def test_one_discriminator_serves_all_conditions():
    """Fails if FactorVAE cannot train a conditional model, or its numbers are not those of the models given c.

    With one condition for all, it is the VAE at that condition: the same bits.
    """
    networks = MLPEncoder(2, hidden=(4,)), MLPDecoder((5,), hidden=(4,))
    cvae = make_conditional_vae(*networks, condition=one_hot(3))
    x = jax.random.bernoulli(KEY, 0.5, (6, 5)).astype(float)
    trained = FactorVAE(gamma=2.0, hidden=(4,)).bind(cvae, (2,), 6)
    params = trained.vae.init(KEY)
    loss = jax.jit(trained.loss)
    found = loss(params, KEY, (x, jnp.ones(6, int)), 0)
    expected = factor_vae(trained.vae.given(1), params, KEY, x, gamma=2.0)
    chex.assert_trees_all_close(found, expected, rtol=1e-5)
    mixed = loss(params, KEY, (x, jnp.arange(6) % 3), 0)
    assert not np.allclose(mixed.value, found.value)


def test_shared_work_is_kept_beside_a_discriminator():
    """Fails if the terms and the joint density of a model are lost where it gets a discriminator."""
    vae = linear_gaussian_vae(5, 2)
    shared = vae._replace(terms=lambda params, key, x: "terms", log_joint=lambda params, x, z: params["c"])
    model = with_discriminator(shared, Discriminator((4,)), 2)
    assert model.terms({"vae": {}}, KEY, None) == "terms"
    assert model.log_joint({"vae": {"c": 3.0}}, None, None) == 3.0
    assert with_discriminator(vae, Discriminator((4,)), 2).terms is None


def test_total_correlation_needs_one_vector():
    """Fails if latents that are no vector end in an error from inside."""
    for part in (BetaTCVAE(), FactorVAE()):
        with pytest.raises(InputError, match=r"latents of shape \(2, 3\): expected one vector"):
            part.bind(None, (2, 3), 10)
    vae = linear_gaussian_vae(5, 2)
    tree = vae._replace(
        encode=lambda params, x: Joint({"a": standard_normal((1,)), "b": standard_normal((1,))}),
        prior=lambda params: Joint({"a": standard_normal((1,)), "b": standard_normal((1,))}),
        decode=lambda params, z: standard_normal((5,)),
    )
    with pytest.raises(InputError, match="expected one vector"):
        beta_tcvae(tree, random_params(1, 5, 2), KEY, jnp.ones((4, 5)), beta=1.0, dataset_size=4)

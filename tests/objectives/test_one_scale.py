"""A posterior with one scale for all latents: the same numbers as one that has it written out for each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import (
    VAE,
    Normal,
    beta_tcvae,
    dip_vae_i,
    dip_vae_ii,
    elbo,
    per_example,
    rate_per_latent,
    standard_normal,
    traverse,
    whole_batch,
)
from vae_jax.evidence import optimize_posterior
from vae_jax.runs.scores import encoder

KEY = jax.random.key(0)
BATCH = jax.random.normal(jax.random.key(1), (6, 3))
DIP = {"lambda_off_diagonal": 2.0, "lambda_diagonal": 3.0}


def model(scale):
    """q(z|x) = N(x, scale), p(z) = N(0, scale of the prior) with the same shape of scale."""
    return VAE(
        lambda key: {},
        lambda params, x: Normal(x, scale * (1 + jnp.mean(x) ** 2)),
        lambda params, z: Normal(z, 1.5 * scale),
        lambda params: Normal(jnp.zeros(3), 2 * scale),
    )


SCALES = {"[3]": jnp.full(3, 0.4), "[1]": jnp.full(1, 0.4), "()": jnp.float32(0.4)}
OBJECTIVES = {
    "elbo": lambda vae: per_example(elbo, vae),
    "dip_vae_i": lambda vae: whole_batch(dip_vae_i, vae, **DIP),
    "dip_vae_ii": lambda vae: whole_batch(dip_vae_ii, vae, **DIP),
    "beta_tcvae": lambda vae: whole_batch(beta_tcvae, vae, beta=4.0, dataset_size=50),
}


@pytest.mark.parametrize("shape", ["[1]", "()"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives(name, shape):
    """Fails if a scale is not counted for every latent: the covariance penalty was 0.1157 for 0.0741."""
    shared, full = (OBJECTIVES[name](model(SCALES[s])) for s in (shape, "[3]"))
    found, expected = shared({}, KEY, BATCH, 0), full({}, KEY, BATCH, 0)
    assert np.isfinite(expected.value)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)


def test_the_covariance_penalty_of_one_scale():
    """Fails if both forms are wrong alike: the closed form in numpy."""
    x = np.asarray(BATCH, np.float64)
    within = np.mean((0.4 * (1 + x.mean(1) ** 2)) ** 2)
    cov = np.cov(x.T, bias=True) + within * np.eye(3)
    off = cov - np.diag(np.diag(cov))
    expected = 2 * np.sum(off**2) + 3 * np.sum((np.diag(cov) - 1) ** 2)
    for scale in SCALES.values():
        metrics = dip_vae_ii(model(scale), {}, KEY, BATCH, **DIP).metrics
        np.testing.assert_allclose(metrics["covariance_penalty"], expected, rtol=1e-4)


@pytest.mark.parametrize("shape", ["[1]", "()"])
def test_everything_else_that_reads_a_scale(shape):
    """Fails if codes, rates, traversals or the best posterior differ where a scale is shared."""
    shared, full = model(SCALES[shape]), model(SCALES["[3]"])
    run = [encoder(vae, lambda key, x: x)({}, KEY, BATCH) for vae in (shared, full)]
    assert run[0]["scale"].shape == run[0]["rates"].shape == (6, 3)
    for name in run[0]:
        np.testing.assert_allclose(run[0][name], run[1][name], rtol=1e-5, err_msg=name)
    for call in (
        lambda vae: rate_per_latent(vae, {}, BATCH[0]),
        lambda vae: traverse(vae, {}, BATCH[0], num_steps=2),
        lambda vae: optimize_posterior(vae, {}, KEY, BATCH[0], num_steps=2, num_samples=2),
    ):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), call(shared), call(full))


def test_one_standard_normal_for_two_latents():
    """Fails if the event of a normal is that of one of its two arrays: a mean () with a scale [2]."""
    d = Normal(jnp.float32(0.0), jnp.ones(2))
    assert d.mean().shape == d.stddev().shape == d.sample(KEY).shape == (2,)
    np.testing.assert_allclose(d.log_prob(jnp.ones(2)), standard_normal((2,)).log_prob(jnp.ones(2)), rtol=1e-6)

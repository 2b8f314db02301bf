"""An estimator of one example where one of a batch is meant, and the other way: named, with the way out."""

import functools

import jax
import jax.numpy as jnp
import pytest

from vae_jax import InputError, elbo, iwae, make_conditional_vae, make_vae, one_hot, per_example, whole_batch
from vae_jax.networks import Discriminator, MLPDecoder, MLPEncoder
from vae_jax.objectives import (
    beta_tcvae,
    controlled_capacity,
    dip_vae_i,
    dip_vae_ii,
    factor_vae,
    with_discriminator,
)

NETWORKS = MLPEncoder(2, hidden=(4,)), MLPDecoder((5,), hidden=(4,))
PLAIN = make_vae(*NETWORKS)
MODELS = {
    "plain": (PLAIN, jnp.ones((6, 5))),
    "conditional": (make_conditional_vae(*NETWORKS, condition=one_hot(3)), (jnp.ones((6, 5)), jnp.arange(6) % 3)),
}
OF_BATCH = {
    beta_tcvae: {"beta": 2.0, "dataset_size": 6},  # the batch is all there is: a longer one would be refused
    controlled_capacity: {"gamma": 2.0, "capacity": 1.0},
    dip_vae_i: {"lambda_off_diagonal": 1.0, "lambda_diagonal": 1.0},
    dip_vae_ii: {"lambda_off_diagonal": 1.0, "lambda_diagonal": 1.0},
}
OF_ONE = {elbo: {}, iwae: {"num_samples": 2}}


def shapes(objective, vae, batch):
    """The loss traced, in the gradient as the step does it."""

    def loss(params, batch):
        return objective(params, jax.random.key(0), batch, jnp.int32(0))[0]

    return jax.eval_shape(jax.value_and_grad(loss), jax.eval_shape(vae.init, jax.random.key(0)), batch)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("estimator", OF_BATCH)
def test_estimator_of_a_batch(estimator, model):
    """Fails if a penalty of the aggregate posterior, given one example, is an error about shapes."""
    vae, batch = MODELS[model]
    assert shapes(whole_batch(estimator, vae, **OF_BATCH[estimator]), vae, batch)[0].shape == ()
    with pytest.raises(InputError, match=rf"use whole_batch\({estimator.__name__}, "):
        shapes(per_example(estimator, vae, **OF_BATCH[estimator]), vae, batch)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("estimator", OF_ONE)
def test_estimator_of_one_example(estimator, model):
    """Fails if a bound of one example, given a batch, is an error about shapes; under `functools.partial` too."""
    vae, batch = MODELS[model]
    bound = functools.partial(estimator, **OF_ONE[estimator])
    assert shapes(per_example(bound, vae), vae, batch)[0].shape == ()
    with pytest.raises(InputError, match=rf"use per_example\({estimator.__name__}, "):
        shapes(whole_batch(bound, vae), vae, batch)


def test_estimator_with_a_discriminator():
    """Fails if FactorVAE, which needs two examples, is not told apart."""
    vae = with_discriminator(PLAIN, Discriminator(hidden=(3,)), 2)
    with pytest.raises(InputError, match=r"use whole_batch\(factor_vae"):
        shapes(per_example(factor_vae, vae, gamma=2.0), vae, jnp.ones((6, 5)))


@pytest.mark.parametrize(
    ("objective", "batch", "message"),
    [
        (per_example(elbo, PLAIN), jnp.ones((6, 4)), r"x of shape \(4,\): the model expects one"),
        (per_example(elbo, PLAIN), jnp.ones((5,)), r"x of shape \(\): the model expects one"),
        (whole_batch(beta_tcvae, PLAIN, **OF_BATCH[beta_tcvae]), jnp.ones((3, 6, 5)), r"x of shape \(6, 5\)"),
        (per_example(iwae, PLAIN, num_samples=0), jnp.ones((6, 5)), "num_samples 0"),
        (per_example(lambda *a: (a[3], {}), PLAIN), jnp.ones((6, 5)), r"a loss of shape \(5,\) for one example"),
        (whole_batch(lambda *a: (a[3][:, 0], {}), PLAIN), jnp.ones((6, 5)), r"a loss of shape \(6,\) for a batch"),
    ],
    ids=[
        "wrong event",
        "one example as batch",
        "batch of batches",
        "wrong tunable",
        "loss of pixels",
        "loss of each",
    ],
)
def test_other_mistakes_keep_their_own_message(objective, batch, message):
    """Fails if data of a wrong shape, or a wrong tunable, are taken for the wrong kind of estimator."""
    with pytest.raises(InputError, match=message):
        shapes(objective, PLAIN, batch)

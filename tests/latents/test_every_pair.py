"""Every prior with every posterior: pictures of all of them, rates of single latents where there are such."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import (
    VAE,
    InputError,
    Normal,
    elbo,
    interpolate,
    kl_divergence,
    make_conditional_vae,
    make_vae,
    one_hot,
    rate_per_latent,
    reconstruct,
    sample,
    sample_means,
    traverse,
)
from vae_jax.distributions import Chain, Joint, Mixture, Transformed, standard_normal, stddev
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.posteriors import DiagonalNormal, FullNormal
from vae_jax.priors import ConditionalNormal, StandardNormal, Vamp
from vae_jax.priors import Mixture as MixturePrior

KEY = jax.random.key(0)
NETWORKS = MLPEncoder(2, hidden=(4,)), MLPDecoder((3,), hidden=(4,))
X = jnp.array([1.0, 0.0, 1.0])
PRIORS = (StandardNormal(), MixturePrior(3), Vamp(3), ConditionalNormal())
PAIRS = list(itertools.product(PRIORS, (DiagonalNormal(), FullNormal())))


def model(prior, posterior):
    """A model of the two, given a class where the prior needs one, and its parameters."""
    if isinstance(prior, ConditionalNormal):
        cvae = make_conditional_vae(*NETWORKS, condition=one_hot(2), prior=prior, posterior=posterior)
        return cvae.given(1), cvae.init(KEY)
    vae = make_vae(*NETWORKS, prior=prior, posterior=posterior)
    return vae, vae.init(KEY)


@pytest.mark.parametrize(("prior", "posterior"), PAIRS, ids=lambda part: type(part).__name__)
def test_pictures_of_every_pair(prior, posterior):
    """Fails if a picture asks for the type of a prior or posterior, or if the span is not that of the prior."""
    vae, params = model(prior, posterior)

    @jax.jit
    def pictures(params):
        z = vae.encode(params, X).mean()
        return (
            sample(vae, params, KEY, 2),
            sample_means(vae, params, KEY, 2),
            reconstruct(vae, params, KEY, X),
            interpolate(vae, params, X, 1 - X, num_steps=3),
            traverse(vae, params, z, num_steps=2, span=1.0),
            elbo(vae, params, KEY, X).metrics,
        )

    *images, metrics = pictures(params)
    assert [i.shape for i in images] == [(2, 3), (2, 3), (3,), (3, 3), (2, 2, 3)]
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((images, metrics)))
    p, z = vae.prior(params), vae.encode(params, X).mean()
    upper = z.at[1].set(p.mean()[1] + stddev(p)[1])
    np.testing.assert_allclose(images[-1][1, 1], vae.decode(params, upper).mean(), rtol=1e-4)


@pytest.mark.parametrize(("prior", "posterior"), PAIRS, ids=lambda part: type(part).__name__)
def test_rates_of_single_latents_where_there_are_such(prior, posterior):
    """Fails if a rate that is no sum over latents, or one sample of it, is shown as that of single latents."""
    vae, params = model(prior, posterior)
    if isinstance(prior, StandardNormal | ConditionalNormal) and isinstance(posterior, DiagonalNormal):
        rates = rate_per_latent(vae, params, X)
        exact = kl_divergence(vae.encode(params, X), vae.prior(params), None)
        np.testing.assert_allclose(rates.sum(), exact, rtol=1e-5)
        return
    with pytest.raises(InputError, match="sum over latents"):
        rate_per_latent(vae, params, X)
    with pytest.raises(InputError, match="sum over latents"):
        jax.jit(lambda p: rate_per_latent(vae, p, X))(params)


class Logistic:
    """A prior of a user's own with independent latents, of which no divergence is known."""

    def sample(self, key):
        return jax.random.logistic(key, (2,))

    def log_prob_each(self, z):
        return -z - 2 * jax.nn.softplus(-z)

    def log_prob(self, z):
        return jnp.sum(self.log_prob_each(z))

    def mean(self):
        return jnp.zeros(2)


def hand_written(q, p):
    def decode(params, z):
        return Normal(jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(z)]), jnp.ones(2))

    return VAE(lambda key: {}, lambda params, x: q, decode, lambda params: p)


NORMAL = Normal(jnp.array([0.4, -1.0]), jnp.array([0.5, 0.8]))


def test_a_rate_that_needs_a_sample_is_no_rate_of_a_latent():
    """Fails if log q(z) - log p(z) at the centre of q, which has the shape of rates, is given out for them."""
    vae = hand_written(NORMAL, Logistic())
    with pytest.raises(InputError, match="posterior Normal, prior Logistic"):
        rate_per_latent(vae, {}, X)
    halves = Joint({"a": Normal(jnp.zeros(1), jnp.ones(1)), "b": Normal(jnp.ones(1), jnp.ones(1))})
    mixed = Joint({"a": standard_normal((1,)), "b": Mixture(standard_normal((2, 1)), jnp.zeros(2))})
    with pytest.raises(InputError, match="sum over latents"):
        rate_per_latent(hand_written(halves, mixed), {}, X)
    chain = Chain({}, (lambda p, z: standard_normal((1,)), lambda p, z: Normal(z[0], jnp.ones(1))))
    with pytest.raises(InputError, match="sum over latents"):
        rate_per_latent(hand_written(chain, chain), {}, X)
    wide = Joint({"a": Normal(jnp.zeros(1), 2 * jnp.ones(1)), "b": standard_normal((1,))})
    expected = [np.log(2) + 0.125 - 0.5, 0.5]
    np.testing.assert_allclose(rate_per_latent(hand_written(halves, wide), {}, X), expected, rtol=1e-6)


@jax.tree_util.register_static
class Shift:
    def forward(self, z):
        return z + 3.0, jnp.zeros(())


def test_priors_that_know_no_moments_are_traversed_by_their_draws():
    """Fails if a prior whose parts do not know their mean or spread cannot be traversed: flows, chains, mixtures
    and products of such."""
    flow = Transformed(NORMAL, Shift())
    two = jax.tree.map(lambda a: jnp.stack([a, a]), NORMAL)
    chain = Chain({}, (lambda p, z: Normal(NORMAL.loc[:1] + 3, NORMAL.scale[:1]), lambda p, z: z_1))
    z_1 = Normal(NORMAL.loc[1:] + 3, NORMAL.scale[1:])
    for prior, z in (
        (flow, jnp.zeros(2)),
        (Mixture(Transformed(two, Shift()), jnp.zeros(2)), jnp.zeros(2)),
        (Joint([flow]), [jnp.zeros(2)]),
        (chain, (jnp.zeros(1), jnp.zeros(1))),
    ):
        rows = traverse(hand_written(NORMAL, prior), {}, z, span=1.0, num_steps=2)
        for j in range(2):
            loc, scale = float(NORMAL.loc[j]) + 3, float(NORMAL.scale[j])
            np.testing.assert_allclose(rows[j, :, j], [loc - scale, loc + scale], atol=0.1)
            np.testing.assert_array_equal(rows[j, :, 1 - j], 0)

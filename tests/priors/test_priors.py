"""The priors against numpy, where they start, and what they leave alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import log_softmax, logsumexp

from vae_jax import InputError, Normal, elbo, make_conditional_vae, make_vae, one_hot
from vae_jax.distributions import Joint
from vae_jax.likelihoods import BernoulliPixels, NormalPixels
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.posteriors import DiagonalNormal, FullNormal
from vae_jax.priors import ConditionalNormal, Mixture, StandardNormal, Vamp
from vae_jax.testing.oracles import quadrature_log_evidence

KEY = jax.random.key(0)
ENCODER, DECODER = MLPEncoder(2, hidden=(4,)), MLPDecoder((3,), hidden=(4,))
Z = np.array([0.7, -1.3], np.float32)
BASE_KEYS = {"encoder", "decoder"}


def bounded(raw):
    """The scale of a raw number, from its formula, in float64."""
    return np.exp(15 * np.tanh(np.asarray(raw, np.float64) / 15))


def test_mixture_prior_is_its_formula():
    """Fails if log p(z) is not log sum_k softmax(logits)_k N(z; m_k, s_k^2) of the parameters."""
    rng = np.random.default_rng(0)
    params = {"logits": rng.normal(size=3), "loc": rng.normal(size=(3, 2)), "scale": rng.normal(size=(3, 2))}
    prior = Mixture(3).apply(jax.tree.map(jnp.asarray, params), None, (2,))
    each = stats.norm.logpdf(Z, params["loc"], bounded(params["scale"])).sum(1)
    np.testing.assert_allclose(prior.log_prob(Z), logsumexp(each + log_softmax(params["logits"])), rtol=1e-5)


def test_mixture_starts_equal_and_spread():
    """Fails if the components start alike, or with unequal weights."""
    params = Mixture(400).init(KEY, (2,), (3,))
    assert jax.tree.map(jnp.shape, params) == {"logits": (400,), "loc": (400, 2), "scale": (400, 2)}
    assert not np.any(params["logits"])
    assert not np.any(params["scale"])
    np.testing.assert_allclose(np.std(params["loc"], axis=0), 1, atol=0.2)


@pytest.mark.parametrize("posterior", [None, FullNormal()], ids=["diagonal", "full"])
def test_vamp_is_the_mean_of_the_posteriors_of_its_pseudo_inputs(posterior):
    """Fails if log p(z) is not log (1/K) sum_k q(z|u_k), with the encoder's own parameters."""
    options = {} if posterior is None else {"posterior": posterior}
    vae = make_vae(ENCODER, DECODER, prior=Vamp(4), **options)
    params = vae.init(KEY)
    each = [vae.encode(params, u).log_prob(Z) for u in params["prior"]["pseudo_inputs"]]
    assert np.std(each) > 1e-3
    np.testing.assert_allclose(vae.prior(params).log_prob(Z), logsumexp(each) - np.log(4), rtol=1e-5)
    gradient = jax.grad(lambda p: vae.prior(p).log_prob(jnp.asarray(Z)))(params)
    assert np.any(gradient["prior"]["pseudo_inputs"])
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient["encoder"]))


def test_vamp_starts_from_examples():
    """Fails if an example is drawn twice, if others than the examples are, or if the key does not choose."""
    examples = np.arange(20 * 3, dtype=np.uint8).reshape(20, 3)
    vae = make_vae(ENCODER, DECODER, prior=Vamp(20), examples=examples)
    drawn = np.asarray(vae.init(KEY)["prior"]["pseudo_inputs"])
    assert drawn.dtype == np.float32
    np.testing.assert_array_equal(np.sort(drawn, axis=0), examples)
    some = make_vae(ENCODER, DECODER, prior=Vamp(5), examples=examples)
    first, second = (np.asarray(some.init(k)["prior"]["pseudo_inputs"]) for k in jax.random.split(KEY))
    assert {tuple(row) for row in first} != {tuple(row) for row in second}
    np.testing.assert_array_equal(first, np.asarray(some.init(jax.random.split(KEY)[0])["prior"]["pseudo_inputs"]))
    with pytest.raises(InputError, match="20 examples: expected at least one for each of the 21 pseudo-inputs"):
        make_vae(ENCODER, DECODER, prior=Vamp(21), examples=examples).init(KEY)
    plain = make_vae(ENCODER, DECODER, prior=Vamp(3)).init(KEY)["prior"]["pseudo_inputs"]
    assert np.all((plain >= 0) & (plain < 1))


@pytest.mark.parametrize("prior", [Mixture, Vamp])
def test_no_components(prior):
    """Fails if a mixture of nothing is a prior."""
    with pytest.raises(InputError, match="components 0: expected at least 1"):
        prior(0)


def test_conditional_prior_without_a_condition():
    """Fails if an unconditional model gets as far as an error of shapes."""
    vae = make_vae(ENCODER, DECODER, prior=ConditionalNormal())
    with pytest.raises(InputError, match=r"ConditionalNormal without a condition.*make_conditional_vae"):
        vae.init(KEY)


def test_conditional_prior_depends_on_the_condition():
    """Fails if p(z|c) is not the normal of the network's output at c, or if another prior starts to depend on c."""
    cvae = make_conditional_vae(ENCODER, DECODER, condition=one_hot(3), prior=ConditionalNormal())
    params = cvae.init(KEY)
    priors = [cvae.given(c).prior(params) for c in range(3)]
    (kernel, bias) = (leaf for leaf in sorted(jax.tree.leaves(params["prior"]), key=lambda a: -a.ndim))
    for c, p in enumerate(priors):
        raw = np.asarray(kernel, np.float64)[c] + np.asarray(bias)
        np.testing.assert_allclose(p.loc, raw[:2], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(p.scale, bounded(raw[2:]), rtol=1e-5)
    assert not np.allclose(priors[0].loc, priors[1].loc)
    vamp = make_conditional_vae(ENCODER, DECODER, condition=one_hot(3), prior=Vamp(2))
    params = vamp.init(KEY)
    assert vamp.given(0).prior(params).log_prob(Z) != vamp.given(1).prior(params).log_prob(Z)
    mixture = make_conditional_vae(ENCODER, DECODER, condition=one_hot(3), prior=Mixture(2))
    params = mixture.init(KEY)
    assert mixture.given(0).prior(params).log_prob(Z) == mixture.given(1).prior(params).log_prob(Z)


def test_conditional_elbo_is_below_the_conditional_likelihood():
    """Fails if the rate is not to p(z|c): by quadrature over one latent, at both conditions (4 SE)."""
    cvae = make_conditional_vae(
        MLPEncoder(1, hidden=(4,)),
        MLPDecoder((3,), hidden=(4,)),
        condition=one_hot(2),
        prior=ConditionalNormal((3,)),
    )
    params = jax.tree.map(lambda a: 1.5 * a, cvae.init(KEY))
    x, exact = jnp.array([1.0, 0.0, 1.0]), []
    for c in range(2):
        vae = cvae.given(c)
        exact.append(quadrature_log_evidence(vae, params, x, latent_size=1, half_width=9))
        run = jax.jit(jax.vmap(lambda k, vae=vae: elbo(vae, params, k, x).metrics["elbo"]))
        bounds = np.asarray(run(jax.random.split(KEY, 2000)), np.float64)
        assert exact[-1] - 3 < bounds.mean() < exact[-1] + 4 * bounds.std() / np.sqrt(2000)
    assert abs(exact[0] - exact[1]) > 0.01


PARTS = [
    (StandardNormal(), set()),
    (Mixture(2), {"prior"}),
    (Vamp(2), {"prior"}),
]


@pytest.mark.parametrize(("prior", "own"), PARTS, ids=lambda part: type(part).__name__)
def test_networks_start_alike_whatever_the_parts(prior, own):
    """Fails if a part takes the key of a network, or adds an entry that a checkpoint without it does not have."""
    plain = make_vae(ENCODER, DECODER).init(KEY)
    vae = make_vae(ENCODER, DECODER, prior=prior, likelihood=NormalPixels("learned"))
    params = vae.init(KEY)
    assert set(params) == BASE_KEYS | own | {"likelihood"}
    assert set(plain) == BASE_KEYS
    for name in BASE_KEYS:
        jax.tree.map(np.testing.assert_array_equal, params[name], plain[name])


@dataclasses.dataclass(frozen=True)
class Spy:
    """A part of a user's own, which keeps the key that it is given; as a prior, a posterior or a likelihood."""

    inner: object

    def init(self, key, *sizes):
        return {"key": jax.random.key_data(key)}

    def apply(self, params, *arguments):
        return self.inner.apply({}, *arguments)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_every_part_draws_from_a_key_of_its_own():
    """Fails if prior, posterior and likelihood do not draw from fold_in(key, 2), 3 and 4, or the networks from the
    two halves of the key, which are fold_in(key, 0) and fold_in(key, 1): published numbers are made from these."""
    vae = make_vae(
        ENCODER,
        DECODER,
        prior=Spy(StandardNormal()),
        posterior=Spy(DiagonalNormal()),
        likelihood=Spy(BernoulliPixels()),
    )
    params = vae.init(KEY)
    for name, i in (("prior", 2), ("posterior", 3), ("likelihood", 4)):
        np.testing.assert_array_equal(params[name]["key"], jax.random.key_data(jax.random.fold_in(KEY, i)))
    halves = jax.random.key_data(jax.random.split(KEY))
    for i in range(2):
        np.testing.assert_array_equal(halves[i], jax.random.key_data(jax.random.fold_in(KEY, i)))
    encoder = ENCODER.sized((4,)).init(jax.random.fold_in(KEY, 0), jnp.zeros(3))
    jax.tree.map(np.testing.assert_array_equal, params["encoder"], encoder)
    assert isinstance(vae.prior(params), Normal)


def test_a_prior_may_be_anything_with_init_and_apply():
    """Fails if `make_vae` asks for the type of a prior: a product of two normals over one vector's halves."""

    class Halves:
        def init(self, key, z_shape, x_shape, context=None):
            return {"loc": jnp.ones(1)}

        def apply(self, params, encode, z_shape, context=None):
            return Joint([Normal(params["loc"], jnp.ones(1)), Normal(jnp.zeros(1), jnp.ones(1))])

    vae = make_vae(ENCODER, DECODER, prior=Halves())
    params = vae.init(KEY)
    assert set(params) == BASE_KEYS | {"prior"}
    assert vae.prior(params).mean()[0] == 1

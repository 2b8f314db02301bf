"""The four functions, and what plugs into them: networks of any library, and conditions."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vae_jax import (
    VAE,
    Bernoulli,
    InputError,
    Normal,
    annealed_log_likelihood,
    bernoulli,
    bidirectional_bounds,
    bounded_scale,
    diagonal_normal,
    elbo,
    fixed_scale_normal,
    kl_divergence,
    make_conditional_vae,
    make_vae,
    one_hot,
    sample,
    standard_normal,
    traverse,
)
from vae_jax.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from vae_jax.posteriors import DiagonalNormal, FullNormal
from vae_jax.priors import Vamp


class HandWritten(NamedTuple):
    """All that make_vae asks of a network, without any library."""

    init: Callable
    apply: Callable
    latent_size: int = 0
    x_shape: tuple[int, ...] = ()


def affine(num_out: int, out_shape: tuple[int, ...], **sizes) -> HandWritten:
    """out = reshape(W [ravel(h), context])."""

    def stacked(h, context):
        return jnp.concatenate([jnp.ravel(h), *context])

    def init(key, h, *context):
        return jax.random.normal(key, (num_out, stacked(h, context).size)) / 3

    return HandWritten(init, lambda w, h, *context: (w @ stacked(h, context)).reshape(out_shape), **sizes)


ENCODER = affine(4, (4,), latent_size=2)
DECODER = affine(6, (2, 3), x_shape=(2, 3))
PLAIN = make_vae(ENCODER, DECODER)
CONDITIONAL = make_conditional_vae(ENCODER, DECODER, condition=one_hot(3))
X = jnp.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
Z = jnp.array([0.3, -1.2])


def assert_trees_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_the_four_functions():
    """Fails if a function does not pass its half of the params, and its input, to its network."""
    params = PLAIN.init(jax.random.key(0))
    assert jax.tree.map(jnp.shape, params) == {"encoder": (4, 6), "decoder": (6, 2)}
    q = PLAIN.encode(params, X)
    loc, raw = jnp.split(ENCODER.apply(params["encoder"], X), 2)
    assert_trees_equal(q, Normal(loc, bounded_scale(raw)))
    assert_trees_equal(PLAIN.decode(params, Z), Bernoulli(DECODER.apply(params["decoder"], Z)))
    assert_trees_equal(PLAIN.prior(params), standard_normal((2,)))


def test_init_gives_each_network_a_key_of_its_own():
    """Fails if two layers of one shape start equal, if init ignores its key, or if it is not repeatable."""
    vae = make_vae(affine(4, (4,), latent_size=2), affine(4, (4,), x_shape=(4,)))
    params = vae.init(jax.random.key(0))
    assert (params["encoder"].shape, params["decoder"].shape) == ((4, 4), (4, 2))
    assert not np.any(params["encoder"][:, :2] == params["decoder"])
    assert_trees_equal(params, vae.init(jax.random.key(0)))
    assert not np.any(params["encoder"] == vae.init(jax.random.key(1))["encoder"])


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        (MLPEncoder(2, hidden=(8,)), MLPDecoder((8, 8, 1), hidden=(8,))),
        (ConvEncoder(2, hidden=(8,)), ConvDecoder((8, 8, 1), hidden=(8,))),
        (ConvEncoder(2, hidden=(8,)), MLPDecoder((8, 8, 1), hidden=(8,))),
    ],
    ids=["mlp", "conv", "mixed"],
)
def test_networks_of_the_library(encoder, decoder):
    """Fails if a network of the library does not fit make_vae, plain or conditional."""
    x = jnp.ones((8, 8, 1))
    vae = make_vae(encoder, decoder)
    conditional = make_conditional_vae(encoder, decoder, condition=one_hot(3))
    for model, given in ((vae, vae), (conditional, conditional.given(1))):
        params = jax.eval_shape(model.init, jax.random.key(0))
        loss, metrics = jax.eval_shape(lambda p, given=given: elbo(given, p, jax.random.key(1), x)[:2], params)
        assert loss.shape == ()
        assert set(metrics) == {"elbo", "distortion", "rate"}


def test_other_posteriors_and_likelihoods():
    """Fails if the numbers of the networks do not reach the given posterior and likelihood."""
    encoder = affine(5, (5,), latent_size=2)
    vae = make_vae(encoder, DECODER, posterior=FullNormal(), likelihood=fixed_scale_normal(0.25))
    params = vae.init(jax.random.key(0))
    raw = encoder.apply(params["encoder"], X)
    assert_trees_equal(vae.encode(params, X), FullNormal().apply({}, raw))
    likelihood = vae.decode(params, Z)
    np.testing.assert_array_equal(likelihood.mean(), DECODER.apply(params["decoder"], Z))
    np.testing.assert_array_equal(likelihood.scale, np.full((2, 3), 0.25))
    for scale in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="likelihood scale"):
            fixed_scale_normal(scale)


class OwnLikelihood(NamedTuple):
    """All that a likelihood must have; features and bias are optional."""

    def size(self, channels):
        return channels

    def init(self, key, event):
        return {}

    def apply(self, params, raw, context=None):
        return Normal(raw, jnp.ones_like(raw))


def test_a_likelihood_of_ones_own():
    """Fails if more is asked of a part than its three functions."""
    vae = make_vae(
        ENCODER, MLPDecoder((2, 3), hidden=(4,)), likelihood=OwnLikelihood(), examples=np.ones((4, 2, 3))
    )
    params = vae.init(jax.random.key(0))
    assert np.isfinite(elbo(vae, params, jax.random.key(1), X).value)


def test_what_is_no_part_is_named():
    """Fails if the class of a part, or a function, is built into a model or ends in an error from inside."""
    cases = [
        (
            {"likelihood": bernoulli},
            r"likelihood bernoulli: expected a part, as BernoulliPixels\(\); it has no size",
        ),
        ({"posterior": diagonal_normal}, r"posterior diagonal_normal: .* it has no event, size, init, apply"),
        ({"posterior": FullNormal}, r"posterior the class FullNormal: expected a part, as DiagonalNormal\(\)"),
        ({"prior": Vamp}, r"prior the class Vamp: expected a part, as StandardNormal\(\)"),
        ({"prior": None}, "prior None: expected a part"),
    ]
    for parts, message in cases:
        for make in (make_vae, lambda *n, **p: make_conditional_vae(*n, condition=one_hot(3), **p)):
            with pytest.raises(InputError, match=message):
                make(ENCODER, DECODER, **parts)


def test_a_conditional_model_is_given_its_condition():
    """Fails if a function of a VAE, of a conditional model without a condition, is an AttributeError."""
    params, key = CONDITIONAL.init(jax.random.key(0)), jax.random.key(1)
    for use in (
        lambda: sample(CONDITIONAL, params, key, 2),
        lambda: elbo(CONDITIONAL, params, key, X),
        lambda: traverse(CONDITIONAL, params, Z),
        lambda: annealed_log_likelihood(CONDITIONAL, params, key, X),
        lambda: bidirectional_bounds(CONDITIONAL, params, key),
    ):
        with pytest.raises(InputError, match=r"pass cvae.given\(c\)"):
            use()
    assert not hasattr(CONDITIONAL, "discriminate")


def test_wrong_shapes_are_named():
    """Fails if x or z of another shape is broadcast, flattened or batched without a word."""
    params = PLAIN.init(jax.random.key(0))
    for wrong in (X[None], X.ravel(), X.T, X[:1]):
        with pytest.raises(InputError) as error:
            PLAIN.encode(params, wrong)
        assert str(wrong.shape) in str(error.value)
        assert "(2, 3)" in str(error.value)
    for wrong in (Z[None], Z[:1], Z[0]):
        with pytest.raises(InputError) as error:
            PLAIN.decode(params, wrong)
        assert str(wrong.shape) in str(error.value)
        assert "(2,)" in str(error.value)
    with pytest.raises(InputError, match=r"x of shape \(1, 2, 3\)"):
        jax.jit(lambda x: PLAIN.encode(params, x))(X[None])


@pytest.mark.parametrize("latent_size", [0, -1])
def test_latent_size_below_one(latent_size):
    """Fails if a model without latents is built."""
    for network in (MLPEncoder(latent_size), ENCODER._replace(latent_size=latent_size)):
        with pytest.raises(InputError, match=f"latent size {latent_size}"):
            make_vae(network, DECODER)
        with pytest.raises(InputError, match=f"latent size {latent_size}"):
            make_conditional_vae(network, DECODER, condition=one_hot(3))


def test_a_hand_written_vae():
    """Fails if a VAE of four lambdas is not as good as one that make_vae made."""
    hand_written = VAE(
        init=lambda key: dict(zip(("w", "v"), jax.random.normal(key, (2, 3, 3)), strict=True)),
        encode=lambda params, x: Normal(params["v"] @ x, jnp.ones(3)),
        decode=lambda params, z: Bernoulli(params["w"] @ z),
        prior=lambda params: standard_normal((3,)),
    )
    params, x, key = hand_written.init(jax.random.key(0)), jnp.array([1.0, 0.0, 1.0]), jax.random.key(1)
    _, metrics, _ = elbo(hand_written, params, key, x)
    z = params["v"] @ x + jax.random.normal(key, (3,))
    np.testing.assert_allclose(metrics["distortion"], -Bernoulli(params["w"] @ z).log_prob(x), rtol=1e-5)
    np.testing.assert_allclose(metrics["rate"], jnp.sum((params["v"] @ x) ** 2) / 2, rtol=1e-5)


def test_nnx_networks_plug_in():
    """Fails if networks of flax.nnx, split into a graph and a state, cannot be the functions of a VAE."""

    def split(key):
        encoder_key, decoder_key = jax.random.split(key)
        networks = nnx.Linear(3, 4, rngs=nnx.Rngs(encoder_key)), nnx.Linear(2, 3, rngs=nnx.Rngs(decoder_key))
        return nnx.split(networks)

    graph, expected = split(jax.random.key(0))
    vae = VAE(
        init=lambda key: split(key)[1],
        encode=lambda params, x: diagonal_normal(nnx.merge(graph, params)[0](x).reshape(2, 2)),
        decode=lambda params, z: Bernoulli(nnx.merge(graph, params)[1](z)),
        prior=lambda params: standard_normal((2,)),
    )
    params, x = vae.init(jax.random.key(0)), jnp.array([1.0, 0.0, 1.0])
    assert_trees_equal(jax.tree.leaves(params), jax.tree.leaves(expected))
    loss, gradient = jax.jit(jax.value_and_grad(lambda p: elbo(vae, p, jax.random.key(1), x)[0]))(params)
    assert np.isfinite(loss)
    assert len(jax.tree.leaves(gradient)) == 4  # two kernels, two biases
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))


def test_given_is_a_vae_whose_networks_get_the_condition():
    """Fails if the condition does not reach both networks, or reaches one of them as something else."""
    params = CONDITIONAL.init(jax.random.key(0))
    assert jax.tree.map(jnp.shape, params) == {"encoder": (4, 9), "decoder": (6, 5)}
    for c in range(3):
        vae, context = CONDITIONAL.given(c), jnp.eye(3)[c]
        assert isinstance(vae, VAE)
        raw = ENCODER.apply(params["encoder"], X, context)
        assert_trees_equal(vae.encode(params, X), DiagonalNormal().apply({}, raw))
        assert_trees_equal(vae.decode(params, Z), Bernoulli(DECODER.apply(params["decoder"], Z, context)))
        assert_trees_equal(vae.prior(params), standard_normal((2,)))
        assert_trees_equal(vae.init(jax.random.key(0)), params)


def test_given_under_vmap():
    """Fails if `elbo(cvae.given(c), ...)` under vmap over (key, x, c) is not one call per example."""
    params, keys = CONDITIONAL.init(jax.random.key(0)), jax.random.split(jax.random.key(1), 4)
    xs, cs = jnp.stack([X, 1 - X, X, X]), jnp.array([0, 1, 2, 0])
    losses, *_ = jax.vmap(lambda k, x, c: elbo(CONDITIONAL.given(c), params, k, x))(keys, xs, cs)
    expected = [elbo(CONDITIONAL.given(int(c)), params, k, x)[0] for k, x, c in zip(keys, xs, cs, strict=True)]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_any_array_can_be_the_condition():
    """Fails if only labels work: here the upper row of the image is the condition."""
    cvae = make_conditional_vae(ENCODER, DECODER, condition=jnp.ravel, example_c=X[0])
    params = cvae.init(jax.random.key(0))
    assert_trees_equal(cvae.given(X[0]).decode(params, Z), Bernoulli(DECODER.apply(params["decoder"], Z, X[0])))


@pytest.mark.parametrize("c", [-1, 3, 255, np.uint8(3), np.int64(-1)])
def test_a_condition_out_of_range(c):
    """Fails if a label out of range passes for zeros: an error where it is known, NaN where it is traced."""
    params = CONDITIONAL.init(jax.random.key(0))
    for known in (c, jnp.asarray(c)):
        with pytest.raises(InputError, match=rf"condition {c}: expected a class in 0\.\.2"):
            CONDITIONAL.given(known)
    loss = jax.jit(lambda c: elbo(CONDITIONAL.given(c), params, jax.random.key(1), X)[0])
    assert np.isnan(loss(jnp.asarray(c)))
    assert np.isfinite(loss(jnp.asarray(2, jnp.asarray(c).dtype)))


def test_reparameterization_uses_its_key_alone():
    """Fails if z depends on anything but q and the key: same key same z, another key another z, jit or not."""
    params = PLAIN.init(jax.random.key(0))
    q, key = PLAIN.encode(params, X), jax.random.key(5)
    z = q.sample(key)
    np.testing.assert_array_equal(z, PLAIN.encode(params, X).sample(jax.random.key(5)))
    np.testing.assert_allclose(z, jax.jit(lambda k: PLAIN.encode(params, X).sample(k))(key), rtol=1e-6)
    assert not np.allclose(z, q.sample(jax.random.key(6)))
    loss, metrics, _ = elbo(PLAIN, params, key, X)
    np.testing.assert_allclose(metrics["distortion"], -PLAIN.decode(params, z).log_prob(X), rtol=1e-6)
    np.testing.assert_allclose(loss, metrics["distortion"] + kl_divergence(q, standard_normal((2,)), z), rtol=1e-6)

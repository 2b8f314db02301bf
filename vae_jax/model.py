"""A variational autoencoder is four pure functions of one example; this file glues them from networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vae_jax.distributions import Bernoulli, Distribution, Normal, bounded_scale, standard_normal
from vae_jax.errors import InputError

Array = jax.Array


class VAE(NamedTuple):
    """p(x, z) = p(z) p(x|z) with the approximate posterior q(z|x), as pure functions of one example.

    Static: close over it, do not pass it through `jit` as an argument. Any four functions of these signatures
    make a model, with or without Flax.
    """

    init: Callable[[Array], Any]  # key -> params, a pytree of arrays
    encode: Callable[[Any, Any], Distribution]  # params, x -> q(z|x)
    decode: Callable[[Any, Any], Distribution]  # params, z -> p(x|z)
    prior: Callable[[Any], Distribution]  # params -> p(z)


class ConditionalVAE(NamedTuple):
    """p(x, z | c): a function from the condition to a VAE, so that whatever serves a VAE serves this too.

    `elbo(cvae.given(c), params, key, x)` under `vmap` over (key, x, c) is the conditional ELBO.
    """

    init: Callable[[Array], Any]  # key -> params
    given: Callable[[Any], VAE]  # c -> VAE


def diagonal_normal(heads: Array) -> Normal:
    """N(mu, diag(sigma^2)) from two heads, mu and an unbounded number for sigma. heads: [2, *event]."""
    loc, raw = heads
    return Normal(loc, bounded_scale(raw))


def bernoulli(heads: Array) -> Bernoulli:
    """Independent Bernoullis from one head, the logits. heads: [1, *event]."""
    (logits,) = heads
    return Bernoulli(logits)


def fixed_scale_normal(scale: float) -> Callable[[Array], Normal]:
    """A normal likelihood with one fixed standard deviation: returns heads [1, *event] -> N(heads[0], scale^2)."""
    if not scale > 0:
        raise InputError(f"likelihood scale {scale}: expected a standard deviation above 0")
    return lambda heads: Normal(heads[0], jnp.full_like(heads[0], scale))


def one_hot(num_classes: int) -> Callable[[Any], Array]:
    """The context vector of a class label: returns c (an integer in [0, num_classes)) -> [num_classes].

    A concrete label outside the range raises InputError; a traced one cannot raise and gives NaN, never the
    zeros that would pass for an answer.
    """

    def embed(c: Any) -> Array:
        if jnp.shape(c) != () or not jnp.issubdtype(jnp.result_type(c), jnp.integer):
            raise InputError(f"condition {c}: expected one integer, a class in 0..{num_classes - 1}")
        if not isinstance(c, jax.core.Tracer) and not 0 <= int(c) < num_classes:
            raise InputError(f"condition {c}: expected a class in 0..{num_classes - 1}")
        inside = (c >= 0) & (c < num_classes)
        return jnp.where(inside, jax.nn.one_hot(c, num_classes), jnp.nan)

    return embed


def make_vae(
    encoder: Any,
    decoder: Any,
    *,
    posterior: Callable[[Array], Distribution] = diagonal_normal,
    likelihood: Callable[[Array], Distribution] = bernoulli,
) -> VAE:
    """A VAE with a standard normal prior over z: [latent_size] from an encoder and a decoder network.

    A network is anything with `init(key, *inputs) -> params` and `apply(params, *inputs) -> heads`, as a Flax
    linen module has; the encoder tells its `latent_size`, the decoder its `x_shape`. params: a dict of
    "encoder" and "decoder". Raises InputError for a latent size below 1.
    """
    _check_latent_size(encoder)
    return VAE(_init(encoder, decoder), *_functions(encoder, decoder, posterior, likelihood))


def make_conditional_vae(
    encoder: Any,
    decoder: Any,
    *,
    condition: Callable[[Any], Array],
    example_c: Any = 0,
    posterior: Callable[[Array], Distribution] = diagonal_normal,
    likelihood: Callable[[Array], Distribution] = bernoulli,
) -> ConditionalVAE:
    """A conditional VAE, p(x, z | c) = N(z; 0, I) p(x | z, c), whose networks take condition(c) as context.

    `condition`: c -> a vector [context], for example `one_hot(10)` for labels or `jnp.ravel` for arrays.
    `example_c`: any valid condition; the networks are sized by it. Source: Sohn et al. 2015, "Learning
    structured output representation using deep conditional generative models", with a prior that does not
    depend on c. Raises InputError for a latent size below 1.
    """
    _check_latent_size(encoder)

    def given(c: Any) -> VAE:
        context = condition(c)
        return VAE(init, *_functions(encoder, decoder, posterior, likelihood, context))

    init = _init(encoder, decoder, condition(example_c))
    return ConditionalVAE(init, given)


def _init(encoder: Any, decoder: Any, *context: Array) -> Callable[[Array], Any]:
    def init(key: Array) -> Any:
        encoder_key, decoder_key = jax.random.split(key)
        x, z = jnp.zeros(decoder.x_shape), jnp.zeros((encoder.latent_size,))
        return {
            "encoder": encoder.init(encoder_key, x, *context),
            "decoder": decoder.init(decoder_key, z, *context),
        }

    return init


def _functions(
    encoder: Any, decoder: Any, posterior: Callable, likelihood: Callable, *context: Array
) -> tuple[Callable, Callable, Callable]:
    x_shape, z_shape = tuple(decoder.x_shape), (encoder.latent_size,)

    def encode(params: Any, x: Array) -> Distribution:
        _check_shape("x", jnp.shape(x), x_shape)
        return posterior(encoder.apply(params["encoder"], x, *context))

    def decode(params: Any, z: Array) -> Distribution:
        _check_shape("z", jnp.shape(z), z_shape)
        return likelihood(decoder.apply(params["decoder"], z, *context))

    def prior(params: Any) -> Distribution:
        return standard_normal(z_shape)

    return encode, decode, prior


def _check_latent_size(encoder: Any) -> None:
    if encoder.latent_size < 1:
        raise InputError(f"latent size {encoder.latent_size}: expected at least 1")


def _check_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise InputError(
            f"{name} of shape {shape}: the model expects one example of shape {expected}; "
            "reshape the data, or build the networks for that shape (vmap over a batch)"
        )

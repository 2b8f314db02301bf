"""A variational autoencoder is four pure functions of one example; this file glues them from networks and parts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Key, Num

from vae_jax.distributions import Bernoulli, Distribution, Normal, bounded_scale
from vae_jax.errors import InputError
from vae_jax.likelihoods import BernoulliPixels, NormalPixels
from vae_jax.posteriors import DiagonalNormal
from vae_jax.priors import StandardNormal
from vae_jax.sizing import check_part, event_shape, latent_size, output_bias, sized

Array = jax.Array


class VAE(NamedTuple):
    """p(x, z) = p(z) p(x|z) with the approximate posterior q(z|x), as pure functions of one example.

    Static: close over it, do not pass it through `jit` as an argument. Any four functions of these signatures
    make a model, with or without Flax. `terms` and `log_joint` are for models whose four functions share work,
    as the levels of a ladder do; where they are None, `vae_jax.objectives` makes them from the four.
    """

    init: Callable[[Key[Array, ""]], Any]  # key -> params, a pytree of arrays
    encode: Callable[[Any, Any], Distribution]  # params, x -> q(z|x)
    decode: Callable[[Any, Any], Distribution]  # params, z -> p(x|z)
    prior: Callable[[Any], Distribution]  # params -> p(z)
    terms: Callable[[Any, Key[Array, ""], Any], Any] | None = None  # params, key, x -> vae_jax.objectives.Terms
    log_joint: Callable[[Any, Any, Any], Float[Array, ""]] | None = None  # params, x, z -> log p(x, z), nats


class ConditionalVAE(NamedTuple):
    """p(x, z | c): a function from the condition to a VAE, so that whatever serves a VAE serves this too.

    `elbo(cvae.given(c), params, key, x)` under `vmap` over (key, x, c) is the conditional ELBO.
    """

    init: Callable[[Key[Array, ""]], Any]  # key -> params
    given: Callable[[Any], VAE]  # c -> VAE

    def __getattr__(self, name: str) -> Any:
        if name in VAE._fields:
            raise InputError(f"a ConditionalVAE has no {name} without a condition: pass cvae.given(c), a VAE, at c")
        raise AttributeError(f"a ConditionalVAE has no attribute {name}")


def diagonal_normal(heads: Float[Array, " 2 *event"]) -> Normal:
    """N(mu, diag(sigma^2)) for models of one's own: mu and an unbounded number for sigma. heads: [2, *event]."""
    loc, raw = heads
    return Normal(loc, bounded_scale(raw))


def bernoulli(heads: Float[Array, " 1 *event"]) -> Bernoulli:
    """Independent Bernoullis for models of one's own, from their logits. heads: [1, *event]."""
    (logits,) = heads
    return Bernoulli(logits)


def fixed_scale_normal(scale: float) -> NormalPixels:
    """`NormalPixels` with one fixed standard deviation. Raises InputError for one that is not above 0."""
    return NormalPixels(scale)


def one_hot(num_classes: int) -> Callable[[Any], Float[Array, " num_classes"]]:
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
    prior: Any = StandardNormal(),
    posterior: Any = DiagonalNormal(),
    likelihood: Any = BernoulliPixels(),
    examples: Any = None,
) -> VAE:
    """A VAE from an encoder, a decoder, and a prior, a posterior and a likelihood: see `vae_jax.priors` and so on.

    A network is anything with `init(key, *inputs) -> params` and `apply(params, *inputs) -> output`, as a Flax
    linen module has; the encoder tells its `latent_size`, the decoder its `x_shape`. Networks of this library are
    given the output that the families read; any other must emit [*positions, size], with size that of the family.
    A part is anything with the functions of those in `vae_jax.priors`, `posteriors` and `likelihoods`; a likelihood
    may do without `features` (the encoder reads x) and `bias`.

    `examples`: x of [N, *x_shape], read by `init` alone, for parts that start from data: the pseudo-inputs of a
    `Vamp`, a learned scale, the output bias of a decoder of this library that has none.

    params: a dict of "encoder" and "decoder", and "prior", "posterior", "likelihood" where these have any.
    Raises InputError for a latent size below 1, for what is no part, for an output of another shape, and for a
    network with noise or a state of its own (Dropout, BatchNorm).
    """
    given = _given(encoder, decoder, prior, posterior, likelihood, examples, lambda c: None, None, None)
    return given(None)


def make_conditional_vae(
    encoder: Any,
    decoder: Any,
    *,
    condition: Callable[[Any], Num[Array, " context"] | None],
    example_c: Any = 0,
    size: Callable[[Any], Num[Array, ""]] | None = None,
    prior: Any = StandardNormal(),
    posterior: Any = DiagonalNormal(),
    likelihood: Any = BernoulliPixels(),
    examples: Any = None,
) -> ConditionalVAE:
    """A conditional VAE, p(x, z | c) = p(z|c) p(x | z, c), whose networks and parts take condition(c) as context.

    `condition`: c -> a vector [context], for example `one_hot(10)` for labels or `jnp.ravel` for arrays; or None,
    for networks that take none. `example_c`: any valid condition; the networks are sized by it. `size`: c -> the
    size of an example, as the number of words in a text, by which a likelihood of counts multiplies its mean, an
    exact factor that no network reads. The prior depends on c where it is one that
    reads it (`ConditionalNormal`, or a `Vamp`, whose posteriors do). Otherwise as `make_vae`.
    Source: Sohn et al. 2015, "Learning structured output representation using deep conditional generative models".
    """
    given = _given(encoder, decoder, prior, posterior, likelihood, examples, condition, example_c, size)
    return ConditionalVAE(given(example_c).init, given)


def _given(
    encoder: Any,
    decoder: Any,
    prior: Any,
    posterior: Any,
    likelihood: Any,
    examples: Any,
    condition: Callable[[Any], Array | None],
    example_c: Any,
    size: Callable[[Any], Any] | None,
) -> Callable[[Any], VAE]:
    check_part("prior", prior, "StandardNormal()", "init", "apply")
    check_part("posterior", posterior, "DiagonalNormal()", "event", "size", "init", "apply")
    check_part("likelihood", likelihood, "BernoulliPixels()", "size", "init", "apply")
    z_shape, x_shape = posterior.event(latent_size(encoder)), event_shape(decoder)
    # The context of the example sizes everything; that of c is what the functions are given.
    example = condition(example_c)
    features = getattr(likelihood, "features", lambda x: x)
    whole = likelihood.example(x_shape) if hasattr(likelihood, "example") else jnp.zeros(x_shape)
    x, z = features(whole), jnp.zeros(z_shape)
    encoder = sized(encoder, "encoder", posterior, z_shape, (x, *_vectors(example)))
    has_bias = examples is not None and hasattr(likelihood, "bias")
    start = output_bias(likelihood, examples) if has_bias else None
    decoder = sized(decoder, "decoder", likelihood, x_shape, (z, *_vectors(example)), start)

    def init(key: Array) -> Any:
        # fold_in(key, 0) and fold_in(key, 1): the parts draw from the keys after these.
        encoder_key, decoder_key = jax.random.split(key)
        prior_key, posterior_key, likelihood_key = (jax.random.fold_in(key, i) for i in (2, 3, 4))
        prior_params = prior.init(prior_key, z_shape, jnp.shape(x), example)
        if examples is not None and hasattr(prior, "init_from"):
            prior_params = prior.init_from(prior_params, prior_key, jax.vmap(features)(examples))
        likelihood_params = likelihood.init(likelihood_key, x_shape)
        if examples is not None and hasattr(likelihood, "init_from"):
            likelihood_params = likelihood.init_from(likelihood_params, examples)
        params = {
            "encoder": encoder.init(encoder_key, x, *_vectors(example)),
            "decoder": decoder.init(decoder_key, z, *_vectors(example)),
        }
        own = {
            "prior": prior_params,
            "posterior": posterior.init(posterior_key, z_shape),
            "likelihood": likelihood_params,
        }
        # No entry for what is empty, which a checkpoint of an earlier version does not have.
        return params | {name: tree for name, tree in own.items() if jax.tree.leaves(tree)}

    def given(c: Any) -> VAE:
        context = condition(c)
        factor = () if size is None else (size(c),)

        def encode(params: Any, x: Any) -> Distribution:
            _check_event("x", x, jax.tree.map(jnp.shape, whole))
            return of_features(params, features(x))

        def of_features(params: Any, read: Any) -> Distribution:
            raw = encoder.apply(params["encoder"], read, *_vectors(context))
            return posterior.apply(params.get("posterior", {}), raw, context)  # type: ignore[no-any-return]

        def decode(params: Any, z: Any) -> Distribution:
            _check_event("z", z, z_shape)
            raw = decoder.apply(params["decoder"], z, *_vectors(context))
            return likelihood.apply(params.get("likelihood", {}), raw, context, *factor)  # type: ignore[no-any-return]

        def of_prior(params: Any) -> Distribution:
            # Pseudo-inputs are such as the encoder reads: counts or gaps could not be learned.
            own, through = params.get("prior", {}), functools.partial(of_features, params)
            return prior.apply(own, through, z_shape, context)  # type: ignore[no-any-return]

        return VAE(init, encode, decode, of_prior)

    return given


def _vectors(context: Array | None) -> tuple[Array, ...]:
    return () if context is None else (context,)


def _check_event(name: str, value: Any, expected: Any) -> None:
    found = jax.tree.map(jnp.shape, value)
    if found == expected:
        return
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        raise InputError(
            f"{name} of {len(value)} arrays: the model expects one array of shape {expected}; pairs (x, c) are for "
            "a ConditionalVAE"
        )
    raise InputError(
        f"{name} of shape {found}: the model expects one example of shape {expected}; "
        "reshape the data, or build the networks for that shape (vmap over a batch)"
    )

"""Generation, reconstruction, interpolation and traversals: pure functions of a VAE (or of `cvae.given(c)`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from vae_jax.distributions import Distribution, center, rates, stddev
from vae_jax.errors import InputError
from vae_jax.model import VAE

Array = jax.Array


def sample(vae: VAE, params: Any, key: Array, num: int) -> Any:
    """Ancestral samples from the model: z ~ p(z), x ~ p(x|z). Returns [num, *event].

    For pictures, `sample_means` shows its centre in place of x, without the noise of the likelihood.
    """

    def one(key: Array) -> Any:
        z_key, x_key = jax.random.split(key)
        return vae.decode(params, vae.prior(params).sample(z_key)).sample(x_key)

    return jax.vmap(one)(_keys(key, num))


def sample_means(vae: VAE, params: Any, key: Array, num: int) -> Any:
    """The centre of p(x|z) at z ~ p(z), what is usually shown as "samples". Returns [num, *event].

    That is E[x|z], or what the distribution has for it by a method `center` where its mean is not known.

    The same key gives the means of the distributions that `sample` draws from.
    """

    def one(key: Array) -> Any:
        z_key, _ = jax.random.split(key)
        return center(vae.decode(params, vae.prior(params).sample(z_key)))

    return jax.vmap(one)(_keys(key, num))


def reconstruct(vae: VAE, params: Any, key: Array, x: Any) -> Any:
    """The centre of p(x|z) at one sample z ~ q(z|x) of one example. x: [*event]. Returns [*event]."""
    return center(vae.decode(params, vae.encode(params, x).sample(key)))


def linear(
    z0: Float[Array, " size"], z1: Float[Array, " size"], t: float | Float[Array, ""]
) -> Float[Array, " size"]:
    """The straight line (1 - t) z0 + t z1. z0, z1: [size]; t: a scalar."""
    return (1 - t) * z0 + t * z1


def spherical(
    z0: Float[Array, " size"], z1: Float[Array, " size"], t: float | Float[Array, ""]
) -> Float[Array, " size"]:
    """The great-circle path [ sin((1 - t) a) z0 + sin(t a) z1 ] / sin a, a the angle between z0 and z1.

    It keeps the norm where both ends have the same, as typical samples of a standard normal in many dimensions
    nearly do. (Anti)parallel ends have no unique arc: the straight line serves. z0, z1: [size]; t: a scalar.
    Source: Shoemake 1985, "Animating rotation with quaternion curves"; for latents White 2016
    (arXiv:1609.04468).
    """
    norms = jnp.linalg.norm(z0) * jnp.linalg.norm(z1)
    cosine = jnp.vdot(z0, z1) / jnp.where(norms > 0, norms, 1.0)
    parallel = (norms == 0) | (jnp.abs(cosine) > 1 - 1e-6)
    angle = jnp.arccos(jnp.where(parallel, 0.0, cosine))
    arc = (jnp.sin((1 - t) * angle) * z0 + jnp.sin(t * angle) * z1) / jnp.sin(angle)
    return jnp.where(parallel, linear(z0, z1, t), arc)


def interpolate(
    vae: VAE,
    params: Any,
    x0: Any,
    x1: Any,
    *,
    num_steps: int = 10,
    path: Callable[
        [Float[Array, " size"], Float[Array, " size"], Float[Array, ""]], Float[Array, " size"]
    ] = linear,
) -> Any:
    """The centre of p(x|z) along a path between the posterior centres of two examples, both ends included.

    path: `linear`, `spherical`, or any function (z0, z1, t) -> z of flat latents. x0, x1: [*event].
    Returns [num_steps, *event]. Raises InputError for fewer than two steps.
    """
    if num_steps < 2:
        raise InputError(f"num_steps {num_steps}: expected at least 2, the two ends of the path")
    z0, unravel = ravel_pytree(center(vae.encode(params, x0)))
    z1, _ = ravel_pytree(center(vae.encode(params, x1)))
    return jax.vmap(lambda t: center(vae.decode(params, unravel(path(z0, z1, t)))))(
        jnp.linspace(0.0, 1.0, num_steps)
    )


def traverse(vae: VAE, params: Any, z: Any, *, span: float = 2.0, num_steps: int = 11) -> Any:
    """The centre of p(x|z) as one latent at a time runs over the prior while the others stay at the base point z.

    Latent j takes the values m_j + s_j u, u = -span ... span, with m and s the prior's mean and standard
    deviation. z: any point in latent space, as a posterior mean or a sample of the prior. Returns
    [num_latents, num_steps, *event] (for structured latents in the order of `ravel_pytree`). Raises InputError
    for a span that is not above 0 or no steps.
    """
    if not span > 0 or num_steps < 1:
        raise InputError(
            f"span {span}, num_steps {num_steps}: expected a span above 0 in standard deviations of the prior "
            "and at least one step"
        )
    base, unravel = ravel_pytree(z)
    mean, scale = _mean_and_scale(vae.prior(params))
    values = mean[:, None] + scale[:, None] * jnp.linspace(-span, span, num_steps)[None, :]
    values = values.astype(base.dtype)  # under 64 bits the prior may be wider than z

    def one(j: Array, value: Array) -> Any:
        return center(vae.decode(params, unravel(base.at[j].set(value))))

    return jax.vmap(jax.vmap(one, (None, 0)))(jnp.arange(base.size), values)


def rate_per_latent(vae: VAE, params: Any, x: Any) -> Float[Array, " num_latents"]:
    """KL(q(z_j|x) || p(z_j)) of each latent, in nats, for posteriors and priors with independent latents.

    How much each latent is used: their sum is the rate, and a collapsed latent has 0. x: [*event]. Returns
    [num_latents], for structured latents in the order of `ravel_pytree`. Raises InputError where the rate is no sum
    over latents, as for a mixture prior or a full covariance, and where it needs a sample of z.
    """
    q, p = vae.encode(params, x), vae.prior(params)
    z = center(q)
    try:
        # A rate that reads the sample is batched with it, which an output without an axis refuses.
        each = jax.vmap(lambda z: rates(q, p, z), out_axes=None)(jax.tree.map(lambda a: a[None], z))
    except InputError:
        raise
    except ValueError as error:
        raise _no_rate_of_latents(q, p) from error
    if jax.tree.map(jnp.shape, each) != jax.tree.map(jnp.shape, z):
        raise _no_rate_of_latents(q, p)
    return ravel_pytree(each)[0]


def _no_rate_of_latents(q: Distribution, p: Distribution) -> InputError:
    return InputError(
        f"posterior {type(q).__name__}, prior {type(p).__name__}: expected a pair whose rate is a sum over "
        "latents in closed form, as Normal and Normal; look at the rate of the whole"
    )


def _mean_and_scale(prior: Distribution) -> tuple[Array, Array]:
    try:
        scale = ravel_pytree(stddev(prior))[0]
        return ravel_pytree(prior.mean())[0], scale
    except InputError:
        pass
    # Few priors have a standard deviation in closed form; a picture's axis needs no more than this.
    draws = jax.vmap(lambda k: ravel_pytree(prior.sample(k))[0])(_keys(jax.random.key(0), 4096))
    return jnp.mean(draws, axis=0), jnp.std(draws, axis=0)


def _keys(key: Array, num: int) -> Array:
    if num < 1:
        raise InputError(f"number of samples {num}: expected at least 1")
    return jax.random.split(key, num)

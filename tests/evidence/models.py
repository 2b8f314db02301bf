"""Models that the tests of the likelihood estimators share, besides the linear-Gaussian one of `tests.oracles`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import VAE, Bernoulli, ConditionalVAE, Normal, standard_normal
from vae_jax.testing.oracles import linear_gaussian_vae


def tanh_vae(latent_size: int, event_size: int = 12) -> tuple[VAE, dict[str, jax.Array]]:
    """A bent decoder of binary data, whose posterior is no normal, and a wide encoder that covers it."""
    rng = np.random.default_rng(latent_size)
    params = {
        "hidden": jnp.asarray(1.5 * rng.normal(size=(8, latent_size)), jnp.float32),
        "offset": jnp.asarray(rng.normal(size=8), jnp.float32),
        "out": jnp.asarray(rng.normal(size=(event_size, 8)), jnp.float32),
    }

    def decode(params: Any, z: jax.Array) -> Bernoulli:
        return Bernoulli(params["out"] @ jnp.tanh(params["hidden"] @ z + params["offset"]))

    def encode(params: Any, x: jax.Array) -> Normal:
        return Normal(jnp.full(latent_size, 0.1 * jnp.mean(x)), jnp.full(latent_size, 1.2))

    prior = lambda params: standard_normal((latent_size,))  # noqa: E731
    return VAE(lambda key: params, encode, decode, prior), params


def deaf_vae() -> tuple[VAE, float]:
    """A decoder that ignores z, and log p(x) at x = (0, 1): every estimator is exact at any setting."""
    vae = VAE(
        init=lambda key: {},
        encode=lambda params, x: Normal(x, jnp.array([0.7, 1.3])),
        decode=lambda params, z: Normal(jnp.array([1.0, -1.0]), jnp.array([0.5, 2.0])),
        prior=lambda params: standard_normal((2,)),
    )
    return vae, -0.5 * (2.0**2 + 1.0**2) - float(np.log(0.5 * 2.0)) - float(np.log(2 * np.pi))


def binary_code_vae(num_bits: int = 3) -> tuple[VAE, dict[str, jax.Array]]:
    """Bernoulli latents: log p(x) is a sum over 2^num_bits codes."""
    w = jnp.asarray(np.random.default_rng(0).normal(size=(4, num_bits)), jnp.float32)
    vae = VAE(
        init=lambda key: {"w": w},
        encode=lambda params, x: Bernoulli(0.5 * x @ params["w"]),
        decode=lambda params, z: Normal(params["w"] @ z, jnp.ones(4)),
        prior=lambda params: Bernoulli(jnp.linspace(-1.0, 1.0, num_bits)),
    )
    return vae, {"w": w}


def shifted_vae(event_size: int, latent_size: int) -> ConditionalVAE:
    """The linear-Gaussian VAE whose offset is b + c."""
    plain = linear_gaussian_vae(event_size, latent_size)

    def given(c: Any) -> VAE:
        def shift(params: dict) -> dict:
            return {**params, "b": params["b"] + c}

        return VAE(
            plain.init,
            lambda params, x: plain.encode(shift(params), x),
            lambda params, z: plain.decode(shift(params), z),
            plain.prior,
        )

    return ConditionalVAE(plain.init, given)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Laplace:
    """A distribution of a user's own that knows its mean, and nothing that is optional."""

    loc: jax.Array

    def sample(self, key: jax.Array) -> jax.Array:
        return self.loc + jax.random.laplace(key, self.loc.shape)

    def log_prob(self, z: jax.Array) -> jax.Array:
        return -jnp.sum(jnp.abs(z - self.loc) + jnp.log(2.0))

    def mean(self) -> jax.Array:
        return self.loc


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Pair:
    """Two independent distributions, whose latent is a dict."""

    a: Any
    b: Any

    def sample(self, key: jax.Array) -> dict:
        first, second = jax.random.split(key)
        return {"a": self.a.sample(first), "b": self.b.sample(second)}

    def log_prob(self, z: dict) -> jax.Array:
        return self.a.log_prob(z["a"]) + self.b.log_prob(z["b"])

    def mean(self) -> dict:
        return {"a": self.a.mean(), "b": self.b.mean()}


def pair_vae(event_size: int) -> VAE:
    """The linear-Gaussian VAE of 3 latents, whose z is {"a": [1], "b": [2, 1]}."""
    plain = linear_gaussian_vae(event_size, 3)

    def encode(params: Any, x: jax.Array) -> Pair:
        q = plain.encode(params, x)
        split = lambda a: (a[:1], a[1:, None])  # noqa: E731
        return Pair(*(Normal(loc, s) for loc, s in zip(split(q.loc), split(q.scale), strict=True)))

    def decode(params: Any, z: dict) -> Normal:
        return plain.decode(params, jnp.concatenate([z["a"], z["b"][:, 0]]))

    prior = lambda params: Pair(standard_normal((1,)), standard_normal((2, 1)))  # noqa: E731
    return VAE(plain.init, encode, decode, prior)


def nan_vae(vae: VAE) -> VAE:
    """The same model, whose decoder gives NaN."""
    return vae._replace(decode=lambda params, z: jax.tree.map(lambda a: a * jnp.nan, vae.decode(params, z)))


def counting(function: Callable) -> tuple[Callable, list]:
    """The function, and a list that grows by one at every evaluation, also in scans and under vmap."""
    calls: list = []

    def counted(params: Any, value: Any) -> Any:
        jax.debug.callback(lambda _: calls.append(1), jax.tree.leaves(value)[0])
        return function(params, value)

    return counted, calls

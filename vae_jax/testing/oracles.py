"""Models with a known answer: the linear-Gaussian VAE in closed form, and quadrature for one or two latents.

    p(z) = N(0, I_d)    p(x|z) = N(W z + b, s2 I_D)    q(z|x) = N(V (x - b), diag(v))

params: {"W": [D, d], "b": [D], "log_s2": scalar, "V": [d, D], "log_v": [d]}. Everything that gives an exact
answer is numpy in float64, written from the formulas and not from the library under test. M = W'W + s2 I.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from vae_jax.distributions import Normal, standard_normal
from vae_jax.model import VAE

LOG_2PI = math.log(2 * math.pi)


def linear_gaussian_vae(event_size: int, latent_size: int, *, fixed_s2: float | None = None) -> VAE:
    """The model above; with `fixed_s2` the noise is that constant and gets no gradient."""

    def init(key: jax.Array) -> dict[str, jax.Array]:
        w_key, v_key = jax.random.split(key)
        return {
            "W": 0.3 * jax.random.normal(w_key, (event_size, latent_size)),
            "b": jnp.zeros(event_size),
            "log_s2": jnp.log(jnp.float32(1.0 if fixed_s2 is None else fixed_s2)),
            "V": 0.3 * jax.random.normal(v_key, (latent_size, event_size)),
            "log_v": jnp.zeros(latent_size),
        }

    def encode(params: Any, x: jax.Array) -> Normal:
        return Normal(params["V"] @ (x - params["b"]), jnp.exp(0.5 * params["log_v"]))

    def decode(params: Any, z: jax.Array) -> Normal:
        log_s2 = params["log_s2"] if fixed_s2 is None else jax.lax.stop_gradient(params["log_s2"])
        return Normal(params["W"] @ z + params["b"], jnp.exp(0.5 * log_s2))

    return VAE(init, encode, decode, lambda params: standard_normal((latent_size,)))


def random_params(
    seed: int, event_size: int, latent_size: int, *, s2: float = 0.5, orthogonal: bool = False
) -> dict[str, Float[np.ndarray, "..."]]:
    """Params with the best diagonal q; with `orthogonal` columns of W that q is the exact posterior."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(event_size, latent_size))
    if orthogonal:
        w = np.linalg.qr(w)[0] * np.linspace(2.0, 1.0, latent_size)
    params = {"W": w, "b": rng.normal(size=event_size), "log_s2": np.log(s2)}
    return best_diagonal(params)


def _float64(params: dict[str, Any], x: Any) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    w, b = np.asarray(params["W"], np.float64), np.asarray(params["b"], np.float64)
    return w, b, float(np.exp(np.asarray(params["log_s2"], np.float64))), np.asarray(x, np.float64) - b


def _log_normal(centred: np.ndarray, cov: np.ndarray) -> np.ndarray:
    solved = centred @ np.linalg.inv(cov)
    log_det = np.linalg.slogdet(cov)[1]
    log_p: np.ndarray = -0.5 * (centred.shape[-1] * LOG_2PI + log_det + np.sum(centred * solved, -1))
    return log_p


def log_evidence(params: dict[str, Any], x: Any) -> Float[np.ndarray, "*n"]:
    """log p(x) = log N(x; b, W W' + s2 I). x: [..., D]. Returns [...]."""
    return annealed_log_evidence(params, x, 1.0)


def annealed_log_evidence(params: dict[str, Any], x: Any, t: float) -> Float[np.ndarray, "*n"]:
    """log Z_t = log int p(z) p(x|z)^t dz = log N(x; b, WW' + s2/t I) + D(1-t)/2 log(2 pi s2) - D/2 log t."""
    w, _, s2, centred = _float64(params, x)
    d = centred.shape[-1]
    if t == 0:
        return np.zeros(centred.shape[:-1])
    log_z: np.ndarray = _log_normal(centred, w @ w.T + s2 / t * np.eye(d))
    log_z = log_z + 0.5 * d * (1 - t) * (LOG_2PI + math.log(s2)) - 0.5 * d * math.log(t)
    return log_z


def annealed_posterior(
    params: dict[str, Any], x: Any, t: float
) -> tuple[Float[np.ndarray, "*n d"], Float[np.ndarray, "d d"]]:
    """p_t(z) ~ p(z) p(x|z)^t = N(loc, cov): precision I + t W'W / s2. Returns [..., d], [d, d]."""
    w, _, s2, centred = _float64(params, x)
    cov = np.linalg.inv(np.eye(w.shape[1]) + t / s2 * w.T @ w)
    return centred @ w @ cov * t / s2, cov


def posterior(params: dict[str, Any], x: Any) -> tuple[Float[np.ndarray, "*n d"], Float[np.ndarray, "d d"]]:
    """p(z|x) = N(M^-1 W'(x - b), s2 M^-1). Returns [..., d], [d, d]."""
    return annealed_posterior(params, x, 1.0)


def best_diagonal(params: dict[str, Any]) -> dict[str, Any]:
    """The params with the best diagonal q of the model: V = M^-1 W', v_j = s2 / M_jj."""
    w, _, s2, _ = _float64(params, params["b"])
    m = w.T @ w + s2 * np.eye(w.shape[1])
    best = {**params, "V": np.linalg.solve(m, w.T), "log_v": np.log(s2 / np.diag(m))}
    return {name: np.asarray(a, np.float32) for name, a in best.items()}


def best_diagonal_gap(params: dict[str, Any]) -> float:
    """log p(x) - ELBO of the best diagonal q, the same at every x: (sum_j log M_jj - log|M|) / 2."""
    w, _, s2, _ = _float64(params, params["b"])
    m = w.T @ w + s2 * np.eye(w.shape[1])
    return float(0.5 * (np.sum(np.log(np.diag(m))) - np.linalg.slogdet(m)[1]))


def exact_elbo(params: dict[str, Any], x: Any) -> Float[np.ndarray, "*n"]:
    """E_q[log p(x|z)] - KL(q || p) in closed form. x: [..., D]. Returns [...]."""
    w, _, s2, centred = _float64(params, x)
    log_v = np.asarray(params["log_v"], np.float64)
    loc, v = centred @ np.asarray(params["V"], np.float64).T, np.exp(log_v)
    residual = np.sum((centred - loc @ w.T) ** 2, -1) + np.sum(v * np.sum(w**2, 0))
    rate = 0.5 * np.sum(v + loc**2 - 1 - log_v, -1)
    elbo: np.ndarray = -0.5 * centred.shape[-1] * (LOG_2PI + math.log(s2)) - residual / (2 * s2) - rate
    return elbo


def ppca_maximum(data: Any, latent_size: int, *, s2: float | None = None) -> float:
    """The maximum over W, b (and s2, unless given) of mean log p(x), nats per example. data: [N, D].

    Source: Tipping and Bishop 1999; with s2 fixed, latents of eigenvalue below s2 are unused.
    """
    data = np.asarray(data, np.float64)
    centred = data - data.mean(0)
    spectrum = np.linalg.eigvalsh(centred.T @ centred / len(data))[::-1]
    top, rest = spectrum[:latent_size], spectrum[latent_size:]
    s2 = float(np.mean(rest)) if s2 is None else s2
    log_det = np.sum(np.log(np.maximum(top, s2))) + len(rest) * math.log(s2)
    return float(-0.5 * (data.shape[1] * LOG_2PI + log_det + np.sum(np.minimum(top / s2, 1)) + np.sum(rest) / s2))


def gaussian_kl(
    loc0: Float[np.ndarray, "*n d"],
    cov0: Float[np.ndarray, "d d"],
    loc1: Float[np.ndarray, "*n d"],
    cov1: Float[np.ndarray, "d d"],
) -> Float[np.ndarray, "*n"]:
    """KL(N(loc0, cov0) || N(loc1, cov1)) in nats. loc: [..., d], cov: [d, d]. Returns [...]."""
    ratio, shift = np.linalg.solve(cov1, cov0), loc1 - loc0
    mahalanobis = np.sum(shift * (shift @ np.linalg.inv(cov1)), -1)
    kl: np.ndarray = 0.5 * (np.trace(ratio) - shift.shape[-1] + mahalanobis - np.linalg.slogdet(ratio)[1])
    return kl


def exact_annealed_bounds(
    params: dict[str, Any], x: Any, schedule: Any
) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """E[log w] forward and reverse of a path whose every state is an exact draw of its distribution.

    log p(x) - sum_i KL(p_i || p_i+1) and log p(x) + sum_i KL(p_i+1 || p_i). x: [..., D]. schedule: [T], 0 to 1.
    Returns [...], [...].
    """
    path = [annealed_posterior(params, x, float(t)) for t in np.asarray(schedule, np.float64)]
    pairs = list(itertools.pairwise(path))
    exact = log_evidence(params, x)
    forward = exact - sum(gaussian_kl(*a, *b) for a, b in pairs)
    return forward, exact + sum(gaussian_kl(*b, *a) for a, b in pairs)


def quadrature_log_evidence(
    vae: VAE, params: Any, x: Any, *, latent_size: int, half_width: float = 7.0, num_points: int = 701
) -> float:
    """log p(x) of any VAE with one or two latents, by the trapezoidal rule on [-half_width, half_width]^d."""
    axis = np.linspace(-half_width, half_width, num_points)
    grid = np.stack(np.meshgrid(*[axis] * latent_size, indexing="ij"), -1).reshape(-1, latent_size)

    def log_joint(z: jax.Array) -> jax.Array:
        return vae.prior(params).log_prob(z) + vae.decode(params, z).log_prob(x)

    heights = jax.jit(lambda zs: jax.lax.map(log_joint, zs, batch_size=10_000))(jnp.asarray(grid, jnp.float32))
    return float(logsumexp(np.asarray(heights, np.float64)) + latent_size * math.log(axis[1] - axis[0]))

"""What must hold of every distribution and bijection, as functions that raise AssertionError where it does not."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from vae_jax.distributions import (
    Bijection,
    Distribution,
    Normal,
    log_prob_each,
    rates,
    sample_and_log_prob,
    stddev,
    support,
    total,
)
from vae_jax.errors import InputError

Array = jax.Array


def check_distribution(d: Distribution, *, num_samples: int = 4000, seed: int = 0) -> None:
    """Asserts what every estimator relies on, by `num_samples` draws of d.

    The same key gives the same draw; `log_prob` is a finite scalar with a finite gradient, the same under `jit`;
    `sample_and_log_prob` and `log_prob_each` agree with it; mean and standard deviation, where they are known, are
    those of the draws within 6 standard errors; the density integrates to 1 (real support: an importance-sampling
    identity; binary support of up to 8 elements: the sum over all events).
    """
    keys = jax.random.split(jax.random.key(seed), num_samples)
    draws = jax.jit(jax.vmap(d.sample))(keys)
    z, log_p = jax.jit(lambda key: sample_and_log_prob(d, key))(keys[0])
    _close(z, jax.tree.map(lambda a: a[0], draws), "sample_and_log_prob draws otherwise than sample")
    assert jnp.shape(log_p) == (), f"log_prob has shape {jnp.shape(log_p)}: expected a scalar"
    _close(d.log_prob(z), log_p, "log_prob is another under jit, or at the draw of sample_and_log_prob")
    assert np.isfinite(log_p), f"log_prob {log_p} at a draw: expected a finite number"
    if hasattr(d, "log_prob_each"):
        _close(total(log_prob_each(d, z)), log_p, "the terms of log_prob_each do not sum to log_prob")
    flat = jax.vmap(lambda z: ravel_pytree(z)[0])(draws)
    _check_moments(d, np.asarray(flat, np.float64))
    _close(total(rates(d, d, z)), 0.0, "KL(d || d) is not 0", atol=1e-4)
    kinds = set(jax.tree.leaves(support(d)))
    if kinds == {"real"}:
        gradient, _ = ravel_pytree(jax.grad(lambda z: d.log_prob(z))(z))
        assert np.isfinite(gradient).all(), f"gradient of log_prob {gradient}: expected finite numbers"
        _check_integral(d, draws, flat)
    if kinds == {"binary"} and flat.shape[1] <= 8:
        _, unravel = ravel_pytree(z)
        events = jnp.asarray(list(itertools.product([0.0, 1.0], repeat=flat.shape[1])))
        mass = jnp.sum(jnp.exp(jax.vmap(lambda e: d.log_prob(unravel(e)))(events)))
        _close(mass, 1.0, "the masses of all events do not sum to 1")


def check_bijection(bijection: Bijection, z: Any) -> None:
    """Asserts that `inverse` undoes `forward` at z and that both log-determinants are those of the Jacobian."""
    y, log_det = bijection.forward(z)
    back, inverse_log_det = bijection.inverse(y)
    _close(back, z, "inverse does not undo forward")
    _close(inverse_log_det, -log_det, "the log-determinants of forward and inverse are not opposite")
    flat, unravel = ravel_pytree(z)
    jacobian = jax.jacobian(lambda v: ravel_pytree(bijection.forward(unravel(v))[0])[0])(flat)
    _close(jnp.linalg.slogdet(jacobian)[1], log_det, "the log-determinant is not that of the Jacobian")


def _check_moments(d: Distribution, flat: np.ndarray) -> None:
    count = len(flat)
    error = flat.std(axis=0) / math.sqrt(count) + 1e-6
    try:
        mean = np.asarray(ravel_pytree(d.mean())[0])
    except InputError:  # a mean that is not known is refused, not approximated
        return
    off = np.abs(flat.mean(axis=0) - mean) / error
    assert np.all(off < 6), f"the mean is {off.max():.1f} standard errors from that of {count} draws"
    if hasattr(d, "stddev"):
        known = np.asarray(ravel_pytree(stddev(d))[0])
        squares = (flat - mean) ** 2
        error = squares.std(axis=0) / math.sqrt(count) + 1e-6
        off = np.abs(squares.mean(axis=0) - known**2) / error
        assert np.all(off < 6), f"the variance is {off.max():.1f} standard errors from that of {count} draws"


def _check_integral(d: Distribution, draws: Any, flat: Array) -> None:
    """E_d[ g(z) / d(z) ] = 1 for a normal g narrower than d."""
    g = Normal(jnp.mean(flat, axis=0), 0.5 * jnp.std(flat, axis=0))
    log_d = jax.jit(jax.vmap(d.log_prob))(draws)
    ratio = np.exp(np.asarray(jax.vmap(g.log_prob)(flat) - log_d, np.float64))
    error = ratio.std() / math.sqrt(len(ratio))
    off = abs(ratio.mean() - 1) / (error + 1e-6)
    assert off < 6, f"the density integrates to {1 / ratio.mean():.3f}, {off:.1f} standard errors from 1"


def _close(a: Any, b: Any, problem: str, *, atol: float = 1e-5) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.allclose(x, y, rtol=1e-4, atol=atol), f"{problem}: {x} against {y}"

"""Masses of counts without gamma functions: no cancellation in float32, and a fraction of their time.

Written with log Gamma, a mass of counts near a million is a difference of numbers of ten million, of which float32
keeps nothing below 1. Here every part is as small as it counts: Stirling's formula with its exact remainder, and
deviances, which are 0 where the mean is the count. Source of the form: Loader 2000, "Fast and accurate computation
of binomial probabilities". A count has no derivative: that in x is 0.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Float

Array = jax.Array

# Chebyshev fits in 1 / y on (0, 1] of y S(y) and y^2 T(y), within 1e-11.
_REMAINDER = (
    *(0.083333333320804, 3.4878188965443e-09, -0.0027779407230792, 3.0195164034989e-06, 0.00076444411056795),
    *(0.00016739959707462, -0.0011967372242768, 0.0013484331011976, -0.00081134051420084, 0.00027016239033925),
    -3.9310266726058e-05,
)
_SLOPE = (
    *(0.083333333275666, 1.7822414240167e-08, -0.0083342529743811, 1.8750743841986e-05, 0.0037692223890589),
    *(0.0012499333455931, -0.0090862414480692, 0.012102397267565, -0.0088683143271032, 0.0038599386591668),
    *(-0.00091646342301392, 8.7343546944261e-05),
)
_NEAR = 0.25  # where the series of `deviance` is used


def stirling_remainder(y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """S(y) = log Gamma(y) - [(y - 1/2) log y - y + log(2 pi) / 2], for any y > 0."""
    # S(y) = S(y + 1) + (y + 1/2) log(1 + 1/y) - 1 below 1.
    small = jnp.minimum(y, 1.0)
    shifted = _remainder(small + 1) + (small + 0.5) * jnp.log1p(1 / small) - 1
    return jnp.where(y < 1, shifted, _remainder(jnp.maximum(y, 1.0)))


def digamma_remainder(y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """y T(y) with T(y) = log y - 1 / (2 y) - digamma(y), for any y > 0: 1/2 at 0, 1 / (12 y) far from it."""
    small = jnp.minimum(y, 1.0)
    up = small / (small + 1)
    shifted = up * _slope(small + 1) + 0.5 * (1 + up) - small * jnp.log1p(1 / small)
    return jnp.where(y < 1, shifted, _slope(jnp.maximum(y, 1.0)))


def deviance(v: Float[Array, "*shape"], log1p_v: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """v - log(1 + v) >= 0, exact also where it is v^2 / 2. `log1p_v`: log(1 + v), read where v is not small."""
    near = jnp.clip(v, -_NEAR, _NEAR)
    s = near / (2 + near)  # log(1 + v) = 2 atanh(s)
    odd = _polynomial(s * s, (1 / 3, 1 / 5, 1 / 7, 1 / 9, 1 / 11, 1 / 13, 1 / 15))
    return jnp.where(jnp.abs(v) < _NEAR, s * (near - 2 * s * s * odd), v - log1p_v)


@jax.custom_jvp
def poisson_log_mass(x: Float[Array, "*shape"], log_mean: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x log m - m - log x!, exact to the precision of log m for counts x >= 0 and log m up to 80.

    For x > 0 it is -S(x) - log(2 pi x) / 2 - x D(m / x - 1), with D(v) = v - log(1 + v).
    """
    count, mean = jnp.maximum(x, 1.0), jnp.exp(log_mean)
    log_count = jnp.log(count)
    off = count * deviance((mean - count) / count, log_mean - log_count)
    return jnp.where(x > 0, _of_count(count, log_count) - off, -mean)


@poisson_log_mass.defjvp
def _poisson_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    x, log_mean = primals
    return poisson_log_mass(x, log_mean), (x - jnp.exp(log_mean)) * tangents[1]


@jax.custom_jvp
def negative_binomial_log_mass(
    x: Float[Array, "*shape"], log_mean: Float[Array, "*shape"], log_r: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """log [ Gamma(x + r) / (Gamma(r) x!) ] + r log(r / (r + m)) + x log(m / (r + m)) for counts x >= 0.

    Exact to the precision of log m and log r, for log m up to 40 and log r within +-40. For x > 0, with n = x + r:

    S(n) - S(r) - S(x) + log(r / (2 pi x n)) / 2 - r D(v) - x D(w),  v = (x - m) / (r + m),  w = -v r / x

    in which r to infinity gives the Poisson mass. The derivatives are r v in log m, and in log r

    -r D(v) + x / (2 n) + r T(r) - r T(n),  for x > 0;  -r D(v) at 0
    """
    count, mean, r = jnp.maximum(x, 1.0), jnp.exp(log_mean), jnp.exp(log_r)
    log_count = jnp.log(count)
    v, log1p_v = _off(x, mean, r)
    w, log1p_w = -v * (r / count), log_mean - log_count + log1p_v
    gammas = _remainder(count + r) - stirling_remainder(r) - 0.5 * jnp.log1p(count / r)
    off = r * deviance(v, log1p_v) + count * deviance(w, log1p_w)
    return jnp.where(x > 0, _of_count(count, log_count) + gammas - off, r * log1p_v)


@negative_binomial_log_mass.defjvp
def _negative_binomial_jvp(
    primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    x, log_mean, log_r = primals
    count, mean, r = jnp.maximum(x, 1.0), jnp.exp(log_mean), jnp.exp(log_r)
    v, log1p_v = _off(x, mean, r)
    n = count + r
    of_gammas = 0.5 * count / n + digamma_remainder(r) - r / n * _slope(n)
    in_log_r = jnp.where(x > 0, of_gammas, 0.0) - r * deviance(v, log1p_v)
    return negative_binomial_log_mass(*primals), r * v * tangents[1] + in_log_r * tangents[2]


def _off(x: Array, mean: Array, r: Array) -> tuple[Array, Array]:
    """v = (x - m) / (r + m) and log(1 + v) = log((x + r) / (m + r))."""
    return (x - mean) / (r + mean), jnp.log1p(x / r) - jnp.log1p(mean / r)


def _of_count(count: Array, log_count: Array) -> Array:
    """-S(x) - log(2 pi x) / 2."""
    return -_remainder(count) - 0.5 * log_count - 0.5 * math.log(2 * math.pi)


def _remainder(y: Array) -> Array:
    """S(y), y >= 1."""
    u = 1 / y
    return u * _polynomial(u, _REMAINDER)


def _slope(y: Array) -> Array:
    """y T(y), y >= 1."""
    u = 1 / y
    return u * _polynomial(u, _SLOPE)


def _polynomial(u: Array, coefficients: tuple[float, ...]) -> Array:
    """sum_k c_k u^k by Horner's rule."""
    value = jnp.full_like(u, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * u + coefficient
    return value

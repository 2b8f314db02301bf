"""The mutual information gap of samples of q(z|x), from densities of the aggregate posterior: nothing is binned."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Num

from vae_jax.disentanglement._arrays import (
    centred,
    check_codes,
    check_factors,
    check_finite,
    dense_factors,
    is_traced,
    varies,
)
from vae_jax.disentanglement.mutual_information import MutualInformationGap, information_gap
from vae_jax.errors import InputError
from vae_jax.shapes import AnyArray

Array = jax.Array


def sampled_mutual_information_gap(
    key: Array,
    loc: Num[AnyArray, "N d"],
    scale: Num[AnyArray, "N d"],
    factors: Int[AnyArray, "N k"],
    *,
    num_samples: int = 1000,
    chunk_size: int = 256,
) -> MutualInformationGap:
    """MIG of the stochastic code z ~ q(z|x) = N(loc, scale^2), from densities under the aggregate posterior.

    MIG       = mean_k [ I(z_j1; v_k) - I(z_j2; v_k) ] / H(v_k),  j1, j2 the two latents with the largest I
    I(z_j; v) = H(z_j) - H(z_j | v) = E[ log q(z_j | v) - log q(z_j) ]
    q(z_j)    = 1/N sum_n q(z_j | x_n)         q(z_j | v) = 1/N_v sum_{n: v_n = v} q(z_j | x_n)

    The sums are over the whole data set; the expectation is over `num_samples` draws, the s-th of them from
    q(z | x_n) for a random n (all different as long as num_samples <= N) with v = v_n. On a full grid of factors
    H(z_j | v) weighs every v alike. As z ~ q(z|x_n) is compared with its own component too, I is at most log N,
    and biased upwards by sets {n: v_n = v} of few points.

    In [0, 1], save that noise can take an I below 0 (counted as 0) or above H(v_k). Each factor in a latent of its
    own scores I / H, which falls as q(z|x) widens; codes that tell nothing, or everything twice, score about 0.
    Constant factors and missing latents are as in `mutual_information_gap`; `active` is where loc is not constant.

    Time grows with num_samples N (d + the number of factor values); memory with chunk_size^2 d and not with N.
    loc, scale: [N, d], scale above 0, with ratios of scales below e^30. factors: integers [N, k], not traced,
    for the number of their values is needed. Raises InputError for other shapes, types or num_samples < 1.
    Source: Chen et al. 2018 (arXiv:1802.04942), section 4, where H(v_k) is log of the number of values.
    """
    if num_samples < 1 or chunk_size < 1:
        raise InputError(f"{num_samples} samples in chunks of {chunk_size}: expected at least one of each")
    loc, ids = _checked(loc, scale, factors)
    num_examples, num_latents = loc.shape
    dtype = jnp.result_type(loc, scale, jnp.float32)
    active = varies(loc)
    # Information does not change with the zero and the unit of a latent.
    loc, size, _ = centred(loc)
    loc, scale = jnp.asarray(loc, dtype), jnp.asarray(scale / size[None], dtype)
    # One table holds the values of all the factors side by side, and a last column for all the examples.
    num_values = np.max(ids, axis=0) + 1
    columns = jnp.asarray(ids + np.cumsum(num_values) - num_values)
    num_columns = int(np.sum(num_values)) + 1
    sizes = jnp.zeros(num_columns).at[columns].add(1.0).at[-1].set(num_examples)

    order_key, noise_key = jax.random.split(key)
    drawn = jax.random.permutation(order_key, num_examples)[jnp.arange(num_samples) % num_examples]
    noise = jax.random.normal(noise_key, (num_samples, num_latents), dtype)
    chunk_size = min(chunk_size, num_examples)

    def membership(n: Array) -> Array:
        of_values = jax.nn.one_hot(columns[n], num_columns, dtype=dtype).sum(axis=1)
        return of_values.at[:, -1].set(1.0)

    def log_densities(sample: tuple[Array, Array]) -> Array:
        """log q(z_j | v_k) - log q(z_j) of some samples: [samples, d, k]."""
        n, eps = sample
        z = loc[n] + scale[n] * eps
        # Densities are counted in units of that of the sample's own component. No other component can be
        # larger by more than the ratio of the scales and e^(eps^2/2), and the own one is in every sum, so
        # that nothing overflows, no sum is 0 and no maximum has to be found first.
        unit = -0.5 * eps**2 - jnp.log(scale[n])

        def add(sums: Array, start: Array) -> tuple[Array, None]:
            m = start + jnp.arange(chunk_size)
            inside = (m < num_examples)[:, None]
            m = jnp.minimum(m, num_examples - 1)
            precision = (1 / scale[m].T)[None]
            standardized = (z[:, :, None] - loc[m].T[None]) * precision
            ratio = jnp.exp(jnp.log(precision) - 0.5 * standardized**2 - unit[:, :, None])
            members = jnp.where(inside, membership(m), 0.0)
            return sums + jnp.matmul(ratio, members, precision=jax.lax.Precision.HIGHEST), None

        starts = jnp.arange(0, num_examples, chunk_size)
        sums, _ = jax.lax.scan(add, jnp.zeros((n.size, num_latents, num_columns), dtype), starts)
        means = jnp.log(sums) - jnp.log(sizes)[None, None]
        given_value = jnp.take_along_axis(means, columns[n][:, None, :], axis=2)
        return given_value - means[:, :, -1:]

    # Chunks of one size, as even as can be; what is left to fill in the last has weight 0.
    num_chunks = math.ceil(num_samples / chunk_size)
    width = math.ceil(num_samples / num_chunks)
    padding = num_chunks * width - num_samples
    samples = jax.tree.map(
        lambda a: jnp.concatenate([a, a[:1].repeat(padding, axis=0)]).reshape(num_chunks, width, *a.shape[1:]),
        (drawn, noise),
    )
    counted = (jnp.arange(num_chunks * width) < num_samples).astype(dtype).reshape(num_chunks, width)
    sums = jax.lax.map(lambda chunk: jnp.tensordot(chunk[1], log_densities(chunk[0]), 1), (samples, counted))
    mutual_information = jnp.sum(sums, axis=0) / num_samples
    return information_gap(mutual_information, jnp.asarray(_entropies(ids), dtype), active=active)


def _checked(loc: Any, scale: Any, factors: Any) -> tuple[Any, np.ndarray]:
    """The locations, and the factors with the values of each renumbered; else InputError."""
    loc = check_codes(loc, "loc")
    if jnp.shape(scale) != loc.shape:
        raise InputError(f"scale of shape {jnp.shape(scale)}: expected {loc.shape}, the shape of loc")
    check_finite(scale, "values of scale")
    if not is_traced(scale) and np.min(scale) <= 0:
        raise InputError(f"scale of {np.min(scale)}: expected standard deviations above 0; leave such examples out")
    if is_traced(factors):
        raise InputError("traced factors: their values must be counted; close over factors, or call outside jit")
    return loc, dense_factors(check_factors(factors, len(loc)))[0]


def _entropies(ids: np.ndarray) -> list[float]:
    """H(v_k) of each factor in nats."""
    shares = [np.bincount(column) / len(ids) for column in ids.T]
    # The maximum turns the -0.0 of a constant into 0.0.
    return [max(-float(np.sum(p * np.log(p))), 0.0) for p in shares]

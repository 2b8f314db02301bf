"""Entropies and mutual information of binned latents and factors, from tables of counts."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from vae_jax.disentanglement._arrays import check_codes, check_factors, dense_factors, difference, is_traced
from vae_jax.errors import InputError
from vae_jax.shapes import AnyArray

Array = jax.Array
_FEW_VALUES = 64


class Information(NamedTuple):
    """Plug-in entropies and mutual informations in nats, of d binned latents and k factors."""

    mutual_information: Float[Array, "d k"]  # I(z_j; v_k)
    joint_entropy: Float[Array, "d k"]  # H(z_j, v_k)
    code_entropy: Float[Array, " d"]  # H(z_j)
    factor_entropy: Float[Array, " k"]  # H(v_k)


def equal_width_bins(codes: Num[AnyArray, "N d"], *, num_bins: int = 20) -> Int[Array, "N d"]:
    """The bin, 0 to num_bins - 1, of each latent in equal widths over its own range, as in `numpy.histogram`.

    A bin holds its lower edge, the last one both. A constant latent is all in one bin. codes: [N, d], of any
    number N of points, also below num_bins; in float64 unless traced, so that a large mean costs no digits. Returns
    integers [N, d]. Raises InputError for num_bins below 2.
    """
    if num_bins < 2:
        raise InputError(f"num_bins {num_bins}: expected 2 or more")
    codes = check_codes(codes)
    if is_traced(codes):
        return jnp.asarray(_bins(codes, num_bins))
    # Above the minimum, where edges are multiples of the width, no edge is rounded to the digits of a large mean.
    above = codes.astype(np.float64) - np.min(codes, axis=0, keepdims=True).astype(np.float64)
    width = np.max(above, axis=0, keepdims=True) / num_bins
    # The quotient may be rounded across an edge: it is off by one bin at most, and the edges decide.
    guess = np.divide(above, width, out=np.zeros_like(above), where=width > 0).astype(np.int32)
    bins = np.minimum(guess, num_bins - 1)
    bins -= above < bins * width
    bins += (bins < num_bins - 1) & (above >= (bins + 1) * width)
    return jnp.asarray(np.where(width > 0, bins, num_bins - 1))


def discrete_information(
    symbols: Int[AnyArray, "N d"],
    factors: Int[AnyArray, "N k"],
    *,
    num_symbols: int,
    num_values: int | None = None,
    miller_madow: bool = False,
) -> Information:
    """Plug-in estimates of every pair of columns, from one table of counts.

    H(a) = -sum_a p(a) log p(a)      I(a; b) = sum_ab p(a, b) log[ p(a, b) / (p(a) p(b)) ]

    The plug-in I of independent columns is about (m_a - 1)(m_b - 1) / 2N above 0, m the numbers of values that
    occur. `miller_madow` adds (m - 1) / 2N to every H, and so takes (m_ab - m_a - m_b + 1) / 2N off I, down to 0.
    Columns of which the counts factor exactly have exactly I = 0, as on a full grid, and a constant column has
    exactly H = 0, up to 2^24 examples: scores may compare with 0.

    symbols: [N, d] in [0, num_symbols). factors: integers [N, k], any values. `num_values`: a bound on the number
    of values of a factor; wanted only where factors are traced, for otherwise they are counted. A traced factor
    with more gives NaN. Sources: Miller 1955, "Note on the bias of information estimates".
    """
    if not is_traced(symbols):
        values = np.asarray(symbols)
        if values.ndim != 2 or values.size == 0 or values.min() < 0 or values.max() >= num_symbols:
            raise InputError(f"symbols {values.shape}: expected [N, d], integers from 0 to {num_symbols - 1}")
    factors = check_factors(factors, symbols.shape[0])
    found: Information
    if not is_traced(factors):
        found = _information(symbols, *dense_factors(factors, num_values), num_symbols, miller_madow)
        return found
    if num_values is not None:
        ids, _ = dense_factors(factors)
        found = _information(symbols, ids, num_values, num_symbols, miller_madow)
        inside = jnp.max(ids) < num_values
        return Information(*(jnp.where(inside, value, jnp.nan) for value in found))
    # Most factors are numbered from 0 or 1 to a few dozen, but only the run will tell; then nothing need be sorted
    # and the table is a small part of that for as many values as examples.
    factors = factors * 1
    low = jnp.min(factors, axis=0, keepdims=True)
    found = jax.lax.cond(
        jnp.all(factors < low + _FEW_VALUES),
        lambda: _information(symbols, factors - low, _FEW_VALUES, num_symbols, miller_madow),
        lambda: _information(symbols, *dense_factors(factors), num_symbols, miller_madow),
    )
    return found


def binned_information(
    codes: Num[AnyArray, "N d"],
    factors: Int[AnyArray, "N k"],
    *,
    num_bins: int = 20,
    num_values: int | None = None,
    miller_madow: bool = False,
) -> Information:
    """`discrete_information` of the latents in equal-width bins and the factors, all pairs at once.

    codes: [N, d], factors: integers [N, k]. Source: Locatello et al. 2019 (arXiv:1811.12359), with 20 bins.
    """
    bins = equal_width_bins(codes, num_bins=num_bins)
    return discrete_information(
        bins, factors, num_symbols=num_bins, num_values=num_values, miller_madow=miller_madow
    )


# The two below are compiled, for they pass over an array of N num_bins d or N d k elements that only fusion keeps
# out of memory: without it a score takes five times as long.


@functools.partial(jax.jit, static_argnums=1)
def _bins(codes: Array, num_bins: int) -> Array:
    above = difference(codes, jnp.min(codes, axis=0, keepdims=True))
    edges = jnp.arange(num_bins)[:, None] * (jnp.max(above, axis=0, keepdims=True) / num_bins)
    return jnp.sum(above[:, None, :] >= edges[None], axis=1) - 1


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _information(symbols: Array, ids: Array, num_values: int, num_symbols: int, miller_madow: bool) -> Information:
    (num_examples, num_codes), num_factors = symbols.shape, ids.shape[1]
    if num_codes * num_factors * num_symbols * num_values > np.iinfo(np.int32).max:
        raise InputError(
            f"{num_codes} x {num_factors} tables of {num_symbols} x {num_values} counts: too many; "
            "score fewer factors at a time, or give num_values, the number of values of the largest"
        )
    pair = (jnp.arange(num_codes)[:, None] * num_factors + jnp.arange(num_factors)[None])[None]
    place = (pair * num_symbols + symbols[:, :, None]) * num_values + ids[:, None, :]
    counts = jnp.bincount(place.ravel(), length=num_codes * num_factors * num_symbols * num_values)
    counts = counts.reshape(num_codes, num_factors, num_symbols, num_values)
    of_symbol, of_value = jnp.sum(counts, axis=3), jnp.sum(counts, axis=2)
    cells = counts.reshape(num_codes, num_factors, -1)
    # N n_ab against n_a n_b: products of whole numbers, which are equal after rounding too where they are equal.
    joint = cells * float(num_examples)
    independent = ((of_symbol * 1.0)[..., :, None] * (of_value * 1.0)[..., None, :]).reshape(cells.shape)
    dependent = (cells > 0) & (joint != independent)
    ratio = jnp.where(dependent, joint, 1.0) / jnp.where(dependent, independent, 1.0)
    found = Information(
        mutual_information=jnp.maximum(jnp.sum(cells / num_examples * jnp.log(ratio), axis=2), 0.0),
        joint_entropy=_entropy(cells, num_examples),
        code_entropy=_entropy(of_symbol[:, 0], num_examples),
        factor_entropy=_entropy(of_value[0], num_examples),
    )
    if miller_madow:
        corrections = [(jnp.sum(c > 0, axis=2) - 1) / (2 * num_examples) for c in (cells, of_symbol, of_value)]
        of_joint, of_code, of_factor = corrections
        return Information(
            mutual_information=jnp.maximum(found.mutual_information + of_code + of_factor - of_joint, 0.0),
            joint_entropy=found.joint_entropy + of_joint,
            code_entropy=found.code_entropy + of_code[:, 0],
            factor_entropy=found.factor_entropy + of_factor[0],
        )
    return found


def _entropy(counts: Array, total: int) -> Array:
    # A compiler may divide by a constant as it multiplies by a rounded inverse: total / total need not be 1.
    p = jnp.where((counts > 0) & (counts < total), counts / total, 1.0)
    # The maximum turns the -0.0 of a constant into 0.0.
    return jnp.maximum(-jnp.sum(p * jnp.log(p), axis=-1), 0.0)

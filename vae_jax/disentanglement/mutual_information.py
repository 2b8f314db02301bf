"""Scores from the mutual information between each latent, binned, and each factor: MIG and JEMMIG."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vae_jax.disentanglement.arrays import (
    best_two,
    check_codes,
    check_factors,
    dense_factors,
    is_traced,
    mean_of,
    varies,
)
from vae_jax.errors import InputError

Array = jax.Array
FEW_VALUES = 64


class Information(NamedTuple):
    """Plug-in entropies and mutual informations in nats, of d binned latents and k factors."""

    mutual_information: Array  # [d, k], I(z_j; v_k)
    joint_entropy: Array  # [d, k], H(z_j, v_k)
    code_entropy: Array  # [d], H(z_j)
    factor_entropy: Array  # [k], H(v_k)


class MutualInformationGap(NamedTuple):
    """The score, and what it is made of."""

    score: Array  # scalar, the mean of per_factor over the factors that vary
    per_factor: Array  # [k]; 0 for a constant factor
    mutual_information: Array  # [d, k], nats
    factor_entropy: Array  # [k], nats
    active: Array  # [d], False for a latent that is constant
    varying: Array  # [k], False for a factor that is constant


class JointEntropyGap(NamedTuple):
    """The normalized score, and the gap in nats of which it is made."""

    score: Array  # scalar, the mean of per_factor over the factors that vary
    per_factor: Array  # [k]; 0 for a constant factor
    gap: Array  # [k], nats; lower is better
    active: Array  # [d]
    varying: Array  # [k]


def equal_width_bins(codes: Any, *, num_bins: int = 20) -> Array:
    """The bin, 0 to num_bins - 1, of each latent in equal widths over its own range, as in `numpy.histogram`.

    A bin holds its lower edge, the last one both. A constant latent is all in one bin. codes: [N, d], of any
    number N of points, also below num_bins. Returns integers [N, d]. Raises InputError for num_bins below 2.
    """
    if num_bins < 2:
        raise InputError(f"num_bins {num_bins}: expected 2 or more")
    return _bins(jnp.asarray(check_codes(codes)), num_bins)


def discrete_information(
    symbols: Array, factors: Any, *, num_symbols: int, num_values: int | None = None, miller_madow: bool = False
) -> Information:
    """Plug-in estimates of every pair of columns, from one table of counts.

    H(a) = -sum_a p(a) log p(a)      I(a; b) = sum_ab p(a, b) log[ p(a, b) / (p(a) p(b)) ]

    The plug-in I of independent columns is about (m_a - 1)(m_b - 1) / 2N above 0, m the numbers of values that
    occur. `miller_madow` adds (m - 1) / 2N to every H, and so takes (m_ab - m_a - m_b + 1) / 2N off I, down to 0.

    symbols: [N, d] in [0, num_symbols). factors: integers [N, k], any values. `num_values`: a bound on the number
    of values of a factor; wanted only where factors are traced, for otherwise they are counted. A traced factor
    with more gives NaN. Sources: Miller 1955, "Note on the bias of information estimates".
    """
    factors = check_factors(factors, symbols.shape[0])
    if not is_traced(factors):
        return _information(symbols, *dense_factors(factors, num_values), num_symbols, miller_madow)
    if num_values is not None:
        ids, _ = dense_factors(factors)
        found = _information(symbols, ids, num_values, num_symbols, miller_madow)
        return jax.tree.map(lambda value: jnp.where(jnp.max(ids) < num_values, value, jnp.nan), found)
    # Most factors are numbered from 0 or 1 to a few dozen, but only the run will tell; then nothing need be sorted
    # and the table is a small part of that for as many values as examples.
    factors = factors * 1
    low = jnp.min(factors, axis=0)
    return jax.lax.cond(
        jnp.all(factors < low + FEW_VALUES),
        lambda: _information(symbols, factors - low, FEW_VALUES, num_symbols, miller_madow),
        lambda: _information(symbols, *dense_factors(factors), num_symbols, miller_madow),
    )


def binned_information(
    codes: Any,
    factors: Any,
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


def mutual_information_gap(
    codes: Any,
    factors: Any,
    *,
    num_bins: int = 20,
    num_values: int | None = None,
    miller_madow: bool = False,
) -> MutualInformationGap:
    """MIG of binned codes: how much more the best latent tells of a factor than the second-best, on average.

    MIG = mean_k [ I(z_j1; v_k) - I(z_j2; v_k) ] / H(v_k),   j1, j2 the two latents with the largest I

    In [0, 1]. Each factor in a latent of its own scores 1 as long as the bins tell its values apart: evenly
    spaced values score 1 for 6 of them, but 0.85 for 32 and 0.81 for 40 under 20 bins. Codes that tell nothing,
    or tell everything twice, score 0. A constant latent tells 0; one latent alone is compared with 0; factors
    that are constant are left out of the mean, which is 0 if none is left.

    codes: [N, d], by convention the posterior means of 10,000 examples. factors: integers [N, k]. The two
    keywords after num_bins are those of `discrete_information`. Raises InputError for other shapes or types.
    Sources: Chen et al. 2018 (arXiv:1802.04942) for the score, Locatello et al. 2019 (arXiv:1811.12359) for this
    estimator of it; `sampled_mutual_information_gap` is the former's.
    """
    found = binned_information(codes, factors, num_bins=num_bins, num_values=num_values, miller_madow=miller_madow)
    return gap_of(found.mutual_information, found.factor_entropy, active=varies(codes))


def gap_of(mutual_information: Array, factor_entropy: Array, *, active: Array) -> MutualInformationGap:
    """The normalized gap of a matrix I(z_j; v_k), negative estimates counted as 0: [d, k] and [k], in nats."""
    best, second = best_two(jnp.maximum(mutual_information, 0.0))
    varying = factor_entropy != 0
    gap = jnp.where(varying, (best - second) / jnp.where(varying, factor_entropy, 1.0), 0.0)
    return MutualInformationGap(mean_of(gap, varying), gap, mutual_information, factor_entropy, active, varying)


def joint_entropy_gap(
    codes: Any, factors: Any, *, num_bins: int = 20, num_values: int | None = None
) -> JointEntropyGap:
    """JEMMIG, the joint entropy minus the mutual information gap: MIG that also asks for a latent of one factor.

    gap_k = H(z_j1, v_k) - I(z_j1; v_k) + I(z_j2; v_k)        score = mean_k [ 1 - gap_k / (H(v_k) + log num_bins) ]

    with j1, j2 as in MIG. The gap is in [0, H(v_k) + log num_bins] and better if lower; the score in [0, 1].
    Each factor in a latent of its own that the bins tell apart scores 1; a latent that is a bijection of two
    factors scores less than under MIG. A factor of which no latent tells anything, to the last count, scores 0 (the
    formula alone would reward a constant latent for its low entropy). Codes that are noise score somewhat above 0,
    and one outlier, which leaves few bins to the other examples, lowers the entropy of the code: noise with
    outliers can score 0.5. Constants and missing latents are as in MIG.

    codes: [N, d], factors: integers [N, k]. Source: Do and Tran 2020 (arXiv:1908.09961).
    """
    found = binned_information(codes, factors, num_bins=num_bins, num_values=num_values)
    best, second = best_two(found.mutual_information)
    j = jnp.argmax(found.mutual_information, axis=0)
    gap = found.joint_entropy[j, jnp.arange(j.size)] - best + second
    varying = found.factor_entropy != 0
    score = jnp.where(best > 0, 1 - gap / (found.factor_entropy + math.log(num_bins)), 0.0)
    score = jnp.where(varying, jnp.clip(score, 0.0, 1.0), 0.0)
    return JointEntropyGap(mean_of(score, varying), score, gap, varies(codes), varying)


# The two below are compiled, for they pass over an array of N num_bins d or N d k elements that only fusion keeps
# out of memory: without it a score takes five times as long.


@functools.partial(jax.jit, static_argnums=1)
def _bins(codes: Array, num_bins: int) -> Array:
    low, high = jnp.min(codes, axis=0), jnp.max(codes, axis=0)
    edges = jnp.arange(num_bins)[:, None] * ((high - low) / num_bins) + low
    return jnp.sum(codes[:, None, :] >= edges, axis=1) - 1


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _information(symbols: Array, ids: Array, num_values: int, num_symbols: int, miller_madow: bool) -> Information:
    (num_examples, num_codes), num_factors = symbols.shape, ids.shape[1]
    if num_codes * num_factors * num_symbols * num_values > jnp.iinfo(jnp.int32).max:
        raise InputError(
            f"{num_codes} x {num_factors} tables of {num_symbols} x {num_values} counts: too many; "
            "score fewer factors at a time, or give num_values, the number of values of the largest"
        )
    pair = jnp.arange(num_codes)[:, None] * num_factors + jnp.arange(num_factors)
    place = (pair * num_symbols + symbols[:, :, None]) * num_values + ids[:, None, :]
    counts = jnp.bincount(place.ravel(), length=num_codes * num_factors * num_symbols * num_values)
    counts = counts.reshape(num_codes, num_factors, num_symbols, num_values)
    of_symbol, of_value = jnp.sum(counts, axis=3), jnp.sum(counts, axis=2)

    independent = (of_symbol / num_examples)[..., :, None] * (of_value / num_examples)[..., None, :]
    cells = counts.reshape(num_codes, num_factors, -1)
    joint, independent = cells / num_examples, independent.reshape(cells.shape)
    ratio = jnp.where(cells > 0, joint, 1.0) / jnp.where(cells > 0, independent, 1.0)
    found = Information(
        mutual_information=jnp.maximum(jnp.sum(joint * jnp.log(ratio), axis=2), 0.0),
        joint_entropy=_entropy(joint),
        code_entropy=_entropy(of_symbol[:, 0] / num_examples),
        factor_entropy=_entropy(of_value[0] / num_examples),
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


def _entropy(p: Array) -> Array:
    # The maximum turns the -0.0 of a constant into 0.0.
    return jnp.maximum(-jnp.sum(p * jnp.log(jnp.where(p > 0, p, 1.0)), axis=-1), 0.0)

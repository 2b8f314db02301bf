"""Scores from the mutual information between each latent, binned, and each factor: MIG and JEMMIG."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, Num

from vae_jax.disentanglement._arrays import best_two, mean_of, varies
from vae_jax.disentanglement.discrete import binned_information
from vae_jax.shapes import AnyArray

Array = jax.Array


class MutualInformationGap(NamedTuple):
    """The score, and what it is made of."""

    score: Float[Array, ""]  # the mean of per_factor over the factors that vary
    per_factor: Float[Array, " k"]  # 0 for a constant factor
    mutual_information: Float[Array, "d k"]  # nats
    factor_entropy: Float[Array, " k"]  # nats
    active: Bool[Array, " d"]  # False for a latent that is constant
    varying: Bool[Array, " k"]  # False for a factor that is constant


class JointEntropyGap(NamedTuple):
    """The normalized score, and the gap in nats of which it is made."""

    score: Float[Array, ""]  # the mean of per_factor over the factors that vary
    per_factor: Float[Array, " k"]  # 0 for a constant factor
    gap: Float[Array, " k"]  # nats; lower is better
    active: Bool[Array, " d"]
    varying: Bool[Array, " k"]


def mutual_information_gap(
    codes: Num[AnyArray, "N d"],
    factors: Int[AnyArray, "N k"],
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
    return information_gap(found.mutual_information, found.factor_entropy, active=varies(codes))


def information_gap(
    mutual_information: Float[Array, "d k"], factor_entropy: Float[Array, " k"], *, active: Bool[Array, " d"]
) -> MutualInformationGap:
    """The gap of MIG for any estimates of I(z_j; v_k) [d, k] and H(v_k) [k], in nats; an I below 0 counts as 0."""
    best, second = best_two(jnp.maximum(mutual_information, 0.0))
    varying = factor_entropy != 0
    gap = jnp.where(varying, (best - second) / jnp.where(varying, factor_entropy, 1.0), 0.0)
    return MutualInformationGap(mean_of(gap, varying), gap, mutual_information, factor_entropy, active, varying)


def joint_entropy_gap(
    codes: Num[AnyArray, "N d"], factors: Int[AnyArray, "N k"], *, num_bins: int = 20, num_values: int | None = None
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

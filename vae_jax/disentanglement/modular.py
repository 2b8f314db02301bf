"""Whether each latent tells of one factor only."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Num

from vae_jax.disentanglement._arrays import check_finite, check_mask, mean_of
from vae_jax.errors import InputError
from vae_jax.shapes import AnyArray

Array = jax.Array


class Modularity(NamedTuple):
    """The score in the two conventions about latents that tell nothing."""

    score: Float[Array, ""]  # the mean of per_code over all the latents, as published
    score_of_active: Float[Array, ""]  # the mean over the active latents
    per_code: Float[Array, " d"]  # 0 for a latent that tells nothing
    active: Bool[Array, " d"]  # the latents that score_of_active counts


def modularity(
    mutual_information: Num[AnyArray, "d k"], *, active: Bool[AnyArray, " d"] | None = None
) -> Modularity:
    """Whether each latent tells of one factor only.

    score = mean_j [ 1 - sum_{k != k_j} I_jk^2 / (I_{j k_j}^2 (k - 1)) ],   k_j = argmax_k I_jk

    In [0, 1]: 1 if each latent tells of a single factor, 0 if each tells of all of them alike. A latent that
    tells nothing counts as 0 in `score`, as published, and not at all in `score_of_active`. With a single factor
    every active latent has 1. It says nothing about whether all the factors are told.

    mutual_information: [d, k], as `binned_information(codes, factors).mutual_information`, which is exactly 0 for
    columns that are independent to the last count; neither normalized nor corrected; below 0 it counts as 0.
    `active`: which latents `score_of_active` counts, bool [d]; by default those with any information, of which the
    plug-in estimate leaves some to a latent that collapsed in training: `active_units` finds those. Raises
    InputError for other shapes, and for NaN. Source: Ridgeway and Mozer 2018 (arXiv:1802.05312).
    """
    check_finite(mutual_information, "values of mutual_information")
    squared = jnp.maximum(jnp.asarray(mutual_information), 0.0) ** 2
    if squared.ndim != 2 or 0 in squared.shape:
        raise InputError(f"mutual_information of shape {squared.shape}: expected [d, k]")
    best = jnp.max(squared, axis=1)
    informative = best > 0
    active = informative if active is None else check_mask(active, len(squared))
    others = jnp.sum(squared, axis=1) - best
    deviation = others / jnp.where(informative, best * max(squared.shape[1] - 1, 1), 1.0)
    per_code = jnp.where(informative, jnp.clip(1 - deviation, 0.0, 1.0), 0.0)
    return Modularity(jnp.mean(per_code), mean_of(per_code, active), per_code, active)

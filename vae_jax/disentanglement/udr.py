"""Unsupervised disentanglement ranking: models that disentangle learn alike latents, others each their own."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Num

from vae_jax.disentanglement._arrays import (
    check_codes,
    check_finite,
    dense_factors,
    is_traced,
    scikit_learn,
    standardized,
    varies,
)
from vae_jax.errors import InputError
from vae_jax.shapes import AnyArray

Array = jax.Array
_MIN_RATE = 0.01


class UDR(NamedTuple):
    """A score per model, and the comparisons of which it is the median."""

    score: Float[Array, " num_models"]  # the median over the other models; higher is better
    pairwise: Float[Array, "num_models num_models"]  # 0 on the diagonal, which does not count
    similarity: Float[Array, "num_models num_models d d"]  # of latent a of the one and b of the other
    active: Bool[Array, "num_models d"]  # False for a latent that is constant or has a rate of min_rate or less


def relative_strength(
    similarity: Num[AnyArray, "a b"],
    rows: Bool[AnyArray, " a"] | None = None,
    columns: Bool[AnyArray, " b"] | None = None,
) -> Float[Array, ""]:
    """How nearly a similarity matrix R >= 0 of two sets of latents is a matching of one to one, a scalar in [0, 1].

    1/2 mean_b [ max_a R_ab^2 / sum_a R_ab ] + 1/2 mean_a [ max_b R_ab^2 / sum_b R_ab ]

    1 for a permutation matrix, 1/d for d x d ones, 0 for zeros. similarity: [d_a, d_b] in [0, 1]; `rows`,
    `columns`: which latents count, bool [d_a], [d_b]. Source: Duan et al. 2020 (arXiv:1905.12614), in the form of
    disentanglement_lib.
    """
    similarity = jnp.asarray(similarity)
    rows = jnp.ones(similarity.shape[0], bool) if rows is None else jnp.asarray(rows)
    columns = jnp.ones(similarity.shape[1], bool) if columns is None else jnp.asarray(columns)
    similarity = jnp.where(rows[:, None] & columns[None], similarity, 0.0)

    def half(axis: int, counted: Array) -> Array:
        total = jnp.sum(similarity, axis=axis)
        strength = jnp.max(similarity, axis=axis) ** 2 / jnp.where(total > 0, total, 1.0)
        return jnp.sum(strength) / jnp.maximum(jnp.sum(counted), 1)

    return 0.5 * (half(0, columns) + half(1, rows))


def udr_spearman(
    codes: Num[AnyArray, "models N d"],
    rates: Num[AnyArray, "models d"] | None = None,
    *,
    min_rate: float = _MIN_RATE,
) -> UDR:
    """UDR with |Spearman's rank correlation| for the similarity of two latents.

    R_ab = |corr(rank z_a, rank z_b)|,  a a latent of model i, b of model j
    pairwise_ij = relative_strength(R)        score_j = median_{i != j} pairwise_ij

    In [0, 1]. Models that are alike up to the order, sign and monotone scale of their latents score 1, save for
    correlations between the latents of one model. Ties have their mean rank; an inactive latent does not count.

    codes: [num_models, N, d], the codes of the same N examples under 2 models or more, of one method and different
    seeds. `rates`: [num_models, d], the mean KL(q(z_j|x) || p(z_j)) of each latent; those at or below `min_rate`
    are inactive. Raises InputError for other shapes. Source: Duan et al. 2020 (arXiv:1905.12614).
    """
    codes, active = _check(codes, rates, min_rate)
    num_models, num_examples, num_latents = codes.shape
    columns = codes.swapaxes(0, 1).reshape(num_examples, -1)
    # Places among the values that occur have the ranks of the values, and no digits that JAX could round.
    columns = columns if is_traced(columns) else jnp.asarray(dense_factors(columns)[0])
    ordered = jnp.sort(columns, axis=0)

    def ranks(side: str) -> Array:
        return jax.vmap(lambda s, c: jnp.searchsorted(s, c, side=side), 1, 1)(ordered, columns)

    rank = (ranks("left") + ranks("right")) / (2 * num_examples) - 0.5
    norm = jnp.sqrt(jnp.sum(rank**2, axis=0, keepdims=True))
    rank = rank / jnp.where(norm > 0, norm, 1.0)
    correlation = jnp.abs(jnp.matmul(rank.T, rank, precision="highest"))
    similarity = correlation.reshape(num_models, num_latents, num_models, num_latents).transpose(0, 2, 1, 3)
    return _ranking(jnp.minimum(similarity, 1.0), active)


def udr_lasso(
    codes: Num[AnyArray, "models N d"],
    rates: Num[AnyArray, "models d"] | None = None,
    *,
    min_rate: float = _MIN_RATE,
    alpha: float = 0.1,
) -> UDR:
    """UDR with the |coefficients| of a lasso from the latents of one model to those of the other, all standardized.

    R_ab = |w_a|,   w minimizing |z'_b - sum_a w_a z_a|^2 / 2N + alpha |w|_1

    Models that are alike up to the order, sign and scale of their latents score 1 - alpha, the shrinkage of the
    lasso, if the latents of each are uncorrelated. It is not symmetric in the two models. Arguments and source as
    `udr_spearman`. Raises InputError for other shapes, and without scikit-learn.
    """
    linear_model = scikit_learn("linear_model")
    if is_traced(codes):
        raise InputError("traced codes: this score runs scikit-learn on the host; call it outside jit and vmap")
    codes, active = _check(codes, rates, min_rate)
    num_models, _, num_latents = codes.shape
    columns = [np.where(a, standardized(z)[0], 0.0) for z, a in zip(codes, np.asarray(active), strict=True)]
    similarity = np.zeros((num_models, num_models, num_latents, num_latents))
    for i in range(num_models):
        for j in range(num_models):
            if i != j:
                model = linear_model.Lasso(alpha=alpha).fit(columns[i], columns[j])
                similarity[i, j] = np.abs(model.coef_).reshape(num_latents, num_latents).T
    return _ranking(jnp.asarray(similarity), active)


def _check(codes: Any, rates: Any, min_rate: float) -> tuple[Any, Array]:
    codes = codes if is_traced(codes) else np.asarray(codes)
    if codes.ndim != 3 or codes.shape[0] < 2 or 0 in codes.shape:
        raise InputError(f"codes of shape {codes.shape}: expected [num_models, N, d] of 2 models or more")
    active = jnp.stack([varies(check_codes(of_model)) for of_model in codes])
    if rates is None:
        return codes, active
    if jnp.shape(rates) != active.shape:
        raise InputError(f"rates of shape {jnp.shape(rates)}: expected {active.shape}, one per model and latent")
    check_finite(rates, "rates")
    return codes, active & (jnp.asarray(rates) > min_rate)


def _ranking(similarity: Array, active: Array) -> UDR:
    num_models = len(active)
    each = jax.vmap(jax.vmap(relative_strength, (0, None, 0)), (0, 0, None))
    pairwise = jnp.where(jnp.eye(num_models, dtype=bool), 0.0, each(similarity, active, active))
    # Row i of `others` names the models other than i.
    others = (jnp.arange(num_models)[:, None] + jnp.arange(1, num_models)[None]) % num_models
    score = jnp.median(pairwise[others, jnp.arange(num_models)[:, None]], axis=1)
    return UDR(score, pairwise, similarity, active)

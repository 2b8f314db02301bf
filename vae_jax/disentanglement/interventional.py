"""Scores from groups of examples that share one factor: the metrics of beta-VAE and of FactorVAE.

Both ask which factor was held fixed. The groups come from a simulator of the data, or by `fixed_factor_groups` and
`fixed_factor_pairs` from the factors of a data set.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from vae_jax.disentanglement._arrays import check_factors, check_finite, dense_factors, is_traced, scikit_learn
from vae_jax.errors import InputError
from vae_jax.shapes import AnyArray

Array = jax.Array


class FactorVAEScore(NamedTuple):
    """Accuracy of the majority vote, and the votes."""

    score: Float[Array, ""]  # accuracy on the test groups
    train_score: Float[Array, ""]  # accuracy on the groups that set the majority
    votes: Int[Array, "d num_factors"]  # how often latent j varied least while factor k was fixed
    active: Bool[Array, " d"]  # False for a latent that was pruned and has no vote


class BetaVAEScore(NamedTuple):
    """Accuracy of the linear classifier."""

    score: Float[Array, ""]  # accuracy on the test pairs
    train_score: Float[Array, ""]  # accuracy on the pairs to fit on
    active: Bool[Array, " d"]  # False for a latent that never differs


def fixed_factor_groups(
    key: Array, factors: Int[AnyArray, "N k"], *, num_groups: int, group_size: int
) -> tuple[Int[Array, "{num_groups} {group_size}"], Int[Array, " {num_groups}"]]:
    """Groups of examples that agree in one factor, each drawn uniformly, with replacement, from all that do.

    The factor of a group is uniform over the k factors; its value is that of a random example. factors: integers
    [N, k]. Returns indices of examples [num_groups, group_size], and the fixed factor of each group [num_groups].
    """
    factor_key, anchor_key, member_key = jax.random.split(key, 3)
    factors = _ids(factors)
    num_examples, num_factors = factors.shape
    fixed = jax.random.randint(factor_key, (num_groups,), 0, num_factors)
    anchor = jax.random.randint(anchor_key, (num_groups,), 0, num_examples)
    uniform = jax.random.uniform(member_key, (num_groups, group_size))
    return _alike(factors, fixed[:, None], anchor[:, None], uniform), fixed


def fixed_factor_pairs(
    key: Array, factors: Int[AnyArray, "N k"], *, num_groups: int, group_size: int
) -> tuple[Int[Array, "{num_groups} {group_size} 2"], Int[Array, " {num_groups}"]]:
    """Groups of pairs: the two of a pair agree in the factor of the group, the pairs in nothing.

    The first of each pair is a random example, the second uniform over those that agree with it in the factor of
    the group, which is uniform over the k factors. factors: integers [N, k]. Returns indices of examples
    [num_groups, group_size, 2], and the fixed factor of each group [num_groups].
    """
    factor_key, anchor_key, member_key = jax.random.split(key, 3)
    factors = _ids(factors)
    num_examples, num_factors = factors.shape
    shape = (num_groups, group_size)
    fixed = jax.random.randint(factor_key, (num_groups,), 0, num_factors)
    first = jax.random.randint(anchor_key, shape, 0, num_examples)
    second = _alike(factors, fixed[:, None], first, jax.random.uniform(member_key, shape))
    return jnp.stack([first, second], axis=-1), fixed


def _ids(factors: Any) -> Array:
    """The checked factors, renumbered unless they are traced: int64 need not fit into the integers of JAX."""
    factors = check_factors(factors, jnp.shape(factors)[0] if jnp.ndim(factors) else 0)
    return factors if is_traced(factors) else jnp.asarray(dense_factors(factors)[0])


def _alike(factors: Array, fixed: Array, anchor: Array, uniform: Array) -> Array:
    """The example at quantile `uniform` among those whose factor `fixed` is as that of the example `anchor`."""
    order = jnp.argsort(factors, axis=0)
    ordered = jnp.take_along_axis(factors, order, axis=0)

    def ends(side: str) -> Array:
        return jax.vmap(lambda s, f: jnp.searchsorted(s, f, side=side), 1, 1)(ordered, factors)

    start, end = ends("left")[anchor, fixed], ends("right")[anchor, fixed]
    offset = jnp.minimum((uniform * (end - start)).astype(start.dtype), end - start - 1)
    return order[start + offset, fixed]


def factor_vae_score(
    groups: Num[AnyArray, "G L d"],
    fixed: Int[AnyArray, " G"],
    *,
    test_groups: Num[AnyArray, "test_G test_L d"],
    test_fixed: Int[AnyArray, " test_G"],
    scale: Num[AnyArray, " d"],
    min_scale: float = 0.05,
) -> FactorVAEScore:
    """FactorVAE's metric: accuracy of guessing the fixed factor from the latent that varies least.

    j* = argmin_j var_l(z_lj) / scale_j^2 over the active latents        vote: j* -> the fixed factor
    score = the share of test groups whose factor is the majority of the votes of its j*

    In [0, 1]. Each factor in latents of its own, varying with nothing else, scores 1; guessing one factor always
    scores its share, about 1 / num_factors. A latent with scale_j < min_scale is pruned, as a latent that
    collapsed to the prior would vary least of all; if none is left the score is 0. Ties go to the first latent.

    groups: [num_groups, L, d], codes of L >= 2 examples that share factor fixed[g]; fixed: integers [num_groups];
    test_groups, test_fixed: likewise. scale: [d], the standard deviation of the codes over the whole data set.
    Raises InputError for other shapes and for numbers that are not finite.
    Source: Kim and Mnih 2018 (arXiv:1802.05983).
    """
    groups, fixed = _check_groups(groups, fixed, "groups", 3)
    test_groups, test_fixed = _check_groups(test_groups, test_fixed, "test_groups", 3)
    if is_traced(scale):
        raise InputError("a traced scale: this score counts on the host; call it outside jit and vmap")
    scale, num_latents = np.asarray(scale, np.float64), groups.shape[2]
    check_finite(scale, "values of scale")
    if (
        scale.shape != (num_latents,)
        or test_groups.shape[2] != num_latents
        or min(groups.shape[1], test_groups.shape[1]) < 2
    ):
        raise InputError(
            f"scale {scale.shape}, groups {groups.shape}, test_groups {test_groups.shape}: expected scale [d] and "
            "groups [num_groups, L, d] of 2 examples or more"
        )
    active = (scale >= min_scale) & (scale > 0)
    num_factors = int(max(fixed.max(), test_fixed.max())) + 1

    def votes(groups: np.ndarray, fixed: np.ndarray) -> np.ndarray:
        variance = np.var(groups, axis=1, ddof=1, dtype=np.float64)
        relative = np.where(active, variance / np.where(active, scale, 1.0) ** 2, np.inf)
        table = np.zeros((num_latents, num_factors), np.int32)
        np.add.at(table, (np.argmin(relative, axis=1), fixed), 1)
        table[~active] = 0
        return table

    train, test = votes(groups, fixed), votes(test_groups, test_fixed)
    guess = np.argmax(train, axis=1)

    def accuracy(table: np.ndarray) -> Array:
        return jnp.asarray(table[np.arange(num_latents), guess].sum() / max(table.sum(), 1))

    return FactorVAEScore(accuracy(test), accuracy(train), jnp.asarray(train), jnp.asarray(active))


def beta_vae_score_logistic_regression(
    pairs: Num[AnyArray, "G L 2 d"],
    fixed: Int[AnyArray, " G"],
    *,
    test_pairs: Num[AnyArray, "test_G test_L 2 d"],
    test_fixed: Int[AnyArray, " test_G"],
    seed: int = 0,
    **options: Any,
) -> BetaVAEScore:
    """beta-VAE's metric: accuracy of a linear classifier of the fixed factor from mean differences of codes.

    feature_j = mean_l |z_lj - z'_lj|,   the L pairs (z_l, z'_l) of a group agreeing in the fixed factor

    In [0, 1]. Each factor in latents of its own scores 1, but so can a rotation of such codes: 1 is necessary for
    disentanglement, not sufficient. Codes that tell nothing score about 1 / num_factors. A constant latent is a
    feature of 0. The classifier has a penalty, so the score depends on the scale of the latents.

    pairs: [num_groups, L, 2, d], fixed: integers [num_groups]; test_pairs, test_fixed: likewise. `options` go to
    scikit-learn's LogisticRegression. Raises InputError for other shapes, for pairs of one factor only, and without
    scikit-learn. Source: Higgins et al. 2017, "beta-VAE: Learning basic visual concepts with a constrained
    variational framework", with the classifier of Locatello et al. 2019 (arXiv:1811.12359).
    """
    linear_model = scikit_learn("linear_model")
    pairs, fixed = _check_groups(pairs, fixed, "pairs", 4)
    test_pairs, test_fixed = _check_groups(test_pairs, test_fixed, "test_pairs", 4)
    if pairs.shape[2] != 2 or test_pairs.shape[2:] != pairs.shape[2:] or np.ptp(fixed) == 0:
        raise InputError(
            f"pairs {pairs.shape}, test_pairs {test_pairs.shape}, fixed factors {np.unique(fixed).tolist()}: "
            "expected [num_groups, L, 2, d] for both, and two fixed factors or more"
        )
    features, test_features = (np.mean(np.abs(p[:, :, 0] - p[:, :, 1]), axis=1) for p in (pairs, test_pairs))
    model = linear_model.LogisticRegression(random_state=seed, **options).fit(features, fixed)
    return BetaVAEScore(
        score=jnp.asarray(model.score(test_features, test_fixed)),
        train_score=jnp.asarray(model.score(features, fixed)),
        active=jnp.asarray(np.any(features > 0, axis=0)),
    )


def _check_groups(groups: Any, fixed: Any, name: str, ndim: int) -> tuple[np.ndarray, np.ndarray]:
    if is_traced(groups) or is_traced(fixed):
        raise InputError("a traced array: this score counts on the host; call it outside jit and vmap")
    groups, fixed = np.asarray(groups), np.asarray(fixed)
    integers = np.issubdtype(fixed.dtype, np.integer)
    if (
        groups.ndim != ndim
        or 0 in groups.shape
        or fixed.shape != groups.shape[:1]
        or not integers
        or fixed.min() < 0
    ):
        raise InputError(
            f"{name} {groups.shape} with fixed factors {fixed.dtype}{fixed.shape}: expected {ndim} axes, "
            "and the number of a factor, 0 or more, for each group"
        )
    check_finite(groups, name)
    return groups.astype(np.float64), fixed  # differences of unsigned numbers would wrap around

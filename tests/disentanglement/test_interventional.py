"""The metrics of beta-VAE and FactorVAE, and the groups they are made of."""

import jax
import numpy as np
import pytest

from tests.disentanglement.examples import grid, noise
from vae_jax import InputError, disentanglement
from vae_jax.disentanglement import beta_vae_score_logistic_regression, factor_vae_score
from vae_jax.disentanglement.interventional import _ids

fixed_factor_groups = jax.jit(disentanglement.fixed_factor_groups, static_argnames=("num_groups", "group_size"))
fixed_factor_pairs = jax.jit(disentanglement.fixed_factor_pairs, static_argnames=("num_groups", "group_size"))
KEY, TEST_KEY = jax.random.split(jax.random.key(0))
FACTORS = grid(3, 4, 5)
CODES = FACTORS * [1.0, -2.0, 0.5]


def _groups(key, codes, factors=FACTORS, num_groups=300):
    i, fixed = fixed_factor_groups(key, factors, num_groups=num_groups, group_size=16)
    return codes[np.asarray(i)], fixed


def _pairs(key, codes, factors=FACTORS, num_groups=300):
    i, fixed = fixed_factor_pairs(key, factors, num_groups=num_groups, group_size=16)
    return codes[np.asarray(i)], fixed


def _factor_vae(codes, **options):
    groups, fixed = _groups(KEY, codes)
    test_groups, test_fixed = _groups(TEST_KEY, codes)
    return factor_vae_score(
        groups,
        fixed,
        test_groups=test_groups,
        test_fixed=test_fixed,
        scale=np.std(codes, axis=0, ddof=1),
        **options,
    )


def _beta_vae(codes):
    pairs, fixed = _pairs(KEY, codes)
    test_pairs, test_fixed = _pairs(TEST_KEY, codes)
    return beta_vae_score_logistic_regression(pairs, fixed, test_pairs=test_pairs, test_fixed=test_fixed)


def test_groups_agree_in_the_fixed_factor_and_are_uniform():
    """Fails if an end of the sorted examples is off by one, or values are taken for places."""
    factors = np.random.default_rng(0).permuted(grid(3, 4, 5), axis=0) * 7 - 9
    i, fixed = fixed_factor_groups(KEY, factors, num_groups=900, group_size=20)
    members = factors[np.asarray(i)]
    spread = np.ptp(members, axis=1)
    np.testing.assert_array_equal(spread[np.arange(900), fixed], 0)
    assert np.mean(spread == 0) < 0.35
    # Uniform factors, values and members: 900 groups, 18,000 examples; five standard errors of a share p.
    np.testing.assert_allclose(np.bincount(fixed) / 900, 1 / 3, atol=5 * np.sqrt(2 / 9 / 900))
    shares = np.bincount(np.ravel(i), minlength=60) / 18_000
    assert shares.min() > 0.5 / 60
    assert shares.max() < 1.5 / 60


def test_pairs_agree_in_the_fixed_factor_only():
    """Fails if the two of a pair differ in the fixed factor, if all pairs of a group agree in another one, or if
    the first of the pairs share a value."""
    i, fixed = fixed_factor_pairs(KEY, FACTORS, num_groups=300, group_size=20)
    first, second = np.moveaxis(FACTORS[np.asarray(i)], 2, 0)
    same = np.all(first == second, axis=1)
    np.testing.assert_array_equal(np.argmax(same, axis=1), fixed)
    np.testing.assert_array_equal(same.sum(axis=1), 1)
    assert np.all(np.ptp(first, axis=1) > 0)


def test_factors_beyond_32_bits_are_told_apart():
    """Times in microseconds, two of which agree in their last 32 bits. Fails if they are one value."""
    times = np.array([[1_700_000_000_000_000], [1_700_000_000_000_000 + 2**32]])
    np.testing.assert_array_equal(_ids(times), [[0], [1]])


def test_perfect_codes():
    """Fails if a perfect code loses a vote or scores below 1, say for variances that are not taken over the
    group."""
    found = _factor_vae(CODES)
    assert found.score == 1
    assert found.train_score == 1
    assert np.all(found.votes == np.diag(np.diag(found.votes)))
    assert _beta_vae(4 * CODES).score == 1


def test_votes_agree_with_a_loop():
    """Fails if votes are not for the least variance relative to the scale of each latent, or the majority is taken
    along the wrong axis."""
    codes = (CODES @ np.random.default_rng(1).normal(size=(3, 4))).astype(np.float32)
    groups, fixed = _groups(KEY, codes)
    scale = np.std(codes, axis=0, ddof=1)
    votes = np.zeros((4, 3), int)
    for group, k in zip(groups, np.asarray(fixed), strict=True):
        votes[np.argmin(np.var(group, axis=0, ddof=1) / scale**2), k] += 1
    found = _factor_vae(codes)
    np.testing.assert_array_equal(found.votes, votes)
    np.testing.assert_allclose(found.train_score, votes.max(axis=1).sum() / 300, rtol=1e-6)


def test_factor_vae_prunes_collapsed_latents():
    """A latent that is 0, or 0 for all examples but one, varies least in most groups. Fails if it takes their
    votes, or if a code of such latents only does not score 0."""
    collapsed = np.concatenate([np.zeros((60, 2)), CODES], axis=1)
    collapsed[7, 1] = 0.3
    found = _factor_vae(collapsed)
    assert found.score == 1
    np.testing.assert_array_equal(found.active, [False, False, True, True, True])
    assert not np.any(found.votes[:2])
    assert _factor_vae(collapsed, min_scale=0.0).score < 0.6
    assert _factor_vae(np.zeros((60, 2))).score == 0


def test_useless_codes_score_chance():
    """Fails if noise scores above a third, to five standard errors of 300 test groups, say because the majority is
    set by the groups it is tested on."""
    _, fixed = fixed_factor_groups(KEY, FACTORS, num_groups=300, group_size=16)
    groups, test_groups = noise(3, 300 * 16, 3).reshape(300, 16, 3), noise(4, 300 * 16, 3).reshape(300, 16, 3)
    _, test_fixed = fixed_factor_groups(TEST_KEY, FACTORS, num_groups=300, group_size=16)
    found = factor_vae_score(groups, fixed, test_groups=test_groups, test_fixed=test_fixed, scale=np.ones(3))
    assert found.score < 1 / 3 + 5 * np.sqrt(2 / 9 / 300)


def test_beta_vae_agrees_with_scikit_learn():
    """Fails if the features are not mean absolute differences of the two of a pair, or the classifier is fitted or
    scored on the wrong groups."""
    linear_model = pytest.importorskip(
        "sklearn.linear_model", reason="scikit-learn is not installed (extra: metrics)"
    )
    codes = CODES @ np.random.default_rng(5).normal(size=(3, 4))
    features, test_features = (
        np.mean(np.abs(p[:, :, 0] - p[:, :, 1]), axis=1)
        for p in (_pairs(KEY, codes)[0], _pairs(TEST_KEY, codes)[0])
    )
    fixed, test_fixed = _pairs(KEY, codes)[1], _pairs(TEST_KEY, codes)[1]
    expected = linear_model.LogisticRegression().fit(features, fixed).score(test_features, test_fixed)
    np.testing.assert_allclose(_beta_vae(codes).score, expected, rtol=1e-6)


def test_beta_vae_is_not_sufficient():
    """Fails if a rotation of perfect codes no longer scores high, of which the docstring warns, or if constant
    codes score more than chance."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    factors = FACTORS / np.std(FACTORS, axis=0)
    rotation = np.linalg.qr(np.random.default_rng(6).normal(size=(3, 3)))[0]
    assert _beta_vae(10 * factors @ rotation).score > 0.9
    constant = _beta_vae(np.zeros((60, 2)))
    assert constant.score < 0.5
    assert not constant.active.any()


def test_bad_arrays():
    """Fails if shapes that do not fit, groups of one example, factors that are not integers or a single fixed
    factor give a score, or if a latent of which the scale is NaN is pruned in silence."""
    groups, fixed = _groups(KEY, CODES)
    good = {"test_groups": groups, "test_fixed": fixed}
    with pytest.raises(InputError, match="expected scale"):
        factor_vae_score(groups, fixed, scale=np.ones(2), **good)
    with pytest.raises(InputError, match="2 examples or more"):
        factor_vae_score(groups[:, :1], fixed, scale=np.ones(3), **good)
    for bad in (np.nan, np.inf):
        with pytest.raises(InputError, match="values of scale that are not finite"):
            factor_vae_score(groups, fixed, scale=np.array([1.0, bad, 1.0]), **good)
        with pytest.raises(InputError, match="groups that are not finite"):
            factor_vae_score(np.full_like(groups, bad), fixed, scale=np.ones(3), **good)
    with pytest.raises(InputError, match="for each group"):
        factor_vae_score(groups, fixed[:2], scale=np.ones(3), **good)
    with pytest.raises(InputError, match="dtype float"):
        fixed_factor_groups(KEY, CODES, num_groups=3, group_size=2)
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    pairs, fixed = _pairs(KEY, CODES)
    with pytest.raises(InputError, match="two fixed factors or more"):
        beta_vae_score_logistic_regression(pairs, 0 * fixed, test_pairs=pairs, test_fixed=fixed)

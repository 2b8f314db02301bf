"""Binned MIG and JEMMIG, against exact answers and reimplementations in NumPy and scikit-learn."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.disentanglement.examples import grid, noise, noisy_codes, random_factors
from vae_jax import InputError
from vae_jax.disentanglement import (
    binned_information,
    discrete_information,
    joint_entropy_gap,
    modularity,
    mutual_information_gap,
)
from vae_jax.disentanglement.discrete import _FEW_VALUES

SIZES = (3, 6, 40, 32)


def _bins(codes, num_bins=20):
    edges = [np.histogram(column, num_bins)[1][:-1] for column in codes.T]
    return np.stack([np.digitize(c, e) for c, e in zip(codes.T, edges, strict=True)], axis=1)


def _plug_in(a, b):
    """Mutual information and joint entropy by counting, in float64."""
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    p = table / len(a)
    inside = p > 0
    independent = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    return np.sum(p[inside] * np.log(p[inside] / independent[inside])), -np.sum(p[inside] * np.log(p[inside]))


def _gap_by_hand(information, entropy):
    ordered = np.sort(information, axis=0)
    return np.mean((ordered[-1] - ordered[-2]) / entropy)


def test_agrees_with_numpy():
    """Fails if bins are open on the wrong side, a normalizer is wrong (that of JEMMIG is H(v) + log num_bins), or a
    table is transposed."""
    num_bins, factors = 7, random_factors(0, 5000, *SIZES)
    codes = noisy_codes(1, factors, 6)
    bins = _bins(codes, num_bins)
    mutual, joint = np.zeros((6, 4)), np.zeros((6, 4))
    for j in range(6):
        for k in range(4):
            mutual[j, k], joint[j, k] = _plug_in(bins[:, j], factors[:, k])
    entropy = np.array([_plug_in(v, v)[0] for v in factors.T])
    found = binned_information(codes, factors, num_bins=num_bins)
    np.testing.assert_allclose(found.mutual_information, mutual, atol=1e-6)
    np.testing.assert_allclose(found.joint_entropy, joint, rtol=1e-6)
    np.testing.assert_allclose(found.factor_entropy, entropy, rtol=1e-6)
    np.testing.assert_allclose(found.code_entropy, [_plug_in(b, b)[0] for b in bins.T], rtol=1e-6)
    gap = mutual_information_gap(codes, factors, num_bins=num_bins)
    np.testing.assert_allclose(gap.score, _gap_by_hand(mutual, entropy), atol=1e-6)
    best, second = np.sort(mutual, axis=0)[::-1][:2]
    jemmig = joint[np.argmax(mutual, 0), np.arange(4)] - best + second
    joint_gap = joint_entropy_gap(codes, factors, num_bins=num_bins)
    np.testing.assert_allclose(joint_gap.gap, jemmig, atol=3e-6)
    np.testing.assert_allclose(joint_gap.per_factor, 1 - jemmig / (entropy + math.log(num_bins)), atol=1e-6)
    np.testing.assert_allclose(joint_gap.score, np.mean(joint_gap.per_factor), rtol=1e-6)


def test_agrees_with_scikit_learn():
    """Fails if information differs from that of mutual_info_score by more than 1e-6 nats, at the size and number of
    values of an evaluation on dSprites."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed (extra: metrics)")
    factors = random_factors(2, 10_000, *SIZES)
    codes = noisy_codes(3, factors, 10)
    bins = _bins(codes)
    mutual = np.array([[metrics.mutual_info_score(v, b) for v in factors.T] for b in bins.T])
    entropy = np.array([metrics.mutual_info_score(v, v) for v in factors.T])
    found = mutual_information_gap(codes, factors)
    np.testing.assert_allclose(found.mutual_information, mutual, atol=1e-6)
    np.testing.assert_allclose(found.score, _gap_by_hand(mutual, entropy), atol=1e-6)


@pytest.mark.parametrize(("num_values", "expected"), [(6, 1.0), (32, 0.8500), (40, 0.8121)])
def test_perfect_codes(num_values, expected):
    """Fails if a factor as its own latent does not score H(bin v) / log k, for 20 bins cannot tell 32 values
    apart."""
    factors = grid(num_values, 6)
    found = mutual_information_gap(factors.astype(np.float32), factors)
    counts = np.bincount(_bins(factors)[:, 0])
    p = counts[counts > 0] / len(factors)
    np.testing.assert_allclose(found.per_factor[0], -np.sum(p * np.log(p)) / math.log(num_values), atol=1e-6)
    np.testing.assert_allclose(found.per_factor[0], expected, atol=5e-5)
    np.testing.assert_allclose(found.per_factor[1], 1.0, atol=1e-6)
    np.testing.assert_allclose(found.score, np.mean(found.per_factor), atol=1e-6)


def test_perfect_codes_of_dsprites():
    """Fails if the factors of dSprites as codes do not score 0.878 without shape and 0.902 with it, the ceiling of
    20 bins."""
    ceiling = {
        n: float(mutual_information_gap(np.float32(grid(n, 6)), grid(n, 6)).per_factor[0]) for n in (3, 6, 40, 32)
    }
    without_shape = [ceiling[n] for n in (6, 40, 32, 32)]
    np.testing.assert_allclose(np.mean(without_shape), 0.878, atol=5e-4)
    np.testing.assert_allclose(np.mean([ceiling[3], *without_shape]), 0.902, atol=5e-4)


def test_noise_scores_nothing():
    """Fails if the bias of the plug-in estimate, the same for all latents, does not cancel in the gap, or latents
    of noise are called inactive."""
    factors = random_factors(4, 10_000, *SIZES)
    found = mutual_information_gap(noise(5, 10_000, 10), factors)
    assert 0 <= found.score < 1e-3
    assert found.active.all()


def test_duplicated_latents_have_no_gap():
    """Fails if the gap of doubled latents is not exactly 0: the two are the same numbers and must come out the
    same."""
    factors = random_factors(6, 2000, *SIZES)
    codes = noisy_codes(7, factors, 4)
    doubled = np.concatenate([codes, codes], axis=1)
    np.testing.assert_array_equal(mutual_information_gap(doubled, factors).per_factor, 0.0)


def test_rotated_codes_have_no_gap():
    """Fails if two equally informative factors, rotated by 45 degrees and so in both latents alike, leave a gap."""
    factors = grid(9, 9)
    codes = (factors - 4) @ np.array([[1.0, -1.0], [1.0, 1.0]])
    np.testing.assert_allclose(mutual_information_gap(codes.astype(np.float32), factors).score, 0.0, atol=1e-6)


def test_dead_latents_and_constant_factors_are_reported_and_change_nothing():
    """Fails if a 0 / 0 gets into the mean, or a dead latent or factor is counted as one that scores 0."""
    factors = random_factors(8, 2000, 3, 6)
    codes = noisy_codes(9, factors, 4)
    plain = mutual_information_gap(codes, factors)
    dead_codes = np.insert(codes, 1, 2.5, axis=1)
    dead_factors = np.insert(factors, 0, 7, axis=1)
    found = mutual_information_gap(dead_codes, dead_factors)
    np.testing.assert_allclose(found.score, plain.score, rtol=1e-6)
    np.testing.assert_array_equal(found.active, [True, False, True, True, True])
    np.testing.assert_array_equal(found.varying, [False, True, True])
    assert found.per_factor[0] == 0
    jemmig = joint_entropy_gap(dead_codes, dead_factors)
    np.testing.assert_allclose(jemmig.score, joint_entropy_gap(codes, factors).score, rtol=1e-6)
    for everything in (mutual_information_gap, joint_entropy_gap):
        constant = everything(np.zeros((50, 3)), np.zeros((50, 2), int))
        assert constant.score == 0
        assert not constant.active.any()
        assert not constant.varying.any()
        assert everything(np.zeros((2000, 3)), factors).score == 0


def test_one_latent_is_compared_with_nothing():
    """Fails if one latent alone is compared with itself, or with an index beyond it, instead of with 0."""
    factors = grid(6, 4)
    np.testing.assert_allclose(mutual_information_gap(factors[:, :1] * 1.0, factors).per_factor, [1, 0], atol=1e-6)


def test_fewer_points_than_bins():
    """Five points, each in a bin of its own, tell all of every factor. Fails if the score is NaN, or not 0 by
    ties."""
    factors = np.array([[0], [1], [2], [0], [1]])
    codes = np.array([[0.0, 4.0], [1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [4.0, 0.0]])
    found = mutual_information_gap(codes, factors)
    np.testing.assert_allclose(found.mutual_information[:, 0], found.factor_entropy[0], rtol=1e-6)
    np.testing.assert_allclose(found.score, 0, atol=1e-6)
    assert mutual_information_gap(codes[:1], factors[:1]).score == 0


@pytest.mark.parametrize(("values", "step"), [(_FEW_VALUES, 1), (_FEW_VALUES + 1, 1), (5, 100), (3, 2**31 - 1)])
def test_traced_factors_count_the_same(values, step):
    """The values of a traced factor are not known, and the table is chosen during the run. Fails if values are
    taken for places in the table, or their range overflows: the numbers must be the same."""
    factors = np.stack([(np.arange(600) % values) * step - 2**31, np.arange(600) % 2], axis=1).astype(np.int32)
    codes = noisy_codes(10, np.stack([np.arange(600) % values, np.arange(600) % 2], axis=1), 3)
    expected = mutual_information_gap(codes, factors)
    traced = jax.jit(mutual_information_gap)(codes, factors)
    np.testing.assert_allclose(traced.mutual_information, expected.mutual_information, atol=1e-6)


def test_a_bound_on_the_values_of_a_traced_factor():
    """Fails if a bound that is too small drops the values beyond it: under jit it cannot raise and must give NaN,
    outside it must raise."""
    factors = random_factors(10, 600, 65)
    codes = noisy_codes(10, factors, 3)
    bounded = jax.jit(mutual_information_gap, static_argnames="num_values")
    expected = mutual_information_gap(codes, factors).score
    np.testing.assert_allclose(bounded(codes, factors, num_values=65).score, expected, atol=1e-6)
    assert np.isnan(bounded(codes, factors, num_values=64).score)
    with pytest.raises(InputError, match="has 65 values"):
        mutual_information_gap(codes, factors, num_values=64)


def test_vmap_over_models():
    """Fails if models under vmap share their bins, or score other than one by one."""
    factors = random_factors(11, 500, 3, 6)
    codes = np.stack([noisy_codes(seed, factors, 4) for seed in range(3)])
    batched = jax.vmap(lambda c: mutual_information_gap(c, factors).score)(codes)
    one_by_one = [mutual_information_gap(c, factors).score for c in codes]
    np.testing.assert_allclose(batched, one_by_one, rtol=1e-6)


def test_miller_madow_takes_most_of_the_bias():
    """Independent columns of 20 and 40 values, with a plug-in bias of about 19 * 39 / 2N = 0.185 at N = 2000.
    Fails if the correction leaves a quarter of it, or counts values that do not occur."""
    rng = np.random.default_rng(12)
    symbols, factors = rng.integers(0, 20, (2000, 8)), rng.integers(0, 40, (2000, 1))
    plain = discrete_information(jnp.asarray(symbols), factors, num_symbols=20).mutual_information
    corrected = discrete_information(
        jnp.asarray(symbols), factors, num_symbols=20, miller_madow=True
    ).mutual_information
    assert 0.15 < np.mean(plain) < 0.22
    assert np.mean(corrected) < 0.25 * np.mean(plain)
    table = np.zeros((20, 40))
    np.add.at(table, (symbols[:, 0], factors[:, 0]), 1)
    occupied = np.sum(table > 0) - np.sum(table.sum(1) > 0) - np.sum(table.sum(0) > 0)
    by_hand = max(_plug_in(symbols[:, 0], factors[:, 0])[0] - (occupied + 1) / 4000, 0)
    np.testing.assert_allclose(corrected[0, 0], by_hand, atol=1e-6)


def test_jemmig_of_perfect_and_of_shared_codes():
    """A latent that is a bijection of two factors keeps its MIG, 1 and 1. Fails if it keeps its JEMMIG too, or a
    perfect code does not score 1."""
    factors = grid(4, 5)
    perfect = joint_entropy_gap(factors * 1.0, factors)
    np.testing.assert_allclose(perfect.score, 1.0, atol=1e-6)
    np.testing.assert_allclose(perfect.gap, 0.0, atol=1e-6)
    shared = np.stack([factors[:, 0] * 5 + factors[:, 1], np.zeros(20)], axis=1)
    np.testing.assert_allclose(mutual_information_gap(shared, factors).score, 1.0, atol=1e-6)
    found = joint_entropy_gap(shared, factors)
    # H(z, v) = log 20, I = H(v): the gap is the entropy of the other factor.
    np.testing.assert_allclose(found.gap, [math.log(5), math.log(4)], atol=1e-5)
    expected = [1 - math.log(5) / (math.log(4) + math.log(20)), 1 - math.log(4) / (math.log(5) + math.log(20))]
    np.testing.assert_allclose(found.per_factor, expected, atol=1e-6)


def _of_grid(codes, factors):
    """Information, JEMMIG of all latents but the last, and modularity for all factors but the last."""
    but_last = np.arange(factors.shape[1]) < factors.shape[1] - 1
    found = binned_information(codes, factors, num_values=16)
    told = joint_entropy_gap(codes * but_last[None], factors, num_values=16)
    modular = modularity(binned_information(codes, factors * but_last[None], num_values=16).mutual_information)
    return found.mutual_information, told.per_factor, modular.score


@pytest.mark.parametrize(
    ("sizes", "run"),
    [
        ((5, 5), _of_grid),
        ((7, 7), _of_grid),
        ((10, 10), _of_grid),
        ((3, 4, 7), _of_grid),
        ((7, 7), jax.jit(_of_grid)),
    ],
)
def test_full_grids_leave_no_information_between_factors(sizes, run):
    """A latent for each factor. Fails if rounding leaves some information where the counts factor: JEMMIG of a
    factor that no latent tells would be 0.3 for 0, and a latent that tells of no factor would be modular."""
    factors, num = grid(*sizes), len(sizes)
    information, per_factor, modular = run(factors * 1.0, factors)
    np.testing.assert_array_equal(np.asarray(information)[~np.eye(num, dtype=bool)], 0)
    np.testing.assert_allclose(per_factor, np.arange(num) < num - 1, atol=1e-6)
    np.testing.assert_allclose(modular, (num - 1) / num, atol=1e-6)


@pytest.mark.parametrize("num", [41, 47])
def test_constants_among_any_number_of_examples(num):
    """Fails if a constant factor has an entropy of 6e-8 and so varies: where the compiler multiplies by the rounded
    1 / 41 instead of dividing, 41 / 41 is below 1."""
    found = mutual_information_gap(noise(13, num, 2), np.zeros((num, 1), int))
    np.testing.assert_array_equal(found.factor_entropy, 0)
    assert not found.varying.any()


def test_the_smallest_dependence_is_more_than_none():
    """One example of 400 moved from its cell of a full grid to the next. Fails if a tolerance that takes rounding
    for independence takes this too: I is 2.5e-6 by counting."""
    factors = np.tile(grid(4, 5), (20, 1))
    codes = factors[:, :1] * 1.0
    codes[0] = 1
    found = float(binned_information(codes, factors[:, 1:]).mutual_information[0, 0])
    assert found == pytest.approx(_plug_in(codes[:, 0].astype(int), factors[:, 1])[0], rel=0.05)
    assert found > 0


def test_symbols_outside_their_range():
    """Fails if a symbol that has no row in the table is counted in that of another pair."""
    with pytest.raises(InputError, match="integers from 0 to 3"):
        discrete_information(np.full((5, 1), 4), np.zeros((5, 1), int), num_symbols=4)


@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (np.zeros(5), np.zeros((5, 1), int), r"codes of shape \(5,\)"),
        (np.zeros((0, 2)), np.zeros((0, 1), int), r"codes of shape \(0, 2\)"),
        (np.zeros((5, 2)), np.zeros((4, 1), int), r"expected \[5, k\]"),
        (np.zeros((5, 2)), np.zeros(5, int), r"factors of shape \(5,\)"),
        (np.zeros((5, 2)), np.zeros((5, 1)), "dtype float64: expected integers.*cut continuous ones into bins"),
        (np.zeros((5, 2)), np.full((5, 1), "red"), "dtype <U3"),
        (np.full((5, 2), "red"), np.zeros((5, 1), int), "codes of dtype <U3"),
        (np.full((5, 2), np.nan), np.zeros((5, 1), int), "not finite"),
    ],
)
def test_bad_arrays(codes, factors, message):
    """Fails if arrays of the wrong shape or type, without examples or with NaN give a score, or an error that does
    not say what is wrong."""
    with pytest.raises(InputError, match=message):
        mutual_information_gap(codes, factors)

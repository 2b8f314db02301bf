"""What every score of (codes, factors) must satisfy; a new score is one row in the table."""

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.disentanglement.examples import noisy_codes, random_factors
from vae_jax import disentanglement
from vae_jax.disentanglement import (
    beta_vae_score_logistic_regression,
    binned_information,
    dci,
    dci_gradient_boosting,
    dci_lasso,
    explicitness_logistic_regression,
    factor_vae_score,
    joint_entropy_gap,
    modularity,
    mutual_information_gap,
    sampled_mutual_information_gap,
    sap_linear_svm,
    sap_squared_correlation,
    udr_lasso,
    udr_spearman,
)

KEYS = jax.random.split(jax.random.key(0))
SIZES = ("num_groups", "group_size")
fixed_factor_groups = jax.jit(disentanglement.fixed_factor_groups, static_argnames=SIZES)
fixed_factor_pairs = jax.jit(disentanglement.fixed_factor_pairs, static_argnames=SIZES)


def _test_on_the_same(score, **options):
    return lambda z, v: score(z, v, test_codes=z, test_factors=v, **options)


def _sampled_mig(z, v):
    # As many draws as examples, so that each is drawn once and I is at most H(v), not only on average.
    scale = np.full(z.shape, 0.3)
    return jax.jit(lambda *q: sampled_mutual_information_gap(KEYS[0], *q, v, num_samples=len(z)))(z, scale)


def _of_groups(draw, z, v):
    """The codes of groups to fit on and of groups to test on, and the fixed factor of each."""
    (i, fixed), (test_i, test_fixed) = (draw(key, v, num_groups=100, group_size=4) for key in KEYS)
    return z[np.asarray(i)], np.asarray(fixed), z[np.asarray(test_i)], np.asarray(test_fixed)


def _factor_vae(z, v):
    groups, fixed, test_groups, test_fixed = _of_groups(fixed_factor_groups, z, v)
    scale = np.std(z, axis=0)
    return factor_vae_score(groups, fixed, test_groups=test_groups, test_fixed=test_fixed, scale=scale)


def _beta_vae(z, v):
    pairs, fixed, test_pairs, test_fixed = _of_groups(fixed_factor_pairs, z, v)
    return beta_vae_score_logistic_regression(pairs, fixed, test_pairs=test_pairs, test_fixed=test_fixed)


def _of_three_models(score):
    """A ranking has no factors: the codes, their sizes in another order, and the codes of other examples."""
    return lambda z, v: score(np.stack([z, np.abs(z)[:, ::-1], z[::-1]]))


ALONE = {
    "mutual_information_gap": jax.jit(mutual_information_gap),
    "miller_madow": jax.jit(lambda z, v: mutual_information_gap(z, v, miller_madow=True)),
    "joint_entropy_gap": jax.jit(joint_entropy_gap),
    "modularity": jax.jit(lambda z, v: modularity(binned_information(z, v).mutual_information)),
    "dci": jax.jit(lambda z, v: dci(binned_information(z, v).mutual_information)),
    "sap_squared_correlation": jax.jit(sap_squared_correlation),
    "sampled_mutual_information_gap": _sampled_mig,
    "factor_vae_score": _factor_vae,
    "udr_spearman": _of_three_models(jax.jit(udr_spearman)),
}
WITH_SCIKIT_LEARN = {
    "dci_gradient_boosting": _test_on_the_same(dci_gradient_boosting, n_estimators=3),
    "dci_lasso": _test_on_the_same(dci_lasso),
    "sap_linear_svm": _test_on_the_same(sap_linear_svm),
    "explicitness": _test_on_the_same(explicitness_logistic_regression),
    "beta_vae_score": _beta_vae,
    "udr_lasso": _of_three_models(udr_lasso),
}
SCORES = ALONE | WITH_SCIKIT_LEARN
# What else must be in [0, 1] where a score has it, besides the score itself, its first field.
SHARES = ("completeness", "informativeness", "train_informativeness", "score_of_active", "train_score")
# Boosted trees break ties between splits by the place of a latent, and the draws of q(z|x) follow the place.
BY_PLACE = ("dci_gradient_boosting", "miller_madow", "sampled_mutual_information_gap")
# Examples, latents, factors; the second has fewer examples than bins, and one latent.
SHAPES = [(40, 3, 2), (7, 1, 3)]


def _score(name):
    if name in WITH_SCIKIT_LEARN:
        pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: metrics)")
    return SCORES[name]


# Linear classifiers of codes around 1e6 do not converge in the default number of iterations.
@pytest.mark.filterwarnings("ignore:Liblinear failed to converge", "ignore:lbfgs failed to converge")
@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("shape", SHAPES)
def test_in_the_unit_interval(name, shape):
    """Fails if a score is NaN or outside [0, 1] for codes with ties, constants, outliers and copies, and factors
    that may be constant, or if a constant latent is called active."""
    num, num_codes, num_factors = shape
    score = _score(name)
    kinds = st.sampled_from(["noise", "ties", "constant", "outlier", "factor", "first"])

    # The factors are part of the program of the sampled gap, which is compiled anew for each example.
    @settings(max_examples=2 if score is _sampled_mig else 6, deadline=None)
    @given(
        seed=st.integers(0, 1000),
        kinds=st.lists(kinds, min_size=num_codes, max_size=num_codes),
        sizes=st.lists(st.sampled_from([1, 2, 4]), min_size=num_factors, max_size=num_factors),
    )
    @example(seed=0, kinds=["constant"] * num_codes, sizes=[2] * num_factors)
    @example(seed=0, kinds=["outlier", "constant", "first"][:num_codes], sizes=[4, 1, 2][:num_factors])
    @example(seed=0, kinds=["factor", "ties", "first"][:num_codes], sizes=[2, 4, 1][:num_factors])
    def check(seed, kinds, sizes):
        rng = np.random.default_rng(seed)
        factors = random_factors(seed, num, *sizes)
        codes = rng.normal(size=(num, num_codes)).astype(np.float32)
        for j, kind in enumerate(kinds):
            match kind:
                case "ties":
                    codes[:, j] = np.round(codes[:, j])
                case "constant":
                    codes[:, j] = 0.1
                case "outlier":
                    codes[0, j] = 1e6
                case "factor":
                    codes[:, j] = factors[:, j % num_factors]
                case "first":
                    codes[:, j] = codes[:, 0]
        found = score(codes, factors)
        for value in jax.tree.leaves(found):
            assert np.all(np.isfinite(np.asarray(value, float)))
        for share in (found[0], *(getattr(found, name) for name in SHARES if name in found._fields)):
            assert np.all((np.asarray(share) >= -1e-6) & (np.asarray(share) <= 1 + 1e-6))
        if "active" in found._fields and all(kind == "constant" for kind in kinds):
            assert not np.any(found.active)

    check()


@pytest.mark.parametrize("name", [name for name in SCORES if name not in BY_PLACE])
def test_order_sign_and_scale_of_latents_do_not_matter(name):
    """Fails if a score depends on the place, sign or scale of a latent. Scales are powers of 2, so that bins are
    the same; a change of sign opens bins on the other side, which only a tie with an edge would notice. Predictors
    are iterative, hence the tolerance."""
    score = _score(name)
    factors = random_factors(0, 300, 2, 4)
    codes = noisy_codes(1, factors, 4)
    changed = codes[:, [2, 0, 3, 1]] * np.float32([1, 4, 0.5, -1])
    if name in ("sap_linear_svm", "beta_vae_score"):
        # Their penalty depends on the scale.
        changed = np.sign(np.float32([1, 4, 0.5, -1])) * codes[:, [2, 0, 3, 1]]
    np.testing.assert_allclose(score(changed, factors)[0], score(codes, factors)[0], atol=2e-4)


def test_sampled_gap_is_invariant_too():
    """Fails if the sampled gap changes with the unit of the latents or, beyond its Monte Carlo error, with their
    signs."""
    factors = random_factors(2, 200, 2, 4)
    loc = noisy_codes(3, factors, 3)
    scale = np.exp(0.3 * noisy_codes(4, factors, 3)).astype(np.float32)
    key = jax.random.key(0)
    score = jax.jit(lambda *q: sampled_mutual_information_gap(key, *q, factors, num_samples=200).score)
    expected = score(loc, scale)
    np.testing.assert_allclose(score(loc * 2 + 1, scale * 2), expected, atol=1e-5)
    # The draws follow the places and signs of the latents: equal up to their Monte Carlo error.
    changed = np.float32([3.0, -0.2, 1.0])
    assert abs(score(loc * changed, scale * np.abs(changed)) - expected) < 5 * np.sqrt(2 / 200)

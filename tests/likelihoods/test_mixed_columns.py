"""Mixed columns of a table: each column against its own family in its own units, and all of them together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import log_softmax

from vae_jax import InputError, elbo, make_vae
from vae_jax.data import Column
from vae_jax.distributions import LogNormal, Observed, center, support
from vae_jax.likelihoods import InUnits, Masked, MixedColumns, NormalPixels
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.testing import check_distribution, check_likelihood

KEY = jax.random.key(0)
# No kind stands together, and no two columns of a kind have the same units or categories.
COLUMNS = (
    Column("colour", "categorical", ("red", "green", "blue")),
    Column("income", "positive", loc=10.0, scale=0.7),
    Column("height", "real", loc=1e6, scale=250.0),
    Column("visits", "count"),
    Column("weight", "real", loc=-3.0, scale=1e-3),
    Column("answer", "categorical", ("no", "yes")),
    Column("dose", "positive", loc=-4.0, scale=0.2),
    Column("falls", "count"),
)
MIXED = MixedColumns(COLUMNS)
PARAMS = {"real": jnp.array([-0.5, 0.1]), "positive": jnp.array([0.2, -0.3]), "count": jnp.array([0.4, -0.7])}
RAW = np.random.default_rng(0).normal(size=11).astype(np.float32)
X = jnp.array([2.0, 2e4, 300.0, 3.0, 2e-4, 0.0, 0.02, 0.0])


def of_scipy(x):
    """The log-density of each column, in float64; `RAW` has reals, positives, counts, then categories."""
    raw = np.float64(RAW)
    r = np.exp(35 * np.tanh(np.float64(PARAMS["count"]) / 35))
    m = np.exp(raw[4:6])
    real, positive = (np.exp(15 * np.tanh(np.float64(PARAMS[k]) / 15)) for k in ("real", "positive"))
    colour, answer = log_softmax(raw[6:9]), log_softmax(raw[9:11])
    return [
        colour[int(x[0])],
        stats.lognorm.logpdf(x[1], 0.7 * positive[0], scale=np.exp(10 + 0.7 * raw[2])),
        stats.norm.logpdf(x[2], 250 * raw[0], 250 * real[0]),
        stats.nbinom.logpmf(x[3], r[0], r[0] / (r[0] + m[0])),
        stats.norm.logpdf(x[4], 1e-3 * raw[1], 1e-3 * real[1]),
        answer[int(x[5])],
        stats.lognorm.logpdf(x[6], 0.2 * positive[1], scale=np.exp(-4 + 0.2 * raw[3])),
        stats.nbinom.logpmf(x[7], r[1], r[1] / (r[1] + m[1])),
    ]


def mixed():
    return MIXED.apply(PARAMS, jnp.asarray(RAW))


def test_each_column_is_of_its_own_family():
    """Fails if a column meets the output, the units or the scale of another, or is not in its own units."""
    expected = of_scipy(np.float64(X))
    np.testing.assert_allclose(mixed().log_prob_each(X), expected, rtol=1e-5)
    np.testing.assert_allclose(mixed().log_prob(X), np.sum(expected), rtol=1e-5)
    kinds = {"real": "real", "positive": "positive", "count": "integer", "categorical": "integer"}
    assert support(mixed()) == tuple(kinds[column.kind] for column in COLUMNS)
    assert MIXED.size(8) == 11
    assert jax.tree.map(jnp.shape, MIXED.init(KEY, (8,))) == {"real": (2,), "positive": (2,), "count": (2,)}


def test_each_column_integrates_to_one_in_its_own_units():
    """Fails if a Jacobian is left out, or counted twice: the trapezoid over numbers, sums over counts and codes."""
    grids = {2: np.linspace(-4000, 4000, 4001), 4: np.linspace(-0.02, 0.02, 4001)}
    grids |= {1: np.exp(np.linspace(1, 19, 4001)), 6: np.exp(np.linspace(-7, -1, 4001))}
    grids |= {i: np.arange(4001.0) for i in (0, 3, 5, 7)}
    points = np.stack([grids[i] for i in range(8)], -1)
    density = np.exp(np.asarray(jax.jit(jax.vmap(mixed().log_prob_each))(jnp.asarray(points, jnp.float32))))
    for i in range(8):
        total = np.trapezoid(density[:, i], grids[i]) if i in (1, 2, 4, 6) else density[:, i].sum()
        np.testing.assert_allclose(total, 1, rtol=1e-5, err_msg=COLUMNS[i].name)


def test_a_table_of_real_columns_is_normal():
    """Fails if real columns alone are another density than a scale a column in own units, or are ordered anew."""
    scale = (2.0, 100.0, 0.1)
    table = MixedColumns(tuple(Column(str(s), "real", loc=7.0, scale=s) for s in scale))
    normal = InUnits(NormalPixels("element"), scale)
    raw, x = jnp.array([0.3, -1.0, 2.0]), jnp.array([1.0, -50.0, 0.3])
    found = table.apply({"real": jnp.array([0.3, -0.2, 1.0])}, raw)
    expected = normal.apply({"scale": jnp.array([0.3, -0.2, 1.0])}, raw)
    np.testing.assert_allclose(found.log_prob_each(x), expected.log_prob_each(x), rtol=1e-6)
    np.testing.assert_allclose(found.mean(), expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(table.features(x), normal.features(x), rtol=1e-6)
    np.testing.assert_array_equal(table.init(KEY, (3,))["real"], np.zeros(3))


def test_the_suites_of_parts():
    """Fails if draws, moments, gradients or the start contradict the density, with all kinds in one table."""
    check_distribution(check_likelihood(MIXED, event=(8,)))
    check_distribution(check_likelihood(MixedColumns(COLUMNS[1:5]), event=(4,)))


def test_draws_and_centres_stand_in_their_columns():
    """Fails if a draw or centre is in the order of the kinds, or if codes are given a mean."""
    draws = np.asarray(jax.jit(jax.vmap(mixed().sample))(jax.random.split(KEY, 4000)), np.float64)
    assert set(draws[:, 0]) == {0, 1, 2}
    assert set(draws[:, 5]) == {0, 1}
    shares = [np.mean(draws[:, 0] == k) for k in range(3)]
    np.testing.assert_allclose(shares, np.exp(log_softmax(RAW[6:9])), atol=5 * 0.5 / np.sqrt(4000))
    middle = center(mixed())
    np.testing.assert_array_equal(middle[jnp.array([0, 5])], [np.argmax(RAW[6:9]), np.argmax(RAW[9:])])
    others = np.array([1, 2, 3, 4, 6, 7])
    error = draws.std(0)[others] / np.sqrt(4000)
    assert np.all(np.abs(draws.mean(0)[others] - np.asarray(middle)[others]) < 5 * error)
    with pytest.raises(InputError, match=r"no mean; use `center`"):
        mixed().mean()
    assert np.all(np.isfinite(mixed().log_prob_each(jnp.asarray(draws[0], jnp.float32))))


@pytest.mark.parametrize(("column", "value"), [(0, 3.0), (0, 0.5), (5, 2.0), (1, 0.0), (3, -1.0), (7, 0.5)])
def test_what_no_column_holds(column, value):
    """Fails if a code without a category, a positive number that is none, or half a count has a density; also the
    third category of a column that has two."""
    each = np.asarray(mixed().log_prob_each(X.at[column].set(value)))
    assert each[column] == -np.inf
    assert np.all(np.isfinite(np.delete(each, column)))


def test_features_and_bias():
    """Fails if the encoder reads other numbers than standardised ones, logs and one-hot codes, or an output started
    at its bias does not give the examples their means and shares."""
    features = MIXED.features(X)
    expected = [1.2, 0.2, (np.log(2e4) - 10) / 0.7, (np.log(0.02) + 4) / 0.2, np.log(4), 0, 0, 0, 1, 1, 0]
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-6)
    rng = np.random.default_rng(0)
    rows = np.stack([np.asarray(mixed().sample(jax.random.key(i))) for i in range(40)])
    d = MIXED.apply(PARAMS, jnp.asarray(MIXED.bias(rows)))
    middle = np.asarray(center(d))
    np.testing.assert_allclose(middle[[2, 3, 4]], rows.mean(0)[[2, 3, 4]], rtol=1e-4)
    shares = [np.exp(d.log_prob_each(X.at[0].set(k))[0]) for k in range(3)]
    np.testing.assert_allclose(shares, (np.bincount(rows[:, 0].astype(int), minlength=3) + 1) / 43, rtol=1e-5)
    order = rng.permutation(40)
    np.testing.assert_allclose(MIXED.bias(rows[order]), MIXED.bias(rows), rtol=1e-5)


def test_gaps_in_mixed_columns():
    """Fails if a gap has a term or a gradient, or hides the feature of another column: also where there are as many
    features as columns, in another order."""
    seen = jnp.array([0.0, 0, 1, 1, 1, 1, 1, 0])
    x = Observed(X * seen, seen)
    masked = Masked(MIXED)
    np.testing.assert_array_equal(masked.features(x)[:11] != 0, [1, 1, 0, 1, 1, 0, 0, 0, 0, 1, 0])
    d = masked.apply(PARAMS, jnp.asarray(RAW))
    np.testing.assert_allclose(d.log_prob(x), np.sum(np.array(of_scipy(X)) * np.asarray(seen)), rtol=1e-5)
    vae = make_vae(MLPEncoder(2, hidden=(4,)), MLPDecoder((8,), hidden=(4,)), likelihood=masked)
    with jax.debug_nans(True), jax.numpy_rank_promotion("raise"):
        params = vae.init(KEY)
        gradient = jax.jit(jax.grad(lambda p: elbo(vae, p, KEY, x).value))(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    two = Masked(MixedColumns((Column("n", "count"), Column("t", "real"))))
    np.testing.assert_allclose(two.features(Observed(jnp.array([3.0, 0]), jnp.array([1.0, 0])))[:2], [0, np.log(4)])


def test_settings_of_the_user():
    """Fails under 64 bits, explicit ranks or without jit, in a table or in a series of its rows."""
    series = jnp.stack([jnp.asarray(RAW), -jnp.asarray(RAW)])
    with jax.numpy_rank_promotion("raise"):
        d = MIXED.apply(PARAMS, series)
        each = d.log_prob_each(jnp.stack([X, X]))
        np.testing.assert_allclose(each[0], mixed().log_prob_each(X), rtol=1e-5)
        assert MIXED.features(jnp.stack([X, X])).shape == (2, 11)
        assert MIXED.bias(np.asarray([[X, X]] * 3)).shape == (2, 11)
        with jax.disable_jit():
            np.testing.assert_allclose(mixed().log_prob(X), np.sum(of_scipy(X)), rtol=1e-5)
    with jax.enable_x64(True):
        double = MIXED.apply(jax.tree.map(lambda a: jnp.asarray(a, float), PARAMS), jnp.asarray(RAW, float))
        assert double.log_prob(X).dtype == double.sample(KEY).dtype == np.float64
        np.testing.assert_allclose(double.log_prob(X), np.sum(of_scipy(X)), rtol=1e-6)
        assert MIXED.features(X).dtype == np.float32


def test_what_is_no_table():
    """Fails if columns that cannot be are found out by a traceback, or a matrix of reals is read as columns."""
    with pytest.raises(InputError, match="table of 3 columns: expected 8"):
        MIXED.size(3)
    with pytest.raises(InputError, match="mixed columns of real numbers"):
        MIXED.reads("real")
    np.testing.assert_array_equal(MIXED.reads("columns").transform(KEY, X), X)
    for columns, message in (
        ((), "no columns"),
        ((Column("a", "real", scale=0.0),), "a of loc 0.0 and scale 0.0"),
        ((Column("a", "categorical"),), "a without categories"),
        ((Column("a", "date"),), "a of kind date: expected one of real, positive"),
    ):
        with pytest.raises(InputError, match=message):
            MixedColumns(columns)


def test_log_normal_is_that_of_scipy():
    """Fails if the density is of log x, or a moment is that of the log."""
    d = LogNormal(jnp.array([0.5, -2.0]), jnp.array(0.6))
    x = jnp.array([1.5, 0.3])
    of = stats.lognorm(0.6, scale=np.exp([0.5, -2.0]))
    np.testing.assert_allclose(d.log_prob(x), of.logpdf(x).sum(), rtol=1e-5)
    np.testing.assert_allclose(d.mean(), of.mean(), rtol=1e-6)
    np.testing.assert_allclose(d.stddev(), of.std(), rtol=1e-6)

"""A long evaluation in a file: it goes on after a kill, within a bound on memory, and is never another's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import (
    Estimate,
    InputError,
    Normal,
    evaluate,
    evaluator,
    importance_log_likelihood,
    iwae,
    make_conditional_vae,
    make_vae,
    one_hot,
    plug_in,
)
from vae_jax.evaluation import NotFiniteError
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.training import make_mesh

KEY = jax.random.key(0)
X = jnp.arange(11.0)
CALLS: list[int] = []


def noisy(vae, params, key, x, *, shift=0.0):
    """params x + shift + a uniform number: what a value is made of can be told from it."""
    return Estimate(x, {"value": params * x + shift + jax.random.uniform(key)}, jnp.zeros(3))


def counting(vae, params, key, x):
    jax.debug.callback(lambda _: CALLS.append(1), x)
    return noisy(vae, params, key, x)


def expected(params=2.0, shift=0.0, num=11):
    keys = [jax.random.split(jax.random.fold_in(KEY, i))[1] for i in range(num)]
    return params * np.arange(num) + shift + [float(jax.random.uniform(k)) for k in keys]


def killed_after(batches):
    """A report that raises, as a signal would between two batches."""
    seen = []

    def report(done, total, seconds_left):
        seen.append(done)
        if len(seen) == batches:
            raise KeyboardInterrupt

    return report, seen


def test_goes_on_after_a_kill(tmp_path):
    """Fails if what was done is computed again, or if the numbers depend on where it was stopped."""
    file = tmp_path / "new folder" / "values.npz"
    run = evaluator(counting, None, batch_size=3)
    report, seen = killed_after(2)
    with pytest.raises(KeyboardInterrupt):
        run(2.0, KEY, X, file=file, report=report)
    assert seen == [3, 6]
    del CALLS[:]
    rows = []
    values = run(2.0, KEY, X, file=file, report=lambda *row: rows.append(row))
    jax.effects_barrier()
    assert len(CALLS) == 6, "two batches of 3, the last one padded"
    assert [row[:2] for row in rows] == [(9, 11), (11, 11)]
    assert rows[0][2] > 0 == rows[1][2]
    whole = evaluate(noisy, None, 2.0, KEY, X)
    np.testing.assert_array_equal(values["value"], whole["value"])
    np.testing.assert_allclose(values["value"], expected(), rtol=1e-6)


def test_a_second_call_computes_nothing(tmp_path):
    """Fails if finished work is done again, in batches of another size too, or if its file is touched."""
    file = tmp_path / "values.npz"
    first = evaluate(counting, None, 2.0, KEY, X, file=file, batch_size=4)
    before = file.read_bytes()
    jax.effects_barrier()
    del CALLS[:]
    rows = []
    again = evaluate(counting, None, 2.0, KEY, X, file=file, batch_size=7, report=lambda *row: rows.append(row))
    jax.effects_barrier()
    assert (CALLS, rows) == ([], [])
    np.testing.assert_array_equal(again["value"], first["value"])
    assert file.read_bytes() == before


def test_examples_are_estimated_whatever_the_memory():
    """Fails if the batches, which the bound on memory sets, change a value, or if one example is left out."""
    x = jax.random.normal(jax.random.key(1), (11, 64))

    def greedy(vae, params, key, x):
        big = jnp.sort(jnp.outer(x, x).ravel() * params)
        return Estimate(x, {"value": big[7] + big[-7] + jax.random.uniform(key)})

    sizes = {}
    found = {}
    for memory in (None, 2**30, 70_000, 1):
        rows = []
        found[memory] = evaluate(
            greedy, None, 2.0, KEY, x, batch_size=11, memory=memory, report=lambda *r, rows=rows: rows.append(r[0])
        )["value"]
        sizes[memory] = rows[0]
        np.testing.assert_array_equal(found[memory], found[None])
    assert sizes[None] == sizes[2**30] == 11
    assert 1 <= sizes[70_000] < 11
    assert sizes[1] == 1


def test_a_mesh_changes_no_value(tmp_path):
    """Fails if the devices change the values, or if what one set of devices has done is done again by another."""
    mesh = make_mesh()
    plain = evaluate(noisy, None, jnp.float32(2.0), KEY, X, batch_size=4)
    meshed = evaluate(
        noisy, None, jnp.float32(2.0), KEY, X, batch_size=4, mesh=mesh, memory=2**30, file=tmp_path / "a.npz"
    )
    np.testing.assert_array_equal(meshed["value"], plain["value"])
    rows = []
    evaluate(noisy, None, jnp.float32(2.0), KEY, X, file=tmp_path / "a.npz", report=lambda *row: rows.append(row))
    assert rows == []


def test_the_values_of_another_question_are_not_kept(tmp_path):
    """Fails if a run that was trained further shows the values of its earlier parameters, or if other data, another
    key, setting or transform find the values of these."""
    file = tmp_path / "values.npz"
    for params, x, key, options in (
        (2.0, X, KEY, {}),
        (jnp.float32(3.0), X, KEY, {}),
        (jnp.float32(2.0), X[::-1], KEY, {}),
        (jnp.float32(2.0), X[:7], KEY, {}),
        (jnp.float32(2.0), X, jax.random.key(1), {}),
        (jnp.float32(2.0), X, KEY, {"shift": 1.0}),
        (jnp.float32(2.0), X, KEY, {"shift": 2.0}),
        (jnp.float32(2.0), X, KEY, {"transform": lambda key, x: x + 1}),
        (jnp.float32(2.0), X, KEY, {"transform": lambda key, x: x + 2}),
    ):
        kept = evaluate(noisy, None, params, key, x, file=file, **options)
        fresh = evaluate(noisy, None, params, key, x, **options)
        np.testing.assert_array_equal(kept["value"], fresh["value"])


def test_the_values_of_another_model_are_not_kept(tmp_path):
    """Fails if two models with the same parameters, or two estimators, are taken for each other."""
    encoder, decoder = MLPEncoder(2, hidden=(3,)), MLPDecoder((4,), hidden=(3,))
    file, x = tmp_path / "values.npz", jnp.eye(4)
    plain = make_vae(encoder, decoder)
    params, found = plain.init(KEY), []
    for vae, options in (
        (plain, {"num_samples": 2}),
        (plain._replace(prior=lambda params: vae_prior(2.0)), {"num_samples": 2}),
        (plain._replace(prior=lambda params: vae_prior(3.0)), {"num_samples": 2}),
        (plain, {"num_samples": 3}),
        (plain, {"num_samples": 2}),
    ):
        found.append(evaluate(iwae, vae, params, KEY, x, file=file, **options)["bound"].mean())
    assert len(set(found)) == 4
    assert found[-1] == found[0]
    other = evaluate(plug_in, plain, params, KEY, x, file=file)
    assert set(other) == {"plug_in_distortion"}


def vae_prior(scale):
    return Normal(jnp.zeros(2), jnp.full(2, scale))


def test_importance_sampling_gives_the_log_likelihood():
    """Fails if `evaluate` reports other numbers of an estimator than those of its name: effective sample sizes were
    called nothing at all. Of a conditional model too."""
    encoder, decoder = MLPEncoder(2, hidden=(3,)), MLPDecoder((4,), hidden=(3,))
    cvae = make_conditional_vae(encoder, decoder, condition=one_hot(3))
    params, x, c = cvae.init(KEY), jnp.eye(4), jnp.array([0, 1, 2, 1])
    found = evaluate(importance_log_likelihood, cvae, params, KEY, (x, c), num_samples=5)
    assert set(found) == {"log_likelihood", "effective_sample_size", "elbo", "standard_error"}
    keys = jax.vmap(lambda i: jax.random.split(jax.random.fold_in(KEY, i))[1])(jnp.arange(4))
    each = jax.jit(
        jax.vmap(lambda k, x, c: importance_log_likelihood(cvae.given(c), params, k, x, num_samples=5).value)
    )
    np.testing.assert_allclose(found["log_likelihood"], each(keys, x, c), rtol=1e-5)
    assert found["log_likelihood"].dtype == np.float64


def test_examples_without_a_finite_value_are_named(tmp_path):
    """Fails if NaN goes into a mean, if the message does not say which examples, or if NaN is kept as done."""
    x = jnp.arange(40.0).at[jnp.array([1, 3])].set(jnp.array([jnp.nan, jnp.inf]))
    with pytest.raises(NotFiniteError, match=r"value is not finite for examples \[1, 3\]") as error:
        evaluate(noisy, None, 2.0, KEY, x, file=tmp_path / "bad.npz", batch_size=4)
    assert isinstance(error.value, InputError)
    # The first batch was not finite either.
    assert not (tmp_path / "bad.npz").exists()
    with pytest.raises(NotFiniteError, match=r"examples \[9\]"):
        evaluate(noisy, None, 2.0, KEY, X.at[9].set(jnp.nan), file=tmp_path / "bad.npz", batch_size=3)
    assert np.load(tmp_path / "bad.npz")["value"].shape == (9,)
    rows = []
    with pytest.raises(NotFiniteError):
        evaluate(
            noisy, None, 2.0, KEY, X.at[9].set(jnp.nan), file=tmp_path / "bad.npz", report=lambda *r: rows.append(r)
        )
    assert rows == [], "the two that remain are computed again, and refused again"
    with pytest.raises(NotFiniteError, match=r"\[0, 1, 2, 3, 4, 5, 6, 7, 8, 9\] and 30 more"):
        evaluate(noisy, None, 2.0, KEY, jnp.full(40, jnp.nan))


def test_values_may_be_arrays():
    """Fails if a metric of several numbers is flattened, or checked for its first alone."""

    def pairs(vae, params, key, x):
        return Estimate(x, {"pair": jnp.stack([x, 1 / x])})

    assert evaluate(pairs, None, {}, KEY, X + 1, batch_size=4)["pair"].shape == (11, 2)
    with pytest.raises(NotFiniteError, match=r"examples \[0\]"):
        evaluate(pairs, None, {}, KEY, X)


def simulated(vae, params, key):
    return Estimate((), {"value": jax.random.uniform(key)})


@pytest.mark.parametrize("count", [4, np.int64(4)])
def test_a_number_of_examples_to_simulate(count):
    """Fails if the number is taken for data, or if the estimator is given other keys than those of data."""
    found = evaluate(simulated, None, {}, KEY, count, batch_size=3)
    np.testing.assert_allclose(found["value"], expected(0.0, num=4), rtol=1e-6)


def test_a_damaged_file_counts_as_not_done(tmp_path):
    """Fails if a file that a crash or a stranger left ends the evaluation, or is believed."""
    file = tmp_path / "values.npz"
    whole = evaluate(noisy, None, 2.0, KEY, X, file=file)["value"]
    content = file.read_bytes()
    with np.load(file) as kept:
        of = kept["of"]
    flipped = bytearray(content)
    flipped[content.index(b"value.npy") + 200] ^= 1
    for damaged in (b"", content[:100], content[:-30], b"no archive", bytes(flipped)):
        file.write_bytes(damaged)
        np.testing.assert_array_equal(evaluate(noisy, None, 2.0, KEY, X, file=file)["value"], whole)
    np.savez(file, value=np.zeros(3), other=np.zeros(4), of=of)
    np.testing.assert_array_equal(evaluate(noisy, None, 2.0, KEY, X, file=file)["value"], whole)
    np.savez(file, of=of)
    np.testing.assert_array_equal(evaluate(noisy, None, 2.0, KEY, X, file=file)["value"], whole)
    with file.open("wb") as stream:
        np.save(stream, np.zeros(11))
    np.testing.assert_array_equal(evaluate(noisy, None, 2.0, KEY, X, file=file)["value"], whole)

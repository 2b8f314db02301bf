"""The measuring itself, and each benchmark at a tiny size: what is reported, and that both sides do the same."""

import dataclasses
import itertools
import json
import os
import pickle
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import (
    annealing,
    bfloat16,
    colour,
    convolution,
    counts,
    likelihood,
    many,
    peers,
    photos,
    residual,
    scores,
    starting,
    table,
    training,
)
from experiments.benchmarks.__main__ import machine
from experiments.benchmarks.timing import interleaved, report, summary
from tests.experiments.sides import broken, exits, missing, writes
from vae_jax import elbo, per_example
from vae_jax.evidence import prior_base
from vae_jax.evidence.annealing import log_densities
from vae_jax.networks import Conv, Residual

# Its wheel brings CUDA, gigabytes that no other test needs; `pip install -e '.[bench]'` runs these tests too.
NO_TORCH = "no PyTorch, whose wheel brings CUDA: pip install -e '.[bench]' runs this test"
MLP = training.Config(num_images=16, event=12, hidden=8, latent_size=2, batch_size=8, repeats=1, compile=False)
CONV = convolution.Config(size=8, latent_size=2, batch_size=4, num_steps=1, repeats=1, stock=False)
RESIDUAL = residual.Config(
    network=Residual(hidden=(6,), channels=(8, 12), blocks=(1, 1)), size=8, latent_size=2, batch_size=4, num_steps=1
)
TINY_COLOUR = colour.Config(
    convolutional=colour.Work(Conv(hidden=(6, 6)), batch_size=4, num_steps=1, size=8, latent_size=2),
    residual=colour.Work(RESIDUAL.network, batch_size=4, num_steps=1, size=8, latent_size=2),
    repeats=1,
)
TINY = {
    training: MLP,
    convolution: CONV,
    residual: dataclasses.replace(RESIDUAL, repeats=1),
    bfloat16: bfloat16.Config(event=12, hidden=(8, 8), latent_size=2, batch_size=4, num_steps=1, repeats=1),
    likelihood: likelihood.Config(num_images=2, num_samples=200, num_sprites=8, size=8, model=MLP, repeats=1),
    annealing: annealing.Config(chains=4, latent_size=2, hidden=4, event=6, leapfrog=2, repeats=1),
    scores: scores.Config(num=200, latent_size=3, repeats=1),
    many: many.Config(num_runs=2, num_steps=2, model=MLP, repeats=1),
    starting: starting.Config(repeats=1, demo=False),
    colour: TINY_COLOUR,
    counts: counts.Config(
        event=12, hidden=8, latent_size=2, batch_size=4, num_rows=8, mean=1.0, num_steps=1, repeats=1
    ),
    table: table.Config(event=5, hidden=8, latent_size=2, batch_size=4, num_rows=8, num_steps=2, repeats=1),
    photos: photos.Config(
        num_photos=6,
        photo_size=16,
        size=8,
        network=Conv(hidden=(4,)),
        latent_size=2,
        batch_size=2,
        steps_per_call=3,
        repeats=1,
    ),
}


def test_sides_take_turns_in_processes_of_their_own(tmp_path):
    """Fails if one side is measured after the other instead of beside it, if they share a process, or if one that
    cannot run is not left out."""
    file = tmp_path / "order"
    sides = {"a": partial(writes, "a", file), "missing": missing, "b": partial(writes, "b", file)}
    seconds = interleaved(sides, repeats=3)
    names, processes = zip(*(line.split() for line in file.read_text().splitlines()), strict=True)
    assert list(names) == ["a", "b"] * 4
    assert len({*processes, str(os.getpid())}) == 3
    assert list(seconds) == ["a", "b"]
    assert all(values.shape == (3,) for values in seconds.values())


def test_a_side_that_fails_is_named(capfd):
    """Fails if an error in a process is lost, or leaves the measurement waiting."""
    before = dict(os.environ)
    for side, code in ((broken, 1), (exits, 3)):
        with pytest.raises(RuntimeError, match=f"'b' failed: its process ended with code {code}"):
            interleaved({"b": side}, repeats=1)
    assert "ValueError: broken side" in capfd.readouterr().err
    assert dict(os.environ) == before


def test_ratio_is_the_median_of_ratios(capsys):
    """Fails if the ratio is one of medians, which a slow minute of the machine can turn around."""
    table = report("t", {"a": np.array([1.0, 10.0, 2.0]), "b": np.array([2.0, 30.0, 2.0])}, of="a")
    assert table["b"] == {"median_ms": 2000.0, "ratio": 2.0, "quartiles": (1.5, 2.5)}
    assert "| b | 2000.0 | 2.00 | 1.50 to 2.50 |" in capsys.readouterr().out
    assert summary({"t": table}, of="a").splitlines()[2:] == ["| t | 2000.0 | b | 2000.0 | 2.00 | 1.50 to 2.50 |"]


def in_this_process(sides, *, repeats):
    """`interleaved` without its processes, of sides that could be sent to some."""
    calls = {name: side() for name, side in pickle.loads(pickle.dumps(sides)).items()}
    seconds = {name: np.zeros(repeats) for name, call in calls.items() if call is not None}
    for i, (name, times) in itertools.product(range(repeats), seconds.items()):
        begin = time.perf_counter()
        calls[name]()
        times[i] = time.perf_counter() - begin
    return seconds


@pytest.mark.parametrize("benchmark", TINY, ids=lambda b: b.__name__.rsplit(".", 1)[-1])
def test_each_benchmark_runs_and_reports(benchmark, monkeypatch):
    """Fails if a benchmark does not run, or its report lacks our side or a number. Peers that are not installed
    are left out by the benchmark, which prints so. One has processes, of the others the sides are called."""
    if benchmark is not starting:
        monkeypatch.setattr(benchmark, "interleaved", in_this_process)
        monkeypatch.setattr(jax, "clear_caches", lambda: None)  # those of all tests
    tables = benchmark.main(TINY[benchmark])
    assert tables
    for rows in tables.values():
        assert rows["vae_jax"]["ratio"] == 1.0
        for row in rows.values():
            low, high = row["quartiles"]
            assert low <= row["ratio"] <= high
            assert row["median_ms"] > 0
    others = sum(len(rows) - 1 for rows in tables.values())
    assert len(summary(tables).splitlines()) == 2 + others


def the_same_in_pytorch(vae, config, x, theirs, torch_loss):
    """Asserts that value and squared gradient of our loss and of one in PyTorch are equal; x of both sides.

    theirs: our parameters -> those in PyTorch. torch_loss: parameters, x, noise -> value.
    """
    torch, (x, their_x) = peers.torch(), x
    # Parameters begin at 0 where they are no kernels; a wrong one would not show.
    params = jax.tree.map(lambda p: p + 0.01 if p.ndim == 1 else p, jax.jit(vae.init)(jax.random.key(0)))
    key, objective = jax.random.key(2), per_example(elbo, vae)
    loss, gradient = jax.jit(jax.value_and_grad(lambda p: objective(p, key, x, 0)[0]))(params)
    keys = jax.random.split(key, config.batch_size)
    eps = jax.vmap(lambda k: jax.random.normal(k, (config.latent_size,)))(keys)
    tensors = theirs(params)
    value = torch_loss(tensors, *(torch.tensor(np.asarray(a)) for a in (their_x, eps)))
    value.backward()
    np.testing.assert_allclose(value.item(), loss, rtol=1e-5)
    norms = [sum(float((g**2).sum()) for g in jax.tree.leaves(gradient))]
    norms += [sum(float((p.grad**2).sum()) for p in jax.tree.leaves(tensors))]
    np.testing.assert_allclose(*norms, rtol=1e-4)


@pytest.mark.parametrize("of", [training, convolution, residual])
def test_pytorch_computes_the_same_loss_and_gradient(of):
    """Fails if the peer is another model than ours: same parameters, images and noise."""
    if peers.torch() is None:
        pytest.skip(NO_TORCH)
    config = TINY[of]
    shape = {training: lambda: (config.event,), convolution: lambda: (config.size, config.size, 1)}
    shape = shape.get(of, lambda: (config.size, config.size, config.image_channels))()
    x = jax.random.bernoulli(jax.random.key(1), 0.3, (config.batch_size, *shape)).astype(jnp.float32)
    both = (x, x) if of is training else (x, x.transpose(0, 3, 1, 2))
    theirs = peers.tensors if of is training else partial(of.torch_params, layout="channels_last")
    torch_loss = partial(of.torch_loss, config) if of is residual else of.torch_loss
    the_same_in_pytorch(of.model(config), config, both, theirs, torch_loss)


@pytest.mark.parametrize("kind", ["convolutional", "residual"])
def test_pytorch_has_the_same_masses_of_levels(kind):
    """Fails if the peer has another density of levels than ours, at either end of them or between."""
    if peers.torch() is None:
        pytest.skip(NO_TORCH)
    work = getattr(TINY_COLOUR, kind)
    x = colour.images(work, work.batch_size)
    x[:2] = x[:2] // 255 * 255
    both = jnp.asarray(x), x.transpose(0, 3, 1, 2).astype(np.float32)
    theirs = partial(colour.torch_params, work, layout="channels_last")
    the_same_in_pytorch(colour.model(work), work, both, theirs, partial(colour.torch_loss, work))


@pytest.mark.parametrize("log_mass", [counts.torch_log_mass, counts.torch_distributions_log_mass])
def test_pytorch_has_the_same_masses_of_counts(log_mass):
    """Fails if either form of the peer has another negative binomial than ours, zeros among the counts or not."""
    if peers.torch() is None:
        pytest.skip(NO_TORCH)
    config = TINY[counts]
    x = counts.counts(config)[: config.batch_size].astype(np.float32)
    assert 0 < np.mean(x == 0) < 1
    theirs = partial(counts.torch_loss, log_mass=log_mass)
    the_same_in_pytorch(counts.model(config), config, (jnp.asarray(x), x), peers.tensors, theirs)


def test_pytorch_has_the_same_table():
    """Fails if the peer of the table has another loss than ours: a scale a column."""
    if peers.torch() is None:
        pytest.skip(NO_TORCH)
    config = TINY[table]
    x = np.random.default_rng(1).normal(size=(config.batch_size, config.event)).astype(np.float32)
    the_same_in_pytorch(table.model(config), config, (jnp.asarray(x), x), peers.tensors, table.torch_loss)


def test_a_stream_of_photos_trains_on_what_memory_holds(tmp_path):
    """Fails if the two sides of the measurement do different work: after a pass each has other parameters."""
    config = TINY[photos]
    photos.write_photos(config, tmp_path)
    sides = photos.streamed_pass, photos.memory_pass, photos.first_streamed_pass, photos.first_memory_pass
    first, *others = (side(config, str(tmp_path))() for side in sides)
    for params in others:
        jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-6), first, params)


def test_pytorch_moves_in_the_same_landscape():
    """Fails if the chains of the peer have another target than ours: its log density or its gradient in z."""
    if peers.torch() is None:
        pytest.skip(NO_TORCH)
    config = TINY[annealing]
    vae, params, x, z = annealing.model(config)
    t = annealing.TEMPERATURE

    def target(z):
        base, joint = (f(z) for f in log_densities(vae, params, x, prior_base))
        return (1 - t) * base + t * joint

    values, gradients = jax.vmap(jax.value_and_grad(target))(z)
    gradient_and_logits, log_density = annealing.torch_densities(config, params, x)
    theirs = peers.torch().tensor(np.asarray(z))
    found, logits = gradient_and_logits(theirs)
    np.testing.assert_allclose(found, gradients, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(log_density(theirs, logits), values, rtol=1e-5)


def test_stock_layers_compute_the_same_loss():
    """Fails if the model from stock layers is another than ours."""
    params = jax.jit(convolution.model(CONV).init)(jax.random.key(0))
    x = jax.random.bernoulli(jax.random.key(1), 0.3, (CONV.batch_size, CONV.size, CONV.size, 1)).astype(jnp.float32)
    losses = [
        jax.jit(per_example(elbo, vae))(p, jax.random.key(2), x, 0)[0]
        for vae, p in (
            (convolution.model(CONV), params),
            (convolution.stock_model(CONV), convolution.stock_params(params)),
        )
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_the_floor_has_the_shapes_of_the_model():
    """Fails if the floor multiplies other matrices than the model: as many weights, and a dot for each product."""
    assert training.products(training.Config()) == [
        (128, 784, 400),
        (128, 400, 40),
        (128, 20, 400),
        (128, 400, 784),
    ]
    for of, config in ((training, MLP), (convolution, CONV)):
        params = jax.eval_shape(of.model(config).init, jax.random.key(0))
        kernels = sum(p.size for p in jax.tree.leaves(params) if p.ndim > 1)
        assert sum(k * n for _, k, n in of.products(config)) == kernels
    full = convolution.products(convolution.Config())
    assert full[:2] == [(64 * 32 * 32, 16, 32), (64 * 16 * 16, 512, 32)]
    assert full[-1] == (64 * 32 * 32, 32, 16)


def test_many_ends_at_the_same_parameters(monkeypatch):
    """Fails if the runs at once are not the runs that are made one after the other."""
    monkeypatch.setattr(jax, "clear_caches", lambda: None)  # those of all tests
    both = many.at_once(TINY[many]), many.one_after_the_other(TINY[many])
    for a, b in zip(*(call() for call in both), strict=True):
        jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-6), a, b)


def test_the_machine_is_named():
    """Fails if the numbers are saved without what they depend on, or in a form that is no JSON."""
    found = json.loads(json.dumps(machine()))
    assert found["processor"]
    assert found["packages"]["jax"] == jax.__version__

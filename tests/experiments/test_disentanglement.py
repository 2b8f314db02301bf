"""The study run tiny, its numbers checked against the parts, its settings against the paper."""

import dataclasses
import json
import math
import signal
import time
from pathlib import Path

import h5py
import jax
import matplotlib.image
import numpy as np
import pytest
from scipy import stats

from experiments import evaluate, sprites
from experiments.disentanglement import __main__ as study
from experiments.disentanglement import report
from experiments.disentanglement.data import sprites as sprite_data
from experiments.disentanglement.methods import METHODS, NAMES
from experiments.disentanglement.study import trained_params
from tests.runs.commands import start
from vae_jax import InputError, mutual_information_gap
from vae_jax.data import factors
from vae_jax.data.sprites import render
from vae_jax.runs import RunConfig, train
from vae_jax.runs.begun import identity
from vae_jax.runs.folder import read_rows
from vae_jax.runs.scores import encoder

TINY = study.StudyConfig(
    out="",
    levels=(2, 2, 1, 4, 4),
    size=8,
    seeds=2,
    hidden=(8,),
    latent_size=3,
    num_steps=4,
    batch_size=8,
    capacity_steps=2,
    discriminator=(8,),
    save_every=4,
)
LONG = dataclasses.replace(TINY, methods=("FactorVAE",), seeds=1, num_steps=200, save_every=20)
ARGUMENTS = (
    *("experiments.disentanglement", "--methods", "FactorVAE", "--levels", "2", "2", "1", "4", "4"),
    *("--size", "8", "--seeds", "1", "--hidden", "8", "--batch-size", "8", "--discriminator", "8"),
    *("--latent-size", "3", "--num-steps", "200", "--save-every", "20", "--capacity-steps", "2"),
)
# Two strengths of a method are as good as all: each more is only more of the same program.
FEW = tuple(method._replace(quick=method.quick[:2]) for method in METHODS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = dataclasses.replace(TINY, out=str(tmp_path_factory.mktemp("study") / "run"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(study, "METHODS", FEW)
        yield config, study.main(config)


def test_every_method_strength_and_seed_is_scored(finished, tmp_path):
    """Fails if a model is missing, a file of the study is, or a score is not in its range."""
    config, rows = finished
    expected = {(m.name, s, seed) for m in FEW for s in m.quick for seed in range(2)}
    assert {(row["method"], row["strength"], row["seed"]) for row in rows} == expected
    assert len(rows) == len(expected)
    for row in rows:
        for name in ("mig", "jemmig", "sap_squared_correlation", "modularity", "factor_vae_score", "udr_spearman"):
            assert 0 <= row[name] <= 1, (name, row)
        assert row["elbo"] == pytest.approx(-row["distortion"] - row["rate"], rel=1e-5)
    folder = Path(config.out)
    assert json.loads((folder / "rows.json").read_text()) == rows
    table = (folder / "table.md").read_text()
    assert all(name in table for name in NAMES)
    figures = {path.name: matplotlib.image.imread(path) for path in (folder / "figures").iterdir()}
    assert set(figures) == {"violins.png", "information.png", "traversals.png"}
    assert all(picture.std() > 0 for picture in figures.values())


def test_scores_belong_to_their_model(finished):
    """Fails if a row has the scores of other parameters than those of its method, strength and seed."""
    config, rows = finished
    data = study.make_data(config)
    vae, setting, groups = study.make_study(config, data)
    for row in (rows[0], rows[-1], next(r for r in rows if r["method"] == "FactorVAE" and r["seed"] == 1)):
        unit = next(u for u in groups if u.method.name == row["method"])
        chosen = study.Run(row["strength"], row["seed"])
        model, params = trained_params(Path(config.out), unit, vae, setting, chosen, identity(config))
        examples, known = study.scored_examples(data)
        loc = encoder(model, data.transform)(params, jax.random.key(0), examples)["loc"]
        assert float(mutual_information_gap(loc, known).score) == pytest.approx(row["mig"], abs=1e-6)


def test_a_finished_study_is_not_trained_again(finished, monkeypatch):
    """Fails if a complete unit is trained anew on --resume, or if a new study overwrites an old one."""
    config, rows = finished
    monkeypatch.setattr("experiments.disentanglement.study.train_many", None)
    assert study.main(dataclasses.replace(config, resume=True)) == rows
    with pytest.raises(InputError, match="holds a run already"):
        study.main(config)
    with pytest.raises(InputError, match="begun with seeds = 2"):
        study.main(dataclasses.replace(config, resume=True, seeds=3))


def test_groups_of_runs_change_no_run(finished, tmp_path):
    """Fails if a model depends on which others are trained with it."""
    _, rows = finished
    config = dataclasses.replace(TINY, out=str(tmp_path / "run"), methods=("beta-VAE",), strengths_at_once=1)
    alike = [row for row in rows if row["method"] == "beta-VAE"]
    for row, other in zip(study.main(config), alike, strict=True):
        assert {name: value for name, value in row.items() if name != "method"} == pytest.approx(
            {name: value for name, value in other.items() if name != "method"}, rel=1e-3, abs=1e-3
        )


def test_evaluate_a_model_of_a_study(finished, capsys):
    """Fails if a model is evaluated at other scores than its row, or if slow scores are missing or out of range."""
    config, rows = finished
    row = next(r for r in rows if (r["method"], r["strength"], r["seed"]) == ("beta-TCVAE", 4.0, 1))
    found = evaluate.main(evaluate.Config(config.out, method="beta-TCVAE", strength=4.0, seed=1, num_resamples=5))
    for name in ("mig", "jemmig", "factor_vae_score", "active_units"):
        assert found[name] == pytest.approx(row[name], abs=1e-6), name
    slow = (
        "sampled_mig",
        "sap_linear_svm",
        "beta_vae_score_logistic_regression",
        "explicitness_logistic_regression",
    )
    assert all(0 <= found[name] <= 1 for name in slow)
    assert "dci_gradient_boosting_disentanglement" in capsys.readouterr().out
    best = evaluate.main(evaluate.Config(config.out, num_resamples=0, fast=True))
    assert best["mig"] == pytest.approx(max(r["mig"] for r in rows), abs=1e-6)
    with pytest.raises(InputError, match="no scored model"):
        evaluate.main(evaluate.Config(config.out, method="GAN"))


def test_evaluate_a_run_of_sprites(tmp_path):
    """Fails if a run's factors are not those of its test images, or if a choice of model is ignored."""
    out = str(tmp_path / "run")
    run = RunConfig(out=out, batch_size=8, num_steps=4, eval_every=4)
    config = dataclasses.replace(sprites.PRESET, run=run, size=8, hidden=(8,), latent_size=3)
    summary = train(config).summary
    found = evaluate.main(evaluate.Config(out, num_resamples=0, fast=True))
    assert found["elbo"] == pytest.approx(summary["test_elbo"], rel=1e-4)
    assert found["num_examples"] == summary["num_test"]
    data = config.load_data()
    transform = config.make_task(data.facts).transform
    images = jax.jit(jax.vmap(lambda f: render(f, size=8)))(data.factors[:5])
    np.testing.assert_array_equal(images, jax.jit(jax.vmap(lambda i: transform(None, i)))(data.test[:5]))
    with pytest.raises(InputError, match="holds one model"):
        evaluate.main(evaluate.Config(out, seed=1))


@pytest.mark.slow
def test_killed_and_resumed_ends_as_if_never_killed(tmp_path, monkeypatch):
    """Fails if a study that was killed within a method ends with other numbers than an unbroken one."""
    monkeypatch.setattr(study, "METHODS", METHODS)  # as in the processes
    unbroken, folder = tmp_path / "a", tmp_path / "b"
    rows = study.main(dataclasses.replace(LONG, out=str(unbroken)))
    log = folder / "FactorVAE" / "metrics.jsonl"  # of one seed of three strengths
    for stop, reached in ((signal.SIGKILL, 20), (signal.SIGTERM, 40)):
        process = start(*ARGUMENTS, "--out", folder, "--resume")
        while process.poll() is None and not any(row["step"] >= reached for row in read_rows(log.parent, 3)):
            time.sleep(0.002)
        assert process.poll() is None, "the study ended before it could be stopped"
        process.send_signal(stop)
        process.communicate()
        assert process.returncode == (-stop if stop == signal.SIGKILL else 0)
        assert not (folder / "rows.json").exists()
    assert study.main(dataclasses.replace(LONG, out=str(folder), resume=True)) == rows
    assert json.loads((folder / "rows.json").read_text()) == rows


@pytest.mark.parametrize("name", ["dsprites", "shapes3d"])
def test_downloaded_data_sets(tmp_path, monkeypatch, name):
    """Fails if a study does not run on a small file of the format of dSprites or 3D Shapes."""
    original = factors.FACTOR_DATA_SETS[name]
    sizes = tuple(2 for _ in original.factor_sizes)
    channels = original.image_shape[-1]
    small = dataclasses.replace(
        original, name="small", image_shape=(16, 16, channels), factor_sizes=sizes, sha256=None, md5=None
    )
    monkeypatch.setitem(factors.FACTOR_DATA_SETS, name, small)
    values = np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes), axis=1)
    images = np.random.default_rng(0).integers(0, 2, (len(values), *small.image_shape)).astype(np.uint8)
    source = tmp_path / small.file
    if name == "dsprites":
        classes = np.insert(values, 0, 0, axis=1)
        np.savez(source, imgs=images[..., 0], latents_classes=classes, latents_values=classes)
    else:
        with h5py.File(source, "w") as file:
            file["images"], file["labels"] = 255 * images, values / 3.0
    config = dataclasses.replace(
        TINY,
        out=str(tmp_path / "run"),
        data_set=name,
        methods=("VAE",),
        network="conv" if name == "dsprites" else "mlp",
        num_images=20,
        data_dir=str(tmp_path / "data"),
        manual_dir=str(tmp_path),
    )
    rows = study.main(config)
    assert [row["seed"] for row in rows] == [0, 1]
    assert all(np.isfinite(row["mig"]) for row in rows)
    data = study.make_data(config)
    assert data.examples.shape == (20, 16, 16, channels)
    assert data.factor_names == original.factor_names


def test_sprites_of_few_factors():
    """Fails if a factor that is held fixed varies, or if the factors do not belong to the images."""
    data = sprite_data((1, 3, 1, 4, 1), 8)
    assert data.factor_names == ("scale", "position_x")
    assert len(data.examples) == 12
    assert len(np.unique(data.examples, axis=0)) == 12
    np.testing.assert_array_equal(data.examples[:, [1, 3]], data.factors)
    assert np.ptp(data.examples[:, [0, 2, 4]], axis=0).max() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": (1, 7, 1, 4, 4)}, "levels"),
        ({"levels": (1, 1, 1, 1, 1)}, "at least one factor that varies"),
        ({"methods": ("VAE", "GAN")}, "methods GAN"),
        ({"methods": ()}, "methods none"),
        ({"seeds": 0}, "seeds"),
        ({"batch_size": 1000}, "batch size 1000"),
    ],
)
def test_bad_settings_write_nothing(tmp_path, changes, message):
    """Fails if a study that cannot run leaves a folder, or gives no reason."""
    config = dataclasses.replace(TINY, out=str(tmp_path / "run"), **changes)
    with pytest.raises(InputError, match=message):
        study.main(config)
    assert not (tmp_path / "run").exists()


def test_paper_preset_is_the_protocol_of_the_paper():
    """Fails if the preset departs from the released configuration of Locatello et al. 2019 in more than it says."""
    paper = study.PRESETS["paper"]
    assert (paper.num_steps, paper.batch_size, paper.learning_rate) == (300_000, 64, 1e-4)
    assert (paper.latent_size, paper.seeds, paper.size) == (10, 50, 64)
    assert (paper.capacity_gamma, paper.capacity_steps) == (1000.0, 100_000)
    assert paper.discriminator == (1000,) * 6
    strengths = {method.name: method.paper for method in METHODS}
    assert strengths["VAE"] + strengths["beta-VAE"] == (1, 2, 4, 6, 8, 16)
    assert strengths["AnnealedVAE"] == (5, 10, 25, 50, 75, 100)
    assert strengths["FactorVAE"] == (10, 20, 30, 40, 50, 100)
    assert strengths["DIP-VAE-I"] == strengths["DIP-VAE-II"] == (1, 2, 5, 10, 20, 50)
    # beta = 1 of beta-TCVAE is the VAE, which the study has already.
    assert strengths["beta-TCVAE"] == (2, 4, 6, 8, 10)
    vae, _, groups = study.make_study(paper, sprite_data((2, 1, 1, 2, 2), 64))
    params = jax.eval_shape(vae.init, jax.random.key(0))
    kernels = [p.shape for p in jax.tree.leaves(params["encoder"]) if len(p.shape) == 4]
    assert kernels == [(4, 4, 1, 32), (4, 4, 32, 32), (4, 4, 32, 64), (4, 4, 64, 64)]
    assert sum(len(group.runs) for group in groups) == 50 * sum(len(method.paper) for method in METHODS)


def test_report_of_known_rows():
    """Fails if an interval is not Student's, a difference is not paired by seed, or a diverged run counts."""
    values = [0.1, 0.3, 0.2, 0.6]
    mean, half = report.mean_and_interval(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert math.isnan(report.mean_and_interval([0.5])[1])

    def row(method, seed, mig):
        scores = {} if mig is None else {name: mig for name, *_ in report.COLUMNS}
        return {"method": method, "strength": 1.0, "seed": seed, **scores}

    rows = [
        row("VAE", 0, 0.1),
        row("VAE", 1, 0.2),
        row("other", 1, 0.7),
        row("other", 0, 0.4),
        row("other", 2, None),
    ]
    assert "other 1: +0.400 +- 1.271 (2 seeds)" in report.differences(rows)
    assert "| other | 1 | 3 | 1 | 0.55 | 0.550" in report.table(rows)
    assert report.best_run(rows)["mig"] == 0.7

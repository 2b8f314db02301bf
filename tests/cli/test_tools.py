"""The commands of a finished run, on data of every form, without the data that it was trained on."""

import csv
import dataclasses
import json
import re
import shutil
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import pytest
from PIL import Image

from tests.runs.commands import called, refused
from vae_jax import InputError, load_run
from vae_jax.cli import TOOLS, scoring
from vae_jax.cli.facts import read_facts
from vae_jax.cli.train import TrainConfig
from vae_jax.data import to_own_units
from vae_jax.runs import Finished, RunConfig, data_of, kept, using
from vae_jax.runs.begun import identity, write_begun
from vae_jax.runs.gaps import impute
from vae_jax.runs.plan import fresh_state, planned
from vae_jax.runs.task import hash_of
from vae_jax.training.checkpoints import open_checkpoints, save

SMALL = ("--hidden", "4", "--latent-size", "2", "--num-steps", "2", "--eval-every", "2", "--batch-size", "8")
COLUMNS = ("big", "date", "income", "kids", "colour")


def table(path, num, seed=0, order=range(5)):
    """A mean of 1e6, dates that are numbers, positive numbers, counts, categories; with gaps but in the dates."""
    generator = np.random.default_rng(seed)
    rows = []
    for z in generator.normal(size=num):
        row = [f"{1e6 + 10 * z:.3f}", 20240101 + generator.integers(0, 31), f"{np.exp(3 + z):.4f}"]
        row += [generator.poisson(np.exp(1 + 0.5 * z)), "a" if z < 0 else "blue"]
        rows.append([v if j == 1 or generator.uniform() > 0.15 else "" for j, v in enumerate(row)])
    with path.open("w") as file:
        csv.writer(file).writerows([[row[j] for j in order] for row in [COLUMNS, *rows]])


def photos(folder, num=12, seed=0, classes=("cat", "dog")):
    generator = np.random.default_rng(seed)
    for c, called_ in enumerate(classes):
        (folder / called_).mkdir(parents=True)
        for i in range(num):
            pixels = generator.integers(100 * c, 100 * c + 150, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / called_ / f"p{i:02d}.png")


def counts(num, seed=0):
    generator = np.random.default_rng(seed)
    return generator.poisson(generator.gamma(0.5, 2, size=(num, 20)))


def series(num, seed=0):
    generator = np.random.default_rng(seed)
    waves = np.sin(np.linspace(0, 6, 12)[:, None] + generator.uniform(0, 6, (num, 1, 2)))
    return 300 + 5 * waves + 0.1 * generator.normal(size=waves.shape)


def begun(config):
    """A run at its start, which takes no compiled training: with a checkpoint, and no summary."""
    plan = planned(config)
    sha256 = hash_of(plan.data)
    write_begun(plan.folder, plan.config, plan.facts, sha256)
    told = identity(plan.config) | {"split_sha256": sha256}
    with open_checkpoints(plan.folder / "checkpoints", config=told) as checkpoints:
        save(checkpoints, fresh_state(plan), {"elbo": 0.0})


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder `runs` of tiny runs, `new` data, and under `moved` what the runs were trained on, elsewhere."""
    home = tmp_path_factory.mktemp("tools")
    train, new = home / "train", home / "new"
    train.mkdir()
    new.mkdir()
    table(train / "table.csv", 60)
    table(new / "table.csv", 30, seed=1)
    table(new / "reordered.csv", 30, seed=1, order=(4, 2, 0, 3, 1))
    photos(train / "photos")
    photos(new / "photos", num=2, seed=1)
    photos(new / "foxes", num=1, classes=("fox",))
    (new / "plain").mkdir()
    Image.new("RGB", (8, 8)).save(new / "plain" / "x.png")
    for name, make in (("counts", counts), ("series", series)):
        np.save(train / f"{name}.npy", make(40))
        np.save(new / f"{name}.npy", make(5, seed=1))
    np.save(new / "fractions.npy", counts(5) + 0.5)
    np.save(new / "wide.npy", series(5)[:, :, :1])
    (new / "empty.csv").write_text(",".join(COLUMNS) + "\n")
    (new / "green.csv").write_text(f"{','.join(COLUMNS)}\n1000000,20240101,3,1,green\n")
    with pytest.MonkeyPatch.context() as patch, mock.patch("vae_jax.runs.programs.write_figures"):
        patch.chdir(home)
        for data in ("table.csv", "counts.npy"):
            code, out, err = called("vae_jax", "train", f"train/{data}", *SMALL)
            assert code == 0, out + err
        for name, data, conditional in (
            *(("photos", "photos", False), ("cond", "photos", True)),
            ("series", "series.npy", False),
        ):
            run = RunConfig(f"runs/{name}", num_steps=2)
            begun(TrainConfig(f"train/{data}", run, conditional=conditional, hidden=(4,), latent_size=2))
    train.rename(home / "moved")
    return home


@pytest.fixture
def at(home, tmp_path, monkeypatch):
    """`at(command, run, *options)` calls a command from an empty working directory; what it prints comes back."""
    monkeypatch.chdir(tmp_path)

    def call(command, run, *options):
        data = ()
        if command != "sample" and "--data" not in options:
            ending = {"table": ".csv", "counts": ".npy", "series": ".npy"}.get(run, "")
            data = ("--data", home / "new" / f"{'photos' if run == 'cond' else run}{ending}")
        code, out, err = called("vae_jax", command, home / "runs" / run, *data, *options)
        assert code == 0, out + err
        return out

    return call


def rows_of(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_codes(home, at):
    """Fails if a code is not the one that Python gives, or has not the name of its example."""
    assert at("encode", "photos", "--out", "z.csv") == "4 codes of 2 latents: z.csv\n"
    rows = rows_of("z.csv")
    assert [row["name"] for row in rows] == ["cat/p00.png", "cat/p01.png", "dog/p00.png", "dog/p01.png"]
    at("encode", "photos", "--out", "z.NPY")
    codes = np.load("z.NPY")
    np.testing.assert_array_equal([[np.float32(row[f"z_{j}"]) for j in (1, 2)] for row in rows], codes)
    pixels = np.stack([np.asarray(Image.open(home / "new/photos" / row["name"])) for row in rows])
    run = load_run(home / "runs/photos")
    np.testing.assert_allclose(run.encode(pixels), codes, rtol=1e-5)
    means = jax.vmap(lambda x: run.model.encode(run.params, run.transform(jax.random.key(0), x)).mean())(pixels)
    np.testing.assert_allclose(codes, means, rtol=1e-4, atol=1e-6)
    at("encode", "counts", "--out", "n.csv")
    assert [row["name"] for row in rows_of("n.csv")] == ["0", "1", "2", "3", "4"]
    for run in ("series", "cond"):
        at("encode", run, "--out", f"{run}.npy")
        assert np.isfinite(np.load(f"{run}.npy")).all()


def test_a_table_in_its_own_units(home, at):
    """Fails if means of a million or dates lose digits, categories come as codes, or columns change places."""
    for command in ("reconstruct", "sample", "interpolate"):
        at(command, "table", "--out", f"{command}.csv")
        rows = rows_of(f"{command}.csv")
        assert tuple(rows[0]) == COLUMNS
        assert len(rows) == {"reconstruct": 30, "sample": 100, "interpolate": 10}[command]
        assert {row["colour"] for row in rows} <= {"a", "blue"}
        for row in rows:
            assert abs(float(row["big"]) - 1e6) < 100
            assert abs(float(row["date"]) - 20240116) < 60
            assert re.fullmatch(r"20240\d{3}(\.\d+)?", row["date"])
            assert float(row["income"]) > 0
            assert float(row["kids"]) >= 0
            assert command != "sample" or row["kids"].isdigit()
    assert len({row["date"] for row in rows_of("sample.csv")}) > 90
    at("sample", "table", "--out", "s.npy")
    assert np.isfinite(load_run(home / "runs/table").encode(np.load("s.npy"))).all()
    again = []
    for name in ("table", "reordered"):
        at("encode", "table", "--data", home / f"new/{name}.csv", "--out", f"{name}.npy")
        again.append(np.load(f"{name}.npy"))
    np.testing.assert_array_equal(*again)


# Of one shape, so that commands and tests share what is compiled.
FEW = ("--num-samples", 7, "--num-draws", 2)


def test_gaps_of_a_table(home, at, monkeypatch):
    """Fails if a gap stays, a draw is of another kind than its column, or what is seen loses a digit."""
    monkeypatch.setattr(using, "batch_of", lambda run, num_samples: 8)
    out = at("impute", "table", *FEW, "--out", "m.csv")
    before, after = rows_of(home / "new/table.csv"), rows_of("m.csv")
    gaps = sum(not value for row in before for value in row.values())
    assert out == f"{gaps} missing values of 30 examples, 2 draws: m.csv\n"
    assert [(row["draw"], row["example"]) for row in after] == [
        (str(k), str(i)) for k in range(2) for i in range(30)
    ]
    for row in after:
        old = before[int(row["example"])]
        for name in COLUMNS:
            new = row[name]
            if old[name]:
                assert new == old[name] if name in ("date", "kids", "colour") else float(new) == float(old[name])
            else:
                assert new in ("a", "blue") if name == "colour" else float(new) >= 0
                assert name != "kids" or new.isdigit()
    at("impute", "table", *FEW, "--out", "m.npy")
    assert np.load("m.npy").shape == (2, 30, 5)
    assert np.isfinite(np.load("m.npy")).all()


def test_photos(home, at):
    """Fails if levels are no bytes, a picture has not the name of its photo, or its pixels are others."""
    assert at("sample", "photos", "--num", 3, "--out", "s.npy") == "3 samples: s.npy\n"
    drawn = np.load("s.npy")
    assert (drawn.dtype, drawn.shape) == (np.uint8, (3, 8, 8, 3))
    Path("s").mkdir()  # an empty folder will do
    at("sample", "photos", "--num", 3, "--out", "s")
    assert sorted(path.name for path in Path().iterdir()) == ["s", "s.npy"]
    for i in range(3):
        np.testing.assert_array_equal(np.asarray(Image.open(f"s/{i:05d}.png")), drawn[i])
    at("reconstruct", "photos", "--out", "r.npy")
    at("reconstruct", "photos", "--out", "r")
    pictures = sorted(Path("r").iterdir())
    assert [path.name for path in pictures] == [f"{i:05d}-p{i % 2:02d}.png" for i in range(4)]
    levels = np.load("r.npy")
    assert 0 <= levels.min() <= levels.max() <= 255
    assert levels.max() > 1
    for path, picture in zip(pictures, levels, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.rint(picture).astype(np.uint8))
    at("interpolate", "photos", "--between", 3, 0, "--num-steps", 4, "--out", "way.npy")
    np.testing.assert_allclose(np.load("way.npy")[[0, 3]], levels[[3, 0]], atol=1e-3)
    at("interpolate", "photos", "--num-steps", 3, "--on-sphere", "--out", "way")
    assert len(list(Path("way").iterdir())) == 3


def test_counts_and_series(at):
    """Fails if a count has a fraction, or a series is not in its own units."""
    at("sample", "counts", "--num", 4, "--out", "n.npy")
    drawn = np.load("n.npy")
    assert drawn.dtype.kind == "i"
    assert drawn.min() >= 0
    at("sample", "counts", "--num", 4, "--out", "n.csv")
    np.testing.assert_array_equal([[int(v) for v in row.values()] for row in rows_of("n.csv")], drawn)
    at("reconstruct", "counts", "--out", "r.npy")
    assert np.load("r.npy").shape == (5, 20)
    for command in ("sample", "reconstruct", "interpolate"):
        at(command, "series", "--out", f"{command}.npy")
        found = np.load(f"{command}.npy")
        assert found.shape[1:] == (12, 2)
        assert np.abs(found - 300).max() < 40


def test_labels(home, at):
    """Fails if samples are of another class than was asked for, or the way of two labels is encoded under one."""
    run = load_run(home / "runs/cond")
    key, names = jax.random.key(0), ["cat", "dog"]
    for option, c in (((), [0, 1, 0]), (("--label", "dog"), [1, 1, 1]), (("--label", "0"), [0, 0, 0])):
        at("sample", "cond", "--num", 3, *option, "--out", "s.npy")
        np.testing.assert_array_equal(np.load("s.npy"), run.sample(key, 3, np.array(c)))
    folder = home / "new/photos"
    x = [np.asarray(Image.open(folder / name / "p00.png")) for name in names]
    at("interpolate", "cond", "--between", 0, 2, "--out", "way.npy")
    z = run.encode(np.stack(x), np.array([0, 1]))
    np.testing.assert_allclose(np.load("way.npy")[[0, -1]], run.decode(z, np.array([0, 0])), rtol=1e-4)
    at("reconstruct", "cond", "--out", "r")
    assert len(list(Path("r").iterdir())) == 4


def test_scores_are_those_of_the_validation_examples(home, at):
    """Fails if a quantile compares other numbers than those of training, or the least likely is not the first."""
    at("score", "counts", "--num-samples", 5, "--out", "s.csv")
    rows = rows_of("s.csv")
    assert list(rows[0]) == ["name", "elbo", "L_5", "quantile"]
    assert [float(row["L_5"]) for row in rows] == sorted(float(row["L_5"]) for row in rows)
    known = np.array(json.loads((home / "runs/counts/validation.json").read_text())["elbo"])
    run = load_run(home / "runs/counts")
    new = np.load(home / "new/counts.npy")
    elbo, weighed = run.elbo(new), run.log_likelihood(new, num_samples=5)
    for row in rows:
        i = int(row["name"])
        assert float(row["quantile"]) == pytest.approx(np.mean(known < elbo[i]), abs=1e-4)
        assert float(row["L_5"]) == pytest.approx(weighed[i], rel=1e-6)
    for name, data in (("counts", "counts.npy"), ("table", "table.csv")):
        run = load_run(home / "runs" / name)
        validation = data_of(run, str(home / "moved" / data)).validation
        known = json.loads((home / f"runs/{name}/validation.json").read_text())["elbo"]
        own = to_own_units(validation, read_facts(run.facts).layout)
        np.testing.assert_allclose(run.elbo(own), known, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"elbo": []}', '{"elbo": [NaN]}', '{"elbo": {}}'])
def test_a_run_without_scores_of_validation(tmp_path, capsys, content):
    """Fails if a run that kept no scores, or a stranger's file of them, ends a command or gives quantiles."""
    if content is not None:
        (tmp_path / "validation.json").write_text(content)
    run = Finished(str(tmp_path), None, None, None, lambda key, x: x, {}, {})
    assert scoring._validation(run) is None
    assert capsys.readouterr().out.endswith("no scores of its validation examples: no quantiles are written\n")


def test_an_example_that_is_far_off_is_the_first(home, at):
    """Fails if an anomaly that has no density at all is sorted last, or spoils the mean of the others."""
    odd = series(3)
    odd[1] = 1e30
    np.save("odd.npy", odd)
    out = at("score", "series", "--data", "odd.npy", "--num-samples", 2, "--out", "s.csv")
    assert rows_of("s.csv")[0]["name"] == "1"
    assert "of 2 with finite bounds; least likely: 1, " in out
    assert re.search(r"mean ELBO -?\d", out)


WRONG = {
    "no file": (
        ("encode", "table", "--data", "nowhere.csv", "--out", "z.npy"),
        "nowhere.csv does not exist: expected",
    ),
    "an ending": (
        ("encode", "table", "--data", "table.csv", "--out", "z.txt"),
        "out z.txt: expected a name ending in",
    ),
    "an ending of scores": (
        ("score", "table", "--data", "table.csv", "--out", "z.npy"),
        "expected a name ending in .csv",
    ),
    "a folder of codes": (
        ("encode", "table", "--data", "table.csv", "--out", "z"),
        "expected a name ending in .npy or",
    ),
    "a folder is there": (
        ("encode", "table", "--data", "table.csv", "--out", "there.npy"),
        "is there and is not what",
    ),
    "a file is there": (
        ("sample", "photos", "--out", "file"),
        "out file is there and is not what would be written",
    ),
    "a full folder": (
        ("sample", "photos", "--out", "full"),
        "out full is a folder with something in it: expected a new",
    ),
    "below a file": (("sample", "photos", "--out", "file/x/s.npy"), "nothing can be written in"),
    "a bucket": (("sample", "photos", "--out", "gs://b/x.npy"), "expected a place on this machine"),
    "no name": (("sample", "photos", "--out", ""), "an empty path"),
    "a long name": (("sample", "photos", "--out", f"{'x' * 250}.npy"), "expected a name of at most 240 bytes"),
    "a table of photos": (
        ("sample", "photos", "--out", "s.csv"),
        "images are no table; expected a name ending in .npy",
    ),
    "pictures of series": (
        ("sample", "series", "--out", "s"),
        "series are no pictures; expected a name ending in .npy",
    ),
    "pictures of a table": (
        ("sample", "table", "--out", "s"),
        "table are no pictures; expected a name ending in .npy or",
    ),
    "a table of series": (("impute", "series", "--data", "series.npy", "--out", "s.csv"), "series are no table"),
    "a shape": (("encode", "series", "--data", "wide.npy", "--out", "z.npy"), r"has shape \(5, 12, 1\): expected"),
    "fractions": (
        ("score", "counts", "--data", "fractions.npy", "--out", "s.csv"),
        "in row 0, column 'column_1': expected a count",
    ),
    "a category": (
        ("encode", "table", "--data", "green.csv", "--out", "z.npy"),
        "has 'green' in line 2.*expected one of a,",
    ),
    "no rows": (("score", "table", "--data", "empty.csv", "--out", "s.csv"), "empty.csv"),
    "no classes": (
        ("encode", "cond", "--data", "plain", "--out", "z.npy"),
        "plain has no folders of classes: expected",
    ),
    "a class": (
        ("score", "cond", "--data", "foxes", "--out", "s.csv"),
        "has the class 'fox': expected one of cat, dog",
    ),
    "a label": (
        ("sample", "cond", "--label", "fox", "--out", "s"),
        "label fox: expected 0 to 1, or one of cat, dog",
    ),
    "label 2": (("sample", "cond", "--label", "2", "--out", "s"), "label 2: expected 0 to 1"),
    "a label of none": (("sample", "photos", "--label", "0", "--out", "s"), "has no labels; leave it out"),
    "none": (("sample", "photos", "--num", "0", "--out", "s"), "num 0: expected at least 1"),
    "no samples": (
        ("score", "table", "--data", "table.csv", "--num-samples", "0", "--out", "s.csv"),
        "num_samples 0",
    ),
    "no draws": (
        ("impute", "table", "--data", "table.csv", "--num-draws", "0", "--out", "m.csv"),
        "num_draws 0: expected",
    ),
    "one step": (
        ("interpolate", "photos", "--data", "photos", "--num-steps", "1", "--out", "w"),
        "num_steps 1: expected",
    ),
    "beyond": (
        ("interpolate", "photos", "--data", "photos", "--between", "0", "4", "--out", "w"),
        "between 4: .* 0 to 3",
    ),
    "before": (
        ("interpolate", "photos", "--data", "photos", "--between", "-1", "2", "--out", "w"),
        "between -1: expected",
    ),
    "no gaps": (
        ("impute", "counts", "--data", "counts.npy", "--out", "m.npy"),
        "trained on examples without gaps: expected",
    ),
    "no run": (("sample", "nothing", "--out", "s.npy"), "expected the folder of a run, with its config.json"),
    "no out": (("sample", "photos"), "missing: --out"),
    "over the data": (
        ("impute", "table", "--data", "table.csv", "--out", "NEW/table.csv"),
        "is what --data names, or lies",
    ),
    "among the data": (
        ("reconstruct", "photos", "--data", "photos", "--out", "NEW/photos/r"),
        "or lies in it: choose",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_refused(home, tmp_path, monkeypatch, arguments, message):
    """Fails if bad input is a traceback or more than a line, or if something is written, or half of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.npy").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    command, run, *options = arguments
    given, before = [], sorted(tmp_path.rglob("*"))
    read = sorted(path.read_bytes() for path in (home / "new").rglob("*.*") if path.is_file())
    for option in options:
        names_data = given and given[-1] == "--data" and not option.startswith("nowhere")
        given.append(home / "new" / option if names_data else option.replace("NEW", str(home / "new")))
    assert re.search(message, refused("vae_jax", command, home / "runs" / run, *given))
    assert sorted(tmp_path.rglob("*")) == before
    assert sorted(path.read_bytes() for path in (home / "new").rglob("*.*") if path.is_file()) == read


REFUSED_IN_PYTHON = {
    "levels that are none": (
        "photos",
        lambda run: run.encode(np.full((2, 8, 8, 3), 0.5)),
        "expected 8-bit integers",
    ),
    "levels beyond": (
        "photos",
        lambda run: run.elbo(np.full((2, 8, 8, 3), 256)),
        "expected 8-bit integers 0 to 255",
    ),
    "a level missing": ("photos", lambda run: run.elbo(np.full((2, 8, 8, 3), np.nan)), "all NaN: expected 8-bit"),
    "fractions": ("counts", lambda run: run.encode(counts(2) + 0.5), "expected counts 0, 1, 2"),
    "negative": ("counts", lambda run: run.encode(counts(2) - 1), "expected counts 0, 1, 2"),
    "a size": ("counts", lambda run: run.encode(counts(2), [1, 2]), "is read of the example itself"),
    "infinite": ("series", lambda run: run.elbo(np.full((2, 12, 2), np.inf)), "expected a finite number"),
    "gaps": ("series", lambda run: run.elbo(np.full((2, 12, 2), np.nan)), "trained on examples without any"),
    "a code": (
        "table",
        lambda run: run.encode([[1e6, 2e7, 1, 1, 2]]),
        "2 in column 'colour': expected a code from 0",
    ),
    "not positive": (
        "table",
        lambda run: run.encode([[1e6, 2e7, 0, 1, 1]]),
        "0 in column 'income': expected a number",
    ),
    "half a child": (
        "table",
        lambda run: run.encode([[1e6, 2e7, 1, 0.5, 1]]),
        "0.5 in column 'kids': expected a count",
    ),
    "latents": ("photos", lambda run: run.decode(np.zeros((2, 3))), r"z of shape \(3,\): the model expects one"),
}


@pytest.mark.parametrize(("name", "call", "message"), REFUSED_IN_PYTHON.values(), ids=REFUSED_IN_PYTHON)
def test_refused_in_python(home, name, call, message):
    """Fails if numbers that are none of the data's kind become others in silence."""
    with pytest.raises(InputError, match=message):
        call(load_run(home / "runs" / name))


def test_names_of_a_stranger(home, at, capfd):
    """Fails if a terminal obeys the name of a file, or if a name that is long in bytes cannot be written."""
    shutil.copytree(home / "new/photos", "photos")
    first = sorted(Path("photos/cat").iterdir())[0]
    shutil.copy(first, "photos/cat/a\x1b[31mb.png")
    shutil.copy(first, f"photos/cat/{'長' * 80}.png")
    out = at("score", "photos", "--data", "photos", "--num-samples", 2, "--out", "s\x1b[31m.csv")
    assert "\x1b" not in out
    assert "\x1b" not in Path("s\x1b[31m.csv").read_text()
    at("reconstruct", "photos", "--data", "photos", "--out", "r")
    assert len(list(Path("r").iterdir())) == 6
    assert "\x1b" not in "".join(path.name for path in Path("r").iterdir())


def stopped(of, after):
    """`of`, which is stopped by Ctrl-C in its call after so many."""
    calls = []

    def f(*arguments, **options):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return of(*arguments, **options)

    return f


@pytest.mark.parametrize(
    ("command", "options", "target"),
    [
        ("score", ("counts", "counts.npy", "--num-samples", 5), "vae_jax.runs.using.bound"),
        ("impute", ("table", "table.csv", *FEW), "vae_jax.cli.scoring.imputed"),
    ],
)
def test_long_work_goes_on(home, at, tmp_path, monkeypatch, command, options, target):
    """Fails if what was done is lost when a command is stopped, or if the two halves give other numbers."""
    monkeypatch.setattr(using, "batch_of", lambda run, num_samples: 8)
    run, data, *options = options
    options += ["--data", home / "moved" / data]
    at(command, run, *options, "--out", "whole.csv")
    monkeypatch.setattr(kept, "SECONDS", 0.0)
    arguments = ("vae_jax", command, home / "runs" / run, *options)
    with mock.patch(target, stopped(impute if command == "impute" else using.bound, after=2)):
        code, out, _ = called(*arguments, "--out", "parts.csv")
    assert code == 130
    assert re.search(r"^16/[46]0 examples (scored|filled), \d+ s left$", out, re.M)
    assert {path.name for path in tmp_path.iterdir()} == {"whole.csv", "parts.csv.partial.npz"}
    out = at(command, run, *options, "--out", "parts.csv")
    assert "parts.csv.partial.npz: 16 values of an earlier call are read, not computed" in out
    assert Path("parts.csv").read_text() == Path("whole.csv").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"whole.csv", "parts.csv"}


@pytest.mark.parametrize("command", TOOLS)
def test_help(command):
    """Fails if an option of a command is missing in its help, or is not described."""
    code, out, _ = called("vae_jax", command, "--help")
    assert code == 0
    assert f"usage: vae-jax {command} " in out
    said = " ".join(re.sub(r"[│╭╮╰╯─]", " ", out).split())
    for field in dataclasses.fields(TOOLS[command][0]):
        name = field.name.replace("_", "-")
        if name != "run":
            assert re.search(rf"--{name}( (INT|STR))*( --no-{name})? [A-Z][a-z]", said.replace(",", "")), (
                name,
                said,
            )


def test_overview():
    """Fails if a command is not in the overview."""
    _, out, _ = called("vae_jax")
    for command in ("train", "evaluate", "likelihood", *TOOLS):
        assert f"vae-jax {command} " in out


def test_a_run_without_a_folder_is_in_runs(home, monkeypatch):
    """Fails if data need --out, or if a second run of the same name overwrites the first."""
    monkeypatch.chdir(home)
    assert {path.name for path in (home / "runs").iterdir()} >= {"table", "photos", "counts", "series", "cond"}
    assert "runs/counts holds a run already: expected a new folder" in refused(
        "vae_jax", "train", "moved/counts.npy", *SMALL
    )
    code, out, _ = called("vae_jax", "train", "moved/counts.npy", "--help")
    assert code == 0
    assert "Folder of the run" in out

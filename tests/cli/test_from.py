"""`vae-jax train DATA --from RUN`: what a run takes from another, and what it does without it."""

import dataclasses
import shutil
from unittest import mock

import jax
import numpy as np
import pytest
from PIL import Image

from tests.runs.commands import called, refused
from vae_jax import InputError, load_run
from vae_jax.cli.facts import Facts
from vae_jax.cli.train import TrainConfig
from vae_jax.data import Layout, find, find_like
from vae_jax.runs import RunConfig, to_json
from vae_jax.runs.folder import write_json

RANDOM = np.random.default_rng(0)
SMALL = ("--hidden", "8", "--latent-size", "2", "--num-steps", "6", "--batch-size", "8")


def array(path, values):
    np.save(path, values)
    return path


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The folder of a run on four columns about 100, no longer trained on by any test."""
    folder = tmp_path_factory.mktemp("before")
    first = array(folder / "a.npy", RANDOM.normal(size=(60, 4)) * [1, 2, 3, 4] + 100)
    code, _, err = called("vae_jax", "train", first, "--out", folder / "a", *SMALL, "--form", "table")
    assert code == 0, err
    return folder / "a"


def test_a_run_goes_on_from_another_with_other_data(tmp_path, before):
    """Fails if the model, the parameters or units of the first run are lost, or if another model is taken.

    Or if the run needs the first one after its start: to be evaluated, or to go on.
    """
    other = array(tmp_path / "b.npy", RANDOM.normal(size=(60, 4)) * [1, 2, 3, 4] + 101)
    a = tmp_path / "a"
    shutil.copytree(before, a)
    again = ("vae_jax", "train", other, "--from", a, "--out", tmp_path / "b", "--num-steps", "1")
    code, out, err = called(*again, "--learning-rate", "1e-12")
    assert code == 0, err
    for name in ("likelihood: normal-pixels", "network: mlp with dense layers of 8", "latents: 2"):
        assert f"{name}, as in the run before" in out
    assert "as asked for" not in out
    first, after = load_run(a), load_run(tmp_path / "b")
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), first.params, after.params)
    x = np.load(other)
    np.testing.assert_allclose(after.encode(x), first.encode(x), atol=1e-5)
    a.rename(tmp_path / "moved")
    code, out, err = called("vae_jax", "evaluate", tmp_path / "b")
    assert code == 0, err
    code, _, err = called("vae_jax", "train", other, "--out", tmp_path / "b", "--resume", "--num-steps", "3")
    assert code == 0, err
    shutil.rmtree(tmp_path / "b" / "checkpoints")
    start = ("vae_jax", "train", other, "--out", tmp_path / "b", "--resume", "--dry-run")
    assert "give its new path by --from" in refused(*start)
    assert called(*start, "--from", tmp_path / "moved")[0] == 0


def test_what_is_no_run_before_is_refused(tmp_path, before):
    """Fails if another model, a folder without a run, or other columns are taken."""
    other = array(tmp_path / "b.npy", RANDOM.normal(size=(60, 4)))
    to = ("--out", tmp_path / "c")
    error = refused("vae_jax", "train", other, "--from", before, *to, "--hidden", "9")
    assert "expected a run of the same model" in error
    none = refused("vae_jax", "train", other, "--from", tmp_path / "none", *to)
    assert "expected the folder of a run" in none
    narrower = array(tmp_path / "c.npy", RANDOM.normal(size=(60, 3)))
    assert refused("vae_jax", "train", narrower, "--from", before, *to)
    assert not (tmp_path / "c").exists()


def test_the_run_before_is_found_however_it_is_given(tmp_path, before):
    """Fails if --from=RUN gives another model than --from RUN, or if a damaged run is more than one line."""
    other = array(tmp_path / "b.npy", RANDOM.normal(size=(60, 4)))
    to = ("--out", tmp_path / "c", "--dry-run")
    for given in ((f"--from={before}",), ("--from", tmp_path / "none", f"--from={before}")):
        code, out, err = called("vae_jax", "train", other, *given, *to)
        assert code == 0, err
        assert "network: mlp with dense layers of 8" in out
    assert "expected the folder of a run" in refused("vae_jax", "train", other, f"--from={tmp_path / 'none'}", *to)
    assert "an empty path" in refused("vae_jax", "train", other, "--from=", *to)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    assert "config.json" in refused("vae_jax", "train", other, "--from", tmp_path / "damaged", *to)
    code, out, _ = called("vae_jax", "train", "--from", before, "--help")
    assert code == 0
    assert str(before) not in out


def split_of(found):
    return [len(part.values) for part in (found.train, found.validation, found.test)]


def test_parts_that_other_data_bring_are_kept(tmp_path):
    """Fails if given test examples become training examples, or a label goes to another example."""
    x, y = RANDOM.integers(0, 256, (70, 4, 4, 1)).astype(np.uint8), np.arange(70) % 3
    np.savez(tmp_path / "x.npz", x_train=x[:50], y_train=y[:50], x_test=x[50:], y_test=y[50:])
    layout = Layout("images", "levels", (4, 4, 1))
    found = find_like(str(tmp_path / "x.npz"), layout, labels=True)
    assert split_of(found) == [45, 5, 20]
    assert np.array_equal(found.test.values, x[50:])
    assert np.array_equal(found.test.labels, y[50:])
    assert found.split.startswith("test as in the data")
    for i, image in enumerate(x[..., 0]):
        folder = tmp_path / "photos" / ("train" if i < 50 else "test") / f"class_{y[i]}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i:02}.png")
    named = Layout("images", "levels", (4, 4, 1), classes=("class_2", "class_1", "class_0"))
    photos = find_like(str(tmp_path / "photos"), named, labels=True)
    assert split_of(photos) == [45, 5, 20]
    assert all(
        str(2 - c) in name.split("/")[1] for c, name in zip(photos.test.labels, photos.test.names, strict=True)
    )
    with pytest.raises(InputError, match="has a part 'test' of its own"):
        find_like(str(tmp_path / "x.npz"), layout, test=str(tmp_path / "x.npz"))


def test_other_data_are_described_as_by_find(tmp_path):
    """Fails if the range or the share of missing values of other data is not that of `find`, or is not told."""
    values = RANDOM.normal(size=(40, 3))
    values[3, 1] = np.nan
    path = str(array(tmp_path / "x.npy", values))
    found = find(path)
    again = find_like(path, found.layout)
    assert (again.low, again.high, again.gaps) == (found.low, found.high, found.gaps)
    assert again.gaps == 1 / 120
    assert again.layout == found.layout
    few = str(array(tmp_path / "few.npy", values[:9]))
    with pytest.raises(InputError, match="9 examples; expected at least 20 in all, to train"):
        find_like(few, found.layout)


def test_labels_are_those_of_the_run_before(tmp_path):
    """Fails if fewer labels make another model, if more are taken, or if names among numbers are not told."""
    x = RANDOM.integers(0, 256, (60, 4, 4, 1)).astype(np.uint8)
    facts = Facts(Layout("images", "levels", (4, 4, 1)), 45, "grey", 5)
    write_json(tmp_path / "data.json", {"facts": to_json(facts), "sha256": ""})

    def loaded(labels, **options):
        np.savez(tmp_path / "x.npz", images=x, labels=labels)
        options = {"conditional": True, "from_run": str(tmp_path)} | options
        return TrainConfig(str(tmp_path / "x.npz"), RunConfig(""), **options).load_data()

    data = loaded(np.arange(60) % 2)
    assert data.facts["num_classes"] == 5
    assert ("labels", "5 classes") in data.described
    assert loaded(np.arange(60) % 2, num_classes=5).facts["num_classes"] == 5
    for labels, options, error in (
        (np.arange(60) % 7, {}, r"has the label 6: expected one of 0..4"),
        (np.array(["cat", "dog"] * 30), {}, r"has names, as 'cat': expected the integers 0, 1, ..."),
        (np.arange(60) % 2, {"num_classes": 2}, "--num-classes 2: expected 5"),
        (np.arange(60) % 2, {"conditional": False}, "from a run with labels"),
    ):
        with pytest.raises(InputError, match=error):
            loaded(labels, **options)


def test_data_known_by_name_are_read_by_the_layout_before(tmp_path):
    """Fails if a run cannot go on with data known by name, or if they get other sizes or numbers."""
    digits = find("digits")
    classes = tuple(reversed(digits.layout.classes))
    layout = Layout("images", "levels", (4, 4, 1), classes=classes)
    found = find_like("digits", layout, labels=True, num_classes=10)
    assert found.train.values.shape[1:] == (4, 4, 1)
    assert np.array_equal(found.test.labels, 9 - digits.test.labels)
    numbers = find_like("digits", dataclasses.replace(layout, classes=None), labels=True, num_classes=10)
    assert np.array_equal(numbers.test.labels, digits.test.labels)
    assert find_like("digits", layout).test.labels is None
    table = find("breast_cancer")
    columns = table.layout.columns[::-1]
    loc, scale = (tuple(getattr(c, name) for c in columns) for name in ("loc", "scale"))
    turned = find_like("breast_cancer", dataclasses.replace(table.layout, columns=columns, loc=loc, scale=scale))
    np.testing.assert_array_equal(turned.train.values, table.train.values[:, ::-1])
    for name, other, error in (
        ("digits", table.layout, "digits: expected table of shape"),
        ("breast_cancer", layout, "breast_cancer: expected images of shape"),
        ("digits", Layout("images", "levels", (4, 4, 3)), "expected .4, 4, 3., as the training data"),
        ("digits", Layout("images", "unit", (8, 8, 1)), "expected numbers in .0, 1., as the training data"),
        ("digits", dataclasses.replace(layout, classes=("cat",)), "has the class '0': expected one of cat"),
    ):
        with pytest.raises(InputError, match=error):
            find_like(name, other, labels=True)


def test_sprites_have_the_size_of_the_run_before(tmp_path):
    """Fails if a run on sprites that goes on from another renders them at the default size."""
    facts = Facts(Layout("images", "unit", (8, 8, 1)), 45, "rendered")
    write_json(tmp_path / "data.json", {"facts": to_json(facts), "sha256": ""})
    data = TrainConfig("sprites", RunConfig(""), from_run=str(tmp_path)).load_data()
    assert tuple(data.facts["layout"]["event"]) == (8, 8, 1)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"from_run": "runs/a", "stream": True}, "--stream: expected none with --from runs/a"),
        ({"from_run": "runs/a", "size": 8}, "--size"),
        ({"from_run": "runs/a", "form": "table"}, "--form"),
        ({"from_run": "runs/a", "kinds": ("a=count",)}, "--kinds"),
        ({"from_run": "runs/a", "label": "a"}, "--label"),
        ({"data": "sprites", "validation": "x.npy"}, "--validation: expected none with sprites"),
        ({"data": "sprites", "test": "x.npy"}, "--test"),
        ({"data": "sprites", "form": "images"}, "--form"),
        ({"data": "sprites", "kinds": ("a=count",)}, "--kinds"),
        ({"data": "sprites", "label": "a"}, "--label"),
        ({"data": "sprites", "split": "time"}, "--split"),
        ({"data": "sprites", "num_classes": 3}, "--num-classes"),
        ({"data": "sprites", "conditional": True}, "--conditional"),
        ({"data": "sprites", "stream": True}, "--stream"),
        ({"data": "sprites", "from_run": "runs/a", "size": 8}, "--size"),
        ({"num_classes": 3}, "--num-classes 3: expected --conditional beside it"),
    ],
)
def test_no_option_is_ignored(options, named):
    """Fails if an option that the data would not read is taken without a word."""
    with pytest.raises(InputError) as error:
        TrainConfig(**{"data": "digits", "run": RunConfig("")} | options).load_data()
    assert str(error.value).startswith(named)
    assert "leave it out" in str(error.value)


def test_options_of_the_data_before_are_not_taken_for_asked(tmp_path, before):
    """Fails if what was chosen for the data of the run before is refused as if it had been given with --from."""
    other = array(tmp_path / "b.npy", RANDOM.normal(size=(60, 4)))
    start = ("vae_jax", "train", other, "--from", before, "--out", tmp_path / "c", "--dry-run")
    code, _, err = called(*start)
    assert code == 0, err
    assert "--form: expected none" in refused(*start, "--form", "table")


@pytest.mark.parametrize("was", ["binary", "grey"])
def test_the_likelihood_is_that_of_the_run_before(tmp_path, was, capsys):
    """Fails if other images that look otherwise get another likelihood, with another model, than those before."""
    grey = RANDOM.integers(0, 256, (30, 4, 4, 1)).astype(np.uint8)
    images = {"binary": 255 * (grey > 127).astype(np.uint8), "grey": grey}
    given = {"hidden": (2,), "latent_size": 1}
    np.savez(tmp_path / "x.npz", images=images[was])
    first = TrainConfig(str(tmp_path / "x.npz"), RunConfig(""), **given).load_data()
    write_json(tmp_path / "data.json", {"facts": dict(first.facts), "sha256": ""})
    np.savez(tmp_path / "x.npz", images=images["grey" if was == "binary" else "binary"])
    config = TrainConfig(str(tmp_path / "x.npz"), RunConfig(""), from_run=str(tmp_path), **given)
    data = config.load_data()
    with mock.patch("vae_jax.cli.train.parameters_of", lambda folder, vae, config_type: vae.init):
        config.make_task(data.facts, data.train)
    name = {"binary": "bernoulli-pixels", "grey": "discretized-logistic"}[was]
    drawn = {"binary": ", dynamic binarization", "grey": "\n"}[was]
    assert f"likelihood: {name}, as in the run before{drawn}" in capsys.readouterr().out

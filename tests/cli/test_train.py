"""`vae-jax train`: what it chooses for the data, how a run goes on, and what each part becomes."""

import dataclasses
import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests.runs.commands import ROOT, called, refused, write_images
from tests.runs.test_arguments import Own
from vae_jax import InputError, cli, load_run
from vae_jax.cli.facts import Facts
from vae_jax.cli.train import TrainConfig
from vae_jax.data import Layout
from vae_jax.distributions import Mixture as MixtureDistribution
from vae_jax.distributions import MultivariateNormal, Normal
from vae_jax.posteriors import FullNormal
from vae_jax.priors import ConditionalNormal, Mixture, Vamp
from vae_jax.runs import Finished, RunConfig, command_line, data_of, figures, from_json, read_rows, to_json
from vae_jax.runs.task import starting_examples

SMALL = ("--hidden", "8", "--latent-size", "2", "--batch-size", "8")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with parts that have no rate of single latents, with its data beside it."""
    folder = tmp_path_factory.mktemp("finished")
    data = write_images(folder / "x.npz", num=160)
    parts = ("--lr-warmup", "5", "prior:vamp", "--prior.components", "5", "posterior:full-normal")
    code, out, err = called("vae_jax", "train", data, "--out", folder / "run", *SMALL, "--epochs", "2", *parts)
    assert code == 0, err
    return folder, out


def copied(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "all")
    return tmp_path / "all"


def task_of(config):
    data = config.load_data()
    return data, config.make_task(data.facts, starting_examples(data))


def of_images(tmp_path, images, **options):
    np.savez(tmp_path / "x.npz", images=images)
    return TrainConfig(str(tmp_path / "x.npz"), RunConfig(""), hidden=(4,), latent_size=2, **options)


RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("conditional", [False, True])
def test_parts(conditional):
    """Fails if a part that is chosen is not the one of the model."""
    layout = Layout("images", "unit", (4, 4, 1))
    facts = to_json(Facts(layout, 100, "binary", num_classes=3 if conditional else None))
    config = TrainConfig("x", RunConfig(""), Mixture(3), FullNormal(), hidden=(4,), latent_size=2)
    model = config.make_task(facts).vae
    vae = model.given(0) if conditional else model
    params = model.init(jax.random.key(0))
    assert isinstance(vae.prior(params), MixtureDistribution)
    assert isinstance(vae.encode(params, np.zeros((4, 4, 1), np.float32)), MultivariateNormal)
    asked = dataclasses.replace(config, prior=ConditionalNormal()).make_task(facts).vae
    if conditional:
        assert isinstance(asked.given(0).prior(asked.init(jax.random.key(0))), Normal)
    else:
        with pytest.raises(InputError, match="expected a conditional model"):
            asked.init(jax.random.key(0))


def test_names_of_classes_reach_the_figures(tmp_path):
    """Fails if folders named by classes become numbers, in data.json or at the rows and columns of a figure."""
    np.savez(tmp_path / "x.npz", images=RANDOM.uniform(size=(30, 4, 4)), labels=["cat", "dog", "zebra"] * 10)
    config = TrainConfig(str(tmp_path / "x.npz"), RunConfig(""), hidden=(2,), latent_size=1, conditional=True)
    data, task = task_of(config)
    assert from_json(Facts, json.loads(json.dumps(data.facts))).layout.classes == ("cat", "dog", "zebra")
    params = task.vae.init(jax.random.key(0))
    run = Finished("", config, task.vae, params, task.transform, data.facts, {})
    drawn = figures._of_classes(run, *map(np.asarray, data.test), 3, lambda a: a)
    rows = drawn["samples_by_class"].axes[0].get_yticklabels()
    columns = drawn["style_in_all_classes"].axes[0].get_xticklabels()
    assert [label.get_text() for label in rows] == ["cat", "dog", "zebra"]
    assert [label.get_text() for label in columns] == ["image", "cat", "dog", "zebra"]


@pytest.mark.parametrize(
    ("named", "names"),
    [
        (None, ["0", "1", "2"]),
        (["cat", "a\x1b[2J", "z" * 300, "more"], ["cat", r"a\x1b[2J", "z" * 19 + "…"]),
        (["cat"], ["cat", "1", "2"]),
        ({"cat": 0}, ["0", "1", "2"]),
    ],
    ids=["a folder of before", "hostile and too many", "more classes than names", "no list"],
)
def test_names_of_classes(named, names):
    """Fails if an old run has no figure, or if names of a stranger are drawn at any length, or as they come."""
    assert figures.class_names({} if named is None else {"classes": named}, 3) == names
    assert figures.class_names({} if named is None else {"layout": {"classes": named}}, 3) == names


def test_a_vamp_prior_starts_from_the_data(tmp_path):
    """Fails if pseudo-inputs are noise although the data are at hand."""
    images = 255 * RANDOM.integers(0, 2, (30, 4, 4)).astype(np.uint8)
    data, task = task_of(of_images(tmp_path, images, prior=Vamp(5)))
    inputs = np.asarray(task.vae.init(jax.random.key(0))["prior"]["pseudo_inputs"])
    known = {image.tobytes() for image in np.asarray(data.train, np.float32) / 255}
    assert all(one.tobytes() in known for one in inputs)


def test_trained_with_parts_without_a_rate_of_latents(finished):
    """Fails if figures need a rate of each latent, if a file is missing, or if the likelihood is not said."""
    folder, out = finished
    assert "likelihood: discretized-logistic, for the 256 levels of grey images" in out
    assert len(list((folder / "run" / "figures").iterdir())) == 5
    config = json.loads((folder / "run" / "config.json").read_text())
    assert config["prior"] == {"type": "Vamp", "components": 5}
    code, out, err = called("vae_jax", "evaluate", folder / "run")
    assert code == 0, err
    assert "rate_per_latent" not in out


def test_resume_alone_trains_longer_and_is_a_longer_run(finished, tmp_path):
    """Fails if --resume needs every option again, if a run cannot be longer, or if a stop changes its numbers."""
    folder = copied(finished, tmp_path)
    out = ("--out", folder / "run", "--resume")
    assert called("vae_jax", "train", *out)[0] == 0
    code, said, err = called("vae_jax", "train", *out, "--epochs", "4")
    assert code == 0, err
    assert "step 56/56" in said
    whole = json.loads((folder / "run" / "config.json").read_text())
    assert whole["run"]["epochs"] == 4
    parts = ("--lr-warmup", "5", "prior:vamp", "--prior.components", "5", "posterior:full-normal")
    again = ("--out", folder / "whole", *SMALL, "--epochs", "4", *parts)
    assert called("vae_jax", "train", folder / "x.npz", *again)[0] == 0
    assert read_rows(folder / "run") == read_rows(folder / "whole")
    ours, theirs = (load_run(folder / name).params for name in ("run", "whole"))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize(("options", "steps"), [(("--epochs", "1"), 14), (("--num-steps", "10"), 10)])
def test_a_run_is_not_cut_short(finished, options, steps):
    """Fails if a run that goes on may be shorter than it was begun, or if its config is changed to that."""
    before = (finished[0] / "run" / "config.json").read_text()
    error = refused("vae_jax", "train", "--out", finished[0] / "run", "--resume", *options)
    assert f"was begun for 28 steps, not {steps}: expected as many or more" in error
    assert (finished[0] / "run" / "config.json").read_text() == before


def test_a_run_begun_before_an_option_existed(finished, tmp_path):
    """Fails if an option of the run, or of a part, that its files do not name keeps it from going on."""
    folder = copied(finished, tmp_path) / "run"

    def without(content):
        if not isinstance(content, dict):
            return content
        return {name: without(v) for name, v in content.items() if name not in ("ema_decay", "warmup")}

    files = (folder / "config.json", *folder.rglob("_ROOT_METADATA"), *folder.rglob("_CHECKPOINT_METADATA"))
    for path in files:
        assert "ema_decay" in path.read_text()
        path.write_text(json.dumps(without(json.loads(path.read_text()))))
    assert load_run(folder).config.run.ema_decay == 0.999
    code, _, err = called("vae_jax", "train", "--out", folder, "--resume")
    assert code == 0, err


def test_data_that_moved_or_changed(finished, tmp_path):
    """Fails if a run needs its data to be loaded, takes others for them, or does not find them where they are."""
    folder = copied(finished, tmp_path)
    config = folder / "run" / "config.json"
    config.write_text(config.read_text().replace(str(finished[0]), str(folder)))
    (folder / "x.npz").rename(folder / "moved.npz")
    run = load_run(folder / "run")
    assert run.facts["layout"]["event"] == [8, 8, 1]
    with pytest.raises(InputError, match=r"unknown data set .* give their path by --data"):
        data_of(run)
    for command in (("train",), ("train", folder / "x.npz")):
        error = refused("vae_jax", *command, "--out", folder / "run", "--resume")
        assert "unknown data set" in error
        assert "have moved, give their new path as DATA or by --data, with --resume" in error
    error = refused("vae_jax", "train", folder / "nowhere.npz", "--out", folder / "run", "--resume")
    assert "have moved" not in error
    assert len(data_of(run, str(folder / "moved.npz")).test) == 32
    write_images(folder / "other.npz", num=161)
    for command in ("evaluate", "likelihood"):
        error = refused("vae_jax", command, folder / "run", "--data", folder / "other.npz")
        assert "was begun with data of hash" in error
    assert "was begun with data of hash" in refused(
        "vae_jax", "train", folder / "other.npz", "--out", folder / "run", "--resume"
    )
    code, _, err = called("vae_jax", "train", folder / "moved.npz", "--out", folder / "run", "--resume")
    assert code == 0, err


HUGE = 10**400


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("config.json", '"Vamp"', '"Popen"', "prior.type: 'Popen': expected one of StandardNormal, Mixture, Vamp"),
        ("config.json", '"latent_size": 2', '"latent_size": 1000000000000', "parameters take"),
        ("config.json", '"latent_size": 2', '"latent_size": "2"', "latent_size: '2': expected a whole number"),
        ("config.json", '"components": 5', '"components": 1000000000000', "parameters take"),
        ("config.json", '"dynamic"', '"never"', "binarization: 'never': expected 'dynamic' or 'static' or 'none'"),
        ("config.json", '"TrainConfig"', '"MyConfig"', "type: 'MyConfig': expected TrainConfig"),
        ("data.json", '"levels"', '"pickles"', "data.json.layout.stored: 'pickles': expected 'levels' or 'unit'"),
        ("data.json", '"facts"', '"facets"', "expected an object `facts`"),
        ("config.json", '"latent_size": 2', f'"latent_size": {HUGE}', "more than 10.15 parameters take more than"),
        ("config.json", '"components": 5', f'"components": {HUGE}', "more than 10.15 parameters take more than"),
        ("data.json", '"num_classes": null', f'"num_classes": {HUGE}', "more than 10.15 parameters take more than"),
        ("data.json", '"num_classes": null', '"num_classes": 0', "num_classes 0: expected at least 1"),
        (
            "data.json",
            "8,\n        8,",
            "0,\n        8,",
            r"data.json: event \(0, 8, 1\): expected sizes of at least 1",
        ),
        ("data.json", "8,\n        8,", "-8,\n        -8,", r"event \(-8, -8, 1\): expected sizes of at least 1"),
        ("data.json", '"num_train": 116', '"num_train": -1', "num_train -1: expected between 1 and"),
        ("data.json", '"num_train": 116', '"num_train": 1e400', "num_train: inf: expected a whole number"),
    ],
)
def test_a_folder_of_a_stranger(finished, tmp_path, file, old, new, message):
    """Fails if a run folder that was tampered with is loaded, aborts, or gives a page."""
    shutil.copytree(finished[0] / "run", tmp_path / "run")
    path = tmp_path / "run" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=message) as error:
        load_run(tmp_path / "run")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("option", ["--latent-size", "--hidden", "--size", "--batch-size", "--steps-per-call"])
def test_sizes_beyond_every_number_of_a_computer(tmp_path, option):
    """Fails if a size of hundreds of digits is a traceback, in arithmetic or where it is printed."""
    error = refused("vae_jax", "train", "sprites", "--out", tmp_path / "run", option, HUGE)
    assert "more than 10^15 GiB" in error or f"{HUGE}: expected" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["train", "evaluate", "likelihood"])
def test_help(command):
    """Fails if a choice is missing, has more than its line, or a word is only for the initiated."""
    code, out, _ = called("vae_jax", command, "--help")
    assert code == 0
    assert "{None}" not in out
    assert "run.seed" not in out
    if command == "train":
        for name in ("prior:vamp", "prior:standard-normal", "prior:mixture", "posterior:full-normal"):
            assert f"• {name}" in out
        for name in ("posterior:diagonal-normal", "objective:elbo", "objective:iwae", "likelihood:normal-pixels"):
            assert f"• {name}" in out
        assert "Parameters: `pseudo_inputs`" not in out


@pytest.mark.parametrize("command", ["evaluate", "likelihood"])
def test_options_of_images(command, capsys):
    """Fails if folders of images are asked for of a config that knows none, or not where it does."""
    _, ours, _ = called("vae_jax", command, "--help")
    assert "--manual-dir STR" in ours
    assert "--data-dir STR" in ours
    with pytest.raises(SystemExit):
        command_line(Own, [command, "--help"])
    theirs = capsys.readouterr().out
    assert "_dir" not in theirs.replace("-", "_")
    assert theirs.splitlines()[2:5] == ours.splitlines()[2:5]


def test_help_beside_a_folder_of_a_stranger(tmp_path):
    """Fails if a terminal would obey what the config of a run says, where --help shows it."""
    config = to_json(TrainConfig("a\x1b[31mb", RunConfig("")))
    (tmp_path / "config.json").write_text(json.dumps(config))
    code, out, _ = called("vae_jax", "train", "--out", tmp_path, "--resume", "--help")
    assert code == 0
    assert "\x1b[31mb" not in out


def test_overview_and_unknown_commands(capsys):
    """Fails if the command alone says nothing, or if a misspelled one trains."""
    cli.main([])
    assert "vae-jax train DATA --out RUN" in capsys.readouterr().out
    assert "command 'trian': expected one of train, evaluate, likelihood, encode" in refused("vae_jax", "trian")


def test_importing_the_library_does_not_import_the_command_line():
    """Fails if `import vae_jax` takes the time of what only commands and figures need."""
    heavy = ("tyro", "matplotlib", "tensorflow_datasets", "vae_jax.runs", "vae_jax.cli")
    program = f"import sys, vae_jax; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_imported_when_it_is_asked_for():
    """Fails if a folder needs an import of its own, if the config of `train` is on no face, or typos pass."""
    program = "import vae_jax; print(*(getattr(vae_jax, n).__name__ for n in ('runs', 'testing', 'plots', 'cli')))"
    program += (
        "; print(vae_jax.cli.TrainConfig.__name__, vae_jax.runs.command_line.__name__, hasattr(vae_jax, 'x'))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        *("vae_jax.runs", "vae_jax.testing", "vae_jax.plots", "vae_jax.cli"),
        *("TrainConfig", "command_line", "False"),
    ]

"""What `vae-jax train` finds in data of each kind, what it says, and which model it takes."""

import contextlib
import json
import re
import shutil
from typing import get_args
from unittest import mock

import jax
import numpy as np
import pytest
from PIL import Image

from tests.runs.commands import called, refused
from vae_jax import VAE, InputError, load_run
from vae_jax.cli.facts import Facts
from vae_jax.cli.train import TrainConfig
from vae_jax.data import Found, Layout, Part
from vae_jax.distributions import DiscretizedLogistic, Normal
from vae_jax.likelihoods import BernoulliPixels, Likelihood, NegativeBinomial, NormalPixels
from vae_jax.optimizers import Prodigy
from vae_jax.runs import RunConfig, figures, to_json
from vae_jax.runs.config import settled, with_defaults
from vae_jax.runs.shown import name_of
from vae_jax.runs.task import loss_of, starting_examples

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (30, 8, 8)).astype(np.uint8)
COLOUR = RANDOM.integers(0, 256, (30, 8, 8, 3)).astype(np.uint8)
SMALL = ("--hidden", "8", "--latent-size", "2", "--num-steps", "6", "--batch-size", "8")


def task_of(config):
    data = config.load_data()
    return data, config.make_task(data.facts, starting_examples(data))


def of_images(tmp_path, images, **options):
    np.savez(tmp_path / "x.npz", images=images)
    return TrainConfig(str(tmp_path / "x.npz"), RunConfig(""), **{"hidden": (4,), "latent_size": 2} | options)


def line_of_likelihood(out):
    """The text of the one line that names the likelihood; no other line may name one."""
    names = {name_of(part) for part in get_args(Likelihood)} | {"mixed-columns"}
    # A column may be categorical.
    others = [line for line in out.splitlines() if not line.startswith("kind: ")]
    lines = [line for line in others if names & set(re.findall(r"[a-z][a-z-]+", line))]
    assert len(lines) == 1, lines
    assert lines[0].startswith("likelihood: ")
    found = names & set(re.findall(r"[a-z][a-z-]+", lines[0]))
    assert len(found) == 1
    return lines[0].removeprefix("likelihood: ")


IMAGES = {
    "photos in colour": (COLOUR, "discretized-logistic, for the 256 levels of colour images"),
    "grey photos": (GREY, "discretized-logistic, for the 256 levels of grey images"),
    "floats": (
        RANDOM.uniform(size=(30, 8, 8)).astype(np.float32),
        "normal-pixels, for grey images of real numbers in",
    ),
    "binary": (255 * RANDOM.integers(0, 2, (30, 8, 8)).astype(np.uint8), "bernoulli-pixels, for binary images"),
    "binary in colour": (RANDOM.integers(0, 2, (30, 8, 8, 3)).astype(np.float32), "bernoulli-pixels, for binary"),
    "like MNIST": (
        np.where(RANDOM.uniform(size=(30, 8, 8)) < 0.1, 99, 0).astype(np.uint8),
        "bernoulli-pixels, for nearly binary images, dynamic binarization: all numbers are of what is drawn",
    ),
}


@pytest.mark.parametrize(("images", "said"), IMAGES.values(), ids=IMAGES)
def test_the_likelihood_fits_the_images(tmp_path, capsys, images, said):
    """Fails if photos are binarized without a word, or if x is not what the likelihood is defined on."""
    data, task = task_of(of_images(tmp_path, images))
    assert line_of_likelihood(capsys.readouterr().out).startswith(said)
    params = task.vae.init(jax.random.key(0))
    x = task.transform(jax.random.key(1), data.test[0])
    p = task.vae.decode(params, np.zeros(2, np.float32))
    assert np.isfinite(p.log_prob(x))
    assert isinstance(p, Normal) == said.startswith("normal")
    if isinstance(p, DiscretizedLogistic):
        np.testing.assert_array_equal(x, data.test[0])
    else:
        assert set(np.unique(x)) <= {0, 1} if said.startswith("bern") else 0 <= np.min(x) <= np.max(x) <= 1


def test_all_parts_are_looked_at(tmp_path, capsys):
    """Fails if grey images count as binary because those of one part are, or because the data set has a name."""
    grey = np.full((30, 8, 8), 128, np.uint8)
    for part in ("train", "val", "test"):
        arrays = {f"x_{name}": grey // 128 * 255 if name != part else grey for name in ("train", "val", "test")}
        np.savez(tmp_path / "x.npz", **arrays)
        config = TrainConfig(str(tmp_path / "x.npz"), RunConfig(""))
        assert config.load_data().facts["look"] == "grey", part
    parts = (Part(grey[..., None], np.zeros(30, np.int32)),) * 3
    fashion = Found("fashion_mnist", Layout("images", "levels", (8, 8, 1)), *parts, "named", "as it comes")
    with mock.patch("vae_jax.cli.train.find", return_value=fashion):
        data, _ = task_of(TrainConfig("fashion_mnist", RunConfig(""), hidden=(4,), latent_size=2))
    assert data.facts["look"] == "grey"
    assert line_of_likelihood(capsys.readouterr().out).startswith("discretized-logistic")


@pytest.mark.parametrize("images", [GREY, COLOUR], ids=["grey", "colour"])
def test_static_binarization_is_said_of_the_images_that_were(tmp_path, capsys, images):
    """Fails if photos that are drawn in black and white once are called binary, or get another likelihood."""
    data, task = task_of(of_images(tmp_path, images, binarization="static"))
    said = line_of_likelihood(capsys.readouterr().out)
    assert re.match(
        r"bernoulli-pixels, for (grey|colour) images that are binarized once, static binar.*drawn", said
    )
    assert set(np.unique(task.transform(jax.random.key(0), data.test[0]))) == {0, 1}
    assert set(np.unique(data.train)) == set(np.unique(data.examples)) == {0, 255}


def test_a_chosen_likelihood_stays(tmp_path, capsys):
    """Fails if what the user says is overruled."""
    _, task = task_of(of_images(tmp_path, GREY, likelihood=NormalPixels("head")))
    assert line_of_likelihood(capsys.readouterr().out) == "normal-pixels, as asked for"
    assert task.vae.decode(task.vae.init(jax.random.key(0)), np.zeros(2, np.float32)).scale.shape == (8, 8, 1)


@pytest.mark.parametrize("likelihood", [BernoulliPixels(), NegativeBinomial()])
def test_a_likelihood_that_is_no_density_of_the_data_is_refused(tmp_path, likelihood):
    """Fails if real numbers are trained under a Bernoulli, or as counts."""
    np.save(tmp_path / "x.npy", RANDOM.normal(size=(40, 5)))
    config = TrainConfig(str(tmp_path / "x.npy"), RunConfig(""), likelihood=likelihood)
    with pytest.raises(InputError, match=f"{name_of(type(likelihood))} of real numbers: expected .* leave the"):
        task_of(config)
    option = f"likelihood:{name_of(type(likelihood))}"
    error = refused("vae_jax", "train", tmp_path / "x.npy", "--out", tmp_path / "run", option)
    assert "of real numbers: expected" in error
    assert not (tmp_path / "run").exists()


def test_real_images_are_in_their_own_units(tmp_path, capsys):
    """Fails if real pixels are scored or drawn in other units than the user's."""
    images = 1e4 + 300 * RANDOM.normal(size=(30, 8, 8, 2))
    data, task = task_of(of_images(tmp_path, images))
    assert line_of_likelihood(capsys.readouterr().out).startswith(
        "normal-pixels, for colour images of real numbers"
    )
    x = task.transform(jax.random.key(1), data.test[0])
    p = task.vae.decode(task.vae.init(jax.random.key(0)), np.zeros(2, np.float32))
    # At the start about N(0, 2 * 300^2) a pixel.
    assert -8.2 < p.log_prob(x) / 128 < -6
    restored = task.units.restore(np.asarray(x)[None])
    assert 9000 < restored.min() < restored.max() < 11_000
    levels = figures._from_black_to_white(np.asarray(data.test))(np.asarray(data.test))
    assert (levels.min(), levels.max()) == (0, 1)


@pytest.mark.parametrize("network", ["mlp", "conv", "residual"])
@pytest.mark.parametrize("shape", [(28, 28, 1), (48, 48, 3), (20, 20, 1)])
def test_networks_on_images_of_any_size(network, shape):
    """Fails if a data set has no convolutional network, or if 28 is refused because it is not a power of two."""
    facts = to_json(Facts(Layout("images", "levels", shape), 100, "colour"))
    vae = TrainConfig("x", RunConfig(""), network=network).make_task(facts).vae
    params = jax.eval_shape(vae.init, jax.random.key(0))
    decoded = jax.eval_shape(lambda p, z: vae.decode(p, z).mean(), params, jax.ShapeDtypeStruct((20,), np.float32))
    assert decoded.shape == shape


def photos(folder):
    """Photos of two sizes in class folders."""
    for i in range(40):
        path = folder / ("cat" if i % 2 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        side = 40 if i % 3 else 36
        Image.fromarray(RANDOM.integers(0, 256, (side, side, 3)).astype(np.uint8)).save(path)
    return folder


def table(path):
    groups = RANDOM.choice(["a", "b"], 60)
    rows = [f"{RANDOM.normal():.4f},{group},{'' if i % 5 == 0 else i % 7}" for i, group in enumerate(groups)]
    path.write_text("height,group,falls\n" + "\n".join(rows))
    return path


def array(path, values):
    np.save(path, values)
    return path


LARGE = RANDOM.integers(0, 256, (30, 64, 64, 3)).astype(np.uint8)
GREY_48 = RANDOM.integers(0, 256, (30, 48, 48)).astype(np.uint8)
KINDS = {
    "photos": (lambda f: photos(f / "x"), "discretized-logistic", "mlp"),
    "large photos": (
        lambda f: array(f / "x.npy", RANDOM.integers(0, 256, (30, 64, 64, 3)).astype(np.uint8)),
        "",
        "conv",
    ),
    "table with gaps": (lambda f: table(f / "x.csv"), "mixed-columns", "mlp"),
    "real table": (lambda f: array(f / "x.npy", RANDOM.normal(size=(60, 4))), "normal-pixels", "mlp"),
    "table in [0, 1]": (lambda f: array(f / "x.npy", RANDOM.uniform(size=(60, 4))), "normal-pixels", "mlp"),
    "counts": (lambda f: array(f / "x.npy", RANDOM.poisson(1.0, (60, 20))), "negative-binomial", "mlp"),
    "series": (lambda f: array(f / "x.npy", RANDOM.normal(size=(60, 32, 2))), "normal-pixels", "conv"),
    "series in [0, 1]": (lambda f: array(f / "x.npy", RANDOM.uniform(size=(60, 32, 2))), "normal-pixels", "conv"),
    "grey 48 x 48": (
        lambda f: array(f / "x.npy", RANDOM.integers(0, 256, (30, 48, 48)).astype(np.uint8)),
        "",
        "mlp",
    ),
}


@pytest.mark.parametrize(("make", "likelihood", "network"), KINDS.values(), ids=KINDS)
def test_each_kind_of_data_by_one_command(tmp_path, make, likelihood, network):
    """Fails if data of a kind are refused, get a model that is none for them, or leave a run of no use."""
    path = make(tmp_path)
    code, out, err = called("vae_jax", "train", path, "--out", tmp_path / "run", *SMALL)
    assert code == 0, err
    assert line_of_likelihood(out).startswith(likelihood)
    assert f"network: {network} with dense layers of 8, " in out
    for name in ("data", "examples", "form", "kind", "missing", "split", "latents"):
        assert f"\n{name}: " in f"\n{out}", name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    run = load_run(tmp_path / "run")
    drawn = run.sample(jax.random.key(0), 3)
    assert drawn.shape == (3, *run.units.event)
    assert run.encode(drawn).shape == (3, 2)
    assert np.isfinite(run.log_likelihood(drawn, num_samples=3)).all()
    assert len(json.loads((tmp_path / "run" / "validation.json").read_text())["elbo"]) >= 2


def test_labels_are_a_condition_of_any_data(tmp_path):
    """Fails if a table, or counts with a size, cannot be modelled given a label."""
    path = table(tmp_path / "x.csv")
    counts = array(tmp_path / "n.npy", RANDOM.poisson(1.0, (60, 20)))
    np.savez(tmp_path / "n.npz", counts=np.load(counts), labels=np.arange(60) % 3)
    for data, label in ((path, ("--label", "group")), (tmp_path / "n.npz", ())):
        out = tmp_path / f"run_{data.stem}"
        code, _, err = called("vae_jax", "train", data, "--conditional", *label, "--out", out, *SMALL)
        assert code == 0, err
        run = load_run(out)
        assert np.isfinite(run.sample(jax.random.key(0), 2, np.array([0, 1]))).all()
        with pytest.raises(InputError, match="expected c, a label"):
            run.sample(jax.random.key(0), 2)


def test_a_dry_run_writes_nothing(tmp_path):
    """Fails if --dry-run trains, leaves a folder, or needs one."""
    path = table(tmp_path / "x.csv")
    code, out, err = called("vae_jax", "train", path, "--dry-run")
    assert code == 0, err
    assert "nothing was trained or written" in out
    assert "latents: 3, for 3 columns" in out
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


STORED = {
    "levels": GREY,
    "unit": RANDOM.uniform(size=(30, 8, 8)).astype(np.float32),
    "real": RANDOM.normal(size=(30, 5)),
    "counts": RANDOM.poisson(1.0, (30, 20)),
    "columns": np.stack([RANDOM.integers(0, 2, 30), RANDOM.normal(size=30)], 1),
}


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize(
    "likelihood", [part() for part in get_args(Likelihood)], ids=lambda part: name_of(type(part))
)
def test_each_likelihood_on_each_kind_of_numbers(tmp_path, capsys, stored, likelihood):
    """Fails if a likelihood is neither traced on data nor refused, as real ones of counts with a size."""
    np.save(tmp_path / "x.npy", STORED[stored])
    config = TrainConfig(str(tmp_path / "x.npy"), RunConfig(""), likelihood=likelihood, hidden=(4,), latent_size=2)
    data = config.load_data()
    assert data.facts["layout"]["stored"] == stored
    with contextlib.suppress(InputError):
        likelihood.reads(stored)
        task = config.make_task(data.facts, starting_examples(data))
        check_traced(task, data)
        return
    with pytest.raises(InputError, match=f"{name_of(type(likelihood))} of "):
        config.make_task(data.facts, starting_examples(data))


def check_traced(task, data):
    batch = jax.eval_shape(jax.vmap(task.transform), jax.random.split(jax.random.key(0), 3), data.train[:3])
    loss = loss_of(task)

    def step(key, batch):
        return loss(task.vae.init(key), key, batch, 0)[0]

    assert jax.eval_shape(step, jax.random.key(0), batch).shape == ()


def test_options_that_do_not_fit_the_data(tmp_path):
    """Fails if an option is dropped in silence, or ends in a traceback."""
    path = table(tmp_path / "x.csv")
    photo = array(tmp_path / "p.npy", GREY)
    for data, options, message in (
        (path, ("--kinds", "height=foo"), "kinds height=foo: expected one of real, positive"),
        (path, ("--binarization", "static"), "expected images without gaps"),
        (photo, ("--binarization", "static", "likelihood:laplace"), "expected likelihood:bernoulli-pixels or none"),
        (photo, ("likelihood:categorical", "--likelihood.levels", "16"), "categorical of 16 levels: expected 256"),
        (path, ("--network", "conv"), "use the MLP"),
    ):
        error = refused("vae_jax", "train", data, "--out", tmp_path / "run", *options)
        assert message in error
        assert not (tmp_path / "run").exists()


def test_not_binarized_means_not_drawn_with_gaps_too(tmp_path):
    """Fails if images with gaps are binarized although that was refused."""
    images = RANDOM.uniform(size=(30, 8, 8)).astype(np.float32)
    images[:, 0, 0] = np.nan
    data, task = task_of(of_images(tmp_path, images, likelihood=BernoulliPixels(), binarization="none"))
    x = task.transform(jax.random.key(0), data.test[0])
    np.testing.assert_array_equal(x.value, np.nan_to_num(data.test[0]))
    assert x.seen[0, 0] == 0


def test_the_rate_of_an_optimizer_stays_its_own(tmp_path, capsys):
    """Fails if the default of tables takes the place of a rate that another optimizer needs."""
    path = array(tmp_path / "x.npy", RANDOM.normal(size=(60, 4)))
    config = TrainConfig(str(path), RunConfig("", optimizer=Prodigy()))
    _, task = task_of(config)
    run, _ = settled(with_defaults(config.run, task.defaults), 40)
    assert run.learning_rate == Prodigy().learning_rate
    _, task = task_of(TrainConfig(str(path), RunConfig("")))
    assert with_defaults(RunConfig(""), task.defaults).learning_rate == 2e-3


def test_counts_with_gaps_have_no_size(tmp_path):
    """Fails if the number of what is seen stands for that of all: a large column would be missed."""
    counts = RANDOM.poisson(1.0, (60, 20)).astype(np.float64)
    counts[::2, 0] = np.nan
    data, task = task_of(TrainConfig(str(array(tmp_path / "x.npy", counts)), RunConfig(""), hidden=(4,)))
    assert data.facts["layout"]["stored"] == "counts"
    assert hasattr(task.transform(jax.random.key(0), data.test[0]), "seen")
    assert isinstance(task.vae, VAE)


@pytest.mark.slow
@pytest.mark.parametrize("labels", [False, True])
def test_bounds_of_counts_are_at_the_sizes_of_the_examples(tmp_path, labels):
    """Fails if the cells of one example are taken for the sizes of simulated ones."""
    arrays = {"counts": RANDOM.poisson(1.0, (60, 20))} | ({"labels": np.arange(60) % 3} if labels else {})
    np.savez(tmp_path / "x.npz", **arrays)
    options = ("--conditional",) if labels else ()
    assert called("vae_jax", "train", tmp_path / "x.npz", "--out", tmp_path / "run", *SMALL, *options)[0] == 0
    numbers = ("--num-images", "4", "--num-temperatures", "4", "--num-chains", "2", "--num-leapfrog", "1")
    code, out, err = called("vae_jax", "likelihood", tmp_path / "run", *numbers)
    assert code == 0, err
    assert "4/4 images" in out
    found = json.loads((tmp_path / "run" / "likelihood" / "table.json").read_text())
    simulated = next(row for name, row in found.items() if "upper bound" in name)
    assert -60 < simulated["nats"] < -15


def test_sizes_of_counts_and_sprites_of_ones_own(tmp_path):
    """Fails if a size that is none is drawn at, or if a run on sprites cannot read what it has drawn."""
    np.save(tmp_path / "x.npy", RANDOM.poisson(1.0, (60, 20)))
    assert called("vae_jax", "train", tmp_path / "x.npy", "--out", tmp_path / "run", *SMALL)[0] == 0
    run = load_run(tmp_path / "run")
    assert run.sample(jax.random.key(0), 2, np.array([5.0, 1000.0])).shape == (2, 20)
    for sizes in ([-1.0, 2.0], [np.nan, 1.0], ["a", "b"], [1.0]):
        with pytest.raises(InputError, match="expected 2 numbers from 0 up"):
            run.sample(jax.random.key(0), 2, np.array(sizes))
    assert called("vae_jax", "train", "sprites", "--size", "8", "--out", tmp_path / "s", *SMALL)[0] == 0
    sprites = load_run(tmp_path / "s")
    assert sprites.encode(sprites.sample(jax.random.key(0), 3)).shape == (3, 2)

"""A config goes through JSON and back; what a damaged or hostile file holds ends in one line."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest

from vae_jax import InputError
from vae_jax.cli.train import TrainConfig
from vae_jax.likelihoods import NormalPixels
from vae_jax.objectives import ELBO, IWAE, Linear
from vae_jax.posteriors import FullNormal
from vae_jax.priors import Mixture, StandardNormal, Vamp
from vae_jax.runs import MayChange, OfThisStart, RunConfig, from_json, to_json
from vae_jax.runs.arguments import parse
from vae_jax.runs.config import continued, settled


@dataclasses.dataclass(frozen=True)
class Outer:
    """One of every kind of field."""

    number: float
    parts: tuple[StandardNormal | Mixture, ...] = ()
    pair: tuple[int, str] = (1, "a")
    choice: Literal["a", 2] = "a"
    maybe: int | None = None
    scale: float | Literal["learned"] = 1.0
    inner: Linear = Linear(3)
    flag: bool = False
    here: OfThisStart[str] = "x"


CONFIGS = [
    Outer(1.5, (Mixture(3), StandardNormal()), (2, "b"), 2, 7, "learned", Linear(5), True),
    TrainConfig("x", RunConfig("")),
    TrainConfig("x", RunConfig("", epochs=3), Vamp(7), FullNormal(), NormalPixels(0.5), IWAE(3), hidden=(3, 4)),
    TrainConfig("x", RunConfig(""), objective=ELBO(4.0, Linear(10)), likelihood=NormalPixels("head")),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_there_and_back(config):
    """Fails if a config that was read is not the one that was written."""
    content = to_json(config)
    if isinstance(config, TrainConfig):
        content["run"]["out"] = ""
    assert from_json(type(config), content) == config


def test_two_parts_of_the_same_fields_have_two_files():
    """Fails if a mixture and a Vamp prior of as many components are written alike."""
    a, b = (to_json(TrainConfig("x", RunConfig(""), prior)) for prior in (Mixture(5), Vamp(5)))
    assert a != b


def test_what_is_not_of_the_run_is_not_written():
    """Fails if a file of a stranger could say where this process reads and writes."""
    content = to_json(TrainConfig("x", RunConfig("out"), data_dir="a", manual_dir="b"))
    assert "data_dir" not in content
    assert "out" not in content["run"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"number": "1"}, "number: '1': expected a number"),
        ({"number": float("nan")}, "number: nan: expected a number"),
        ({"number": 10**400}, "number: 1000.*: expected a number"),
        ({"number": True}, "number: True: expected a number"),
        ({"parts": {"type": "Mixture"}}, "parts: .*: expected a list"),
        ({"parts": [{"components": 3}]}, r"parts\[0\]: no key 'type': expected one of StandardNormal, Mixture"),
        ({"parts": [{"type": "Popen"}]}, r"parts\[0\].type: 'Popen': expected one of StandardNormal, Mixture"),
        ({"parts": [{"type": ["Mixture"]}]}, r"parts\[0\].type: \['Mixture'\]: expected one of"),
        ({"parts": [{"type": "Mixture", "k": 3}]}, r"parts\[0\]: unknown key 'k': Mixture has components"),
        ({"parts": [{"type": "Mixture", "components": 0}]}, r"parts\[0\]: components 0: expected at least 1"),
        ({"parts": [{"type": "Mixture", "components": 2.5}]}, "components: 2.5: expected a whole number"),
        ({"parts": [[]]}, r"parts\[0\]: \[\]: expected"),
        ({"pair": [1]}, r"pair: \[1\]: expected 2 values"),
        ({"choice": "b"}, "choice: 'b': expected 'a' or 2"),
        ({"choice": 2.0}, "choice: 2.0: expected"),
        ({"maybe": "1"}, "maybe: '1': expected a whole number or null"),
        ({"inner": {"type": "Mixture"}}, "inner.type: 'Mixture': expected Linear"),
        ({"inner": 3}, "inner: 3: expected the fields of Linear"),
        ({"flag": 1}, "flag: 1: expected true or false"),
        ({"other": 1}, "unknown key 'other': Outer has choice, flag"),
    ],
)
def test_content_of_another_kind(changes, message):
    """Fails if it is believed, or if the error does not name the place and what is expected there."""
    with pytest.raises(InputError, match=message) as error:
        from_json(Outer, {"number": 1.0} | changes)
    assert len(str(error.value).splitlines()) == 1


def test_missing_keys():
    """Fails if a key that an earlier version did not have is not its default, or if a value is made up."""
    assert from_json(Outer, {"number": 1}) == Outer(1.0)
    with pytest.raises(InputError, match="no key 'number'"):
        from_json(Outer, {})


def test_what_cannot_be_kept():
    """Fails if a config with a function or an array in it is written as text that nobody can read back."""
    with pytest.raises(InputError, match="expected numbers, strings"):
        to_json(Outer(len))  # type: ignore[arg-type]


ANOTHER = dataclasses.make_dataclass("Mixture", [("components", int, 3)], frozen=True)
TWICE = dataclasses.make_dataclass("Twice", [("prior", Mixture | ANOTHER)], frozen=True)
TUPLE = dataclasses.make_dataclass("Twice", [("prior", tuple[Mixture | ANOTHER, ...])], frozen=True)


@pytest.mark.parametrize(
    "use",
    [
        lambda: from_json(Mixture | ANOTHER, to_json(Mixture(3))),
        lambda: to_json(TWICE(Mixture(3))),
        lambda: to_json(TUPLE((Mixture(3),))),
        lambda: parse(TWICE, ["--help"]),
    ],
    ids=["read", "written", "in a tuple", "command line"],
)
def test_two_parts_of_one_name(use):
    """Fails if the last of two classes of one name stands for both, or if a run begins that cannot be read."""
    with pytest.raises(InputError, match=r"two parts named Mixture, of vae_jax\.priors.mixture and .*: expected"):
        use()


THREE = Mixture(3)


@dataclasses.dataclass(frozen=True)
class Own:
    """A config with a part, a field that may change, and one that may not."""

    run: RunConfig
    prior: Mixture | Vamp = THREE
    note: MayChange[str] = ""
    size: int | None = None


BEGUN = Own(RunConfig("a", epochs=20, batch_size=8, eval_every=5, steps_per_call=5), note="old", size=4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Own(RunConfig("b", seed=1)), "begun with seed = 0, not 1"),
        (Own(RunConfig("b"), Mixture(4)), "begun with prior.components = 3, not 4"),
        (Own(RunConfig("b"), Vamp(3)), r"begun with prior = Mixture\(components=3\), not Vamp"),
        (Own(RunConfig("b"), size=5), "begun with size = 4, not 5"),
    ],
)
def test_what_may_not_change(given, message):
    """Fails if a run goes on as another one."""
    with pytest.raises(InputError, match=message):
        continued(BEGUN, given, "folder")


def test_what_may_change_and_what_is_left_open():
    """Fails if a run cannot be trained longer, elsewhere, or if what was chosen at its start is chosen again."""
    going = continued(BEGUN, Own(RunConfig("b", resume=True, epochs=40), note="new"), "folder")
    assert going == dataclasses.replace(
        BEGUN, note="new", run=dataclasses.replace(BEGUN.run, out="b", resume=True, epochs=40)
    )
    by_steps = continued(BEGUN, Own(RunConfig("b", num_steps=7)), "folder").run
    assert (by_steps.num_steps, by_steps.epochs) == (7, None)
    back = continued(Own(RunConfig("a", num_steps=7)), Own(RunConfig("b", num_steps=7, epochs=2)), "folder").run
    assert (back.num_steps, back.epochs) == (None, 2)


@pytest.mark.parametrize(
    ("num_train", "options", "expected"),
    [
        (55_000, {}, (128, 8580, 429)),  # MNIST as published: 20 epochs, evaluated after each
        (216, {}, (16, 2000, 100)),  # 300 photos
        (216, {"patience": 5}, (16, 6000, 300)),
        (216, {"patience": 0}, (16, 2000, 100)),
        (730_280, {}, (128, 15_000, 3000)),  # sprites
        (44, {"batch_size": 8, "epochs": 3}, (8, 15, 5)),
        (10, {}, (8, 2000, 100)),
        (1000, {"num_steps": 20}, (64, 20, 15)),
        (9, {"num_steps": 20, "eval_every": 7}, (8, 20, 7)),
    ],
)
def test_lengths_that_the_data_choose(num_train, options, expected, capsys):
    """Fails if small data train for a handful of updates, large ones for a day, or nothing is said."""
    run, length = settled(RunConfig("", **options), num_train)
    assert (run.batch_size, length.num_steps, run.eval_every) == expected
    assert ("training examples: " in capsys.readouterr().out) == ("batch_size" not in options)
    # What was chosen stays chosen when it is read back.
    assert settled(run, num_train)[1] == length


def test_epochs_are_written_as_numbers_are(capsys):
    """Fails if many epochs are written as a power of ten, or few as 0."""
    for num_train, options in [(10, {}), (55_000, {}), (1000, {"num_steps": 1}), (30, {"num_steps": 123_456_789})]:
        settled(RunConfig("", **options), num_train)
    said = capsys.readouterr().out.splitlines()
    found = [line.partition(" (")[2].partition(" epochs)")[0] for line in said]
    assert found == ["2,000", "20", "0.0667", "41,152,263"]

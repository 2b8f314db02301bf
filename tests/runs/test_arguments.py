"""From arguments to a config: a run that goes on by --resume alone, and what is said of arguments that fail."""

from __future__ import annotations

import dataclasses
import io
import itertools
import re

import pytest

from experiments import tpu_report
from experiments.disentanglement.__main__ import StudyConfig
from vae_jax import InputError
from vae_jax.cli.finished import EvaluateImages, LikelihoodOfImages
from vae_jax.cli.train import TrainConfig
from vae_jax.objectives import DipVAEI, DipVAEII
from vae_jax.priors import Mixture, StandardNormal, Vamp
from vae_jax.runs import RunConfig, to_json
from vae_jax.runs.arguments import parse
from vae_jax.runs.folder import write_json
from vae_jax.runs.shown import options_of_parts


@dataclasses.dataclass(frozen=True)
class Own:
    """A config whose folder is the default of a field."""

    run: RunConfig = RunConfig(out="mine")
    prior: StandardNormal | Mixture | Vamp = StandardNormal()
    latents: int = 2


@dataclasses.dataclass(frozen=True)
class Made(Own):
    """The same with a default that is made when it is asked for."""

    run: RunConfig = dataclasses.field(default_factory=lambda: RunConfig(out="mine"))


@pytest.mark.parametrize("config_type", [Own, Made])
@pytest.mark.parametrize("options", [(), ("--out", "mine")], ids=["alone", "with its folder"])
def test_resume_goes_on_with_the_config_of_the_folder(tmp_path, monkeypatch, config_type, options):
    """Fails if --resume takes the defaults of the type for what the run in its default folder began with."""
    monkeypatch.chdir(tmp_path)
    begun = config_type(RunConfig("mine", epochs=3), Vamp(4), latents=3)
    write_json(tmp_path / "mine" / "config.json", to_json(begun))
    config, _ = parse(config_type, ["--resume", *options])
    assert config == dataclasses.replace(begun, run=RunConfig("mine", resume=True, epochs=3))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "missing: DATA, --out STR; see --help"),
        ("x", "missing: --out STR; see --help"),
        ("x --oout a", "missing: --out STR; unknown: --oout a; see --help"),
        (
            "x --out a --prior.components 5",
            "--prior.components is an option of prior:mixture and prior:vamp: expected one of them with it; see",
        ),
        (
            "x --out a --objective.warmup.steps=5 objective:elbo",
            "--objective.warmup.steps is an option of objective:elbo objective.warmup:linear: expected that part",
        ),
        ("x --out a --bad", "Unrecognized options: --bad; see --help"),
        ("x --out a --epochs b", "Value error: Error parsing --epochs: no type matching INT could be instantiated"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_arguments_that_fail(monkeypatch, arguments, said, encoding):
    """Fails if the line holds the help of an option, or does not say which part an option belongs to."""
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    with pytest.raises(InputError) as error:
        parse(TrainConfig, arguments.split(), positional=("data",))
    assert str(error.value).startswith(said)
    assert "Got errors" not in str(error.value)


def shown(capsys, config_type, *arguments):
    """The help, with its lines joined, for their width is that of the terminal."""
    with pytest.raises(SystemExit):
        parse(config_type, [*arguments, "--help"], positional=("data",))
    return capsys.readouterr().out


@dataclasses.dataclass(frozen=True)
class Indented:
    """The first line.

    The second paragraph, indented as docstrings are.
    """

    out: str = "a"


def test_help_of_a_type_with_a_long_docstring(capsys):
    """Fails if a description keeps the indent of the source, or names parts where there are none."""
    text = shown(capsys, Indented)
    assert "The first line.\n\nThe second paragraph, indented as docstrings are.\n\n" in text


def test_help_of_parts(capsys):
    """Fails if a choice has no line, if nothing leads to the options of a part, or if a name has no words."""
    text = shown(capsys, TrainConfig)
    assert "prior:mixture has --prior.components: `prior:mixture --help` shows them." in text
    assert "--prior.components INT" in shown(capsys, TrainConfig, "prior:mixture")
    lines = [line.strip("│ ") for line in text.splitlines()]
    alone = [line for line in lines if line.startswith("•") and len(line.split()) == 2]
    after = [lines[lines.index(line) + 1] for line in alone]
    assert "The default, as it is described above." in after
    assert [line for line in after if not line or line[0] in "•─-╰"] == []


@pytest.mark.parametrize(
    ("config_type", "part"),
    [
        *((TrainConfig, part) for part in dict.fromkeys(part for _, part in options_of_parts(TrainConfig))),
        *(
            (config_type, "")
            for config_type in (EvaluateImages, LikelihoodOfImages, StudyConfig, tpu_report.Config)
        ),
    ],
)
def test_every_option_is_explained(capsys, monkeypatch, config_type, part):
    """Fails if all that the help says of an option is its default."""
    monkeypatch.setenv("COLUMNS", "100")
    rows = [row.strip("│ ") for row in shown(capsys, config_type, *part.split()).splitlines()]
    said = {}
    for row, after in itertools.pairwise(rows):
        name, _, text = row.partition("  ")
        if re.match(r"--\w", name):
            said[name] = text.strip() or after
    assert len(said) >= 4
    assert [name for name, text in said.items() if not text[:1].isalnum()] == []


@pytest.mark.parametrize(("name", "part"), [("dip-vae-i", DipVAEI()), ("dip-vae-ii", DipVAEII())])
def test_names_of_parts(name, part):
    """Fails if the Roman number of a part runs into its name, or if the name gives another part."""
    assert parse(TrainConfig, ["x", "--out", "a", f"objective:{name}"], positional=("data",))[0].objective == part


def test_no_choice_is_none():
    """Fails if the choice that leaves a part open, which has a line of its own, gives anything but None."""
    for chosen in ([], ["likelihood:automatic"]):
        assert parse(TrainConfig, ["x", "--out", "a", *chosen], positional=("data",))[0].likelihood is None

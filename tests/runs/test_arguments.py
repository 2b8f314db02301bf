"""From arguments to a config: a run that goes on by --resume alone, and what is said of arguments that fail."""

from __future__ import annotations

import dataclasses

import pytest

from vae_jax.priors import Mixture, StandardNormal, Vamp
from vae_jax.runs import RunConfig, to_json
from vae_jax.runs.arguments import parse
from vae_jax.runs.folder import write_json


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

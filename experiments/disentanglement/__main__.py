"""Do methods for unsupervised disentanglement disentangle? Methods x strengths x seeds, scored alike.

    python -m experiments.disentanglement                   # sprites of three factors, two cores, 20 minutes
    python -m experiments.disentanglement --preset paper    # the protocol of Locatello et al. 2019, on accelerators
    python -m experiments.disentanglement --preset paper --data-set shapes3d

All strengths and seeds of a method train in one compiled program. Writes table.md, rows.json and figures: violins
of the MIG by method, mutual information of latents and factors, and traversals of the best model.

Known departures of the paper preset from the released configuration: all kernels are 4x4 (theirs end with 2x2),
the output bias starts at the mean image, scores are of the averaged parameters, and beta = 1 of beta-TCVAE is left
to the VAE. On RGB images the Bernoulli likelihood is a cross-entropy and no density, as in the paper. Source:
Locatello et al. 2019 (arXiv:1811.12359).
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any, Literal

import tyro

from experiments.disentanglement import report
from experiments.disentanglement.data import FactorData, loaded, mean_image, scored_examples, sprites
from experiments.disentanglement.methods import METHODS, NAMES, Setting
from experiments.disentanglement.study import Run, Training, Unit, train_unit, trained_params, units
from vae_jax import InputError, make_vae
from vae_jax.data import content_hash
from vae_jax.errors import printable
from vae_jax.files import write_text_atomically
from vae_jax.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder, logit_bias
from vae_jax.paths import as_path
from vae_jax.runs import OfThisStart, run_command
from vae_jax.runs.begun import check_begun, identity, read_data_json, write_begun
from vae_jax.runs.config import continued, stored_config
from vae_jax.runs.folder import read_json, write_json
from vae_jax.runs.lock import locked


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """The study of Locatello et al. 2019."""

    out: OfThisStart[str] = "runs/disentanglement"
    """Folder of the study."""
    resume: OfThisStart[bool] = False
    """Go on with the study in that folder."""
    preset: Literal["quick", "paper"] = "quick"
    """Which defaults and strengths: two cores and 20 minutes, or the protocol of the paper."""
    data_set: Literal["sprites", "dsprites", "shapes3d"] = "sprites"
    """Sprites are rendered on the fly; the others are downloaded."""
    levels: tuple[int, int, int, int, int] = (1, 6, 1, 16, 16)
    """Of sprites: how many values of shape, scale, orientation, x and y; 1 keeps a factor fixed."""
    size: int = 16
    """Of sprites: side of the images."""
    num_images: int = 0
    """Of the other data sets: how many images, drawn at random; 0 for all."""
    data_dir: OfThisStart[str | None] = None
    """Where prepared data are kept."""
    manual_dir: OfThisStart[str | None] = None
    """A folder with the original file, in place of a download."""
    methods: tuple[str, ...] = NAMES
    """Which of the methods are trained."""
    seeds: int = 5
    """Models per method and strength."""
    network: Literal["mlp", "conv"] = "mlp"
    """Fully connected, or convolutional as in Burgess et al. 2018."""
    hidden: tuple[int, ...] = (128, 128)
    """Layers of the fully connected networks; the convolutional ones have the channels of the paper."""
    latent_size: int = 6
    """Number of latents."""
    num_steps: int = 6000
    """Updates of each model."""
    batch_size: int = 64
    """Images an update."""
    learning_rate: float = 5e-3
    """Of Adam."""
    capacity_gamma: float = 100.0
    """Weight of |rate - C| in AnnealedVAE."""
    capacity_steps: int = 3000
    """Steps over which C grows."""
    discriminator: tuple[int, ...] = (128, 128, 128)
    """Layers of the discriminator of FactorVAE."""
    strengths_at_once: int = 0
    """Strengths of a method, each with all its seeds, that train together; 0 for all. Less takes less memory."""
    save_every: int = 2000
    """Steps between checkpoints."""

    @staticmethod
    def upgraded(content: dict[str, Any]) -> dict[str, Any]:
        """A config.json of an earlier version in today's form."""
        return {name: value for name, value in content.items() if name not in ("experiment", "data_sha256")}


PRESETS = {
    "quick": StudyConfig(),
    "paper": StudyConfig(
        preset="paper",
        data_set="dsprites",
        levels=(3, 6, 40, 32, 32),
        size=64,
        seeds=50,
        network="conv",
        latent_size=10,
        num_steps=300_000,
        learning_rate=1e-4,
        capacity_gamma=1000.0,
        capacity_steps=100_000,
        discriminator=(1000,) * 6,
        strengths_at_once=1,
        save_every=10_000,
    ),
}


def main(config: StudyConfig) -> list[dict[str, Any]]:
    """Trains and scores every model of the study, and reports; returns a row for each model."""
    begin = time.perf_counter()
    folder = as_path(config.out)
    check_begun(folder, resume=config.resume)
    stored = stored_config(folder, StudyConfig)
    config = config if stored is None else continued(stored, config, folder)
    _check(config)
    data = make_data(config)
    if not 1 <= config.batch_size <= len(data.examples):
        raise InputError(
            f"batch size {config.batch_size}: expected between 1 and the number of examples, {len(data.examples)}"
        )
    sha256, began = content_hash(data.examples), read_data_json(folder).get("sha256")
    if began not in (None, sha256):
        raise InputError(f"{folder} was begun with other data (hash {began[:12]}): expected the same to resume")
    with locked(folder):
        write_begun(folder, config, {}, sha256)
        return _train_and_report(config, data, folder, begin)


def _train_and_report(config: StudyConfig, data: FactorData, folder: Any, begin: float) -> list[dict[str, Any]]:
    vae, setting, groups = make_study(config, data)
    training = Training(config.num_steps, config.batch_size, config.save_every, identity(config))
    rows = []
    for i, unit in enumerate(groups):
        print(f"{unit.name}: {len(unit.runs)} models in one program ({i + 1} of {len(groups)})", flush=True)
        rows += train_unit(folder, unit, vae, data, setting, training)
    write_json(folder / "rows.json", rows)
    text = f"{report.table(rows)}\n\n{report.differences(rows)}\n"
    write_text_atomically(folder / "table.md", text)
    print(text)
    best = report.best_run(rows)
    if best is not None:
        model, params = _model_of(best, config, vae, setting, groups)
        report.figures(folder / "figures", rows, best, model, params, data)
        print(f"figures: {printable(folder / 'figures')}")
    print(f"{len(rows)} models, {time.perf_counter() - begin:.0f} s this time")
    return rows


def load_model(
    out: str,
    method: str | None,
    strength: float | None,
    seed: int | None,
    *,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> tuple[dict[str, Any], Any, Any, Any, Any, Any]:
    """One model of a finished study, by default that of the highest MIG among those that fit what is given.

    Returns its method, strength and seed, the VAE, its parameters, the transform, examples and factors.
    """
    folder = as_path(out)
    if not (folder / "rows.json").exists():
        raise InputError(f"{folder} is not finished: expected rows.json; go on with the study by --resume")
    wanted = {"method": method, "strength": strength, "seed": seed}
    rows = [
        row
        for row in read_json(folder / "rows.json")
        if all(value is None or row[name] == value for name, value in wanted.items())
    ]
    best = report.best_run(rows)
    if best is None:
        raise InputError(f"{folder} has no scored model of {wanted}: expected one of table.md")
    stored = stored_config(folder, StudyConfig)
    config = dataclasses.replace(stored, data_dir=data_dir, manual_dir=manual_dir)
    data = make_data(config)
    model, params = _model_of(best, config, *make_study(config, data))
    return {name: best[name] for name in wanted}, model, params, data.transform, *scored_examples(data)


def make_data(config: StudyConfig) -> FactorData:
    """The examples of the study with their factors."""
    if config.data_set == "sprites":
        return sprites(config.levels, config.size)
    folders = {"data_dir": config.data_dir, "manual_dir": config.manual_dir}
    return loaded(config.data_set, num_images=config.num_images, **folders)


def _model_of(row: dict[str, Any], config: StudyConfig, vae: Any, setting: Setting, groups: list[Unit]) -> Any:
    run = Run(row["strength"], row["seed"])
    unit = next(unit for unit in groups if unit.method.name == row["method"] and run in unit.runs)
    return trained_params(as_path(config.out), unit, vae, setting, run, identity(config))


def make_study(config: StudyConfig, data: FactorData) -> tuple[Any, Setting, list[Unit]]:
    """The VAE that all methods train, what they need to know, and the runs in groups."""
    bias = logit_bias(mean_image(data))
    if config.network == "conv":
        layers = {"channels": (32, 32, 64, 64), "hidden": (256,)}
        networks: Any = (
            ConvEncoder(config.latent_size, **layers),  # type: ignore[arg-type]
            ConvDecoder(data.x_shape, output_bias=bias, **layers),  # type: ignore[arg-type]
        )
    else:
        networks = (
            MLPEncoder(config.latent_size, config.hidden),
            MLPDecoder(data.x_shape, config.hidden[::-1], output_bias=bias),
        )
    setting = Setting(
        dataset_size=len(data.examples),
        latent_size=config.latent_size,
        learning_rate=config.learning_rate,
        capacity_gamma=config.capacity_gamma,
        capacity_steps=config.capacity_steps,
        discriminator=config.discriminator,
    )
    groups = [
        unit
        for method in METHODS
        if method.name in config.methods
        for unit in units(method, getattr(method, config.preset), config.seeds, config.strengths_at_once)
    ]
    return make_vae(*networks), setting, groups


def _check(config: StudyConfig) -> None:
    unknown = sorted(set(config.methods) - set(NAMES))
    if unknown or not config.methods:
        raise InputError(f"methods {', '.join(unknown) or 'none'}: expected some of {', '.join(NAMES)}")
    if config.capacity_steps > config.num_steps:
        raise InputError(
            f"capacity steps {config.capacity_steps} of {config.num_steps}: expected no more than there are, or "
            "AnnealedVAE never reaches its capacity"
        )
    counts = (config.seeds, config.num_steps, config.save_every, config.capacity_steps, config.latent_size)
    if min(counts) < 1 or config.strengths_at_once < 0 or config.num_images < 0 or config.learning_rate <= 0:
        raise InputError(
            f"seeds, steps, save every, capacity steps and latents {counts}, {config.strengths_at_once} strengths "
            f"at once, {config.num_images} images, learning rate {config.learning_rate}: expected 1 or more of the "
            "first five, 0 or more of the next two, and a rate above 0"
        )


@dataclasses.dataclass(frozen=True)
class _Preset:
    preset: Literal["quick", "paper"] = "quick"


if __name__ == "__main__":
    # Help is asked of the whole command, below.
    rest = [argument for argument in sys.argv[1:] if argument not in ("-h", "--help")]
    chosen, _ = tyro.cli(_Preset, args=rest, return_unknown_args=True)
    run_command(main, StudyConfig, __doc__, default=PRESETS[chosen.preset])

"""How a run is trained and where it is written, and what becomes of that when a run goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from vae_jax.errors import InputError
from vae_jax.optimizers import Adam, Optimizer
from vae_jax.paths import as_path
from vae_jax.runs.fields import MayChange, OfThisStart, field_hints, is_of_this_start, may_change, plain
from vae_jax.runs.folder import read_config
from vae_jax.runs.json_config import TAG, from_json, to_json

# Without --num-steps and --epochs: 20 epochs, but enough updates to learn something and no day of them.
EPOCHS, LEAST_STEPS, MOST_STEPS = 20, 2000, 15_000
# A run that ends by itself may be long: that of 300 photos was best after 2,500 updates.
LEAST_WITH_PATIENCE = 6000
BATCH_SIZE = 128
MOST_BETWEEN_EVALUATIONS = 3000
# `Task.defaults` for data of which nothing is known. Without the warm-up three updates took the loss of photos of
# 128 x 128 from 5e4 to 6e12; the patience is a quarter of a run of small data.
OWN_DATA: Mapping[str, Any] = MappingProxyType({"lr_warmup": 200, "patience": 5})


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Where a run is written and how it is trained."""

    out: OfThisStart[str]
    """Folder of the run, also gs://bucket/folder."""
    resume: OfThisStart[bool] = False
    """Go on with the run in that folder, if there is one, exactly as if it had never stopped."""
    dry_run: OfThisStart[bool] = False
    """Say what was found in the data and what would be trained, and stop there."""
    seed: int = 0
    """Seed of the initial parameters, the order of the data and all noise."""
    num_steps: MayChange[int | None] = None
    """Updates; by default 20 epochs, at least 2,000, with a patience 6,000, at most 15,000; of a table 40,000."""
    epochs: MayChange[int | None] = None
    """Passes over the training data, in place of --num-steps."""
    batch_size: int | None = None
    """Examples an update; by default 128, of small data sets a power of two up to a tenth of them."""
    optimizer: Optimizer = Adam()
    """What makes an update of a gradient."""
    learning_rate: float | None = None
    """By default the one that suits the optimizer, 1e-3 of Adam; a factor where an optimizer finds its own."""
    lr_warmup: int | None = None
    """Updates over which the learning rate grows to its value; by default none, or as many as the data want."""
    lr_decay: Literal["none", "cosine"] = "none"
    """How the learning rate falls, to 0 at the end of the run; the length of the run then stays as it is."""
    clip_norm: float | None = None
    """Norm to which longer gradients are cut; by default they are not, as by 0."""
    ema_decay: float = 0.999
    """Of the moving average of the parameters, which evaluation and figures use."""
    eval_every: MayChange[int | None] = None
    """Steps between evaluations on the validation set, each of which saves a checkpoint; by default an epoch."""
    patience: MayChange[int | None] = None
    """Evaluations without a better validation ELBO after which the run ends, its result being its best checkpoint
    and not the last; 0 for the last. By default 0, or what the data want; more with --resume goes on."""
    steps_per_call: int | None = None
    """Steps of one compiled call, after which a signal to stop is heard; by default up to 100 and 5 seconds."""
    on_nan: MayChange[Literal["stop", "skip"]] = "stop"
    """What a loss or gradient that is not finite does: end the run, or skip that update, up to 100 in a row."""
    distributed: OfThisStart[bool] = False
    """One of several processes that train together, each with its own devices; on a TPU pod start it on all."""
    model_devices: OfThisStart[int] = 1
    """Devices over which wide layers are split; 1 gives every device the whole model."""


class Length(NamedTuple):
    """How long a run is, in steps."""

    num_steps: int
    epoch: int


def settled(run: RunConfig, num_train: int, num_devices: int = 1) -> tuple[RunConfig, Length]:
    """The run with the numbers that it left to the data, and its length. Prints what was chosen for the user.

    Raises InputError for a batch larger than the data, no steps, and both --num-steps and --epochs.
    """
    if run.num_steps is not None and run.epochs is not None:
        raise InputError(f"num_steps {run.num_steps} and epochs {run.epochs}: expected one of them")
    batch_size = _batch_size(num_train, num_devices) if run.batch_size is None else run.batch_size
    if not 1 <= batch_size <= num_train:
        raise InputError(
            f"batch size {batch_size}: expected between 1 and the number of training examples, {num_train}"
        )
    if batch_size % num_devices:
        raise InputError(
            f"batch size {batch_size}: expected a multiple of the number of devices, {num_devices}; choose another"
        )
    epoch = num_train // batch_size
    by_default = run.num_steps is None and run.epochs is None
    num_steps = run.epochs * epoch if run.epochs is not None else run.num_steps
    if num_steps is None:
        num_steps = min(max(EPOCHS * epoch, LEAST_WITH_PATIENCE if run.patience else LEAST_STEPS), MOST_STEPS)
    eval_every = min(epoch, MOST_BETWEEN_EVALUATIONS)
    if run.epochs is None:
        # An epoch of a few steps would be evaluated and saved longer than it is trained.
        eval_every = max(eval_every, num_steps // 20)
    eval_every = eval_every if run.eval_every is None else run.eval_every
    if not 1 <= num_steps < 2**31 or eval_every < 1:
        raise InputError(
            f"{num_steps} steps, evaluation every {eval_every}: expected at least 1 of each and less than 2^31; "
            "train longer"
        )
    if by_default or run.batch_size is None:
        epochs = f"{num_steps / epoch:,.0f}" if num_steps >= 100 * epoch else f"{num_steps / epoch:.3g}"
        print(
            f"{num_train:,} training examples: {num_steps:,} updates of {batch_size} ({epochs} epochs); "
            "--num-steps, --epochs and --batch-size choose others"
        )
    chosen = dataclasses.replace(
        run,
        batch_size=batch_size,
        eval_every=eval_every,
        num_steps=num_steps if by_default else run.num_steps,
        learning_rate=run.optimizer.learning_rate if run.learning_rate is None else run.learning_rate,
    )
    return chosen, Length(num_steps, epoch)


def with_defaults(run: RunConfig, defaults: Mapping[str, Any]) -> RunConfig:
    """The run with what it leaves open as its task would have it: `Task.defaults`.

    Raises InputError for a name that no field has, or one that a run never leaves open.
    """
    left_open = {field.name for field in dataclasses.fields(run) if field.default is None}
    unknown = sorted(defaults.keys() - left_open)
    if unknown:
        raise InputError(f"default {unknown[0]} of a task: expected one of {', '.join(sorted(left_open))}")
    chosen = {name: value for name, value in defaults.items() if getattr(run, name) is None}
    if run.epochs is not None or run.num_steps is not None:
        chosen = {name: value for name, value in chosen.items() if name not in ("epochs", "num_steps")}
    return dataclasses.replace(run, **chosen)


def _batch_size(num_train: int, num_devices: int) -> int:
    size = BATCH_SIZE
    while size > 8 and size > num_train // 10:
        size //= 2
    return max(1, min(size, num_train) // num_devices) * num_devices


def run_of(config: Any) -> RunConfig:
    """The part of a config that says how it is trained; InputError for a config that has none."""
    run = getattr(config, "run", None)
    if not isinstance(run, RunConfig):
        raise InputError(f"{type(config).__name__}: expected a field `run: RunConfig`, where a run is written")
    return run


def stored_config(folder: Any, config_type: type) -> Any:
    """The config that a run began with, read back as `config_type`; None where there is no run.

    Fields that are `OfThisStart` have their defaults, and `out` is the folder. A class that has had another form
    reads that by `upgraded(content) -> content`. Raises InputError for what is not of this type.
    """
    path = as_path(folder)
    if not (path / "config.json").exists():
        return None
    content = read_config(path)
    if hasattr(config_type, "upgraded"):
        content = config_type.upgraded(content)
    content = _without_start(config_type, content)
    for holder in (content, content.get("run")):
        if isinstance(holder, dict) and (holder is not content or "out" in field_hints(config_type)):
            holder["out"] = str(folder)
    return from_json(config_type, content, at=f"{path / 'config.json'}")


def _without_start(config_type: type, content: dict[str, Any]) -> dict[str, Any]:
    kept = dict(content)
    for name, hint in field_hints(config_type).items():
        if is_of_this_start(hint):
            kept.pop(name, None)
        elif dataclasses.is_dataclass(plain(hint)):
            # A run whose fields all have their defaults may lack the key.
            inner = kept.get(name, {})
            kept[name] = _without_start(plain(hint), inner) if isinstance(inner, dict) else inner
    return kept


def continued(stored: Any, given: Any, folder: Path | str) -> Any:
    """The config with which a run goes on: `given`, where that is allowed, and for what it leaves open `stored`.

    None in `given` leaves a field open. Raises InputError where a field differs that may not.
    """
    if to_json(given).get(TAG) != to_json(stored).get(TAG):
        raise InputError(f"{folder} is a run of {type(stored).__name__}, not of {type(given).__name__}")
    merged = _merged(stored, given, folder, "")
    run = getattr(merged, "run", None)
    if isinstance(run, RunConfig) and run.num_steps is not None and run.epochs is not None:
        by_steps = run.num_steps != stored.run.num_steps
        one = dataclasses.replace(run, epochs=None) if by_steps else dataclasses.replace(run, num_steps=None)
        merged = dataclasses.replace(merged, run=one)
    return merged


def _merged(stored: Any, given: Any, folder: Path | str, at: str) -> Any:
    values = {}
    for name, hint in field_hints(type(given)).items():
        old, new = getattr(stored, name), getattr(given, name)
        called = f"{at}{name}"
        if is_of_this_start(hint) or (may_change(hint) and new is not None):
            values[name] = new
        elif new is None:
            values[name] = old
        elif dataclasses.is_dataclass(new) and type(new) is type(old):
            # The fields of a run are options of their own, those of a part go by its name.
            inner = "" if isinstance(new, RunConfig) else f"{called}."
            values[name] = _merged(old, new, folder, inner)
        elif new == old:
            values[name] = new
        else:
            raise InputError(
                f"{folder} was begun with {called} = {old}, not {new}: expected the same config to resume; choose "
                "another folder by --out for another run"
            )
    return type(given)(**values)

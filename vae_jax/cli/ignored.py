"""Options of `vae-jax train` that its data would not read: told before anything is read, and not ignored."""

from __future__ import annotations

import dataclasses
from typing import Any

from vae_jax.cli.reading import SPRITES
from vae_jax.errors import InputError, printable

_OF_SPRITES = ("validation", "test", "form", "kinds", "label", "split", "num_classes", "conditional", "stream")
# What data are is known from the run before, and they are in memory.
OF_THE_DATA = ("stream", "size", "form", "kinds", "label")


def check_none_ignored(config: Any) -> None:
    """Raises InputError, which names the option, where one of a `TrainConfig` would not be read."""
    if config.data == SPRITES:
        _refuse(config, _OF_SPRITES, "sprites, which are rendered and have no labels")
    if config.from_run is not None:
        _refuse(config, OF_THE_DATA, f"--from {printable(config.from_run)}, whose run knows how data are read")
    if config.num_classes is not None and not config.conditional:
        raise InputError(
            f"--num-classes {config.num_classes}: expected --conditional beside it, else no labels are read; give "
            "both, or leave it out"
        )


def _refuse(config: Any, names: tuple[str, ...], what: str) -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for name in names:
        if getattr(config, name) != defaults[name]:
            raise InputError(f"--{name.replace('_', '-')}: expected none with {what}; leave it out")

"""A config type as the command line shows it: each part is a choice with one line, and has options of its own."""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import tyro

from vae_jax.runs.config import RunConfig
from vae_jax.runs.fields import field_hints, parts_of, plain


def for_the_command_line(config_type: type, positional: tuple[str, ...]) -> Any:
    """The same dataclass with hints for tyro: no config type need know it."""
    fields: list[Any] = []
    for field in dataclasses.fields(config_type):
        hint = _one_line_each(field_hints(config_type)[field.name])
        if plain(hint) is RunConfig:
            hint = Annotated[for_the_command_line(RunConfig, ()), tyro.conf.arg(name="")]
        if field.default is None and (metavar := _metavar(hint)):
            # Not "{None}|INT" and "(default: None)": None stands for what the help says.
            hint = Annotated[hint, tyro.conf.arg(metavar=metavar, help_behavior_hint="")]
        if field.name in positional:
            named = tyro.conf.arg(metavar=field.name.upper())
            hint = tyro.conf.Positional[Annotated[hint, named]]  # type: ignore[misc, valid-type]
        default = as_type(plain(hint), field.default) if isinstance(field.default, RunConfig) else field.default
        same = dataclasses.field(default=default, default_factory=field.default_factory)
        fields.append((field.name, hint, same))
    shown = dataclasses.make_dataclass(config_type.__name__, fields, bases=(config_type,), frozen=True)
    shown.__doc__ = config_type.__doc__
    return shown


def _metavar(hint: Any) -> str | None:
    """How the value of an optional int, float, string or tuple of these is written in the help."""
    others = [member for member in get_args(plain(hint)) if member is not type(None)]
    if get_origin(plain(hint)) not in (Union, types.UnionType) or len(others) != 1:
        return None
    (other,) = others
    names = {int: "INT", float: "FLOAT", str: "STR"}
    if get_origin(other) is tuple and get_args(other)[0] in names:
        return f"[{names[get_args(other)[0]]} ...]"
    return names.get(other)


def _one_line_each(hint: Any) -> Any:
    """A union of parts whose members are described by the first line of their docstrings."""
    if not (parts := parts_of(hint)):
        return hint
    described: list[Any] = []
    for member in get_args(plain(hint)):
        if member in parts.values():
            line = (member.__doc__ or member.__name__).strip().splitlines()[0]
            described.append(Annotated[member, tyro.conf.subcommand(name_of(member), description=line)])
        else:
            # By way of a function, for of None itself tyro shows no description.
            how = tyro.conf.subcommand("automatic", description=_OPEN, constructor=_automatic, default=None)
            described.append(Annotated[member, how])
    return Union[tuple(described)]  # noqa: UP007


_OPEN = "The default, as it is described above."


def _automatic() -> None:
    return None


def options_of_parts(config_type: type, at: str = "", of: str = "") -> Iterator[tuple[str, str]]:
    """Each option of a part with the name of the part: ("--prior.components", "prior:mixture"), and so on.

    at, of: where a part stands that has parts itself, by the names of its field and of its own.
    """
    for field, hint in field_hints(config_type).items():
        name = f"{at}{field}".replace("_", "-")
        for part in parts_of(hint).values():
            called = f"{of}{name}:{name_of(part)}"
            for option, inner in field_hints(part).items():
                if not parts_of(inner):
                    yield f"--{name}.{option}".replace("_", "-"), called
            yield from options_of_parts(part, f"{name}.", f"{called} ")
    if any(plain(hint) is RunConfig for hint in field_hints(config_type).values()):
        # The fields of a run are options of the command itself.
        yield from options_of_parts(RunConfig)


def name_of(part: type) -> str:
    """What a part is called on the command line: its words with hyphens, of which VAE is one (dip-vae-i)."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=VAE)(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", part.__name__).lower()


def as_type(config_type: Any, config: Any) -> Any:
    """The same config as an instance of another class of the same fields, with its run as that class has it."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    hints = get_type_hints(config_type)
    for name, value in values.items():
        if isinstance(value, RunConfig):
            values[name] = as_type(hints[name], value)
    return config_type(**values)

"""From the arguments of a command to a config: each part in one line; on --resume the config of the run."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import types
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import tyro

from vae_jax.errors import InputError
from vae_jax.runs.config import RunConfig, stored_config
from vae_jax.runs.fields import field_hints, plain
from vae_jax.runs.starting import Start


def parse(
    config_type: type,
    arguments: Sequence[str],
    *,
    default: Any = None,
    positional: Sequence[str] = (),
    description: str | None = None,
    prog: str | None = None,
) -> tuple[Any, Start]:
    """The config that the arguments ask for, and how to start; --help prints and exits.

    default: a config whose values stand in for those of its type, a preset. With --resume the config of the run
    takes its place. positional: the fields that are given without a name. Fields that are parts become
    `field:part-name` with options of their own, before or after the others.
    """
    default = _of_the_run(config_type, arguments, default) or default
    shown = _for_the_command_line(config_type, tuple(positional))
    both = tuple[Annotated[shown, tyro.conf.arg(name="")], Annotated[Start, tyro.conf.arg(name="")]]  # type: ignore
    preset = {} if default is None else {"default": (_as(shown, default), Start())}
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed: Any = tyro.cli(  # type: ignore[call-overload]
                both,
                args=list(arguments),
                description=description or config_type.__doc__,
                prog=prog,
                config=(tyro.conf.CascadeSubcommandArgs,),
                **preset,
            )
    except SystemExit as ended:
        if not ended.code:  # after the help
            raise
        raise InputError(_in_one_line(said.getvalue())) from None
    config, start = parsed
    return _as(config_type, config), start


def _in_one_line(box: str) -> str:
    """What tyro says of wrong arguments, without the frame around it and its hint at the help."""
    first, _, rest = box.strip().partition("\n")
    title, body = (" ".join(re.sub(r"[─-╿]", " ", text).split()) for text in (first, rest))
    body = re.split(r" (?:For full helptext|Available subcommands|Argument helptext|Perhaps you meant)", body)[0]
    # The config and how to start are two parts for tyro, and none for the user.
    body = re.sub(r"(Error parsing |--)0\.", r"\1", body).rstrip(". ")
    return f"{body if body.lower().startswith(title.lower()) else f'{title}: {body}'}; see --help"


def _as(config_type: Any, config: Any) -> Any:
    """The same config as an instance of another class of the same fields, with its run as that class has it."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    hints = get_type_hints(config_type)
    for name, value in values.items():
        if isinstance(value, RunConfig):
            values[name] = _as(hints[name], value)
    return config_type(**values)


def _of_the_run(config_type: type, arguments: Sequence[str], default: Any) -> Any:
    """The config of the run that --resume goes on with, if there is one."""
    # Help would print the texts in it, which may be a stranger's and which a terminal would obey.
    if "--resume" not in arguments or {"-h", "--help"} & set(arguments):
        return None
    out = getattr(getattr(default, "run", default), "out", None)
    for i, argument in enumerate(arguments):
        if argument.startswith("--out="):
            out = argument.removeprefix("--out=")
        elif argument == "--out" and i + 1 < len(arguments):
            out = arguments[i + 1]
    return stored_config(out, config_type) if out else None


def _for_the_command_line(config_type: type, positional: tuple[str, ...]) -> Any:
    """The same dataclass with hints for tyro: no config type need know it."""
    fields: list[Any] = []
    for field in dataclasses.fields(config_type):
        hint = _one_line_each(field_hints(config_type)[field.name])
        if plain(hint) is RunConfig:
            hint = Annotated[_for_the_command_line(RunConfig, ()), tyro.conf.arg(name="")]
        if field.default is None and (metavar := _metavar(hint)):
            # Not "{None}|INT" and "(default: None)": None stands for what the help says.
            hint = Annotated[hint, tyro.conf.arg(metavar=metavar, help_behavior_hint="")]
        if field.name in positional:
            named = tyro.conf.arg(metavar=field.name.upper())
            hint = tyro.conf.Positional[Annotated[hint, named]]  # type: ignore[misc, valid-type]
        default = _as(plain(hint), field.default) if isinstance(field.default, RunConfig) else field.default
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
    members = get_args(plain(hint))
    if get_origin(plain(hint)) not in (Union, types.UnionType) or not any(map(dataclasses.is_dataclass, members)):
        return hint
    described = []
    for member in members:
        if isinstance(member, type) and dataclasses.is_dataclass(member):
            line = (member.__doc__ or member.__name__).strip().splitlines()[0]
            described.append(Annotated[member, tyro.conf.subcommand(description=line)])
        else:
            described.append(
                Annotated[member, tyro.conf.subcommand("automatic", description="What fits the data.")]
            )
    return Union[tuple(described)]  # noqa: UP007

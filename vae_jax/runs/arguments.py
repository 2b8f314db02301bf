"""From the arguments of a command to a config: each part in one line; on --resume the config of the run."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import re
import types
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from vae_jax.errors import InputError
from vae_jax.runs.config import stored_config
from vae_jax.runs.shown import as_type, for_the_command_line, options_of_parts
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
    shown = for_the_command_line(config_type, tuple(positional))
    both = tuple[Annotated[shown, tyro.conf.arg(name="")], Annotated[Start, tyro.conf.arg(name="")]]  # type: ignore
    preset = {} if default is None else {"default": (as_type(shown, default), Start())}
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed: Any = tyro.cli(  # type: ignore[call-overload]
                both,
                args=list(arguments),
                description=_described(description or config_type.__doc__ or "", config_type),
                prog=prog,
                config=(tyro.conf.CascadeSubcommandArgs,),
                **preset,
            )
    except SystemExit as ended:
        if not ended.code:  # after the help
            raise
        raise InputError(_in_one_line(said.getvalue(), config_type)) from None
    config, start = parsed
    return as_type(config_type, config), start


def _described(text: str, config_type: type) -> str:
    """The description of a command, with where the options of a part are shown if there are any."""
    text = inspect.cleandoc(text)
    first = next(options_of_parts(config_type), None)
    if first is None:
        return text
    option, part = first
    return f"{text}\n\nParts have options of their own, as {part} has {option}: `{part} --help` shows them."


def _in_one_line(box: str, config_type: type) -> str:
    """What tyro says of wrong arguments, without the frame around it and its hint at the help."""
    # The frame is drawn in lines, or where standard output has no such characters in hyphens and spaces.
    title, *rows = (re.sub(r"[─-╿]|^ *-+ *$", " ", row).rstrip() for row in box.strip().splitlines())
    title, body = title.strip(), " ".join(" ".join(rows).split())
    body = re.split(
        r" (?:For full helptext|Available subcommands|Got errors|Argument helptext|Perhaps you meant)", body
    )[0]
    if title == "Required options":
        return _missing("\n".join(rows))
    if title == "Unrecognized options":
        for name in re.findall(r"--[\w.-]+", body):
            parts = [part for option, part in options_of_parts(config_type) if option == name]
            if parts:
                wanted = "that part" if len(parts) == 1 else "one of them"
                return f"{name} is an option of {' and '.join(parts)}: expected {wanted} with it; see --help"
    # The config and how to start are two parts for tyro, and none for the user.
    body = re.sub(r"(Error parsing |--|')0\.", r"\1", body).replace("{None}|", "").rstrip(". ")
    return f"{body if body.lower().startswith(title.lower()) else f'{title}: {body}'}; see --help"


def _missing(rows: str) -> str:
    """The names alone: what tyro says of each, its whole help, stands further to the right."""
    sections = [re.findall(r"^ {6}(\S.*)$", section, re.M) for section in rows.strip("\n").split("\n\n")]
    names, *others, _ = sections
    unknown = f"; unknown: {' '.join(others[0])}" if others else ""
    return f"missing: {', '.join(names)}{unknown}; see --help"


def _of_the_run(config_type: type, arguments: Sequence[str], default: Any) -> Any:
    """The config of the run that --resume goes on with, if there is one."""
    # Help would print the texts in it, which may be a stranger's and which a terminal would obey.
    if "--resume" not in arguments or {"-h", "--help"} & set(arguments):
        return None
    holder = default if default is not None else _defaults(config_type)
    out = getattr(getattr(holder, "run", holder), "out", None)
    for i, argument in enumerate(arguments):
        if argument.startswith("--out="):
            out = argument.removeprefix("--out=")
        elif argument == "--out" and i + 1 < len(arguments):
            out = arguments[i + 1]
    return stored_config(out, config_type) if out else None


def _defaults(config_type: type) -> types.SimpleNamespace:
    """The defaults of the fields that have one: of a config that nobody has made yet."""
    values = {
        field.name: field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        for field in dataclasses.fields(config_type)
    }
    return types.SimpleNamespace(**{k: value for k, value in values.items() if value is not dataclasses.MISSING})

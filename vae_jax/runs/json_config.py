"""A config as JSON: nested, each dataclass tagged with the name of its class, read back by the type hints alone.

A file may be a stranger's. A tag is looked up among the members of the field's type, so that a file can choose
among the classes that the program has named and no others; nothing is imported, unpickled or called by name.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin

from vae_jax.errors import InputError
from vae_jax.runs.fields import field_hints, is_of_this_start, parts_of, plain

TAG = "type"


def to_json(value: Any) -> Any:
    """The JSON of a config or of a value in one, without the fields that are `OfThisStart`.

    Raises InputError for what JSON has no form for: anything but numbers, strings, None, tuples and dataclasses;
    and for a field with two parts of one name.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = field_hints(type(value))
        for hint in hints.values():
            # What could not be read back is not begun.
            for inner in (hint, *get_args(plain(hint))):
                parts_of(inner)
        kept = {name: getattr(value, name) for name, hint in hints.items() if not is_of_this_start(hint)}
        return {TAG: type(value).__name__} | {name: to_json(v) for name, v in kept.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(
        f"config value {value!r} of type {type(value).__name__}: expected numbers, strings, None, tuples and "
        "frozen dataclasses of these, which a run folder can keep"
    )


def from_json(hint: Any, value: Any, at: str = "") -> Any:
    """The value of type `hint` that `to_json` wrote; `at` says where it stands. A missing key is its default.

    Raises InputError, in one line that names the place, for a value of another type, a choice that there is not,
    an unknown or missing key, a missing tag, and what the class itself refuses.
    """
    hint = plain(hint)
    origin, members = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, value, at)
    if origin in (Union, types.UnionType):
        return _member(members, value, at)
    if origin is Literal:
        if any(value == m and type(value) is type(m) for m in members):
            return value
    elif origin is tuple and isinstance(value, list):
        return _tuple(members, value, at)
    elif hint is float:
        if type(value) in (int, float) and abs(value) < 1e300:  # NaN and infinity are not
            return float(value)
    elif hint is dict or origin is dict:
        if isinstance(value, dict):
            return value
    elif hint in (int, str, bool, type(None), None) and type(value) is (hint or type(None)):
        return value
    raise _wrong(at, value, _described(hint))


def _dataclass(cls: Any, value: Any, at: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(at, value, f"the fields of {cls.__name__}")
    if value.get(TAG, cls.__name__) != cls.__name__:
        raise _wrong(_inside(at, TAG), value[TAG], f"{cls.__name__}")
    hints, fields = field_hints(cls), {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(value.keys() - hints.keys() - {TAG})
    if unknown:
        raise InputError(
            f"{_place(at)}unknown key {_shown(unknown[0])}: {cls.__name__} has {', '.join(sorted(hints)) or 'none'}"
        )
    found = {name: from_json(hint, value[name], _inside(at, name)) for name, hint in hints.items() if name in value}
    for name, field in fields.items():
        if name not in found and field.default is field.default_factory is dataclasses.MISSING:
            raise InputError(f"{_place(at)}no key {name!r}: expected it, for {cls.__name__} has no default for it")
    try:
        return cls(**found)
    except (InputError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{_place(at)}{' '.join(str(error).split())}") from error


def _member(members: Sequence[Any], value: Any, at: str) -> Any:
    classes = parts_of(Union[tuple(members)])  # noqa: UP007
    if isinstance(value, dict) and classes:
        if TAG not in value:
            raise InputError(f"{_place(at)}no key {TAG!r}: expected one of {', '.join(classes)} under it")
        tag = value[TAG]
        if not isinstance(tag, str) or tag not in classes:
            raise _wrong(_inside(at, TAG), tag, f"one of {', '.join(classes)}")
        return from_json(classes[tag], value, at)
    for member in members:
        if not dataclasses.is_dataclass(plain(member)):
            try:
                return from_json(member, value, at)
            except InputError:
                continue
    raise _wrong(at, value, " or ".join(_described(plain(m)) for m in members))


def _tuple(members: Sequence[Any], value: list[Any], at: str) -> tuple[Any, ...]:
    if len(members) == 2 and members[1] is Ellipsis:
        members = [members[0]] * len(value)
    if len(members) != len(value):
        raise _wrong(at, value, f"{len(members)} values")
    return tuple(from_json(m, v, f"{at}[{i}]") for i, (m, v) in enumerate(zip(members, value, strict=True)))


def _described(hint: Any) -> str:
    names: dict[Any, str] = {
        int: "a whole number",
        float: "a number",
        str: "a string",
        bool: "true or false",
        type(None): "null",
    }
    origin, members = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(repr(m) for m in members)
    if origin is tuple:
        return f"a list of {_described(plain(members[0]))}"
    return names.get(hint) or str(getattr(hint, "__name__", hint))


def _wrong(at: str, value: Any, expected: str) -> InputError:
    return InputError(f"{_place(at)}{_shown(value)}: expected {expected}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."


def _inside(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _place(at: str) -> str:
    return f"{at}: " if at else ""

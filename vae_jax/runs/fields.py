"""What a field of a config says about itself: whether it may differ when a run goes on, and whether it is kept."""

from __future__ import annotations

import dataclasses
import types
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from vae_jax.errors import InputError

T = TypeVar("T")

_MAY_CHANGE = "vae_jax: may change"
_OF_THIS_START = "vae_jax: of this start"

MayChange = Annotated[T, _MAY_CHANGE]
"""A field that is kept with the run and may be given another value when it goes on: `epochs: MayChange[int]`."""

OfThisStart = Annotated[T, _OF_THIS_START]
"""A field that says how or where this process works; it is not kept, so a run folder of a stranger has no say."""


def field_hints(config_type: type) -> dict[str, Any]:
    """The type of each field by its name, with what `Annotated` adds."""
    hints = get_type_hints(config_type, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(config_type)}


def may_change(hint: Any) -> bool:
    """Whether a field of this type may differ between a run and its continuation."""
    return _MAY_CHANGE in _extras(hint) or is_of_this_start(hint)


def is_of_this_start(hint: Any) -> bool:
    """Whether a field of this type is left out of the run folder."""
    return _OF_THIS_START in _extras(hint)


def plain(hint: Any) -> Any:
    """The type without what `Annotated` adds."""
    return plain(get_args(hint)[0]) if get_origin(hint) is Annotated else hint


def parts_of(hint: Any) -> dict[str, Any]:
    """The dataclasses of a union by their names; none where there is no choice.

    Raises InputError for two of one name, which a file or a command line could not tell apart.
    """
    if get_origin(plain(hint)) not in (Union, types.UnionType):
        return {}
    parts: dict[str, Any] = {}
    for part in map(plain, get_args(plain(hint))):
        if not (isinstance(part, type) and dataclasses.is_dataclass(part)):
            continue
        if part.__name__ in parts:
            modules = f"{parts[part.__name__].__module__} and {part.__module__}"
            raise InputError(
                f"two parts named {part.__name__}, of {modules}: expected different names in one field, for a run "
                "folder tells them apart by these; rename one"
            )
        parts[part.__name__] = part
    return parts


def _extras(hint: Any) -> tuple[Any, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()

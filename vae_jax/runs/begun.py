"""What a run folder holds from its start: the config, and in data.json what the model must know of the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from vae_jax.errors import InputError
from vae_jax.files import check_contents
from vae_jax.runs.fields import field_hints, may_change
from vae_jax.runs.folder import check_length, read_config, read_json, write_json
from vae_jax.runs.json_config import TAG, to_json


def check_begun(folder: Any, *, resume: bool) -> None:
    """Raises InputError for a run that exists where none should go on, and for one without its config.

    Also for a folder that leads out of itself, and for a path in which its files could not be named.
    """
    check_length(folder)
    check_contents(folder)
    begun = (folder / "config.json").exists()
    if not begun and (folder / "checkpoints").exists():
        raise InputError(f"{folder} has checkpoints but no config.json: expected both; choose another by --out")
    if begun and not resume:
        raise InputError(
            f"{folder} holds a run already: expected a new folder; go on with it by --resume, choose another by "
            "--out, or delete it"
        )


def write_begun(folder: Any, config: Any, facts: Mapping[str, Any], sha256: str) -> None:
    """Writes config.json and data.json; config.json is the last, for a folder without it is no run."""
    try:
        write_json(folder / "data.json", {"facts": dict(facts), "sha256": sha256})
        write_json(folder / "config.json", to_json(config))
    except InputError as error:
        raise InputError(f"run folder {folder}: {error}; choose another by --out") from error


def read_data_json(folder: Any) -> dict[str, Any]:
    """`facts` and `sha256` of a run; of one that was begun before there were any, the hash it kept elsewhere.

    Raises InputError for a file that holds something else.
    """
    path = folder / "data.json"
    if not path.exists():
        if not (folder / "config.json").exists():
            return {}
        before = read_config(folder).get("data_sha256")
        return {"sha256": before} if isinstance(before, str) else {}
    content = read_json(path)
    facts, sha256 = (content.get(name) for name in ("facts", "sha256")) if isinstance(content, dict) else (0, 0)
    if not (isinstance(facts, dict) and isinstance(sha256, str)):
        raise InputError(f"{path}: expected an object `facts` and a string `sha256`; delete the folder")
    return {"facts": facts, "sha256": sha256}


def identity(config: Any) -> dict[str, Any]:
    """The JSON of a config without what may change when it goes on: what tells a run from others."""
    content: dict[str, Any] = to_json(config)
    for name, hint in field_hints(type(config)).items():
        value = getattr(config, name)
        if may_change(hint):
            content.pop(name, None)
        elif dataclasses.is_dataclass(value):
            content[name] = {TAG: content[name][TAG]} | identity(value)
    return content

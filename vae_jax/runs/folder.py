"""The folder of a run: its config, and the rows of its log, each there whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, get_type_hints

from vae_jax.errors import InputError, printable
from vae_jax.files import append_text, check_contents, read_bytes, write_text_atomically

# May differ between a run and its continuation.
NOT_OF_THE_RUN = ("resume", "out", "distributed", "model_devices")
MAY_CHANGE = ("data_dir", "manual_dir", "on_nan")
# A checkpoint below a run folder, while it is written, has a path of about 150 bytes more.
_INSIDE = 300


def prepare_folder(folder: Any, wanted: dict[str, Any], *, resume: bool) -> None:
    """Makes the run folder with its config.json, or checks that a run in it may go on.

    Raises InputError for a run that exists without `resume`, for one that another config began, and for a folder
    that leads out of itself (`check_contents`).
    """
    path = folder / "config.json"
    check_length(folder)
    check_contents(folder)
    if not path.exists():
        if (folder / "checkpoints").exists():
            raise InputError(f"{folder} has checkpoints but no config.json: expected both; choose another by --out")
        try:
            write_json(path, wanted)
        except InputError as error:
            raise InputError(f"run folder {folder}: {error}; choose another by --out") from error
        return
    if not resume:
        raise InputError(
            f"{folder} holds a run already: expected a new folder; go on with it by --resume, choose another by "
            "--out, or delete it"
        )
    began = read_config(folder)
    for name in sorted((wanted.keys() | began.keys()) - set(MAY_CHANGE)):
        if began.get(name) != wanted.get(name):
            raise InputError(
                f"{folder} was begun with {name} = {began.get(name)}, not {wanted.get(name)}: expected the same "
                "config to resume; choose another folder by --out for another run"
            )


def check_length(folder: Any) -> None:
    """Raises InputError for a path in which this machine could not name the files of a run."""
    if not isinstance(folder, Path):
        return
    whole = os.fsencode(folder.absolute())
    most, longest = os.pathconf("/", "PC_PATH_MAX") - _INSIDE, max(map(len, whole.split(b"/")))
    if len(whole) > most or longest > os.pathconf("/", "PC_NAME_MAX"):
        raise InputError(
            f"run folder {str(folder)[:40]}... of {len(whole)} bytes, with a name of {longest}: expected at most "
            f"{most}, and {os.pathconf('/', 'PC_NAME_MAX')} a name; choose another by --out"
        )


def read_config(folder: Any) -> dict[str, Any]:
    """The content of a run's config.json.

    Raises InputError where there is none, and for a folder that leads out of itself (`check_contents`).
    """
    check_length(folder)
    try:
        content = read_json(folder / "config.json")
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: expected the folder of a run, with its config.json; train one first"
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"{folder}/config.json: expected a JSON object, not {type(content).__name__}; delete the folder"
        )
    check_contents(folder)
    return content


def read_json(path: Any) -> Any:
    """The content of a JSON file. Raises FileNotFoundError where there is none, InputError for anything else."""
    try:
        return json.loads(read_bytes(path).decode())
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON ({error}); put back the original, or delete the folder") from error


def write_json(path: Any, content: Any) -> None:
    """Writes a JSON file that is there whole or not at all."""
    write_text_atomically(path, json.dumps(content, indent=2) + "\n")


def read_rows(folder: Any) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl: objects of numbers, or lists of them, with a `step`.

    Lines that are none, cut short by a kill or damaged, are left out.
    """
    return _rows(folder)[0]


def append_row(folder: Any, row: dict[str, Any]) -> None:
    """Appends a row to metrics.jsonl."""
    path, line = folder / "metrics.jsonl", json.dumps(row) + "\n"
    if isinstance(path, Path):
        append_text(path, line)
    else:
        # What is in a bucket cannot be appended to; it is replaced, whole or not at all.
        path.write_text((path.read_text() if path.exists() else "") + line)


def keep_rows(folder: Any, step: int) -> None:
    """Drops the rows that a killed run wrote after its last checkpoint: they will be written again.

    Lines that are no rows are dropped too, and a line says so.
    """
    rows, num_others = _rows(folder)
    if num_others:
        path = printable(folder / "metrics.jsonl")
        print(f"{path}: lines that are no rows (cut short or damaged) were dropped: {num_others}", flush=True)
    lines = [json.dumps(row) + "\n" for row in rows if row["step"] <= step]
    write_text_atomically(folder / "metrics.jsonl", "".join(lines))


def _rows(folder: Any) -> tuple[list[dict[str, Any]], int]:
    """The rows of metrics.jsonl, and the number of its other lines."""
    try:
        lines = read_bytes(folder / "metrics.jsonl").splitlines()
    except FileNotFoundError:
        return [], 0
    rows = []
    for line in lines:
        try:
            row = json.loads(line.decode())
        except (ValueError, RecursionError):  # that of bytes that are no UTF-8 is a ValueError
            continue
        if isinstance(row, dict) and type(row.get("step")) is int and all(map(_is_numeric, row.values())):
            rows.append(row)
    return rows, len(lines) - len(rows)


def _is_numeric(value: Any) -> bool:
    if isinstance(value, list):
        return all(not isinstance(v, list) and _is_numeric(v) for v in value)
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**63)


def to_json(config: Any) -> dict[str, Any]:
    """The config flattened to one level, without what may differ between a run and its continuation."""
    flat: dict[str, Any] = {}
    for name, value in json.loads(json.dumps(dataclasses.asdict(config))).items():
        flat |= value if isinstance(value, dict) else {name: value}
    return {name: value for name, value in flat.items() if name not in NOT_OF_THE_RUN}


def from_json(config_type: type, content: dict[str, Any]) -> Any:
    """The inverse of `to_json`, with default values for what it left out."""
    values = {}
    for field, hint in ((f, get_type_hints(config_type)[f.name]) for f in dataclasses.fields(config_type)):
        if dataclasses.is_dataclass(hint):
            values[field.name] = from_json(hint, content)  # type: ignore[arg-type]
        elif field.name in content:
            value = content[field.name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return config_type(**values)

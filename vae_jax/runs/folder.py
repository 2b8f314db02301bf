"""The folder of a run: its config, and the rows of its log, each there whole or not at all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, get_type_hints

from vae_jax import InputError

# May differ between a run and its continuation.
NOT_OF_THE_RUN = ("resume", "out", "distributed", "model_devices")


def prepare_folder(folder: Path, wanted: dict[str, Any], *, resume: bool) -> None:
    """Makes the run folder with its config.json, or checks that a run in it may go on.

    Raises InputError for a run that exists without `resume`, and for one that another config began.
    """
    path = folder / "config.json"
    if not path.exists():
        if (folder / "checkpoints").exists():
            raise InputError(f"{folder} has checkpoints but no config.json: expected both; choose another by --out")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(path, wanted)
        except OSError as error:
            raise InputError(
                f"run folder {folder}: {error}; expected a place that can be written; choose another by --out"
            ) from error
        return
    if not resume:
        raise InputError(
            f"{folder} holds a run already: expected a new folder; go on with it by --resume, choose another by "
            "--out, or delete it"
        )
    began = read_config(folder)
    for name in sorted((wanted.keys() | began.keys()) - {"data_dir", "manual_dir", "on_nan"}):
        if began.get(name) != wanted.get(name):
            raise InputError(
                f"{folder} was begun with {name} = {began.get(name)}, not {wanted.get(name)}: expected the same "
                "config to resume; choose another folder by --out for another run"
            )


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a run's config.json; raises InputError where there is none."""
    try:
        content = json.loads((folder / "config.json").read_text())
        if not isinstance(content, dict):
            raise ValueError(f"not an object but {type(content).__name__}")
        return content
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: expected the folder of a run, with its config.json; train one first"
        ) from error
    except ValueError as error:
        raise InputError(f"{folder}/config.json: expected JSON ({error}); delete the folder") from error


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file that is there whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl; a line cut short by a kill is left out."""
    rows = []
    for line in (folder / "metrics.jsonl").read_text().splitlines() if (folder / "metrics.jsonl").exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def append_row(folder: Path, row: dict[str, Any]) -> None:
    """Appends a row to metrics.jsonl."""
    path, line = folder / "metrics.jsonl", json.dumps(row) + "\n"
    if isinstance(path, Path):
        with path.open("a") as file:
            file.write(line)
    else:
        # What is in a bucket cannot be appended to; it is replaced, whole or not at all.
        path.write_text((path.read_text() if path.exists() else "") + line)


def keep_rows(folder: Path, step: int) -> None:
    """Drops the rows that a killed run wrote after its last checkpoint: they will be written again."""
    rows = [row for row in read_rows(folder) if row["step"] <= step]
    partial = folder / "metrics.partial"
    partial.write_text("".join(json.dumps(row) + "\n" for row in rows))
    partial.replace(folder / "metrics.jsonl")


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

"""The folder of a run: its config, and the rows of its log, each there whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from vae_jax.errors import InputError, printable
from vae_jax.files import append_text, check_contents, read_bytes, write_text_atomically

# A checkpoint below a run folder, while it is written, has a path of about 150 bytes more.
_INSIDE = 300


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


def read_rows(folder: Any, num_runs: int | None = None) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl: objects of numbers with a `step`.

    Of `num_runs` runs that are trained at once the others are lists, with a number for each run. Lines that are
    none, cut short by a kill or damaged, are left out.
    """
    return _rows(folder, num_runs)[0]


def append_row(folder: Any, row: dict[str, Any]) -> None:
    """Appends a row to metrics.jsonl."""
    path, line = folder / "metrics.jsonl", json.dumps(row) + "\n"
    if isinstance(path, Path):
        append_text(path, line)
    else:
        # What is in a bucket cannot be appended to; it is replaced, whole or not at all.
        path.write_text((path.read_text() if path.exists() else "") + line)


def keep_rows(folder: Any, step: int, num_runs: int | None = None) -> None:
    """Drops the rows that a killed run wrote after its last checkpoint: they will be written again.

    num_runs: as of `read_rows`. Lines that are no rows are dropped too, and a line says so.
    """
    rows, num_others = _rows(folder, num_runs)
    if num_others:
        path = printable(folder / "metrics.jsonl")
        print(f"{path}: lines that are no rows (cut short or damaged) were dropped: {num_others}", flush=True)
    lines = [json.dumps(row) + "\n" for row in rows if row["step"] <= step]
    write_text_atomically(folder / "metrics.jsonl", "".join(lines))


def _rows(folder: Any, num_runs: int | None) -> tuple[list[dict[str, Any]], int]:
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
        if _is_row(row, num_runs):
            rows.append(row)
    return rows, len(lines) - len(rows)


def _is_row(row: Any, num_runs: int | None) -> bool:
    if not isinstance(row, dict) or type(row.get("step")) is not int or not _is_number(row["step"]):
        return False
    values = [value for name, value in row.items() if name != "step"]
    if num_runs is None:
        return all(map(_is_number, values))
    return all(isinstance(v, list) and len(v) == num_runs and all(map(_is_number, v)) for v in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**63)

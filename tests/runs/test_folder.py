"""The folder of a run: what it holds may be cut, damaged, or a stranger's."""

import json
import os

import pytest

from vae_jax import InputError
from vae_jax.cli.train import TrainConfig
from vae_jax.runs.begun import check_begun
from vae_jax.runs.config import stored_config
from vae_jax.runs.folder import append_row, keep_rows, read_config, read_rows, write_json

ROWS = [{"step": 10, "loss": 1.5}, {"step": 20, "loss": 1.0, "skipped": 0}]
NO_ROWS = [
    b'{"step": 30, "lo',
    b'{"step": 30, "loss": "\xff"}',
    b"[30]",
    b'{"loss": 1.0}',
    b'{"step": "30"}',
    b'{"step": true}',
    b'{"step": 30, "loss": "low"}',
    b'{"step": 30, "loss": {"a": 1}}',
    b'{"step": 30, "loss": [1.0, 2.0]}',
    b'{"step": 30, "skipped": [0]}',
    b'{"step": 1' + b"0" * 400 + b"}",
    b"[" * 200_000,
    b"\x00" * 100,
]


def test_lines_that_are_no_rows_are_dropped_and_said(tmp_path, capsys):
    """Fails if one line of another kind blocks a run for ever, stays, or takes a row with it in silence."""
    lines = [*NO_ROWS[:6], json.dumps(ROWS[0]).encode(), *NO_ROWS[6:], json.dumps(ROWS[1]).encode(), b'{"step": 4']
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join(lines))
    assert read_rows(tmp_path) == ROWS
    assert capsys.readouterr().out == ""
    keep_rows(tmp_path, 20)
    out = capsys.readouterr().out
    assert out.endswith(
        f"metrics.jsonl: lines that are no rows (cut short or damaged) were dropped: {len(lines) - 2}\n"
    )
    keep_rows(tmp_path, 20)
    append_row(tmp_path, {"step": 30})
    assert capsys.readouterr().out == ""
    assert read_rows(tmp_path) == [*ROWS, {"step": 30}]
    keep_rows(tmp_path, 10)
    assert read_rows(tmp_path) == ROWS[:1]


def test_the_rows_of_many_runs(tmp_path):
    """Fails if a row that has no number for each run is read as one, or one that has is not."""
    rows = [{"step": 10, "loss": [1.5, 2.5], "skipped": [0, 1]}, {"step": 20, "loss": [1.0, 2.0]}]
    for row in (
        *rows,
        {"step": 15, "loss": 1.0},
        {"step": 16, "loss": [1.0]},
        {"step": 17, "loss": [[1.0], [1.0]]},
    ):
        append_row(tmp_path, row)
    assert read_rows(tmp_path, 2) == rows
    keep_rows(tmp_path, 20, 2)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 200_000, "expected JSON"),
        (b'{"a": ' * 200_000, "expected JSON"),
        (b"[1]", "expected a JSON object, not list"),
        (b"null", "not NoneType"),
        (b"", "expected JSON"),
        (b'{"a": "\xff"}', "expected JSON"),
        ("pipe", "no regular file"),
        ("folder", "no regular file"),
        (None, "with its config.json; train one first"),
    ],
    ids=["brackets", "braces", "list", "null", "empty", "no UTF-8", "pipe", "folder", "missing"],
)
def test_a_config_that_is_none(tmp_path, content, message):
    """Fails if it is waited for, or ends in a traceback, where it is read and where a run would go on."""
    path = tmp_path / "config.json"
    if content == "pipe":
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_config(tmp_path)
    if content is not None:
        with pytest.raises(InputError, match=message):
            stored_config(tmp_path, TrainConfig)


@pytest.mark.parametrize("name", ["figures", "checkpoints", "likelihood", "VAE/checkpoints"])
@pytest.mark.parametrize("begun", [True, False])
def test_a_run_folder_that_leads_out_of_itself(tmp_path, name, begun):
    """Fails if figures, checkpoints or tables could be written outside, in a new run or one that is read."""
    run, outside = tmp_path / "run", tmp_path / "outside"
    outside.mkdir()
    (run / name).parent.mkdir(parents=True)
    (run / name).symlink_to(outside)
    if begun:
        write_json(run / "config.json", {"seed": 0})
        with pytest.raises(InputError, match=f"{name} is a link out of"):
            read_config(run)
    with pytest.raises(InputError, match=f"{name} is a link out of"):
        check_begun(run, resume=begun)
    assert os.listdir(outside) == []


@pytest.mark.parametrize("path", ["/".join(["x" * 200] * 20), "x" * 4000, "x" * 256])
def test_a_path_in_which_no_file_can_be_named(tmp_path, path):
    """Fails if training begins in it, if a folder is left, or if the line that says so is as long as the path."""
    for act in (lambda folder: check_begun(folder, resume=False), read_config):
        with pytest.raises(InputError, match="expected at most") as error:
            act(tmp_path / path)
        assert len(str(error.value)) < 300
    assert not list(tmp_path.iterdir())

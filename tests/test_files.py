"""Files and folders that may be a stranger's: written whole or not at all, nothing followed, nothing waited for."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from vae_jax import InputError, plots
from vae_jax.errors import printable
from vae_jax.files import append_text, check_contents, read_bytes, write_bytes_atomically, write_text_atomically
from vae_jax.hashes import tree_hash
from vae_jax.paths import as_path


@pytest.mark.parametrize("what", ["link", "dangling", "file", "nothing", "pipe"])
def test_a_write_replaces_what_is_there(tmp_path, what):
    """Fails if a link is followed, if another file is touched, or if something is left beside the file."""
    outside, path = tmp_path / "outside", tmp_path / "run" / "a.json"
    path.parent.mkdir()
    if what == "link":
        outside.write_text("mine")
    if what in ("link", "dangling"):
        path.symlink_to(outside)
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "file":
        path.write_text("before")
    write_text_atomically(path, "after")
    assert (path.read_text(), path.is_symlink(), os.listdir(path.parent)) == ("after", False, ["a.json"])
    assert outside.exists() == (what == "link")
    assert what != "link" or outside.read_text() == "mine"


def test_a_file_has_the_mode_of_any_other(tmp_path):
    """Fails if what is written cannot be read by whom the user lets read their files."""
    write_bytes_atomically(tmp_path / "made" / "a", b"1")
    (tmp_path / "b").write_bytes(b"1")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "made" / "a", tmp_path / "b")]
    assert modes[0] == modes[1]


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    """Fails if a full disk, or Ctrl-C, loses the file before it or leaves half of the new one."""
    path = tmp_path / "a"
    path.write_text("before")

    def full(self, target):
        raise OSError(28, "No space left on device")

    def interrupted(self, target):
        raise KeyboardInterrupt

    for act, error in ((full, InputError), (interrupted, KeyboardInterrupt)):
        monkeypatch.setattr(Path, "replace", act)
        with pytest.raises(error, match="could not be written" if error is InputError else None):
            write_bytes_atomically(path, b"after")
        assert (path.read_text(), os.listdir(tmp_path)) == ("before", ["a"])


def test_what_cannot_be_written_is_named(tmp_path):
    """Fails if a folder in the place of a file, or a file in the place of a folder, is a traceback."""
    (tmp_path / "folder" / "a").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "folder", tmp_path / "file" / "a"):
        with pytest.raises(InputError, match=rf"{path} could not be written"):
            write_bytes_atomically(path, b"1")


def test_appending_does_not_follow(tmp_path):
    """Fails if a line goes to the target of a link, or waits for a reader of a pipe."""
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(InputError, match="could not be written"):
            append_text(tmp_path / name, "a line\n")
    assert (tmp_path / "outside").read_text() == "mine"
    for _ in range(2):
        append_text(tmp_path / "a", "a line\n")
    assert (tmp_path / "a").read_text() == "a line\na line\n"


def test_reading_asks_whether_it_is_a_file(tmp_path):
    """Fails if a pipe is waited for, a device read for ever, or a folder is a traceback."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "zeros", "folder"):
        with pytest.raises(InputError, match=f"{name} is no regular file"):
            read_bytes(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "missing")
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "link").symlink_to("a")
    assert read_bytes(tmp_path / "link") == b"1"


@pytest.mark.parametrize("reached", ["run", "linked"])
def test_a_folder_that_leads_out_of_itself(tmp_path, reached):
    """Fails if a link to a folder outside, or a pipe, is overlooked at any depth, or one that stays inside not."""
    (tmp_path / "run" / "a" / "b").mkdir(parents=True)
    (tmp_path / "linked").symlink_to("run")
    (tmp_path / "file").write_text("")
    run = tmp_path / reached
    (run / "a" / "inside").symlink_to(run / "a" / "b")
    (run / "a" / "file").symlink_to(tmp_path / "file")
    (run / "a" / "b" / "round").symlink_to(run)
    check_contents(run)
    check_contents(tmp_path / "missing")
    links = {"figures": tmp_path, "a/b/nowhere": tmp_path / "nowhere", "a/loop": "loop", "a/b/pipe": None}
    for name, target in links.items():
        (run / name).symlink_to(target) if target else os.mkfifo(run / name)
        with pytest.raises(InputError, match=rf"{name} is (a link out of|no regular file)"):
            check_contents(run)
        (run / name).unlink()


def test_a_figure_is_not_written_through_a_link(tmp_path):
    """Fails if a picture goes to the target of a link, or of the name that was used for its half."""
    for name in ("samples.png", "samples.partial"):
        (tmp_path / name).symlink_to(tmp_path / "outside")
    plots.save(plots.image_grid(np.zeros((1, 1, 4, 4)), title="none"), tmp_path / "samples.png")
    assert not (tmp_path / "outside").exists()
    assert (tmp_path / "samples.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "empty path"),
        ("a\0b", r"a\\x00b"),
        ("a\udcffb", r"a\\udcffb: expected UTF-8"),
        ("~nobody-here/x", "no home"),
    ],
)
def test_paths_that_name_nothing(path, message):
    """Fails if such a path becomes the working folder, a folder named ~, or an error of a library below."""
    with pytest.raises(InputError, match=message):
        as_path(path)


def test_home_is_expanded(monkeypatch, tmp_path):
    """Fails if ~ becomes a folder of that name beside the program."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert as_path("~/runs/x") == tmp_path / "runs" / "x"
    assert as_path("a/~") == Path("a/~")


def test_names_that_a_terminal_would_obey():
    """Fails if an escape sequence, a line break or an undecoded byte of a name is printed as it is."""
    assert printable("a\x1b[2J\r\nb\x9b\udcff\u202e") == r"a\x1b[2J\r\nb\x9b\udcff\u202e"
    assert printable(Path("Ä/模型 x")) == "Ä/模型 x"


def test_a_hash_is_of_names_types_shapes_and_values():
    """Fails if trees that differ count as the same, or if the kind of the container counts."""
    a = {"w": np.arange(4, dtype=np.float32), "b": np.float32(0)}
    others = [
        a | {"w": a["w"].reshape(2, 2)},
        a | {"w": a["w"].view(np.int32)},
        a | {"w": np.array([0, 1, 2, np.nextafter(np.float32(3), 4)], np.float32)},
        {"v": a["w"], "b": a["b"]},
        {"w": a["w"]},
    ]
    assert len({tree_hash(tree) for tree in (a, *others)}) == 6
    assert tree_hash(a) == tree_hash({"b": np.zeros((), np.float32), "w": np.arange(4.0)[::1].astype(np.float32)})
    assert tree_hash([a["w"]]) == tree_hash((a["w"],))

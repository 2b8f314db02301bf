"""Starting: compiled programs are kept for the next start, where the user's settings say."""

import os
import subprocess
import sys

import jax
import pytest

from tests.runs.commands import ROOT
from vae_jax.runs import starting
from vae_jax.runs.starting import Start, prepare

PROGRAM = """
from vae_jax.runs.starting import Start, prepare
import jax
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))
prepare(Start())
print(jax.jit(lambda x: x + 1)(1.0), sum(name.endswith("cache_hits") for name in hits))
"""


# What a user id without an entry gets where it asks for its home.
NOBODY = """
import pwd
def gone(uid): raise KeyError(uid)
pwd.getpwuid = gone
"""


def started(program=PROGRAM, **environment):
    """What a process that compiles one small program prints: its result, and the programs it did not compile."""
    own = {k: v for k, v in os.environ.items() if k not in ("JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME")}
    given = own | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"} | environment
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={name: value for name, value in given.items() if value is not None},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_second_start_compiles_nothing(tmp_path):
    """Fails if small programs are compiled again, or kept elsewhere than in the user's cache folder."""
    assert started(XDG_CACHE_HOME=str(tmp_path)) == ["2.0", "0"]
    kept = sorted(tmp_path.glob("vae_jax/*/*-cache"))
    assert kept
    assert started(XDG_CACHE_HOME=str(tmp_path)) == ["2.0", str(len(kept))]
    assert sorted(tmp_path.glob("vae_jax/*/*-cache")) == kept


def test_cache_folder_that_cannot_be_written_is_no_error(tmp_path):
    """Fails if a place without room for a cache stops the run, or makes it print a warning for each program."""
    (tmp_path / "file").write_text("")
    assert started(XDG_CACHE_HOME=str(tmp_path / "file")) == ["2.0", "0"]


def test_no_home(tmp_path):
    """Fails if a user without a home, as in a container, cannot start, or gets a page of warnings of matplotlib."""
    (tmp_path / "sitecustomize.py").write_text(NOBODY)
    program = f"{PROGRAM}import vae_jax, matplotlib.figure\n"
    assert started(program, HOME=None, PYTHONPATH=f"{tmp_path}:{ROOT}") == ["2.0", "0"]


def test_seconds_since_start(monkeypatch):
    """Fails if a program's name with spaces moves the fields, or if a system without /proc gives an error."""
    fields = ["S", *map(str, range(4, 22)), str(700 * os.sysconf("SC_CLK_TCK")), "0"]
    monkeypatch.setattr(starting.Path, "read_text", lambda path: f"17 (a) b) {' '.join(fields)}")
    monkeypatch.setattr("time.clock_gettime", lambda clock: 1000.0)
    assert starting.seconds_since_start() == 300
    monkeypatch.setattr(starting.Path, "read_text", lambda path: "")
    monkeypatch.setattr("time.monotonic", lambda: starting._IMPORTED + 5)
    assert starting.seconds_since_start() == 5


@pytest.fixture
def updates(monkeypatch):
    settings = {}
    monkeypatch.setattr(type(jax.config), "update", lambda self, name, value: settings.update({name: value}))
    return settings


def test_users_own_cache_folder_stays(updates, monkeypatch, tmp_path):
    """Fails if the folder that JAX's own variable names is overridden."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    prepare(Start())
    assert "jax_compilation_cache_dir" not in updates
    assert updates["jax_persistent_cache_min_compile_time_secs"] == 0
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("installed", "devices", "asked", "expected"),
    [
        ({"libtpu"}, [], None, "cpu"),
        ({"libtpu"}, ["accel0"], None, None),
        ({"libtpu"}, ["vfio"], None, None),
        ({"libtpu", "jax_plugins"}, [], None, None),
        (set(), [], None, None),
        ({"libtpu"}, [], "tpu", None),
    ],
    ids=["no TPU", "TPU", "newer TPU", "plugin", "no libtpu", "asked"],
)
def test_libtpu_without_a_tpu(updates, monkeypatch, tmp_path, installed, devices, asked, expected):
    """Fails if libtpu is asked where it finds nothing, or if a TPU, a GPU or the user's choice is passed over."""
    for name in devices:
        (tmp_path / name).write_text("")
    monkeypatch.setattr(starting, "DEVICES", tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in installed else None)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])
    monkeypatch.setattr(type(jax.config), "jax_platforms", asked, raising=False)
    prepare(Start(cache=False))
    assert updates.get("jax_platforms") == expected


def test_no_cache(updates, monkeypatch, tmp_path):
    """Fails if `--no-cache` still writes, or leaves a cache on that a variable has named."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    prepare(Start(cache=False))
    assert updates == {"jax_enable_compilation_cache": False}
    assert not list(tmp_path.iterdir())

"""Notebooks and their scripts are the same, and every cell of them runs."""

import contextlib
import importlib.util
import io
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jupytext
import pytest
from matplotlib.figure import Figure

from vae_jax import plots

FOLDER = Path(__file__).parents[1] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
FIGURES = {
    "custom": {"samples", "latents"},
    "disentanglement": {"violins", "information", "traversals"},
    "likelihood": {"images", "bounds"},
    "quickstart": {"training", "reconstructions", "samples", "traversals"},
}


def cells(path):
    return [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]


def first_code(path):
    return next(source for kind, source in cells(path) if kind == "code")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebook_and_script_are_the_same(script):
    """Fails if one of a pair was changed alone, or if outputs were saved; `make notebooks` writes them anew."""
    notebook = script.with_suffix(".ipynb")
    assert cells(notebook) == cells(script)
    code = [cell for cell in jupytext.read(notebook).cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_every_notebook_is_described():
    """Fails if a notebook has no script, no figures to be checked, or no line in the README of the folder."""
    names = {path.stem for path in SCRIPTS}
    assert names == {path.stem for path in FOLDER.glob("*.ipynb")} == FIGURES.keys()
    assert names == set(re.findall(r"\(([\w.]+)\.ipynb\)", (FOLDER / "README.md").read_text()))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
@pytest.mark.parametrize(("there", "gpu"), [(True, True), (False, True), (False, False)])
def test_first_cell_installs_what_is_missing(script, there, gpu, monkeypatch):
    """Fails if the package is installed where it is there already, or jax without the plugin of the GPU."""
    calls = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if there else None)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi" if gpu else None)
    monkeypatch.setattr(subprocess, "run", lambda command, check: calls.append(command))
    monkeypatch.setattr(Path, "exists", lambda path: False)
    monkeypatch.setattr(Path, "glob", lambda path, pattern: iter(()))
    names: dict = {}
    exec(first_code(script), names)
    expected = [[names["PACKAGE"], "jax[cuda12]" if gpu else "jax"]]
    assert [command[-2:] for command in calls] == ([] if there else expected)


def test_first_cells_are_alike():
    """Fails if a change to the installation was made in one notebook and not in the others."""
    texts = {re.sub(r"OUT = .*", "", first_code(script)) for script in SCRIPTS}
    assert len(texts) == 1


def printed(name):
    """What a notebook prints that is run as a script, in this process."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FIGURES))
def test_every_cell_runs(name, tmp_path, monkeypatch):
    """Fails if a cell raises, or if a figure is not drawn."""
    monkeypatch.setenv("VAE_JAX_FAST", "1")
    monkeypatch.setenv("VAE_JAX_OUT", str(tmp_path / "out"))
    printed(name)
    assert {path.stem for path in (tmp_path / "out").rglob("*.png")} == FIGURES[name]
    if name == "quickstart":
        assert "goes on from step 4" in printed(name)


def test_figures_are_shown_in_notebooks_only(tmp_path, monkeypatch):
    """Fails if a script needs IPython, or if a notebook shows nothing or something else than the file."""
    path, shown = tmp_path / "a.png", []
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    plots.show(Figure(), path)
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    fake = SimpleNamespace(Image=lambda content: content, display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=fake))
    plots.show(Figure(), path)
    assert shown == [path.read_bytes()]

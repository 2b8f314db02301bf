"""The rules of the house: what is documented, how long things are, and which way imports go."""

from __future__ import annotations

import ast
import graphlib
import importlib
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FILES = {path: path.read_text() for path in sorted((ROOT / "vae_jax").rglob("*.py"))}
TREES = {path: ast.parse(text) for path, text in FILES.items()}
FACES = [".".join(path.parent.relative_to(ROOT).parts) for path in FILES if path.name == "__init__.py"]
NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, also inside functions and for type checkers.

    Not inside the functions of `loading`, the door of the top face to what stands above it, opened when it is used.
    """
    modules = {module_of(other) for other in FILES}
    nodes = [] if path == ROOT / "vae_jax/loading.py" else ast.walk(TREES[path])
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in modules else node.module for name in full)


IMPORTS = {module_of(path): set(imported(path)) for path in FILES}


@pytest.mark.parametrize("folders", [True, False], ids=["folders", "modules"])
def test_imports_go_one_way(folders):
    """Fails if folders or modules of the library import each other in a circle."""
    graph: dict[str, set[str]] = {}
    for module, others in IMPORTS.items():
        # A folder or a file of the top level; the top face itself is a node of its own.
        names = [name.split(".")[: 2 if folders else None] for name in (module, *others) if name[:7] == "vae_jax"]
        first, *rest = (".".join(name) for name in names)
        graph.setdefault(first, set()).update(set(rest) - {first})
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert order.index("vae_jax.errors") < order.index("vae_jax.model") < order.index("vae_jax.training")


@pytest.mark.parametrize(
    ("library", "allowed"), [("flax", "vae_jax.networks"), ("experiments", "nothing"), ("tests", "nothing")]
)
def test_who_may_import(library, allowed):
    """Fails if Flax is imported outside `networks`, or the library imports experiments or tests."""
    importing = {module for module, others in IMPORTS.items() for name in others if name.split(".")[0] == library}
    assert {module for module in importing if not module.startswith(allowed)} == set()


def _undocumented(face: ModuleType) -> Iterator[str]:
    for name, value in vars(face).items():
        ours = (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith("vae_jax")
        if name.startswith("_") or not ours:
            continue
        # What Python writes by itself for a dataclass or a named tuple.
        if not value.__doc__ or value.__doc__.startswith(f"{value.__name__}("):
            yield name
        for method, of in vars(value).items() if inspect.isclass(value) else ():
            function: Any = of.fget if isinstance(of, property) else getattr(of, "__func__", of)
            own = inspect.isfunction(function) and function.__qualname__ == f"{value.__qualname__}.{method}"
            if own and not method.startswith("_") and not function.__doc__:
                yield f"{name}.{method}"


@pytest.mark.parametrize("name", FACES)
def test_public_names_are_documented(name):
    """Fails if a function, a class or a public method on a face has no docstring."""
    assert list(_undocumented(importlib.import_module(name))) == []


@pytest.mark.parametrize("name", FACES)
def test_no_module_has_the_name_of_a_public_function(name):
    """Fails if a module is hidden by a function of the same name on the face of its folder."""
    face = importlib.import_module(name)
    beside = {
        path.stem for path in (ROOT / name.replace(".", "/")).iterdir() if path.suffix == ".py" or path.is_dir()
    }
    assert {name for name in beside if inspect.isfunction(vars(face).get(name))} == set()


def _code_lines(text: str) -> set[int]:
    """The lines with code: no comments, no docstrings."""
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            code -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return code


def test_functions_are_short():
    """Fails if a function of the library or of an experiment has more than 60 lines of code."""
    found = set()
    for path in [*FILES, *(ROOT / "experiments").rglob("*.py")]:
        code = _code_lines(path.read_text())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and len(code & set(range(node.lineno, node.end_lineno + 1))) > 60:
                found.add(f"{path.relative_to(ROOT)}: {node.name}")
    assert found == set()


def test_files_are_short():
    """Fails if a file of the library has more than 250 lines, or the README more than 160."""
    lengths = {path: (text.count("\n"), 250) for path, text in FILES.items()}
    lengths[ROOT / "README.md"] = ((ROOT / "README.md").read_text().count("\n"), 160)
    assert {str(path): found for path, (found, most) in lengths.items() if found > most} == {}


def test_type_checkers_are_told():
    """Fails if the types of the library are hidden from its users' type checkers."""
    assert (ROOT / "vae_jax/py.typed").is_file()


def test_text_stands_on_its_own():
    """Fails if a file points at a work session or at an issue's number, which say nothing to a reader."""
    outside = r"(?i)(?<!scope=\")\bsessions?\b|(?<![\w&/])#\d+\b|\bissues/\d+"
    texts = [
        path
        for name in ("vae_jax", "experiments", "tests", "notebooks")
        for path in (ROOT / name).rglob("*")
        if path.suffix in (".py", ".md")
    ]
    texts += [*ROOT.glob("*.md"), ROOT / "pyproject.toml"]
    found = {str(path): re.findall(outside, path.read_text()) for path in texts if path != Path(__file__)}
    assert {path: matches for path, matches in found.items() if matches} == {}

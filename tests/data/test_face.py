"""What `import vae_jax.data` gives, and what it costs."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import vae_jax.data

FOLDER = Path(vae_jax.data.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
# Imported where they are needed, for each costs more than this package.
ALLOWED = {"jax", "jaxtyping", "numpy"}
BELOW = ("vae_jax.data.", "vae_jax.errors", "vae_jax.paths", "vae_jax.fast.", "vae_jax.shapes")
# The insides of readers, which the functions on the face call.
INSIDE = (
    *("contents", "cutting", "factor_files", "files", "folders", "forms", "kinds", "labels", "like", "named"),
    *("photo_headers", "photos", "prepared", "stored_rows", "streamed", "tables", "text_fields", "text_tables"),
    *("photo_stream", "threads"),
)
HELPERS = {
    *{"transformed", "way_out", "native", "read_idx", "verified_content"},
    *{"check_form", "check_bytes", "check_size", "resized", "square", "pillow"},
    *{"keys_by_part", "read_labels", "moments", "blocks", "as_stored"},
    *{"finished"},
    *{"Header", "Archive", "read_header", "check_array_memory", "is_archive"},
}


def imported_at_once(module: str) -> set[str]:
    tree = ast.parse((FOLDER / f"{module}.py").read_text())
    names = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return names


@pytest.mark.parametrize("module", MODULES)
def test_modules_are_light_and_know_nothing_above_them(module: str) -> None:
    """Fails if an import loads a reader of formats, or reaches from the data into the models or the training."""
    import sys

    for name in imported_at_once(module):
        first = name.split(".")[0]
        assert name.startswith(BELOW) or first in ALLOWED or first in sys.stdlib_module_names, name


@pytest.mark.parametrize("module", [module for module in MODULES if module not in INSIDE])
def test_public_names_are_on_the_face(module: str) -> None:
    """Fails if a public function or class has to be imported from the module that happens to hold it."""
    there = vars(__import__(f"vae_jax.data.{module}", fromlist=["_"]))
    for name, value in there.items():
        is_ours = inspect.isfunction(value) or inspect.isclass(value)
        if not is_ours or name.startswith("_") or value.__module__ != f"vae_jax.data.{module}" or name in HELPERS:
            continue
        assert getattr(vae_jax.data, name) is value


def test_no_module_has_the_name_of_what_it_exports() -> None:
    """Fails if `vae_jax.data.stream` is a module before, and a function after, some import."""
    assert not [name for name in MODULES if not inspect.ismodule(getattr(vae_jax.data, name))]

"""What the folder exports."""

import importlib
import inspect
import pkgutil

from vae_jax import disentanglement

MODULES = [
    importlib.import_module(f"{disentanglement.__name__}.{found.name}")
    for found in pkgutil.iter_modules(disentanglement.__path__)
    if not found.name.startswith("_")
]


def test_every_public_name_is_on_the_face():
    """Fails if a function or a type of result can be had from its module only."""
    for module in MODULES:
        for name, value in vars(module).items():
            defined_here = (
                inspect.isfunction(value) or inspect.isclass(value)
            ) and value.__module__ == module.__name__
            if defined_here and not name.startswith("_"):
                assert getattr(disentanglement, name, None) is value, f"{module.__name__}.{name}"


def test_no_module_hides_a_function():
    """Fails if `vae_jax.disentanglement.X` is a function or a module, whichever was imported last."""
    functions = {name for name, value in vars(disentanglement).items() if callable(value)}
    assert not functions & {module.__name__.rpartition(".")[2] for module in MODULES}

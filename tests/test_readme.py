"""The README's code runs as it is printed, and its commands exist."""

import importlib.util
import re
from pathlib import Path

import jax
import numpy as np

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_code_runs_and_shows_what_it_says():
    """Fails if a block of the README raises, or if its results are not what its text promises."""
    names = {}
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(compile(block, "README.md", "exec"), names)
    assert np.isfinite(names["found"]["log_likelihood"]).all()
    assert names["drawn"].shape == (16, 28, 28, 1)
    assert float(names["metrics"]["elbo"]) < 0
    assert jax.tree.structure(names["state"].params) == jax.tree.structure(names["state"].ema)


def test_commands_are_modules_of_the_repository():
    """Fails if the README names a command that is not there."""
    modules = set(re.findall(r"python -m (experiments[\w.]*)", README))
    assert len(modules) >= 4
    assert "vae-jax train" in README
    for module in modules:
        assert importlib.util.find_spec(module), module


def test_pictures_are_there():
    """Fails if the README shows a picture that is not in the repository."""
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README)
    assert pictures
    assert all((Path(__file__).parents[1] / picture).exists() for picture in pictures)

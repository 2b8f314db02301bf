"""The steps of CONTRIBUTING.md, carried out in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ONLY = (
    "tests/parts/test_every_part.py",
    "-q",
    "-p",
    "no:cacheprovider",
    "-k",
    "has_a_row or be_chosen or LearnedNormal",
)


def run(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )


@pytest.mark.slow
def test_a_new_prior_in_four_steps(tmp_path):
    """Fails if the steps do not give a prior that is tested and can be chosen, or if one may be left out."""
    for folder in ("vae_jax", "tests/parts"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("tests/__init__.py", "tests/conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path / file)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text[text.index("## A new prior in four steps") : text.index("## The same for the other families")]
    file, face, row = re.findall(r"```python\n(.*?)```", section, re.S)
    priors = tmp_path / "vae_jax" / "priors"
    (priors / "learned_normal.py").write_text(file)
    with (priors / "__init__.py").open("a") as opened:
        opened.write(face)
    without_row = run(tmp_path, "pytest", *ONLY)
    assert "test_every_part_has_a_row[prior]" in without_row.stdout
    assert without_row.returncode == 1
    with (tmp_path / "tests" / "parts" / "rows.py").open("a") as opened:
        opened.write(row)
    done = run(tmp_path, "pytest", *ONLY)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > int(re.search(r"(\d+) passed", without_row.stdout)[1])
    shown = run(tmp_path, "vae_jax", "train", "--help")
    assert "prior:learned-normal" in shown.stdout, shown.stdout + shown.stderr

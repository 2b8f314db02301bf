"""What is installed runs by itself: a wheel, in an environment of its own, outside the repository."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

from tests.runs.commands import CACHE, ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, for a build folder of the clone would go in with the rest; with what must not be in the wheel.
    for name in ("vae_jax", "experiments", "tests"):
        shutil.copytree(ROOT / name, folder / "sources" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "sources")
    # Without a setuptools that is new enough at hand, one is downloaded.
    isolation = ["--no-isolation"] if int(importlib.metadata.version("setuptools").split(".")[0]) >= 77 else []
    command = [sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", folder, folder / "sources"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_what_is_in_the_wheel(wheel):
    """Fails if experiments or tests are installed beside the library, or if its types are not marked."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"vae_jax"}
    assert "vae_jax/py.typed" in names


@pytest.mark.slow
def test_the_installed_command_trains(wheel, tmp_path):
    """Fails if the command needs the clone, or if a folder `experiments` of the user's own stands in its way."""
    venv.create(tmp_path / "env", with_pip=True)
    lib = sysconfig.get_path("purelib", vars={"base": str(tmp_path / "env")})
    # The packages that it needs are those of this environment: their installation is not under test.
    with open(os.path.join(lib, "others.pth"), "w") as file:
        file.write(sysconfig.get_path("purelib") + "\n")
    # An editable installation among those packages is no reason to leave out the wheel.
    pip = [tmp_path / "env" / "bin" / "python", "-m", "pip", "install", "--quiet"]
    install = [*pip, "--no-deps", "--ignore-installed", wheel]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    home = tmp_path / "home"
    (home / "experiments").mkdir(parents=True)
    (home / "experiments" / "__init__.py").write_text("raise SystemExit('the folder of the user was imported')\n")
    command = [tmp_path / "env" / "bin" / "vae-jax", "train", "sprites", "--num-steps", "20", "--size", "8"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": CACHE}
    ran = subprocess.run(
        [*command, "--batch-size", "8", "--out", "run", "prior:mixture", "--prior.components", "3"],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "test ELBO" in ran.stdout
    written = {path.name for path in (home / "run").iterdir()}
    assert written >= {"config.json", "data.json", "metrics.jsonl", "checkpoints", "summary.json", "figures"}
    where = subprocess.run(
        [tmp_path / "env" / "bin" / "python", "-c", "import vae_jax; print(vae_jax.__file__)"],
        **{"cwd": home, "env": environment, "capture_output": True, "text": True, "check": True},
    )
    assert where.stdout.startswith(str(tmp_path / "env"))

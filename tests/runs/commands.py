"""Experiments run as users run them: real processes on a small problem."""

import contextlib
import importlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np

from experiments.presets import run_preset
from vae_jax import cli

ROOT = Path(__file__).parents[2]

# The same program is started many times: only the first start compiles.
CACHE = os.environ["JAX_COMPILATION_CACHE_DIR"]

TINY_SPRITES = (
    *("experiments.sprites", "--network", "conv", "--size", "8", "--batch-size", "8"),
    *("--num-steps", "120", "--eval-every", "20"),
)


def start(*arguments: object, **options) -> subprocess.Popen:
    """Starts `python -m` with the arguments from the project's root, on one CPU device."""
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": CACHE,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONPATH": str(ROOT),
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)], cwd=ROOT, env=environment, **(pipes | options)
    )


def run(*arguments: object, **options) -> tuple[int, str, str]:
    """Runs to the end; returns the exit code, stdout and stderr."""
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def write_images(path: Path, *, num: int = 60, labels: bool = True, seed: int = 0) -> Path:
    """A small .npz of 8x8 grey images, uint8, in three classes that differ by where they are bright."""
    generator = np.random.default_rng(seed)
    classes = np.arange(num) % 3
    images = generator.integers(0, 80, (num, 8, 8))
    for image, c in zip(images, classes, strict=True):
        image[2 * c : 2 * c + 3] += 150
    arrays = {"images": images.astype(np.uint8)} | ({"labels": classes} if labels else {})
    np.savez(path, **arrays)
    return path


def called(name: str, *arguments: object) -> tuple[int, str, str]:
    """What `python -m name arguments` does, in this process: exit code, stdout and stderr.

    name: an experiment, or vae_jax, whose first argument is a command. Compiled programs are kept where the tests
    keep theirs.
    """
    module = importlib.import_module(name) if name != "vae_jax" else cli
    given = [*map(str, arguments)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    quiet = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with quiet[0], quiet[1], mock.patch("vae_jax.runs.command.prepare"):
        try:
            if hasattr(module, "PRESET"):
                run_preset(module.PRESET, module.__doc__, given)
            else:
                cli.main(given)
        except SystemExit as ended:
            code = ended.code
    return code or 0, out.getvalue(), err.getvalue()


def refused(*arguments: object, caller=called, **options) -> str:
    """The one line that a command gets that must be refused."""
    code, out, err = caller(*arguments, **options)
    assert code == 2, out + err
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    return lines[0]

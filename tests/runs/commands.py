"""Experiments run as users run them: real processes on a small problem."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]

# The same program is started many times: only the first start compiles.
CACHE = tempfile.mkdtemp(prefix="vae_jax_cache_")
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)

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

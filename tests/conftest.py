"""Fixtures that several test files share; tests run on the CPU, unless JAX_PLATFORMS says otherwise."""

import os
from pathlib import Path

# Before JAX is imported. The TPU compiler that is installed with the tests would look for a TPU first.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pytest


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The four files of MNIST: in VAE_JAX_MNIST_DIR, or in ../shared/data/mnist beside the project."""
    beside = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "mnist"
    folder = Path(os.environ.get("VAE_JAX_MNIST_DIR", beside)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no MNIST in {folder}: set VAE_JAX_MNIST_DIR to the folder with the four .gz files")
    return folder

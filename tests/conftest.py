"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The four files of MNIST: in VAE_JAX_MNIST_DIR, or in ../shared/data/mnist beside the project."""
    beside = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "mnist"
    folder = Path(os.environ.get("VAE_JAX_MNIST_DIR", beside)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no MNIST in {folder}: set VAE_JAX_MNIST_DIR to the folder with the four .gz files")
    return folder

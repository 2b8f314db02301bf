"""Fixtures that several test files share; tests run on the CPU, unless JAX_PLATFORMS says otherwise."""

import os
from pathlib import Path

# Before JAX is imported. The TPU compiler that is installed with the tests would look for a TPU first.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the time of the tests is compilation: programs that run once need not be the fastest. Results that are
# compared bit by bit come from processes that do without (`tests.programs`).
FAST_TO_COMPILE = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
os.environ.setdefault("XLA_FLAGS", FAST_TO_COMPILE)

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The four files of MNIST: in VAE_JAX_MNIST_DIR, or in ../shared/data/mnist beside the project."""
    beside = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "mnist"
    folder = Path(os.environ.get("VAE_JAX_MNIST_DIR", beside)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no MNIST in {folder}: set VAE_JAX_MNIST_DIR to the folder with the four .gz files")
    return folder

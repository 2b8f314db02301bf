"""Fixtures that several test files share; tests run on the CPU, unless JAX_PLATFORMS says otherwise."""

import atexit
import os
import shutil
import signal
import tempfile
from importlib.metadata import version
from pathlib import Path

# Before JAX is imported. The TPU compiler that is installed with the tests would look for a TPU first.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the time of the tests is compilation: programs that run once need not be the fastest. Results that are
# compared bit by bit come from processes that do without (`tests.programs`).
FAST_TO_COMPILE = [
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_parallel_codegen_split_count=1",
]
if version("jaxlib").startswith("0.10."):  # a later one ends at a flag that it does not know
    FAST_TO_COMPILE.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(FAST_TO_COMPILE))
# One for all: workers and the commands that tests start inherit it from the process that makes it.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="vae_jax_cache_")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

# A shell without job control starts what runs in the background with Ctrl-C ignored, and commands would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The four files of MNIST: in VAE_JAX_MNIST_DIR, or in ../shared/data/mnist beside the project."""
    beside = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "mnist"
    folder = Path(os.environ.get("VAE_JAX_MNIST_DIR", beside)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no MNIST in {folder}: set VAE_JAX_MNIST_DIR to the folder with the four .gz files")
    return folder

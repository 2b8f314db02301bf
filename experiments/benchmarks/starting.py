"""How long a start takes: `import vae_jax` against its libraries, and the demo to its first training steps.

    python -m experiments.benchmarks.starting

Each call is a process of its own. The demo finds its programs compiled by the call that warms up.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial

import numpy as np
import tyro

from experiments.benchmarks.timing import Side, Table, interleaved, report


@dataclasses.dataclass(frozen=True)
class Config:
    """Starts of processes."""

    repeats: int = 5
    demo: bool = True
    """Measure the demo too."""


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the tables and returns them by title."""
    sides: dict[str, Side] = {
        "vae_jax": partial(_importing, "vae_jax"),
        "import jax, flax, optax": partial(_importing, "jax, flax, optax"),
    }
    tables = {"import vae_jax": report("import vae_jax", interleaved(sides, repeats=config.repeats), of="vae_jax")}
    if config.demo:
        demo_to_first_steps()
        seconds = np.array([demo_to_first_steps() for _ in range(min(config.repeats, 3))])
        title = "demo to its first 100 steps, warm cache"
        tables[title] = report(title, {"vae_jax": seconds}, of="vae_jax")
    return tables


def demo_to_first_steps() -> float:
    """Seconds from the start of the demo to the end of its first compiled call, by its own account."""
    with tempfile.TemporaryDirectory() as folder:
        text = _python("-m", "experiments.sprites", "--out", f"{folder}/run", "--num-steps", "100")
    found = re.search(r"first \d+ steps done ([\d.]+) s after the start", text)
    if found is None:
        raise RuntimeError(f"the demo did not tell when its first steps were done:\n{text}")
    return float(found[1])


def _importing(what: str) -> Callable[[], object]:
    return lambda: _python("-c", f"import {what}")


def _python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))

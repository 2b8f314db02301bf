"""Runs all benchmarks and writes benchmarks.json: python -m experiments.benchmarks"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

import jax

from experiments.benchmarks import (
    annealing,
    bfloat16,
    colour,
    convolution,
    counts,
    likelihood,
    many,
    photos,
    residual,
    sampled_mig,
    scores,
    starting,
    table,
    training,
)
from experiments.benchmarks.timing import Table, environment, summary

BENCHMARKS = (
    *(training, convolution, residual, bfloat16, likelihood, annealing, scores, many, starting),
    *(colour, counts, table, photos),
)
PACKAGES = ("jax", "jaxlib", "flax", "torch", "pythae", "scikit-learn")


def main() -> None:
    """Prints and saves each table as it is done, and prints all of them in one at the end."""
    where = machine()
    # First, for what it reports is how far the peak of this process's memory grows.
    memory = sampled_mig.main()
    tables: dict[str, Table] = {}
    for benchmark in BENCHMARKS:
        tables |= benchmark.main()
        result = {"machine": where, "work": tables, "sampled_mig": memory}
        Path("benchmarks.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{summary(tables)}\n\n{where}\nsaved: benchmarks.json")


def machine() -> dict[str, Any]:
    """What the numbers depend on besides the code."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    packages = {d.name: d.version for d in importlib.metadata.distributions()}
    return {
        "processor": model or platform.processor() or platform.machine(),
        "bfloat16": bfloat16.bfloat16_flags(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
        "device": jax.default_backend(),
        "python": platform.python_version(),
        "packages": {
            name: packages.get(name) for name in ("jax", "jaxlib", "flax", "torch", "pythae", "scikit-learn")
        },
        "environment": environment(),
    }


if __name__ == "__main__":
    main()

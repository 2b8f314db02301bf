"""Runs all benchmarks and writes benchmarks.json: python -m experiments.benchmarks"""

from __future__ import annotations

import json
import platform
from pathlib import Path

import jax

from experiments.benchmarks import annealing, scores


def main() -> None:
    """Prints each table as it is done."""
    results = {"machine": f"{platform.machine()}, {jax.local_device_count()} {jax.default_backend()} device"}
    for benchmark in (scores, annealing):
        results[benchmark.__name__.rsplit(".", 1)[-1]] = benchmark.main()
    Path("benchmarks.json").write_text(json.dumps(results, indent=2) + "\n")
    print("saved: benchmarks.json")


if __name__ == "__main__":
    main()

"""Runs all benchmarks and writes benchmarks.json: python -m experiments.benchmarks"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import jax

from experiments.benchmarks import (
    annealing,
    bfloat16,
    convolution,
    likelihood,
    many,
    sampled_mig,
    scores,
    starting,
    training,
)
from experiments.benchmarks.timing import Table, summary

BENCHMARKS = (training, convolution, bfloat16, likelihood, annealing, scores, many, starting)


def main() -> None:
    """Prints each table as it is done, and all of them in one at the end."""
    tables: dict[str, Table] = {}
    for benchmark in BENCHMARKS:
        tables |= benchmark.main()
    memory = sampled_mig.main()
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
        "device": jax.default_backend(),
    }
    Path("benchmarks.json").write_text(
        json.dumps({"machine": machine, "work": tables, "sampled_mig": memory}, indent=2) + "\n"
    )
    print(f"\n{summary(tables)}\n\nsaved: benchmarks.json")


if __name__ == "__main__":
    main()

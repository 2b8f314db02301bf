"""Programs that tests start in a process of their own, because they need other devices; each prints JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def output_of(name: str, *arguments: object, cache: Path, **environment: str) -> Any:
    """What `python -m tests.programs.name` prints in its last line. `cache`: a folder for compiled programs."""
    process = subprocess.run(
        [sys.executable, "-m", f"tests.programs.{name}", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ
        | {
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "",
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "PYTHONPATH": str(ROOT),
        }
        | environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])

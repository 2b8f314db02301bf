"""Two processes that train together: what one is told, both are."""

import json
import os
import socket
import subprocess
import sys

from tests.programs import ROOT


def test_a_signal_to_one_stops_both_after_the_same_call():
    """Fails if the process that was told stops alone, and leaves the other waiting for it, or if they disagree;
    and if the batch that explains a failure cannot be looked at where it lies on the devices of both."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.programs.told", address, str(i)],
            cwd=ROOT,
            env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    results = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            results.append(json.loads(out.splitlines()[-1]))
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    causes = [result.pop("cause") for result in results]
    assert results == [{"steps": [3, 6], "told": 0}, {"steps": [3, 6], "told": 1}]
    assert causes[0] == causes[1]
    assert "the values of its batch lie in [7, 7]" in causes[0]

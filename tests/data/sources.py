"""What tests share: a web server, ways to damage a file, a process of its own, a source that counts."""

from __future__ import annotations

import contextlib
import functools
import http.server
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
CLOSED = "http://127.0.0.1:9/"  # the discard port, where nothing listens: as good as no network
IMAGES = np.random.default_rng(0).integers(0, 256, (23, 2, 3, 1), dtype=np.uint8)


@contextlib.contextmanager
def served(folder: Path):
    """A web server with the files of `folder`; yields its address and the list of what was asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
            thread.join()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def run_python(code: str, *args: object) -> subprocess.CompletedProcess:
    program = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]\n{code}"
    command = [sys.executable, "-c", program, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


class Counted:
    """A source of pairs that notes what is read."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, i):
        self.read.append(i)
        return {"x": IMAGES[i], "c": np.int64(i)}

"""A stand-in for Google Cloud Storage: one dictionary, seen through HTTP by TensorStore and as files by epath."""

import contextlib
import json
import os
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import fsspec
from etils.epath import backend, gpath
from fsspec.implementations.memory import MemoryFileSystem
from orbax.checkpoint._src.path import gcs_utils


class Files(MemoryFileSystem):
    """gs://bucket/name as the file /bucket/name; like objects, files cannot be appended to, nor folders made."""

    protocol = ("gcs", "gs")
    store, pseudo_dirs = {}, [""]

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(os.fspath(path).removeprefix("gs:/"))

    def mkdir(self, path, create_parents=True, **options):
        pass

    def makedirs(self, path, exist_ok=False):
        pass

    def _open(self, path, mode="rb", **options):
        assert "a" not in mode, f"append to {path}"
        return super()._open(path, mode, **options)


class Objects(BaseHTTPRequestHandler):
    """What TensorStore asks of the JSON API: read (a range of) an object, write, list, delete."""

    protocol_version = "HTTP/1.1"
    generations = {}  # noqa: RUF012

    def log_message(self, *_):
        pass

    def _answer(self, status, content=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)

    def _described(self, path):
        bucket, name = path[1:].split("/", 1)
        generation = str(self.generations.get(path, 1))
        return {
            **{"bucket": bucket, "name": name, "generation": generation},
            "size": str(len(Files.store[path].getvalue())),
        }

    def _asked(self):
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.split("/b/", 1)[1].split("/o", 1)
        path = f"/{parts[0]}/{urllib.parse.unquote(parts[1][1:])}"
        return path, dict(urllib.parse.parse_qsl(url.query))

    def do_GET(self):
        path, options = self._asked()
        if path.endswith("/"):
            names = sorted(p for p in Files.store if p.startswith(path + options.get("prefix", "")))
            kept = [self._described(p) for p in names if options.get("startOffset", "") <= p[len(path) :]]
            end = options.get("endOffset")
            kept = [item for item in kept if end is None or item["name"] < end]
            return self._answer(200, json.dumps({"items": kept}).encode(), Content_Type="application/json")
        if path not in Files.store:
            return self._answer(404)
        if "alt" not in options:
            return self._answer(200, json.dumps(self._described(path)).encode(), Content_Type="application/json")
        content, generation = Files.store[path].getvalue(), self.generations.get(path, 1)
        if options.get("ifGenerationNotMatch") == str(generation):
            return self._answer(304)
        if self.headers.get("Range") is None:
            return self._answer(200, content, x_goog_generation=generation)
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        start = int(first) if first else len(content) - int(last)
        stop = min(int(last) + 1, len(content)) if first and last else len(content)
        span = f"bytes {start}-{stop - 1}/{len(content)}"
        return self._answer(206, content[start:stop], x_goog_generation=generation, Content_Range=span)

    def do_POST(self):
        path, options = self._asked()
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path += options["name"]
        wanted, there = options.get("ifGenerationMatch"), path in Files.store
        if wanted is not None and wanted != str(self.generations.get(path, 1) if there else 0):
            return self._answer(412)
        self.generations[path] = self.generations.get(path, 1) + 1
        Files().pipe_file(path, content)
        return self._answer(200, json.dumps(self._described(path)).encode(), Content_Type="application/json")

    def do_DELETE(self):
        path, _ = self._asked()
        return self._answer(204 if Files.store.pop(path, None) else 404)


@contextlib.contextmanager
def bucket(monkeypatch):
    """Inside the `with` block gs:// is this stand-in; gives the dictionary, {"/bucket/name": bytes file}."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Objects)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "none")
    monkeypatch.setattr(gcs_utils, "get_bucket", lambda name: SimpleNamespace(hierarchical_namespace_enabled=False))
    monkeypatch.setattr(gpath, "_is_tf_installed", lambda: False)
    monkeypatch.setattr("vae_jax.paths._installed", lambda name: True)
    fsspec.register_implementation("gcs", Files, clobber=True)
    backend._FileSystemSpecBackend._get_filesystem.cache_clear()
    Files.store.clear()
    try:
        yield Files.store
    finally:
        server.shutdown()
        server.server_close()

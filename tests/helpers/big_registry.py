"""Registries that hold nothing: one makes large layers as it sends them, one throws them away.

Each is a process of its own, so that its memory and its time are not those of who is tested.
`/lab/book` tells what was asked, `/lab/rate?bytes=N` slows a destination down (0: no limit).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.helpers.big_content import BigImages, BigLayer
from tests.helpers.content import Manifest, digest_of
from tests.helpers.threaded_server import ThreadedServer

ROOT = Path(__file__).resolve().parents[2]
PIECE = 64 * 1024
SECONDS = 30
_PATH = re.compile(
    r"/v2/(?P<repository>.+?)/(?P<what>manifests|blobs/uploads|blobs)/(?P<subject>.*)"
)


@dataclass(frozen=True, slots=True)
class BigRegistry:
    """A running registry of this kind."""

    address: str

    def book(self) -> dict[str, Any]:
        """Give `requests` ([method, what, subject, status] each) and `bytes` of bodies so far."""
        found: dict[str, Any] = json.loads(self._ask("/lab/book"))
        return found

    def asked(self, method: str, what: str) -> list[str]:
        """Give the subject of each such request that was answered with success, in order."""
        rows = self.book()["requests"]
        return [r[2] for r in rows if r[:2] == [method, what] and r[3] in (200, 201, 206)]

    def limit(self, rate: int) -> None:
        """Take no more than `rate` bytes per second from now on; 0: as many as come."""
        self._ask(f"/lab/rate?bytes={rate}")

    def _ask(self, target: str) -> bytes:
        with contextlib.closing(http.client.HTTPConnection(self.address, timeout=SECONDS)) as line:
            line.request("GET", target)
            return line.getresponse().read()


@contextmanager
def big_source(images: BigImages) -> Iterator[BigRegistry]:
    """Run a registry that has `images` while the context lasts."""
    with _process("source", str(images.count), str(images.own), str(images.shared)) as running:
        yield running


@contextmanager
def big_destination(rate: int = 0) -> Iterator[BigRegistry]:
    """Run a registry that takes everything, keeps no blob, and checks every digest."""
    with _process("destination", str(rate)) as running:
        yield running


@contextmanager
def _process(*words: str) -> Iterator[BigRegistry]:
    argv = [sys.executable, "-m", "tests.helpers.big_registry", *words]
    process = subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield BigRegistry(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


class Throttle:
    """Lets `rate` bytes per second through, over all threads; 0: no limit."""

    def __init__(self, rate: int) -> None:
        """Begin with this rate."""
        self.rate = rate
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, count: int) -> None:
        """Wait until `count` bytes may pass."""
        if not self.rate:
            return
        with self._lock:
            begin = max(self._free_at, time.monotonic())
            self._free_at = begin + count / self.rate
        while self.rate and (left := begin - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))


@dataclass(slots=True)
class World:
    """What a server knows: its content, and the book of what was asked."""

    throttle: Throttle
    layers: dict[str, BigLayer] = field(default_factory=dict)
    small: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[tuple[str, str], int] = field(default_factory=dict)
    manifests: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    uploads: dict[str, Any] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    requests: list[tuple[str, str, str, int]] = field(default_factory=list)
    moved: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, size: int) -> None:
        """Note that `size` bytes of a body have passed."""
        with self.lock:
            self.moved += size

    def keep(self, repository: str, reference: str, manifest: Manifest) -> None:
        """Store a manifest under its digest and its tag."""
        self.manifests[repository, manifest.digest] = manifest
        self.manifests[repository, reference] = manifest


class _Answers(BaseHTTPRequestHandler):
    """The part of the distribution spec that a mirror needs."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    world: World

    def log_message(self, *_: Any) -> None:
        """Say nothing: the book is kept by `_answer`."""

    def _handle(self) -> None:
        url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.startswith("/lab/"):
            return self._lab(url.path)
        found = _PATH.fullmatch(url.path)
        if found is None:
            self.repository, self.what, self.subject = "", url.path, ""
            return self._answer(200 if url.path == "/v2/" else 404, b"{}")
        self.repository, self.what, self.subject = found.groups()
        return {"manifests": self._manifest, "blobs": self._blob}.get(self.what, self._upload)()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _handle

    def _lab(self, path: str) -> None:
        world = self.world
        if path == "/lab/rate":
            world.throttle.rate = int(self.query["bytes"])
        self._send(200, json.dumps({"requests": world.requests, "bytes": world.moved}).encode())

    def _manifest(self) -> None:
        if self.command == "PUT":
            data = self.rfile.read(int(self.headers["Content-Length"]))
            made = Manifest.of(data, self.headers["Content-Type"])
            self.world.keep(self.repository, self.subject, made)
            return self._answer(201, b"", {"Docker-Content-Digest": made.digest})
        manifest = self.world.manifests.get((self.repository, self.subject))
        if manifest is None:
            return self._unknown("MANIFEST_UNKNOWN")
        headers = {"Content-Type": manifest.media_type, "Docker-Content-Digest": manifest.digest}
        return self._answer(200, manifest.data, headers)

    def _blob(self) -> None:
        size = self.world.blobs.get((self.repository, self.subject))
        if size is None:
            return self._unknown("BLOB_UNKNOWN")
        digest = {"Docker-Content-Digest": self.subject}
        small = self.world.small.get(self.subject)
        if self.command == "HEAD" or small is not None:
            return self._answer(200, small or b"", digest, length=size)
        return self._layer(self.world.layers[self.subject], digest)

    def _layer(self, layer: BigLayer, headers: dict[str, str]) -> None:
        first = int(re.sub(r"\D.*", "", self.headers.get("Range", "bytes=0-")[6:]))
        if first:
            headers["Content-Range"] = f"bytes {first}-{layer.size - 1}/{layer.size}"
        self._answer(206 if first else 200, b"", headers, length=layer.size - first)
        for piece in layer.pieces(first):
            self.wfile.write(piece)
            self.world.count(len(piece))

    def _upload(self) -> None:
        world = self.world
        if self.command == "POST":
            return self._begin()
        hasher = world.uploads[self.subject]
        size = self._swallow(hasher)
        if self.command == "DELETE":
            return self._answer(204)
        if self.command == "PATCH":
            hasher.size += size
            return self._answer(202, b"", self._location(self.subject))
        digest, hasher.size = self.query["digest"], hasher.size + size
        self.subject = digest
        if digest != f"sha256:{hasher.sum.hexdigest()}":
            return self._answer(400, b"{}")
        world.blobs[self.repository, digest] = hasher.size
        return self._answer(201, b"", {"Docker-Content-Digest": digest})

    def _begin(self) -> None:
        self.subject = digest = self.query.get("mount", "")
        size = self.world.blobs.get((self.query.get("from", ""), digest))
        if size is not None:
            self.world.blobs[self.repository, digest] = size
            return self._answer(201, b"", {"Docker-Content-Digest": digest})
        identity = str(next(self.world.numbers))
        self.world.uploads[identity] = _Received()
        return self._answer(202, b"", self._location(identity))

    def _location(self, identity: str) -> dict[str, str]:
        return {"Location": f"/v2/{self.repository}/blobs/uploads/{identity}"}

    def _swallow(self, received: _Received) -> int:
        """Read the body to its end, sized or chunked, hash it, keep nothing; give its size."""
        total = 0
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline(), 16):
                total += self._take(received, size)
                self.rfile.readline()
            self.rfile.readline()
            return total
        return self._take(received, int(self.headers.get("Content-Length", 0)))

    def _take(self, received: _Received, size: int) -> int:
        buffer, left = memoryview(bytearray(PIECE)), size
        while left:
            self.world.throttle.take(min(PIECE, left))
            count = self.rfile.readinto(buffer[: min(PIECE, left)])
            if not count:
                raise ConnectionResetError
            received.sum.update(buffer[:count])
            self.world.count(count)
            left -= count
        return size

    def _unknown(self, code: str) -> None:
        self._answer(404, json.dumps({"errors": [{"code": code, "message": ""}]}).encode())

    def _answer(
        self,
        status: int,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        what, subject = getattr(self, "what", "ping"), getattr(self, "subject", "")
        with self.world.lock:
            self.world.requests.append((self.command, what, subject, status))
        self._send(status, body, headers, length)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != http.client.NO_CONTENT:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@dataclass(slots=True)
class _Received:
    sum: Any = field(default_factory=hashlib.sha256)
    size: int = 0


def _filled(images: BigImages) -> World:
    layers = {layer.digest: layer for layer in images.layers}
    world = World(Throttle(0), layers)
    for name, image in images.images().items():
        for manifest in image.manifests:
            world.keep(name, "1.0", manifest)  # The top is the last.
        for blob in image.blobs:
            world.small[blob.digest] = blob.data
            world.blobs[name, digest_of(blob.data)] = len(blob.data)
        for layer in layers.values():
            world.blobs[name, layer.digest] = layer.size
    return world


def main(words: list[str]) -> None:
    """Serve until standard input ends; the first line printed is the address."""
    numbers = [int(word) for word in words[1:]]
    world = _filled(BigImages(*numbers)) if words[0] == "source" else World(Throttle(*numbers))
    server = ThreadedServer(type("Answers", (_Answers,), {"world": world}))
    server.start()
    sys.stdout.write(f"{server.address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main(sys.argv[1:])

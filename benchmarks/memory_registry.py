"""A registry that answers from memory, fast enough not to be what is measured.

`python -m benchmarks.memory_registry LINES EVERY` prints two addresses, of a full source and of a
destination where one image of EVERY is an older one (0: none), and ends with its standard input.
Each image is an index of one platform over a config and a shared layer. Plain HTTP/1.1. Blobs that
are uploaded are believed; no digest is checked here.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from benchmarks.child import child
from tests.helpers import images
from tests.helpers.content import Image
from tests.helpers.studio import Layer, Studio

TAG = "1.0"
_TLS = b"\x16"  # Who tries TLS first must not wait for an answer.
_LENGTH, _CHUNKED = b"content-length:", b"transfer-encoding: chunked"


@dataclass(frozen=True, slots=True)
class Pair:
    """The addresses of a running source and destination."""

    source: str
    destination: str


@contextmanager
def memory_registries(lines: int, every: int = 0) -> Iterator[Pair]:
    """Run both in a process of their own while the context lasts."""
    with child("benchmarks.memory_registry", lines, every) as (said, _):
        yield Pair(*said)


def repository(number: int) -> str:
    """Give the repository of an image; there is one tag in each."""
    return f"team{number % 40}/app{number:05}"


class Memory:
    """One registry: ready answers by target, and the uploads that are under way."""

    def __init__(self) -> None:
        """Begin empty."""
        self._answers: dict[str, tuple[bytes, bytes]] = {"/v2/": (_head(200, [], 2), b"{}")}
        self._uploads: dict[str, bytearray] = {}
        self._numbers = itertools.count()

    def hold(self, name: str, image: Image) -> None:
        """Have an image under the tag of all."""
        for blob in image.blobs:
            self._blob(name, blob.digest, blob.data)
        for manifest in image.manifests:
            self._manifest(name, manifest.digest, manifest.media_type, manifest.data)
        self._manifest(name, TAG, image.top.media_type, image.top.data)

    def answer(self, method: str, target: str, kind: str, body: bytes) -> bytes:
        """Give the whole answer to a request; `kind` is its Content-Type."""
        found = self._answers.get(target)
        if method == "HEAD":
            return found[0] if found else _head(404, [], 0)
        if method == "GET":
            return found[0] + found[1] if found else _whole(404, [], b'{"errors":[]}')
        url = urlsplit(target)
        name, _, rest = url.path.removeprefix("/v2/").partition("/manifests/")
        if rest and method == "PUT":
            digest = self._manifest(name, rest, kind, body)
            self._manifest(name, digest, kind, body)
            return _whole(201, [f"Docker-Content-Digest: {digest}", f"Location: {url.path}"])
        name = url.path.removeprefix("/v2/").partition("/blobs/uploads/")[0]
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        return self._upload(method, url.path, name, query, body)

    def _upload(
        self, method: str, path: str, name: str, query: dict[str, str], body: bytes
    ) -> bytes:
        if method == "POST":
            origin = self._answers.get(f"/v2/{query.get('from')}/blobs/{query.get('mount')}")
            if origin:
                self._answers[f"/v2/{name}/blobs/{query['mount']}"] = origin
                return _whole(201, [f"Location: /v2/{name}/blobs/{query['mount']}"])
            path = f"/v2/{name}/blobs/uploads/{next(self._numbers)}"
            self._uploads[path] = bytearray()
        if method == "DELETE":
            self._uploads.pop(path, None)
            return _whole(204, [])
        self._uploads[path] += body
        if method == "PUT":
            self._blob(name, query["digest"], bytes(self._uploads.pop(path)))
            return _whole(201, [f"Location: /v2/{name}/blobs/{query['digest']}"])
        size = len(self._uploads[path])
        return _whole(202, [f"Location: {path}", f"Range: 0-{max(0, size - 1)}"])

    def _blob(self, name: str, digest: str, data: bytes) -> None:
        headers = ["Content-Type: application/octet-stream", f"Docker-Content-Digest: {digest}"]
        self._answers[f"/v2/{name}/blobs/{digest}"] = (_head(200, headers, len(data)), data)

    def _manifest(self, name: str, reference: str, kind: str, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        headers = [f"Content-Type: {kind}", f"Docker-Content-Digest: {digest}"]
        head = _head(200, headers, len(data))
        self._answers[f"/v2/{name}/manifests/{reference}"] = (head, data)
        return digest


def _head(status: int, headers: list[str], length: int) -> bytes:
    lines = [f"HTTP/1.1 {status} .", *headers, f"Content-Length: {length}", "", ""]
    return "\r\n".join(lines).encode()


def _whole(status: int, headers: list[str], body: bytes = b"") -> bytes:
    return _head(status, headers, len(body)) + body


class Connection(asyncio.Protocol):
    """One client: requests are read by hand, which costs a tenth of a web framework."""

    def __init__(self, memory: Memory) -> None:
        """Answer from this memory."""
        self._memory = memory
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        if self._buffer[:1] == _TLS:
            self._transport.close()
            return
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, rest = self._buffer[:end], self._buffer[end + 4 :]
            lower = head.lower()
            if b"expect: 100-continue" in lower and not rest:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = _body(lower, rest)
            if body is None:
                return
            content, used = body
            self._buffer = rest[used:]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
            kind = _header(head, lower, b"\r\ncontent-type:")
            self._transport.write(self._memory.answer(method, target, kind, content))


def _body(lower: bytes, rest: bytes) -> tuple[bytes, int] | None:
    """Give the body and how many bytes it takes; None while it is not complete."""
    if _CHUNKED in lower:
        return _unchunked(rest)
    place = lower.find(_LENGTH)
    size = int(lower[place + len(_LENGTH) :].split(b"\r\n", 1)[0]) if place >= 0 else 0
    return (rest[:size], size) if len(rest) >= size else None


def _unchunked(rest: bytes) -> tuple[bytes, int] | None:
    found, place = bytearray(), 0
    while (end := rest.find(b"\r\n", place)) >= 0:
        size = int(rest[place:end], 16)
        place = end + 2 + size + 2
        if len(rest) < place:
            return None
        found += rest[end + 2 : end + 2 + size]
        if size == 0:
            return bytes(found), place
    return None


def _header(head: bytes, lower: bytes, name: bytes) -> str:
    place = lower.find(name)
    return head[place + len(name) :].split(b"\r\n", 1)[0].decode().strip() if place >= 0 else ""


def _image(number: int, version: int, layer: Layer) -> Image:
    studio = Studio(f"line-{version}", number)
    return studio.index([studio.child(images.AMD64, [studio.keep(layer)])])


async def _main(lines: int, every: int) -> None:
    layer = Studio("lines", 0).layer("shared", 1000)
    source, destination = Memory(), Memory()
    for number in range(lines):
        image = _image(number, 1, layer)
        source.hold(repository(number), image)
        is_old = every and number % every == 0
        held = _image(number, 0, layer) if is_old else image
        destination.hold(repository(number), held)
    loop = asyncio.get_running_loop()
    addresses = []
    for memory in (source, destination):
        server = await loop.create_server(
            lambda memory=memory: Connection(memory),  # type: ignore[misc]
            "127.0.0.1",
            0,
            backlog=1024,
        )
        host, port = server.sockets[0].getsockname()[:2]
        addresses.append(f"{host}:{port}")
    sys.stdout.write(" ".join(addresses) + "\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(*map(int, sys.argv[1:3])))

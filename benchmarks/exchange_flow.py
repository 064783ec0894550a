"""The exchange as a pipe: how fast bytes pass it, and what CPU its process needs for them.

`python -m benchmarks.exchange_flow SIZE` runs one over a source whose layer is made while it is
read and a destination that forgets what it is given; each line on standard input is answered with
the CPU seconds the process has used.
"""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loguru import logger

from benchmarks.child import child
from image_tools.oci.digest import Digest
from tests.helpers.exchange_flood import PIECE, MadeStore
from tests.helpers.exchange_lab import running_lab
from tests.helpers.memory_store import MemoryStore, MemoryUpload

SECONDS = 300.0
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Flow:
    """What it took to bring the bytes through."""

    seconds: float
    cpu: float


class ForgettingStore(MemoryStore):
    """A destination that takes everything at once and keeps nothing."""

    async def upload(self, repository: str) -> MemoryUpload:
        """Give an upload that believes the digest it is told."""
        return _Forgetting(self, repository)


class _Forgetting(MemoryUpload):
    async def put(self, digest: Digest, size: int, chunks: AsyncIterator[bytes]) -> None:  # noqa: ARG002
        async for _ in chunks:
            pass
        self._store.open_uploads.remove(self)


@dataclass(frozen=True, slots=True)
class _Pipe:
    """A running exchange: its address, login, the layer's digest, and the paths of both sides."""

    process: subprocess.Popen[str]
    address: tuple[str, int]
    login: str
    digest: str
    source: str
    destination: str

    def cpu(self) -> float:
        """Give the CPU seconds of the exchange's process so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("cpu\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def head(self, method: str, path: str, length: int) -> bytes:
        """Give the first lines of a request."""
        lines = (
            f"{method} {path} HTTP/1.1",
            "Host: x",
            f"Authorization: Basic {self.login}",
            f"Content-Length: {length}",
            "Content-Type: application/octet-stream",
            "",
            "",
        )
        return "\r\n".join(lines).encode()


def flow(way: str, streams: int, size: int) -> Flow:
    """Let `size` bytes pass, in so many streams at once; `way` is pull or push."""
    each = max(1, size // streams // len(PIECE)) * len(PIECE)
    move = _pull if way == "pull" else _push
    with _running(each) as pipe:
        move(pipe, each)  # the first is warm
        cpu, begun = pipe.cpu(), time.monotonic()
        threads = [threading.Thread(target=move, args=(pipe, each)) for _ in range(streams)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Flow(time.monotonic() - begun, pipe.cpu() - cpu)


@contextmanager
def _running(size: int) -> Iterator[_Pipe]:
    with child("benchmarks.exchange_flow", size) as ((address, *rest), process):
        host, _, port = address.rpartition(":")
        yield _Pipe(process, (host, int(port)), *rest)


def _pull(pipe: _Pipe, size: int) -> None:
    with socket.create_connection(pipe.address, SECONDS) as line:
        line.sendall(pipe.head("GET", f"{pipe.source}/blobs/{pipe.digest}", 0))
        buffer, got = bytearray(_READ), 0
        while got < size and (count := line.recv_into(buffer)):
            got += count


def _push(pipe: _Pipe, size: int) -> None:
    with socket.create_connection(pipe.address, SECONDS) as line:
        line.sendall(pipe.head("POST", f"{pipe.destination}/blobs/uploads/", 0))
        location = _answer(line).split("location: ", 1)[1].split("\r\n", 1)[0]
        path = "/" + location.split("/", 3)[3] if "://" in location else location
        query = f"{'&' if '?' in path else '?'}digest={pipe.digest}"
        line.sendall(pipe.head("PUT", path + query, size))
        for _ in range(size // len(PIECE)):
            line.sendall(PIECE)
        _answer(line)


def _answer(line: socket.socket) -> str:
    """Give the head of an answer, its names in lower case; an error with it when it failed."""
    head = line.recv(_READ).decode()
    if head.split(" ", 2)[1] not in ("201", "202"):
        raise SystemExit(f"the exchange said: {head}")
    first, _, rest = head.partition("\r\n")
    fields = (field.partition(":") for field in rest.split("\r\n"))
    return "\r\n".join([first, *(f"{name.lower()}:{value}" for name, _, value in fields)])


def main(size: int) -> None:
    """Serve until standard input ends."""
    logger.disable("image_tools")
    source, destination = MadeStore(size), ForgettingStore("forgets.example")
    with running_lab(source, destination) as lab:
        ends = lab.open_source("big/app"), lab.open_destination("big/app")
        paths = [f"/v2/{lab.exchange.reference(end, '').partition('/')[2]}" for end in ends]
        login = base64.b64encode(":".join(lab.exchange.login).encode()).decode()
        print(lab.exchange.address, login, source.layer, *paths, flush=True)
        for _ in sys.stdin:
            print(time.process_time(), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""`image-tools serve` in a process of its own, until it is stopped."""

from __future__ import annotations

import http.client
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.documents import ROOT

PATIENCE = 20


@dataclass(frozen=True)
class Server:
    """A running `serve`, and what it says."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def address(self) -> str:
        """Give host and port."""
        return f"127.0.0.1:{self.port}"

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Send a signal, wait for the end; give all that was said."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        return self.log.read_text()

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request, over TLS with a context; give status, headers and body."""
        line = (
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            if context is None
            else http.client.HTTPSConnection(
                "localhost", self.port, timeout=PATIENCE, context=context
            )
        )
        try:
            line.request(method, path, headers=dict(headers or {}))
            answer = line.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            line.close()


@contextmanager
def serving(
    archive: Path,
    *words: str | Path,
    listen: str = "127.0.0.1:0",
    environ: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Serve an archive, by default on a port of the system's choice, until the context ends."""
    said = [str(word) for word in words]
    if "--listen" in said:  # An example names a port that may be taken.
        place = said.index("--listen")
        del said[place : place + 2]
    argv = [sys.executable, "-m", "image_tools", "serve", archive, *said, "--listen", listen]
    log = archive.parent / "serve.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [str(word) for word in argv],
            env={**(environ or os.environ), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        yield Server(process, _port(process, log), log)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"at https?://\S+:(\d+)\n", log.read_text()):
            return int(found[1])
        time.sleep(0.02)
    raise AssertionError(log.read_text())

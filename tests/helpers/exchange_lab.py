"""An exchange over two stores in memory, on a loop of its own, and a bare client for it."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web

from image_tools.exchange.ledger import Ledger, Traffic
from image_tools.exchange.server import Exchange
from image_tools.exchange.sessions import ToolSession, TrackedStore
from image_tools.machine.event_loop import LoopThread
from tests.helpers.memory_store import MemoryStore

SECONDS = 20.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer read to its end; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def code(self) -> str:
        """Give the code of the error it carries; empty without one."""
        errors = json.loads(self.body)["errors"] if self.body else [{"code": ""}]
        return str(errors[0]["code"])


class SeenExchange(Exchange):
    """An exchange that writes down what it was asked: `METHOD path status`."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        told = await super()._handle(request)
        self.seen.append(f"{request.method} {request.path} {told.status}")
        return told


class ExchangeLab:
    """A running exchange, what lies on both sides of it, and the sessions of a test."""

    def __init__(self, loop: LoopThread, source: MemoryStore, destination: MemoryStore) -> None:
        self._loop = loop
        self.exchange = self.await_(_started())
        self.source, self.destination = source, destination
        self.ledger, self.traffic = Ledger(), Traffic()
        self.tracked = TrackedStore(destination, self.ledger)

    def await_(self, work: Coroutine[Any, Any, T]) -> T:
        """Give what `work` gives, run on the exchange's loop."""
        return self._loop.submit(work).result(SECONDS)

    def call(self, function: Callable[..., T], *given: Any, **more: Any) -> T:
        """Give what `function` gives, called on the exchange's loop."""

        async def called() -> T:
            return function(*given, **more)

        return self.await_(called())

    def open_source(self, repository: str, **more: Any) -> ToolSession:
        """Open a session that may be read."""
        opened = self.exchange.open_source
        return self.call(opened, self.source, repository, self.traffic, **more)

    def open_destination(self, repository: str, **more: Any) -> ToolSession:
        """Open a session that may be written."""
        opened = self.exchange.open_destination
        return self.call(opened, self.tracked, repository, self.traffic, **more)

    def asked_little(self, bound: int) -> bool:
        """Tell whether fewer than `bound` requests came; says which when not."""
        if len(self.exchange.seen) < bound:
            return True
        print(*self.exchange.seen, sep="\n")  # noqa: T201 - pytest shows it with the failure
        return False

    def close(self, *sessions: ToolSession) -> None:
        """Close sessions, in their order."""
        for session in sessions:
            self.await_(self.exchange.close(session))

    def connect(self) -> http.client.HTTPConnection:
        """Give a new connection."""
        return http.client.HTTPConnection(self.exchange.address, timeout=SECONDS)

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterator[bytes] | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """Ask with the login of the run; `path` comes behind `/v2/` and is sent as it is."""
        used = connection or self.connect()
        try:
            used.request(method, f"/v2/{path}", body, {**self.login, **(headers or {})})
            response = used.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            if connection is None:
                used.close()

    @property
    def login(self) -> dict[str, str]:
        """Give the header that opens the exchange."""
        return basic(*self.exchange.login)

    def raw(self, text: str) -> socket.socket:
        """Give a connection over which a request head with the login was sent."""
        line = socket.create_connection(("127.0.0.1", self.exchange.port), SECONDS)
        head = [text, "Host: x", *(f"{name}: {value}" for name, value in self.login.items())]
        line.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        return line


async def _started() -> SeenExchange:
    exchange = SeenExchange()
    await exchange.start()
    return exchange


def basic(name: str, password: str) -> dict[str, str]:
    """Give the header of a login."""
    coded = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {coded}"}


@contextmanager
def running_lab(
    source: MemoryStore | None = None, destination: MemoryStore | None = None
) -> Iterator[ExchangeLab]:
    """Give a running lab, over empty stores in memory where none are given."""
    loop = LoopThread()
    ends = source or MemoryStore("source.example"), destination or MemoryStore("dest.example")
    lab = ExchangeLab(loop, *ends)
    try:
        yield lab
    finally:
        lab.await_(lab.exchange.stop())
        loop.stop()

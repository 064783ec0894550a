"""A forward proxy in a thread: plain requests and CONNECT tunnels, with a login on demand."""

from __future__ import annotations

import base64
import contextlib
import selectors
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import ClassVar
from urllib.parse import quote, urlsplit

from tests.helpers.endpoint import Login
from tests.helpers.threaded_server import ThreadedServer, body_of

PIECE = 64 * 1024
SECONDS = 30.0
_NOT_PASSED_ON = frozenset({"proxy-authorization", "proxy-connection", "connection"})


@dataclass(frozen=True, slots=True)
class Passed:
    """One request that came to the proxy: ``target`` is ``host:port``, ``status`` its own answer.

    200 stands for what was carried on, whatever the server answered then.
    """

    method: str
    target: str
    status: int


class Proxy:
    """Context manager of a proxy on a random loopback port; it asks for ``login`` when given.

    ``routes`` leads some ``host:port`` elsewhere: to the lab, in place of a name of the internet.
    """

    def __init__(self, login: Login | None = None, routes: Mapping[str, str] | None = None) -> None:
        """Prepare a proxy; it listens at once and answers inside the context."""
        self.login = login
        self.routes = routes or {}
        self.passed: list[Passed] = []
        self._server = ThreadedServer(type("BoundProxyHandler", (_Handler,), {"lab": self}))

    def __enter__(self) -> Proxy:
        """Start to answer."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all tunnels and free the port."""
        self._server.stop()

    @property
    def url(self) -> str:
        """Give its URL as a variable holds it, with the login in it."""
        if self.login is None:
            return f"http://{self._server.address}"
        pair = ":".join(quote(part, safe="") for part in (self.login.username, self.login.password))
        return f"http://{pair}@{self._server.address}"

    @property
    def targets(self) -> set[str]:
        """Give every ``host:port`` it was asked for."""
        return {passed.target for passed in self.passed}

    def lets_in(self, authorization: str) -> bool:
        """Tell whether this header is good enough."""
        if self.login is None:
            return True
        pair = f"{self.login.username}:{self.login.password}".encode()
        return authorization == f"Basic {base64.b64encode(pair).decode()}"


class _Handler(BaseHTTPRequestHandler):
    lab: ClassVar[Proxy]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_CONNECT(self) -> None:
        """Open a tunnel and carry bytes both ways until one side ends."""
        self.close_connection = True
        with contextlib.suppress(OSError), self._reached(self.path) as server:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _join(self.connection, server)

    def _forward(self) -> None:
        """Carry one request on, and the whole answer back."""
        self.close_connection = True
        address = urlsplit(self.path)
        path = address._replace(scheme="", netloc="").geturl() or "/"
        with contextlib.suppress(OSError), self._reached(address.netloc) as server:
            server.sendall(self._head(path))
            chunked = "chunked" in self.headers.get("Transfer-Encoding", "").lower()
            for piece in body_of(self):
                server.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            server.sendall(b"0\r\n\r\n" if chunked else b"")
            while piece := server.recv(PIECE):
                self.connection.sendall(piece)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

    def _head(self, path: str) -> bytes:
        kept = [f"{k}: {v}" for k, v in self.headers.items() if k.lower() not in _NOT_PASSED_ON]
        first = f"{self.command} {path} HTTP/1.1"
        return "\r\n".join([first, *kept, "Connection: close", "", ""]).encode("latin-1")

    @contextlib.contextmanager
    def _reached(self, target: str) -> Iterator[socket.socket]:
        """Give a connection to the target; OSError, already answered, when there is none."""
        status, server = 407, None
        if self.lab.lets_in(self.headers.get("Proxy-Authorization", "")):
            host, _, port = self.lab.routes.get(target, target).rpartition(":")
            try:
                server = socket.create_connection((host, int(port)), SECONDS)
                status = 200
            except OSError:
                status = 502
        self.lab.passed.append(Passed(self.command, target, status))
        if server is None:
            self._refuse(status)
            raise ConnectionRefusedError(target)
        with server:
            yield server

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        if status == 407:
            self.send_header("Proxy-Authenticate", 'Basic realm="lab"')
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the requests are kept as data."""


def _join(one: socket.socket, other: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if not (piece := source.recv(PIECE)):
                    return
                key.data.sendall(piece)

"""An HTTP server in a thread that ends at once and leaves no socket behind."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ThreadedServer(ThreadingHTTPServer):
    """A server on a random loopback port; every connection has a thread."""

    daemon_threads = True
    block_on_close = True
    request_queue_size = 256

    def __init__(
        self, handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None
    ) -> None:
        """Listen at once; answers come between `start` and `stop`."""
        self.tls = tls
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        super().__init__(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._accept)

    @property
    def address(self) -> str:
        """Give ``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self.server_port}"

    def server_bind(self) -> None:
        """Bind without asking the name service who we are."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End all connections, wait for their threads and free the port."""
        self._ended.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.drop_connections()
        self.server_close()

    def drop_connections(self) -> None:
        """End every connection that is open now."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        """Wait in `accept` itself: hundreds of servers may stand idle, and none of them polls."""
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                self.process_request(*self.get_request())

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept; the TLS handshake is left to the connection's own thread."""
        connection, peer = super().get_request()
        if self.tls is not None:
            connection = self.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self._lock:
            self.connections += 1
            self._open.add(connection)
        return connection, peer

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close one connection."""
        self.forget(request)
        super().shutdown_request(request)

    def forget(self, connection: object) -> None:
        """Leave a connection to who closes it."""
        with self._lock:
            self._open.discard(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: clients that go away are part of the tests."""


def body_of(handler: BaseHTTPRequestHandler) -> Iterator[bytes]:
    """Give the body of the request in pieces, chunked (as skopeo 1.9 sends forms) or of a length.

    The whole of it must be taken before the answer is sent.
    """
    if "chunked" in handler.headers.get("Transfer-Encoding", "").lower():
        while size := int(handler.rfile.readline().split(b";")[0] or b"0", 16):
            yield handler.rfile.read(size)
            handler.rfile.readline()
        handler.rfile.readline()
    else:
        yield handler.rfile.read(int(handler.headers.get("Content-Length", "0")))

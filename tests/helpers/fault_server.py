"""The HTTP side of the registry double: reads requests, sends replies, breaks them on demand."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, ClassVar

from tests.helpers.fault_routes import take_apart
from tests.helpers.fault_types import CUT, Fault, HeaderValue, Kind, Reply, Seen, status_reply
from tests.helpers.threaded_server import body_of

if TYPE_CHECKING:
    from tests.helpers.faults import FaultRegistry

HTML = Reply(
    200, b"<html><body>Sign in to the network</body></html>", {"Content-Type": "text/html"}
)
NOWHERE = Reply(307, b"", {"Location": "http://127.0.0.1:1/nowhere"})
HANG_SECONDS = 600.0
SLOW_PIECES = 64
EXTRA = b"too much"
TLS_HANDSHAKE = b"\x16"


class FaultHandler(BaseHTTPRequestHandler):
    """One connection to the registry double."""

    lab: ClassVar[FaultRegistry]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Number the connection."""
        super().setup()
        self.number = self.lab.next_connection()

    def handle(self) -> None:
        """Refuse a greeting over TLS at once, as servers written in Go do."""
        if self.lab.options.certificates is None and self._peeked() == TLS_HANDSHAKE:
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            return
        super().handle()

    def _peeked(self) -> bytes:
        with contextlib.suppress(OSError):
            return self.connection.recv(1, socket.MSG_PEEK)
        return b""

    def _handle(self) -> None:
        asked = take_apart(self.command, self.path, dict(self.headers.items()))
        seen, fault = self.lab.arrived(asked, self.number)
        kind = fault.kind if fault else None
        if kind is Kind.RESET:
            return self._reset()
        if kind is Kind.HANG:
            self.lab.wait_for_release(HANG_SECONDS)
            return self._reset()
        if kind is Kind.RESET_IN_BODY and self.command in {"PUT", "PATCH", "POST"}:
            self._read_half()
            return self._reset()
        body = b"".join(body_of(self))
        self.lab.pause()
        if kind is Kind.EXPIRED_TOKEN:
            self.lab.expire_tokens()
        reply = self._planned(seen, fault) or self.lab.answer(asked, body)
        return self._send(reply, seen, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def _planned(self, seen: Seen, fault: Fault | None) -> Reply | None:
        """Give the reply of a fault that keeps the request from having any effect."""
        if fault is None:
            return None
        if isinstance(fault.kind, int):
            return self._status(seen, fault, fault.kind)
        return {Kind.HTML: HTML, Kind.REDIRECT_NOWHERE: NOWHERE}.get(fault.kind)

    def _status(self, seen: Seen, fault: Fault, status: int) -> Reply:
        reply = status_reply(seen.stage, status, fault.message)
        headers = dict(reply.headers)
        if fault.retry_after is not None:
            headers["Retry-After"] = str(fault.retry_after)
        return replace(reply, headers=headers)

    def _send(self, reply: Reply, seen: Seen, fault: Fault | None) -> None:
        kind = fault.kind if fault else None
        if kind is Kind.RESET_AFTER or reply is CUT:
            return self._reset()
        changed = _falsified(reply, kind)
        head = self._head(changed, kind)
        seen.status = changed.status
        body = b"" if self.command == "HEAD" else changed.body
        if kind in {Kind.CUT_BODY, Kind.RESET_IN_BODY}:
            whole = head + body
            keep = len(head) + len(body) // 2 if body else len(head) // 2
            self.wfile.write(whole[:keep])
            self.close_connection = True
            if kind is Kind.RESET_IN_BODY:
                self._reset()
        elif fault and kind is Kind.SLOW_BODY:
            self._trickle(head, body, fault.pause)
        else:
            self.wfile.write(head + body)
        self.lab.ended(seen)
        return None

    def _head(self, reply: Reply, kind: Kind | int | None) -> bytes:
        length = len(reply.body)
        if kind is Kind.WRONG_LENGTH and self.command == "HEAD":
            length += len(EXTRA)
        headers = {"Docker-Distribution-Api-Version": "registry/2.0", **reply.headers}
        if reply.status != HTTPStatus.NO_CONTENT:
            headers.setdefault("Content-Length", str(length))
        phrase = HTTPStatus(reply.status).phrase
        lines = [f"HTTP/1.1 {reply.status} {phrase}", *_fields(headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _trickle(self, head: bytes, body: bytes, pause: float) -> None:
        self.wfile.write(head)
        step = max(len(body) // SLOW_PIECES, 1)
        for at in range(0, len(body), step):
            self.lab.wait_for_release(pause)
            self.wfile.write(body[at : at + step])

    def _read_half(self) -> None:
        if length := int(self.headers.get("Content-Length", "2")):
            self.rfile.read1(max(length // 2, 1))

    def _reset(self) -> None:
        """End the connection with a TCP reset instead of an orderly close."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.server.forget(self.connection)  # type: ignore[attr-defined]
        os.close(self.connection.detach())

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the requests are kept as data."""


def _fields(headers: Mapping[str, HeaderValue]) -> Iterator[str]:
    for name, value in headers.items():
        for one in (value,) if isinstance(value, str) else value:
            yield f"{name}: {one}"


def _falsified(reply: Reply, kind: Kind | int | None) -> Reply:
    """Give the reply with wrong content and right framing."""
    if kind is Kind.WRONG_LENGTH:
        return replace(reply, body=reply.body + EXTRA)
    if kind is not Kind.WRONG_BYTES:
        return reply
    headers = dict(reply.headers)
    if "Docker-Content-Digest" in headers and not _is_blob(reply):
        headers["Docker-Content-Digest"] = "sha256:" + "0" * 64
    return replace(reply, body=_other_bytes(reply), headers=headers)


def _is_blob(reply: Reply) -> bool:
    return reply.headers.get("Content-Type") == "application/octet-stream"


def _other_bytes(reply: Reply) -> bytes:
    """Give as many bytes that differ: JSON stays JSON, with other names in it."""
    if not reply.body:
        return b""
    try:
        json.loads(reply.body)
    except ValueError:
        return bytes(255 - byte for byte in reply.body[:64]) + reply.body[64:]
    # Of a manifest only its digest tells.
    other = reply.body.replace(b'"schemaVersion"', b'"schemaVersioN"', 1)
    return reply.body.swapcase() if other == reply.body else other

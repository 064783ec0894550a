"""The exchange: a registry on loopback, for the tools of this run only."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import socket
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import aiohttp
from aiohttp import web
from loguru import logger

from image_tools.errors import ImageToolsError, UnknownFailure
from image_tools.exchange import blobs, manifests, uploads
from image_tools.exchange.api import (
    Endpoint,
    Route,
    answer,
    error_answer,
    failure,
    route,
    unauthorized,
)
from image_tools.exchange.ledger import Traffic
from image_tools.exchange.sessions import ToolSession, TrackedStore
from image_tools.stores.store import Store
from image_tools.web.basic import basic_authorization

USER = "image-tools"
SHUTDOWN_SECONDS = 1.0


class Exchange:
    """Presents stores to tools as `127.0.0.1:PORT/<session>/<repository>`.

    Listens on loopback, on a port the system chooses, and accepts only the random password of this
    run. Belongs to the event loop.
    """

    def __init__(self) -> None:
        self.password = secrets.token_urlsafe(32)
        self.port = 0
        self._sessions: dict[str, ToolSession] = {}
        self._numbers = count(1)
        self._runner = web.ServerRunner(
            # Bodies have digests and must not be decompressed; that could also fill the memory.
            web.Server(self._handle, access_log=None, auto_decompress=False),
            shutdown_timeout=SHUTDOWN_SECONDS,
        )

    @property
    def address(self) -> str:
        """Return `127.0.0.1:PORT`, once started."""
        return f"127.0.0.1:{self.port}"

    @property
    def login(self) -> tuple[str, str]:
        """Return the user name and password of the exchange."""
        return USER, self.password

    async def start(self) -> None:
        """Start to listen."""
        await self._runner.setup()
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener).start()
        logger.debug("the exchange listens on {}", self.address)

    async def stop(self) -> None:
        """Close the port and every session."""
        for session in tuple(self._sessions.values()):
            await self.close(session)
        await self._runner.cleanup()

    def open_source(
        self, store: Store, repository: str, traffic: Traffic, **more: Any
    ) -> ToolSession:
        """Return a session for reading; `more` are fields of ToolSession."""
        key = f"s{next(self._numbers)}"
        return self._add(
            ToolSession(key=key, store=store, repository=repository, traffic=traffic, **more)
        )

    def open_destination(
        self, tracked: TrackedStore, repository: str, traffic: Traffic, **more: Any
    ) -> ToolSession:
        """Return a session for reading and writing; `more` are fields of ToolSession."""
        key = f"d{next(self._numbers)}"
        store, ledger = tracked.store, tracked.ledger
        return self._add(
            ToolSession(
                key=key, store=store, repository=repository, traffic=traffic, ledger=ledger, **more
            )
        )

    def reference(self, session: ToolSession, ending: str) -> str:
        """Return what a tool calls a manifest; `ending` is `@digest` or `:tag`."""
        return f"{self.address}/{session.key}/{session.repository}{ending}"

    async def close(self, session: ToolSession) -> None:
        """Close a session: its address is unknown from now on."""
        self._sessions.pop(session.key, None)
        await session.close()

    def _add(self, session: ToolSession) -> ToolSession:
        session.find = self._by_path
        self._sessions[session.key] = session
        return session

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._is_ours(request):
            return unauthorized()
        asked = _asked(request)
        if asked.endpoint is Endpoint.PING:
            return answer(200, {"Content-Type": "application/json"}, b"{}")
        session = self._sessions.get(asked.session)
        if asked.endpoint is Endpoint.UNKNOWN or not _fits(session, asked):
            return error_answer(404, "NAME_UNKNOWN", "no such repository here")
        assert session is not None
        if asked.endpoint is Endpoint.UNSUPPORTED or (
            asked.endpoint.writes and session.ledger is None
        ):
            return error_answer(405, "UNSUPPORTED", "the exchange does not do this here")
        await _welcome_body(request)
        return await self._answer(session, asked, request)

    async def _answer(
        self, session: ToolSession, asked: Route, request: web.BaseRequest
    ) -> web.StreamResponse:
        # The server continues an answer when its tool has gone: closing the session ends it.
        work = asyncio.ensure_future(_HANDLERS[asked.endpoint](session, asked, request))
        session.answering.add(work)
        work.add_done_callback(session.answering.discard)
        try:
            return await work
        except asyncio.CancelledError:
            work.cancel()
            raise
        except ImageToolsError as error:
            logger.debug("{} {}: {}", asked.endpoint.value, asked.subject, error)
            session.blame(error)
            return failure(error, asked.endpoint)
        except (aiohttp.ClientError, OSError) as error:
            # The tool has gone: no failure of a store.
            logger.debug("{} {}: the tool hung up: {}", asked.endpoint.value, asked.subject, error)
            return answer(400)
        except Exception as error:
            # A bug of ours; a tool would repeat its request after a 500.
            logger.opt(exception=error).error("the exchange failed on {}", asked.endpoint.value)
            bug = UnknownFailure(f"the exchange failed: {error!r}", exhausted=True)
            session.blame(bug)
            return failure(bug, asked.endpoint)

    def _by_path(self, path: str) -> ToolSession | None:
        key, _, repository = path.partition("/")
        session = self._sessions.get(key)
        return session if session is not None and session.repository == repository else None

    def _is_ours(self, request: web.BaseRequest) -> bool:
        expected = basic_authorization(USER, self.password)
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        return hmac.compare_digest(given, expected.encode())


def _asked(request: web.BaseRequest) -> Route:
    """Return the request's route; a slash written as %2F is part of no valid name."""
    if "%2f" in request.rel_url.raw_path.lower():
        return Route(Endpoint.UNKNOWN)
    return route(request.method, request.rel_url.path)


async def _welcome_body(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body (RFC 9110, 10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # The answer itself has not begun.


def _fits(session: ToolSession | None, asked: Route) -> bool:
    return session is not None and session.repository == asked.repository


async def _tags(session: ToolSession, _asked: Route, _request: web.BaseRequest) -> web.Response:
    names = await session.store.tags(session.repository)
    document = {"name": f"{session.key}/{session.repository}", "tags": list(names)}
    return answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())


_Handler = Callable[[ToolSession, Route, web.BaseRequest], Awaitable[web.StreamResponse]]
_HANDLERS: dict[Endpoint, _Handler] = {
    Endpoint.MANIFEST_GET: manifests.read,
    Endpoint.MANIFEST_HEAD: manifests.read,
    Endpoint.MANIFEST_PUT: manifests.write,
    Endpoint.BLOB_HEAD: blobs.head,
    Endpoint.BLOB_GET: blobs.get,
    Endpoint.UPLOAD_BEGIN: uploads.begin,
    Endpoint.UPLOAD_APPEND: uploads.append,
    Endpoint.UPLOAD_END: uploads.end,
    Endpoint.UPLOAD_STATUS: uploads.status,
    Endpoint.UPLOAD_ABORT: uploads.abort,
    Endpoint.TAGS: _tags,
}

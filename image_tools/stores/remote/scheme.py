"""Whether a registry speaks TLS or plain HTTP: asked once, then remembered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from yarl import URL

from image_tools.errors import CopyFailed, ImageToolsError, TimedOut, TlsProblem
from image_tools.web.address import root_url
from image_tools.web.tls import TlsChoice, is_loopback
from image_tools.web.tls_failures import speaks_no_tls

LOOPBACK_PATIENCE = 3.0
FAILURE_COUNTS_FOR = 5.0

Ping = Callable[[URL], Awaitable[None]]
Repeat = Callable[[Callable[[], Awaitable[URL]]], Awaitable[URL]]


class RegistryRoot:
    """The root URL of a registry: `https` where it speaks TLS, `http` where that is allowed.

    `ping(root)` requests `/v2/` and raises what is wrong; `repeat` repeats temporary failures. All
    callers share one question. A failure is remembered for `remembers` seconds, so that a thousand
    images of a dead registry do not wait one after the other.
    """

    def __init__(
        self,
        registry: str,
        tls: TlsChoice,
        ping: Ping,
        repeat: Repeat,
        remembers: float = FAILURE_COUNTS_FOR,
    ) -> None:
        self._registry, self._tls, self._ping, self._repeat = registry, tls, ping, repeat
        self._remembers = remembers
        self._asking: asyncio.Future[URL] | None = None
        self._failed_at = 0.0

    async def find(self) -> URL:
        """Return the root URL; raise why the registry does not answer."""
        task = self._asking
        if task is None or (_failed(task) and self._is_old()):
            task = self._asking = asyncio.ensure_future(self._repeat(self._ask))
            task.add_done_callback(self._note)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel the question."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    def _note(self, task: asyncio.Future[URL]) -> None:
        if _failed(task):
            self._failed_at = time.monotonic()

    def _is_old(self) -> bool:
        return time.monotonic() > self._failed_at + self._remembers

    async def _ask(self) -> URL:
        secure = root_url(self._registry, "https")
        host = secure.host or ""
        patience = LOOPBACK_PATIENCE if self._may_be_plain(host) and is_loopback(host) else None
        try:
            # A plain HTTP server may wait for the end of a line, which a TLS greeting has not.
            await asyncio.wait_for(self._ping(secure), patience)
            return secure
        except asyncio.TimeoutError:
            problem: CopyFailed = TimedOut(f"{self._registry}: no answer over TLS")
        except CopyFailed as error:
            if not self._may_be_plain(host) or not self._is_worth_a_try(error, secure):
                raise
            problem = error
        return await self._ask_plain(problem)

    async def _ask_plain(self, problem: CopyFailed) -> URL:
        plain = root_url(self._registry, "http")
        try:
            await self._ping(plain)
        except ImageToolsError as error:
            # Go and nginx answer 400 to plain HTTP on a port that speaks TLS.
            if getattr(error, "status", None) in (None, 400) and not speaks_no_tls(problem):
                raise problem from error
            raise
        return plain

    def _may_be_plain(self, host: str) -> bool:
        return self._tls.allows_plain(host)

    def _is_worth_a_try(self, error: CopyFailed, secure: URL) -> bool:
        """Return whether plain HTTP may be spoken after TLS failed.

        On a port of its own the server has said so, or said nothing; without a port, 80 is another
        service. A proxy may refuse TLS alone, so plain HTTP is tried where the user allows it.
        """
        if error.status is not None:
            return False
        if self._tls.verify is False or speaks_no_tls(error) or isinstance(error, TimedOut):
            return True
        return secure.is_default_port() and not isinstance(error, TlsProblem)


def _failed(task: asyncio.Future[URL]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)

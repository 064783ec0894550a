"""TLS or plain HTTP: asked once of a registry, then remembered."""

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


class Root:
    """The root URL of a registry: `https` where it speaks TLS, `http` where that is allowed.

    `ping(root)` asks `/v2/` and raises what is wrong; `repeat` tries again what may pass. Whoever
    comes while it is asked waits for the same answer; a failure counts for a few seconds, so that
    a thousand entries of a dead registry do not wait one after the other.
    """

    def __init__(self, registry: str, tls: TlsChoice, ping: Ping, repeat: Repeat) -> None:
        self._registry, self._tls, self._ping, self._repeat = registry, tls, ping, repeat
        self._asking: asyncio.Future[URL] | None = None
        self._failed_at = 0.0

    async def find(self) -> URL:
        """The root URL; raises why the registry does not answer."""
        task = self._asking
        if task is None or (_failed(task) and self._is_old()):
            task = self._asking = asyncio.ensure_future(self._repeat(self._ask))
            task.add_done_callback(self._note)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    def _note(self, task: asyncio.Future[URL]) -> None:
        if _failed(task):
            self._failed_at = time.monotonic()

    def _is_old(self) -> bool:
        return time.monotonic() > self._failed_at + FAILURE_COUNTS_FOR

    async def _ask(self) -> URL:
        secure = root_url(self._registry, "https")
        host = secure.host or ""
        patience = LOOPBACK_PATIENCE if self._may_be_plain(host) and is_loopback(host) else None
        try:
            # A plain server may wait for the end of a line that a TLS greeting never ends.
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
            # 400 is how servers of Go and nginx answer plain HTTP on a port that speaks TLS.
            if getattr(error, "status", None) in (None, 400) and not speaks_no_tls(problem):
                raise problem from error
            raise
        return plain

    def _may_be_plain(self, host: str) -> bool:
        return self._tls.allows_plain(host)

    def _is_worth_a_try(self, error: CopyFailed, secure: URL) -> bool:
        """Whether a failed greeting over TLS leaves it possible that plain HTTP is spoken.

        On its own port the server has said so, or said nothing; without one, port 80 is another
        door. A proxy may refuse TLS alone, so where the user allows plain HTTP it is tried.
        """
        if error.status is not None:
            return False
        if self._tls.verify is False or speaks_no_tls(error) or isinstance(error, TimedOut):
            return True
        return secure.is_default_port() and not isinstance(error, TlsProblem)


def _failed(task: asyncio.Future[URL]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)

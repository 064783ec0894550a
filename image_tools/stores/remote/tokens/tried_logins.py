"""Logins tried at one registry: each is sent once, alone, before many requests use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from image_tools.errors import Unauthorized
from image_tools.logins.auth_file import Credentials

UNAUTHORIZED = 401


Prove = Callable[[str], Awaitable[bool]]


async def _unasked(_header: str) -> bool:
    return True


class TriedLogins:
    """The logins that were accepted, and those that were refused, which are not sent again.

    Many servers lock an account after a few wrong passwords, and a list has hundreds of images.
    `prove(header)` returns whether the registry accepts a Basic header; without it, all are taken
    as accepted. Belongs to one event loop.
    """

    def __init__(self, registry: str, prove: Prove = _unasked) -> None:
        self._registry, self.prove = registry, prove
        self._good: set[str | Credentials] = set()
        self._refused: dict[str | Credentials, Unauthorized] = {}
        self._one_at_a_time = asyncio.Lock()

    async def check(self, header: str) -> None:
        """Raise Unauthorized unless the registry accepts a Basic header."""
        async with self._tried(header):
            if header not in self._good and not await self.prove(header):
                raise Unauthorized(
                    f"{self._registry}: wrong user name or password", status=UNAUTHORIZED
                )

    @asynccontextmanager
    async def login(self, credentials: Credentials | None) -> AsyncIterator[None]:
        """Send `credentials` to a token server inside; the body raises Unauthorized if refused."""
        if credentials is None:
            yield
            return
        async with self._tried(credentials):
            yield

    @asynccontextmanager
    async def _tried(self, key: str | Credentials) -> AsyncIterator[None]:
        if key in self._good:
            yield
            return
        async with self._one_at_a_time:
            if (known := self._refused.get(key)) is not None:
                raise known.copied()
            try:
                yield
            except Unauthorized as error:
                # A 403 may be about one repository: only a 401 is about the login.
                if error.status == UNAUTHORIZED and key not in self._good:
                    self._refused[key] = error
                raise
            self._good.add(key)

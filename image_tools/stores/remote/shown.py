"""What one registry was shown of a login: its answers may repeat it, and nothing else may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from image_tools.logins.auth_file import Credentials

_HIDDEN = b"***"
# Shorter ones would hide half of every sentence.
_SHORTEST = 4

Find = Callable[[str], Awaitable[Credentials | None]]


class Shown:
    """The secrets a registry was shown, taken out of what it says about a refusal."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._secrets: set[bytes] = set()

    async def find(self, repository: str) -> Credentials | None:
        """The login for `repository`, remembered to be hidden."""
        found = await self._find(repository)
        for secret in (found.password, found.identity_token) if found else ():
            self._add(secret)
        return found

    def header(self, authorization: str | None) -> str | None:
        """The same header, remembered to be hidden."""
        if authorization:
            self._add(authorization.rpartition(" ")[2])
        return authorization

    def hidden(self, said: bytes) -> bytes:
        """`said` without any of the secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            said = said.replace(secret, _HIDDEN)
        return said

    def _add(self, secret: str) -> None:
        if len(secret) >= _SHORTEST:
            plain = secret.encode(errors="surrogateescape")
            self._secrets |= {plain, quote(plain, safe="").encode()}

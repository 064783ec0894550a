"""Who is let in to a served archive: the users of an htpasswd file."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path

import bcrypt

from image_tools.errors import EnvironmentProblem, UsageError

_BCRYPT = ("$2a$", "$2b$", "$2y$")
_NOBODY = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(4))


class Gate:
    """Lets in who knows a user's password; whoever was let in once is known again quickly."""

    def __init__(self, users: Mapping[str, bytes]) -> None:
        self._users = users
        self._salt = secrets.token_bytes(32)
        self._known: set[bytes] = set()

    async def lets_in(self, authorization: str) -> bool:
        """Whether the header `authorization` holds a user's name and password (RFC 7617)."""
        given = authorization.encode(errors="surrogateescape")
        mark = hashlib.blake2b(given, key=self._salt).digest()
        if mark in self._known:
            return True
        login = _login(given)
        if login is None or not await asyncio.to_thread(self._is_right, *login):
            return False
        self._known.add(mark)
        return True

    def _is_right(self, user: str, password: bytes) -> bool:
        # A name that nobody has costs as much time as one that somebody has.
        expected = self._users.get(user, _NOBODY)
        try:
            return bcrypt.checkpw(password[:72], expected) and user in self._users
        except ValueError:
            return False


def read_htpasswd(path: Path) -> Gate:
    """The gate of an htpasswd file with bcrypt passwords (`htpasswd -B`), as docker-registry's.

    UsageError for a line that is none, naming it; EnvironmentProblem when it cannot be read.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentProblem(f"{path}: cannot be read: {error}") from error
    users: dict[str, bytes] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, password = line.strip().partition(":")
        if not user or not password.startswith(_BCRYPT):
            raise UsageError(
                f"{path}:{number}: no user with a bcrypt password",
                advice="write the line with: htpasswd -nB USER",
            )
        users[user] = password.encode()
    if not users:
        raise UsageError(f"{path} names no user")
    return Gate(users)


def _login(given: bytes) -> tuple[str, bytes] | None:
    scheme, _, encoded = given.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return user.decode(), password
    except (binascii.Error, UnicodeDecodeError):
        return None

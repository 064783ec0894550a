"""Basic authentication (RFC 7617): a user name and a password as one word."""

from __future__ import annotations

import base64


def encoded_login(username: str, password: str) -> str:
    """Return `username:password` in base64, as Basic headers and auth files hold it."""
    return base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def basic_authorization(username: str, password: str) -> str:
    """Return the value of an Authorization or Proxy-Authorization field."""
    return f"Basic {encoded_login(username, password)}"

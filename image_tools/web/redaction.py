"""Secrets, and how they are hidden in texts."""

from __future__ import annotations

from urllib.parse import quote

from image_tools.web.basic import encoded_login

HIDDEN = "***"
# Shorter ones would hide half of every sentence.
_SHORTEST_SECRET = 4


class Secrets:
    """Secrets that are hidden in texts, also as they look in URLs and in Basic logins."""

    def __init__(self) -> None:
        # A dict: threads may add one while another one reads.
        self._forms: dict[str, None] = {}

    def add(self, secret: str, username: str | None = None) -> None:
        """Hide `secret` from now on, with `username` also the two as a Basic login.

        A secret of fewer than 4 characters is not hidden.
        """
        if len(secret) < _SHORTEST_SECRET:
            return
        if username is not None:
            self._forms[encoded_login(username, secret)] = None
        self._forms[quote(secret.encode(errors="surrogateescape"), safe="")] = None
        self._forms[secret] = None

    def clear(self) -> None:
        """Forget all secrets."""
        self._forms.clear()

    def hidden(self, text: str) -> str:
        """Return `text` without the secrets."""
        # Longest first: a secret that contains another one must go as a whole.
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, HIDDEN)
        return text

"""Outside text made fit to be shown: no secrets, no terminal control."""

from __future__ import annotations

import re
from urllib.parse import quote

from image_tools.web.basic import encoded_login

_SHORTEST_SECRET = 4
_HIDDEN = "***"

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles, links
    r"|\x1b[PX^_].*?(?:\x1b\\|$)"  # device strings
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # colours, cursor
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PATTERNS = (
    re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?(?:basic|bearer)\s+)[^\s'\",]+", re.I),
    re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?)(?!basic\s|bearer\s)[^\s'\",]+", re.I),
    re.compile(r"(\bbearer\s+)[\w.~+/-]{20,}=*", re.I),
    re.compile(r"((?:[?&;\s\"']|\b|_)(?:token|_state)['\"]?[=:]\s*['\"]?)[^\s&;'\",]+", re.I),
    re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)"),
)
_secrets: dict[str, None] = {}


def add_secret(text: str, username: str = "") -> None:
    """Hide `text` in everything shown from now on, also as it looks in URLs and in Basic logins.

    A secret of fewer than 4 characters is not hidden: it would hide half of every sentence.
    """
    if len(text) < _SHORTEST_SECRET:
        return
    for form in (encoded_login(username, text), quote(text, safe=""), text):
        _secrets[form] = None


def forget_secrets() -> None:
    """Forget what `add_secret` was told: a run is over."""
    _secrets.clear()


def redacted(text: str) -> str:
    """Return `text` without the secrets of this run and without what looks like a credential."""
    # Longest first: a secret that contains another one must go as a whole.
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{_HIDDEN}", text)
    return text


def plain(text: str) -> str:
    """Return `text` without escape sequences and control characters; line ends and tabs stay."""
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return _CONTROLS.sub("", text)


def clean(text: str) -> str:
    """Return `text` both plain and redacted, as all text from outside is shown."""
    return redacted(plain(text))

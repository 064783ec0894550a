"""Outside text made fit to be shown: no secrets, no terminal control."""

from __future__ import annotations

import re

from image_tools.web.redaction import HIDDEN, Secrets

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
_secrets = Secrets()


def add_secret(text: str, username: str = "") -> None:
    """Hide `text` in everything shown from now on, also as it looks in URLs and in Basic logins."""
    _secrets.add(text, username)


def forget_secrets() -> None:
    """Forget what `add_secret` was told: a run is over."""
    _secrets.clear()


def redacted(text: str) -> str:
    """Return `text` without the secrets of this run and without what looks like a credential."""
    text = _secrets.hidden(text)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def plain(text: str) -> str:
    """Return `text` without escape sequences and control characters; line ends and tabs stay."""
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return _CONTROLS.sub("", text)


def clean(text: str) -> str:
    """Return `text` both plain and redacted, as all text from outside is shown."""
    return redacted(plain(text))

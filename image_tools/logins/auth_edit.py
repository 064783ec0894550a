"""Changes to an auth file as pure functions: every other entry and field stays as it is."""

from __future__ import annotations

import base64
import json
from typing import Any

from image_tools.logins.auth_file import (
    HUB,
    HUB_KEY,
    Credentials,
    is_hub,
    registry_of_key,
)

# What an entry says about a login; other fields of it, such as `email`, stay.
_LOGIN_FIELDS = frozenset({"auth", "username", "password", "identitytoken", "registrytoken"})


def server_key(registry: str) -> str:
    """The key docker writes for `registry`, in files and for helpers."""
    return HUB_KEY if is_hub(registry) else registry


def with_login(content: bytes, registry: str, credentials: Credentials | None) -> bytes:
    """`content` with a login for `registry`; None leaves the mark that a helper keeps it.

    A key of another spelling for the same registry is used, more of them are removed: only one
    login can count. ValueError when `content` is no auth file.
    """
    document = _document(content)
    auths = _auths(document)
    keys = _keys_of(auths, registry)
    key = keys[0] if keys else server_key(registry)
    for other in keys[1:]:
        del auths[other]
    old = auths.get(key)
    kept = {n: v for n, v in old.items() if n not in _LOGIN_FIELDS} if isinstance(old, dict) else {}
    auths[key] = kept if credentials is None else {**kept, "auth": _encoded(credentials)}
    document["auths"] = auths
    return _written(document)


def without_logins(content: bytes, registry: str | None) -> tuple[bytes, tuple[str, ...]]:
    """`content` without the logins for `registry`, None is all, and the keys that are gone.

    ValueError when `content` is no auth file.
    """
    document = _document(content)
    auths = _auths(document)
    gone = tuple(auths) if registry is None else _keys_of(auths, registry)
    if not gone:
        return content, ()
    document["auths"] = {key: entry for key, entry in auths.items() if key not in gone}
    return _written(document), gone


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content.decode("utf-8-sig")) if content.strip() else {}
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    return document


def _auths(document: dict[str, Any]) -> dict[str, Any]:
    auths = document.get("auths") or {}
    if not isinstance(auths, dict):
        raise ValueError("auths is no JSON object")
    return dict(auths)


def _keys_of(auths: dict[str, Any], registry: str) -> tuple[str, ...]:
    """The keys for the registry as a whole; the exact one first."""
    wanted = HUB if is_hub(registry) else registry
    found = [key for key in auths if registry_of_key(key) == registry_of_key(registry)]
    return tuple(sorted(found, key=lambda key: key != wanted))


def _written(document: dict[str, Any]) -> bytes:
    # Tabs, as docker and skopeo write it.
    return (json.dumps(document, indent="\t", ensure_ascii=False) + "\n").encode()


def _encoded(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}"
    return base64.b64encode(pair.encode()).decode()

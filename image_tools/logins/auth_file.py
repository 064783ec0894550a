"""An auth file as values: containers-auth.json(5) and docker's config.json are one format.

Everything here is pure. An edit keeps every other entry and field as it is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_tools.web.basic import encoded_login

HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = frozenset({HUB, "index.docker.io", "registry-1.docker.io"})
_API_TAILS = ("/v1/", "/v2/")
_FIELDS = ("username", "password", "auth", "identitytoken")
# The fields of an entry that hold a login; others, such as `email`, stay.
_LOGIN_FIELDS = frozenset({*_FIELDS, "registrytoken"})
# The user name that `docker login` writes with an identity token.
_TOKEN_USER = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login; `identity_token` is docker's OAuth2 refresh token in place of a password."""

    username: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class AuthFile:
    """The logins of one file.

    `auths` has them by key as written (None: damaged), `helpers` the names of credential helpers
    by key; `store` is the helper for everything else. `marks` are the keys of entries without a
    login, which `store` keeps.
    """

    auths: Mapping[str, Credentials | None] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
    marks: frozenset[str] = frozenset()

    @property
    def registries(self) -> frozenset[str]:
        """Return the registries that have a login, here or with a helper."""
        keys = {*self.auths, *self.helpers, *self.marks}
        return frozenset(registry_of_key(key).partition("/")[0] for key in keys)

    def login_key(self, registry: str, repository: str) -> str | None:
        """Return the key in `auths` that is nearest to the repository, None if there is none.

        Exact keys from the longest path to the registry, then keys of the registry with a
        scheme or the tail of an API (containers-auth.json(5), "FORMAT").
        """
        return _nearest(self.auths, registry, repository)

    def helper_key(self, registry: str) -> str | None:
        """Return the key in `helpers` for the registry, None if it has no helper of its own."""
        return _nearest(self.helpers, registry)


def parse_auth_file(content: bytes) -> AuthFile:
    """Return the logins of a file; an empty file has none. ValueError if it is no auth file."""
    document = _document(content)
    store = document.get("credsStore") or ""
    if not isinstance(store, str):
        raise ValueError("credsStore is no text")
    members = _section(document, "auths")
    auths = {key: _login(entry) for key, entry in members.items() if _has_login(entry)}
    marks = frozenset(members.keys() - auths.keys())
    return AuthFile(auths, _helpers(document), store, marks)


def auth_document(logins: Mapping[str, Credentials]) -> bytes:
    """Return a new auth file with a login for each registry, as skopeo and buildx both read it."""
    auths = {server_key(registry): _entry(login) for registry, login in logins.items()}
    return _written({"auths": auths})


def with_login(content: bytes, registry: str, credentials: Credentials | None) -> bytes:
    """Return `content` with a login for `registry`; None marks that a helper keeps the login.

    A key of another spelling for the same registry is used, and further ones are removed: only one
    login can count. ValueError if `content` is no auth file.
    """
    document = _document(content)
    auths = _section(document, "auths")
    keys = _keys_of(auths, registry)
    key = keys[0] if keys else server_key(registry)
    for other in keys[1:]:
        del auths[other]
    old = auths.get(key)
    kept = {n: v for n, v in old.items() if n not in _LOGIN_FIELDS} if isinstance(old, dict) else {}
    auths[key] = kept if credentials is None else {**kept, **_entry(credentials)}
    return _written({**document, "auths": auths})


def without_logins(content: bytes, registry: str | None) -> tuple[bytes, tuple[str, ...]]:
    """Return `content` without the logins for `registry` (None: all), and the removed keys.

    ValueError if `content` is no auth file.
    """
    document = _document(content)
    auths = _section(document, "auths")
    gone = tuple(auths) if registry is None else _keys_of(auths, registry)
    if not gone:
        return content, ()
    left = {key: entry for key, entry in auths.items() if key not in gone}
    return _written({**document, "auths": left}), gone


def is_hub(registry: str) -> bool:
    """Return whether this is one of the names of Docker Hub."""
    return registry.lower() in _HUB_NAMES


def server_key(registry: str) -> str:
    """Return the key docker writes for `registry`, in files and for helpers."""
    return HUB_KEY if is_hub(registry) else registry


def registry_of_key(key: str) -> str:
    """Return the registry (or registry and path) that a key of an auth file stands for."""
    bare = key.lower()
    for scheme in ("https://", "http://"):
        if bare.startswith(scheme):
            bare = bare[len(scheme) :].partition("/")[0]
    for tail in _API_TAILS:
        bare = bare.removesuffix(tail)
    bare = bare.rstrip("/")
    return HUB if bare in _HUB_NAMES else bare


def _nearest(keys: Mapping[str, object], registry: str, repository: str = "") -> str | None:
    exact = next((key for key in _exact_keys(registry, repository) if key in keys), None)
    wanted = registry_of_key(registry)
    return exact or next((key for key in keys if registry_of_key(key) == wanted), None)


def _exact_keys(registry: str, repository: str) -> Iterator[str]:
    host = HUB if is_hub(registry) else registry
    parts = [host, *repository.split("/")] if repository else [host]
    yield from ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    if host == HUB:
        yield HUB_KEY


def _keys_of(auths: Mapping[str, object], registry: str) -> tuple[str, ...]:
    """Return the keys for the registry as a whole, the exact one first."""
    wanted = HUB if is_hub(registry) else registry
    found = [key for key in auths if registry_of_key(key) == registry_of_key(registry)]
    return tuple(sorted(found, key=lambda key: key != wanted))


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content.decode("utf-8-sig")) if content.strip() else {}
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    return document


def _section(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = document.get(name) or {}
    if not isinstance(section, dict):
        raise ValueError(f"{name} is no JSON object")
    return dict(section)


def _helpers(document: Mapping[str, Any]) -> dict[str, str]:
    helpers = {key: name for key, name in _section(document, "credHelpers").items() if name}
    if not all(isinstance(name, str) for name in helpers.values()):
        raise ValueError("a name in credHelpers is no text")
    return helpers


def _has_login(entry: object) -> bool:
    """Return whether an entry is more than the mark that a helper keeps the login."""
    return bool(any(entry.get(name) for name in _FIELDS) if isinstance(entry, dict) else entry)


def _login(entry: object) -> Credentials | None:
    if not isinstance(entry, dict):
        return None
    fields = [entry.get(name) or "" for name in _FIELDS]
    if not all(isinstance(value, str) for value in fields):
        return None
    username, password, auth, identity_token = fields
    if auth:
        pair = _pair(auth)
        if pair is None:
            return None
        username, password = pair
    return Credentials(username, password, identity_token) if username or identity_token else None


def _pair(auth: str) -> tuple[str, str] | None:
    """Return user name and password of an `auth` field; docker pads the password with NULs."""
    text = "".join(auth.split())
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except ValueError:
        return None
    username, colon, password = plain.partition(":")
    return (username, password.strip("\0")) if colon else None


def _entry(login: Credentials) -> dict[str, str]:
    if login.identity_token:
        # skopeo takes the whole entry for none if it has no user name.
        return {"auth": encoded_login(_TOKEN_USER, ""), "identitytoken": login.identity_token}
    return {"auth": encoded_login(login.username, login.password)}


def _written(document: Mapping[str, Any]) -> bytes:
    # Tabs, as docker and skopeo write it.
    return (json.dumps(document, indent="\t", ensure_ascii=False) + "\n").encode()

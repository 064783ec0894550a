"""An auth file as values: containers-auth.json(5) and docker's config.json are one format."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = frozenset({HUB, "index.docker.io", "registry-1.docker.io"})
_API_TAILS = ("/v1/", "/v2/")
_FIELDS = ("username", "password", "auth", "identitytoken")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login; `identity_token` is docker's OAuth2 refresh token in place of a password."""

    username: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class AuthFile:
    """`auths` by key as written (None: damaged), helper names by key, the helper for the rest.

    `marks` are keys without a login: `store` keeps those.
    """

    auths: Mapping[str, Credentials | None] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
    marks: frozenset[str] = frozenset()

    def login_key(self, registry: str, repository: str) -> str | None:
        """The key in `auths` nearest to the repository; None when there is none.

        Exact keys from the longest path to the registry, then keys of the registry with a
        scheme or the tail of an API (containers-auth.json(5), "FORMAT").
        """
        exact = (key for key in _exact_keys(registry, repository) if key in self.auths)
        return next(exact, None) or _alike(self.auths, registry)

    @property
    def registries(self) -> frozenset[str]:
        """The registries that have a login, here or with a helper."""
        keys = {*self.auths, *self.helpers, *self.marks}
        return frozenset(registry_of_key(key).partition("/")[0] for key in keys)

    def helper_key(self, registry: str) -> str | None:
        """The key in `helpers` for the registry; None when it has no helper of its own."""
        exact = next((key for key in _exact_keys(registry, "") if key in self.helpers), None)
        return exact or _alike(self.helpers, registry)


def parse_auth_file(content: bytes) -> AuthFile:
    """The logins of a file; an empty file has none. ValueError when it is no auth file."""
    if not content.strip():
        return AuthFile()
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    store = document.get("credsStore") or ""
    if not isinstance(store, str):
        raise ValueError("credsStore is no text")
    members = dict(_members(document, "auths"))
    auths = {key: _login(entry) for key, entry in members.items() if _says(entry)}
    marks = frozenset(members.keys() - auths.keys())
    return AuthFile(auths, dict(_helpers(document)), store, marks)


def is_hub(registry: str) -> bool:
    """Whether this is one of the names of Docker Hub."""
    return registry.lower() in _HUB_NAMES


def registry_of_key(key: str) -> str:
    """The registry (or registry and path) a key of an auth file stands for."""
    bare = key.lower()
    for scheme in ("https://", "http://"):
        if bare.startswith(scheme):
            bare = bare[len(scheme) :].partition("/")[0]
    for tail in _API_TAILS:
        bare = bare.removesuffix(tail)
    bare = bare.rstrip("/")
    return HUB if bare in _HUB_NAMES else bare


def _exact_keys(registry: str, repository: str) -> Iterator[str]:
    host = HUB if is_hub(registry) else registry
    parts = [host, *repository.split("/")] if repository else [host]
    yield from ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    if host == HUB:
        yield HUB_KEY


def _alike(keys: Mapping[str, object], registry: str) -> str | None:
    wanted = registry_of_key(registry)
    return next((key for key in keys if registry_of_key(key) == wanted), None)


def _members(document: Mapping[str, object], name: str) -> Iterator[tuple[str, object]]:
    section = document.get(name) or {}
    if not isinstance(section, dict):
        raise ValueError(f"{name} is no JSON object")
    yield from section.items()


def _helpers(document: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key, name in _members(document, "credHelpers"):
        if name and not isinstance(name, str):
            raise ValueError("a name in credHelpers is no text")
        if name:
            yield key, str(name)


def _says(entry: object) -> bool:
    """Whether an entry is more than the mark that a helper keeps the login."""
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
    """User name and password of an `auth` field; docker pads the password with NULs."""
    text = "".join(auth.split())
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except ValueError:
        return None
    username, colon, password = plain.partition(":")
    return (username, password.strip("\0")) if colon else None

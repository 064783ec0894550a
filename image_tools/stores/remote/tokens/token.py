"""Scopes and tokens as values (distribution spec, "Token Authentication")."""

from __future__ import annotations

import base64
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

# Docker's token specification: without `expires_in` it is 60 seconds, and never less.
SHORTEST_LIFE = 60.0
_LONGEST_LIFE = 30 * 24 * 3600.0
_SENDABLE = re.compile(r"[!-~]+")
_REPOSITORY_SCOPE = re.compile(
    r"repository(?:\([a-z0-9]+\))?:(?P<name>[^\s]+):(?P<actions>[a-z_*,]+)"
)
_COMMON_ACTIONS = frozenset({"pull", "push", "delete", "*"})

Rights = frozenset[tuple[str, str]]
# A token is renewed at 80 % of its life, at the latest 30 seconds before it expires.
_RENEW_PART, _RENEW_BEFORE = 0.8, 30.0


@dataclass(frozen=True, slots=True)
class Scope:
    """The rights to pull, and to push and delete where set, for the repository `name`.

    `also` are actions that one product's challenges name: `metadata_read` at ACR.
    """

    name: str
    push: bool = False
    delete: bool = False
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"repository:{self.name}:{','.join(self.actions)}"

    @property
    def actions(self) -> tuple[str, ...]:
        """Return the actions in the order all clients write them."""
        return ("pull", *("push",) * self.push, *("delete",) * self.delete, *self.also)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token for `life` seconds; `granted` is what it says it allows, None if opaque."""

    text: str = field(repr=False)
    life: float = SHORTEST_LIFE
    granted: Rights | None = None


def rights_of(scopes: Iterable[Scope]) -> Rights:
    """Return the pairs of name and action that `scopes` ask for."""
    return frozenset((scope.name, action) for scope in scopes for action in scope.actions)


def named_repository(scope: str) -> str | None:
    """Return the repository in a challenge's scope; None for several scopes or another type."""
    found = _REPOSITORY_SCOPE.fullmatch(scope.strip())
    return found["name"] if found else None


def rare_actions(scope: str) -> tuple[str, ...]:
    """Return the actions in a challenge's scope that not every registry knows, in order."""
    found = _REPOSITORY_SCOPE.fullmatch(scope.strip())
    actions = found["actions"].split(",") if found else []
    return tuple(dict.fromkeys(one for one in actions if one and one not in _COMMON_ACTIONS))


def parse_token(body: bytes) -> Token:
    """Return the token in a token server's answer. ValueError, without its text, if none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("no JSON") from None
    if not isinstance(answer, dict):
        raise ValueError("no JSON object")
    text = answer.get("token") or answer.get("access_token")
    if not isinstance(text, str) or not _SENDABLE.fullmatch(text):
        raise ValueError("no token in it")
    return Token(text, _life(answer.get("expires_in")), granted_rights(text))


def granted_rights(token: str) -> Rights | None:
    """Return what the `access` claim of a JWT allows; None without such a claim.

    The signature is not verified: the registry does that. The claim only saves a request.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    access = claims.get("access") if isinstance(claims, dict) else None
    if not isinstance(access, list):
        return None
    rights: set[tuple[str, str]] = set()
    for entry in access:
        pairs = _pairs(entry)
        if pairs is None:
            return None
        rights |= pairs
    return frozenset(rights)


def _pairs(entry: object) -> Rights | None:
    if not isinstance(entry, dict):
        return None
    name, actions = entry.get("name"), entry.get("actions")
    if not isinstance(name, str) or not isinstance(actions, (list, type(None))):
        return None
    if entry.get("type") != "repository":
        return frozenset()
    allowed = {"pull", "push"} if "*" in (actions or ()) else set(map(str, actions or ()))
    return frozenset((name, action) for action in allowed)


def _life(value: object) -> float:
    try:
        seconds = float(value) if isinstance(value, (int, float, str)) else SHORTEST_LIFE
    except (ValueError, OverflowError):
        return SHORTEST_LIFE
    if not math.isfinite(seconds):
        return SHORTEST_LIFE
    return min(max(seconds, SHORTEST_LIFE), _LONGEST_LIFE)


@dataclass(frozen=True, slots=True)
class TokenNeed:
    """The access that a request needs: its repository first, then the origin of a mount."""

    repository: str
    scopes: tuple[Scope, ...]

    @property
    def rights(self) -> Rights:
        """Return the rights that the token must have."""
        return rights_of(self.scopes)


@dataclass(slots=True, eq=False)
class Grant:
    """A token with the rights it is used for; `wide` if more was asked for than one need.

    `given` counts how often it was used for a need: a second time means that it worked.
    """

    token: Token
    rights: Rights
    wide: bool
    begun: float
    given: Counter[Rights] = field(default_factory=Counter)

    @property
    def header(self) -> str:
        """Return the Authorization header with the token."""
        return f"Bearer {self.token.text}"

    @property
    def ends_at(self) -> float:
        """Return when it expires, on the clock that told `begun`."""
        return self.begun + self.token.life

    @property
    def renew_at(self) -> float:
        """Return the time from which it should be renewed."""
        life = self.token.life
        return self.begun + min(life * _RENEW_PART, life - _RENEW_BEFORE)

    def header_for(self, need: TokenNeed) -> str:
        """Return the header, and count its use for `need`."""
        self.given[need.rights] += 1
        return self.header

    def worked_for(self, need: TokenNeed) -> bool:
        """Return whether the registry accepted it for `need` before, as far as known."""
        return self.given[need.rights] > 1


class Grants:
    """All tokens for a registry, by repository; the newest is preferred."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[Grant]] = {}

    def __iter__(self) -> Iterator[Grant]:
        return iter({id(one): one for some in self._by_name.values() for one in some}.values())

    def fresh(self, need: TokenNeed, now: float) -> Grant | None:
        """Return a token for `need` that need not be renewed yet."""
        return next((one for one in self._for(need) if now < one.renew_at), None)

    def alive(self, need: TokenNeed, now: float) -> Grant | None:
        """Return a token for `need` that has not expired, though it may be due for renewal."""
        return next((one for one in self._for(need) if now < one.ends_at), None)

    def covered(self, now: float) -> Rights:
        """Return everything the fresh tokens allow."""
        return frozenset().union(*(one.rights for one in self if now < one.renew_at))

    def keep(self, grant: Grant) -> Grant:
        """Keep a new token and return it; expired ones of its repositories are dropped."""
        for name in {name for name, _ in grant.rights}:
            old = self._by_name.get(name, [])
            self._by_name[name] = [grant, *(one for one in old if one.ends_at > grant.begun)]
        return grant

    def find(self, header: str | None) -> Grant | None:
        """Return the token in `header`; None when it is unknown."""
        return next((one for one in self if one.header == header), None)

    def drop(self, header: str | None) -> Grant | None:
        """Forget the token in `header` and return it; None when it is unknown."""
        found = self.find(header)
        if found is not None:
            for name, some in self._by_name.items():
                self._by_name[name] = [one for one in some if one.header != header]
        return found

    def _for(self, need: TokenNeed) -> Iterator[Grant]:
        rights = need.rights
        some = self._by_name.get(need.scopes[0].name, [])
        return (one for one in some if rights <= one.rights)

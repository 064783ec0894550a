"""Scopes, and what a token server gave for them (distribution spec, "Token Authentication")."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

# "Clients must treat a token without `expires_in` as one of 60 seconds"; less is never meant.
SHORTEST_LIFE = 60.0
_LONGEST_LIFE = 30 * 24 * 3600.0
_SENDABLE = re.compile(r"[!-~]+")
_REPOSITORY_SCOPE = re.compile(
    r"repository(?:\([a-z0-9]+\))?:(?P<name>[^\s]+):(?P<actions>[a-z_*,]+)"
)
_COMMON_ACTIONS = frozenset({"pull", "push", "delete", "*"})

Rights = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Scope:
    """Pull, and push and delete where they are set, for the repository `name`.

    `also` are actions of one product that its challenges name: `metadata_read` at ACR.
    """

    name: str
    push: bool = False
    delete: bool = False
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"repository:{self.name}:{','.join(self.actions)}"

    @property
    def actions(self) -> tuple[str, ...]:
        """What may be done, in the order all clients write it."""
        return ("pull", *("push",) * self.push, *("delete",) * self.delete, *self.also)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token for `life` seconds; `granted` is what it says it allows, None when opaque."""

    text: str = field(repr=False)
    life: float = SHORTEST_LIFE
    granted: Rights | None = None


def rights_of(scopes: Iterable[Scope]) -> Rights:
    """The pairs of name and action that `scopes` ask for."""
    return frozenset((scope.name, action) for scope in scopes for action in scope.actions)


def named_repository(scope: str) -> str | None:
    """The repository in the one scope of a challenge; None for several, or for something else."""
    found = _REPOSITORY_SCOPE.fullmatch(scope.strip())
    return found["name"] if found else None


def rare_actions(scope: str) -> tuple[str, ...]:
    """The actions in the one scope of a challenge that not every registry knows, in its order."""
    found = _REPOSITORY_SCOPE.fullmatch(scope.strip())
    actions = found["actions"].split(",") if found else []
    return tuple(dict.fromkeys(one for one in actions if one and one not in _COMMON_ACTIONS))


def parse_token(body: bytes) -> Token:
    """The token in a token server's answer. ValueError, without its text, when there is none."""
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
    """What the `access` claim of a JWT allows; None when `token` is none, or has no such claim.

    The signature is not looked at: the registry does that. This only saves a question.
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

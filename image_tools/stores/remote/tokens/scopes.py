"""The scopes to ask for in one token: what is needed now, and what the run will need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from image_tools.stores.remote.tokens.challenge import Challenge
from image_tools.stores.remote.tokens.realm import scope_length
from image_tools.stores.remote.tokens.token import (
    Rights,
    Scope,
    TokenNeed,
    named_repository,
    rare_actions,
    rights_of,
)

MOST_SCOPES = 40
MOST_QUERY = 4000


class ExpectedScopes:
    """The repositories of the run, their names at the registry, and how many share a token."""

    def __init__(self) -> None:
        self._expected: dict[str, Scope] = {}
        self._names: dict[str, str] = {}
        self._not_names: dict[str, set[str]] = {}
        self._also: dict[str, tuple[str, ...]] = {}
        self._placeholder = ""
        self._most = MOST_SCOPES

    def expect(self, repositories: Iterable[str], *, push: bool, delete: bool = False) -> None:
        """Announce repositories; push and delete once announced stay."""
        for name in repositories:
            known = self._expected.get(name, Scope(name))
            self._expected[name] = Scope(name, push or known.push, delete or known.delete)

    def need(self, repository: str, push: bool, also_pull: str | None) -> TokenNeed:
        """Return what a request to `repository` needs; `also_pull` is the origin of a mount."""
        scopes = [self._named(Scope(repository, push))]
        if also_pull is not None and also_pull != repository:
            scopes.append(self._named(Scope(also_pull)))
        return TokenNeed(repository, tuple(scopes))

    def widened(self, need: TokenNeed, covered: Rights) -> tuple[Scope, ...]:
        """Return the scopes of `need` and of what else the run will need.

        `covered` is what other tokens allow or will allow. At most 40 scopes and 4 kB of query.
        """
        expected = {scope.name: scope for scope in map(self._named, self._expected.values())}
        scopes = [_wider(scope, expected.pop(scope.name, None)) for scope in need.scopes]
        length = sum(map(scope_length, scopes))
        for scope in _wanted(expected.values(), covered, mounts=need.scopes[0].push):
            length += scope_length(scope)
            if len(scopes) >= self._most or length > MOST_QUERY:
                break
            scopes.append(scope)
        return tuple(scopes)

    def may_grow(self, need: TokenNeed) -> bool:
        """Return whether `need` is to push, and other repositories may be written to as well."""
        others = (one for one in self._expected.values() if one.name != need.repository)
        return need.scopes[0].push and any(not one.push for one in others)

    def lack(self, need: TokenNeed, covered: Rights) -> bool:
        """Return whether announced repositories besides those of `need` are not `covered`."""
        names = {scope.name for scope in need.scopes}
        others = (one for one in map(self._named, self._expected.values()) if one.name not in names)
        return any(not rights_of((one,)) <= covered for one in others)

    def too_wide(self, need: TokenNeed) -> None:
        """Remember that more than `need` was refused: other repositories first, then push."""
        if self._most > 1:
            self.narrow(1)
        else:
            self._expected.pop(need.repository, None)

    def narrow(self, most: int) -> None:
        """Ask for at most `most` scopes from now on."""
        self._most = max(1, min(self._most, most))

    def note_greeting(self, challenges: Iterable[Challenge]) -> None:
        """Remember the scope of a greeting: it names no repository of ours.

        GHCR's is `repository:user/image:pull` (cloudflare/serverless-registry#148).
        """
        scopes = (challenge.parameters.get("scope", "") for challenge in challenges)
        self._placeholder = next(filter(None, scopes), "")

    def note_name(self, repository: str, challenge: Challenge) -> None:
        """Remember the registry's own name and rare actions for `repository`.

        The name in a greeting is ignored, and so is one that was refused.
        """
        scope = challenge.parameters.get("scope", "")
        name = named_repository(scope)
        if name is None or scope == self._placeholder:
            return
        if also := rare_actions(scope):
            self._also[repository] = also
        if name != repository and name not in self._not_names.get(repository, ()):
            self._names[repository] = name

    def drop_name(self, repository: str) -> bool:
        """Forget the other name of `repository`, which was refused; return False without one."""
        name = self._names.pop(repository, None)
        if name is None:
            return False
        self._not_names.setdefault(repository, set()).add(name)
        return True

    def _named(self, scope: Scope) -> Scope:
        name, also = self._names.get(scope.name, scope.name), self._also.get(scope.name, ())
        return replace(scope, name=name, also=also)


def _wanted(scopes: Iterable[Scope], covered: Rights, *, mounts: bool) -> list[Scope]:
    """Return what is not `covered` yet, and the rest with `mounts`, which read other ones."""
    known = list(scopes)
    fresh = [scope for scope in known if not rights_of((scope,)) <= covered]
    return fresh + [scope for scope in known if scope not in fresh] * mounts


def _wider(scope: Scope, expected: Scope | None) -> Scope:
    return expected if expected is not None and expected.push else scope

"""Which scopes to ask for in one token: what is needed now, and what the run will need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from image_tools.stores.remote.challenge import Challenge
from image_tools.stores.remote.token_answer import Rights, Scope, named_repository, rights_of
from image_tools.stores.remote.token_cache import Need
from image_tools.stores.remote.token_realm import scope_length

MOST_SCOPES = 40
MOST_QUERY = 4000


class Expectations:
    """The repositories of the run, the names the registry gives them, how many go together."""

    def __init__(self) -> None:
        self._expected: dict[str, Scope] = {}
        self._names: dict[str, str] = {}
        self._most = MOST_SCOPES

    def expect(self, repositories: Iterable[str], *, push: bool, delete: bool = False) -> None:
        """Announce repositories; push and delete once announced stay."""
        for name in repositories:
            known = self._expected.get(name, Scope(name))
            self._expected[name] = Scope(name, push or known.push, delete or known.delete)

    def need(self, repository: str, push: bool, also_pull: str | None) -> Need:
        """What a request to `repository` needs; `also_pull` is the origin of a mount."""
        scopes = [self._named(Scope(repository, push))]
        if also_pull is not None and also_pull != repository:
            scopes.append(self._named(Scope(also_pull)))
        return Need(repository, tuple(scopes))

    def widened(self, need: Need, covered: Rights) -> tuple[Scope, ...]:
        """The scopes of `need` with what the run will want of those and of other repositories.

        `covered` is what other tokens allow or will allow. At most 40 scopes and 4 kB of query.
        """
        expected = {scope.name: scope for scope in map(self._named, self._expected.values())}
        scopes = [_wider(scope, expected.pop(scope.name, None)) for scope in need.scopes]
        length = sum(map(scope_length, scopes))
        for scope in expected.values():
            if rights_of((scope,)) <= covered:
                continue
            length += scope_length(scope)
            if len(scopes) >= self._most or length > MOST_QUERY:
                break
            scopes.append(scope)
        return tuple(scopes)

    def too_wide(self, need: Need) -> None:
        """Remember that more than `need` was too much: other repositories first, then push."""
        if self._most > 1:
            self.narrow(1)
        else:
            self._expected.pop(need.repository, None)

    def narrow(self, most: int) -> None:
        """Ask for at most so many scopes from now on."""
        self._most = max(1, min(self._most, most))

    def note_name(self, repository: str, challenge: Challenge) -> None:
        """Remember under which other name the registry wants tokens for `repository`."""
        name = named_repository(challenge.parameters.get("scope", ""))
        if name is not None and name != repository:
            self._names[repository] = name

    def _named(self, scope: Scope) -> Scope:
        return replace(scope, name=self._names.get(scope.name, scope.name))


def _wider(scope: Scope, expected: Scope | None) -> Scope:
    return expected if expected is not None and expected.push else scope

"""The tokens in use for one registry, found by what they allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from image_tools.stores.remote.tokens.answer import Rights, Scope, Token, rights_of

# A token is renewed at 80 % of its life, and never later than 30 seconds before its end.
_RENEW_PART, _RENEW_BEFORE = 0.8, 30.0


@dataclass(frozen=True, slots=True)
class TokenNeed:
    """What one request needs a token for: its repository first, then the origin of a mount."""

    repository: str
    scopes: tuple[Scope, ...]

    @property
    def rights(self) -> Rights:
        """What the token has to allow."""
        return rights_of(self.scopes)


@dataclass(slots=True, eq=False)
class Grant:
    """A token and what it is taken for; `wide` when more was asked for than one need.

    `given` counts how often it was handed out for a need: a second time means that it worked.
    """

    token: Token
    rights: Rights
    wide: bool
    begun: float
    given: Counter[Rights] = field(default_factory=Counter)

    @property
    def header(self) -> str:
        """The Authorization header that carries it."""
        return f"Bearer {self.token.text}"

    @property
    def ends_at(self) -> float:
        """The moment it ends, on the clock that told `begun`."""
        return self.begun + self.token.life

    @property
    def renew_at(self) -> float:
        """The moment from which it is better renewed."""
        life = self.token.life
        return self.begun + min(life * _RENEW_PART, life - _RENEW_BEFORE)

    def header_for(self, need: TokenNeed) -> str:
        """The header, handed out once more for `need`."""
        self.given[need.rights] += 1
        return self.header

    def worked_for(self, need: TokenNeed) -> bool:
        """Whether the registry accepted it for `need` before, as far as one can tell."""
        return self.given[need.rights] > 1


class Grants:
    """All tokens of a registry, by the repositories they are for; the newest is preferred."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[Grant]] = {}

    def __iter__(self) -> Iterator[Grant]:
        return iter({id(one): one for some in self._by_name.values() for one in some}.values())

    def fresh(self, need: TokenNeed, now: float) -> Grant | None:
        """A token for `need` that is not to be renewed yet."""
        return next((one for one in self._for(need) if now < one.renew_at), None)

    def alive(self, need: TokenNeed, now: float) -> Grant | None:
        """A token for `need` that has not ended, though it may be time to renew it."""
        return next((one for one in self._for(need) if now < one.ends_at), None)

    def covered(self, now: float) -> Rights:
        """Everything the fresh tokens allow."""
        return frozenset().union(*(one.rights for one in self if now < one.renew_at))

    def keep(self, grant: Grant) -> Grant:
        """Take in a new token and give it back; those of its repositories that have ended go."""
        for name in {name for name, _ in grant.rights}:
            old = self._by_name.get(name, [])
            self._by_name[name] = [grant, *(one for one in old if one.ends_at > grant.begun)]
        return grant

    def find(self, header: str | None) -> Grant | None:
        """The token behind `header`; None when it is not known."""
        return next((one for one in self if one.header == header), None)

    def drop(self, header: str | None) -> Grant | None:
        """Forget the token behind `header` and give it; None when it is not known."""
        found = self.find(header)
        if found is not None:
            for name, some in self._by_name.items():
                self._by_name[name] = [one for one in some if one.header != header]
        return found

    def _for(self, need: TokenNeed) -> Iterator[Grant]:
        rights = need.rights
        some = self._by_name.get(need.scopes[0].name, [])
        return (one for one in some if rights <= one.rights)

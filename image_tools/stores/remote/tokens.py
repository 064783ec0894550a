"""The Authorization header for every request to one registry; one token for many repositories."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from loguru import logger

from image_tools.errors import CopyFailed, RateLimited, TimedOut, Unavailable
from image_tools.retry import RetryPolicy, repeat_async
from image_tools.stores.remote.auth_file import Credentials
from image_tools.stores.remote.challenge import Challenge
from image_tools.stores.remote.failures import Refusal
from image_tools.stores.remote.proofs import Proofs
from image_tools.stores.remote.token_answer import Rights, Scope, Token, rights_of
from image_tools.stores.remote.token_cache import Grant, Grants, Need
from image_tools.stores.remote.token_realm import (
    Ask,
    Realm,
    ask_realm,
    basic_header,
    better,
    realm_of,
    refused,
    takes_no_post,
    unsafe,
)
from image_tools.stores.remote.token_scopes import Expectations

# nginx takes header lines of 8 KiB; a longer token is refused by whatever stands before a registry.
LONGEST_TOKEN = 7000
# Many images are planned at once, and each says on its own that it will be written.
GATHER_SECONDS = 0.02
RETRY = RetryPolicy(times=3, delay=1.0)

Find = Callable[[str], Awaitable[Credentials | None]]


@dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    """A question for a token under way, awaited by all who need what it asks for."""

    rights: Rights
    wide: bool
    task: asyncio.Task[Grant]


class Authorizer:
    """Gives the Authorization header for requests to one registry.

    `find` looks up the login for a repository; `ask` sends a request (`Connections.open`);
    `allows_plain` lets logins go to a token server over plain HTTP. A login that was refused is
    not shown again, see `proofs`. Belongs to one event loop.
    """

    def __init__(
        self,
        registry: str,
        find: Find,
        ask: Ask,
        *,
        allows_plain: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry, self._find, self._ask = registry, find, ask
        self._allows_plain, self._clock = allows_plain, clock
        self._realm: Realm | None = None
        self._wants_basic = False
        self._tokens_by_get = False
        self._basics: dict[str, str | None] = {}
        self.proofs = Proofs(registry)
        self._scopes = Expectations()
        self._grants = Grants()
        self._flights: list[_Flight] = []
        self._ungranted: Rights = frozenset()

    def expect(self, repositories: Iterable[str], *, push: bool, delete: bool = False) -> None:
        """Announce repositories of this run: their scopes are asked for together."""
        self._scopes.expect(repositories, push=push, delete=delete)

    def greeted(self, challenges: tuple[Challenge, ...]) -> None:
        """Hear how the registry greets: what its challenges say of a scope is not taken over."""
        self._scopes.note_greeting(challenges)

    def forget(self, project: str) -> None:
        """Drop the tokens for repositories below `project`: new ones may allow more."""
        below = f"{project}/"
        for grant in tuple(self._grants):
            if any(name.startswith(below) for name, _ in grant.rights):
                self._grants.drop(grant.header)

    def restart(self) -> None:
        """Drop every login and token in use: there is another login now."""
        self._basics.clear()
        self._grants = Grants()

    async def proven(
        self, repository: str, challenges: tuple[Challenge, ...]
    ) -> Credentials | None:
        """The login for `repository`, shown to the registry; None when there is none.

        `challenges` are how the registry asked for one. Unauthorized when it is refused.
        """
        credentials = await self._find(repository)
        if credentials is None:
            return None
        realm = None if self._wants_basic else self._realm
        realm = realm or next(filter(None, map(self._realm_of, challenges)), None)
        header = basic_header(credentials)
        if realm is not None:
            await self._let_in(realm, credentials)
        elif header is not None:
            await self.proofs.check(header)
        return credentials

    async def grants_push(self, repository: str) -> bool:
        """Whether the token for `repository` says that it allows pushes; opaque ones do not."""
        if self._realm is None or self._wants_basic:
            return False
        need = self._scopes.need(repository, True, None)
        grant = self._grants.fresh(need, self._clock()) or await self._obtain(need)
        granted = grant.token.granted
        return granted is not None and need.rights <= granted

    async def header(
        self, repository: str, *, push: bool = False, also_pull: str | None = None
    ) -> str | None:
        """The header to send at first; None before any challenge, or without a login.

        `also_pull` is the repository a blob is mounted from. A token is renewed before its end.
        Raises Unauthorized when the token server refuses, EnvironmentProblem from `find`, and
        what may pass when the token server cannot be asked.
        """
        if self._realm is not None and not self._wants_basic:
            need = self._scopes.need(repository, push, also_pull)
            grant = self._grants.fresh(need, self._clock()) or await self._renewed(need)
            return grant.header_for(need)
        if self._wants_basic and repository not in self._basics:
            self._basics[repository] = await self._basic(repository)
        return self._basics.get(repository) if self._wants_basic else None

    async def challenged(
        self,
        challenges: tuple[Challenge, ...],
        rejected: str | None,
        repository: str,
        *,
        push: bool = False,
        also_pull: str | None = None,
    ) -> str | None:
        """The header to try once more after a challenge; None when nothing new can be tried.

        `rejected` is the header that was just refused. Raises as `header` does.
        """
        for challenge in challenges:
            realm = self._realm_of(challenge)
            if realm is not None:
                self._realm, self._wants_basic = realm, False
                if also_pull is None:
                    self._scopes.note_name(repository, challenge)
                find_need = partial(self._scopes.need, repository, push, also_pull)
                return await self._under_any_name(find_need, rejected, challenge)
        if any(challenge.scheme == "basic" for challenge in challenges):
            self._wants_basic = True
            return await self._other_login(repository, rejected)
        return None

    async def alone(
        self, rejected: str | None, repository: str, *, push: bool, also_pull: str | None
    ) -> str | None:
        """The header of a token for this question and no other, after a 403 without a challenge.

        None where `rejected` was such a token already, or none at all. Token servers that grant
        one of several scopes refuse the others so (docker_auth#67, harbor#2411).
        """
        grant = self._grants.find(rejected)
        if grant is None or not grant.wide:
            return None
        need = self._scopes.need(repository, push, also_pull)
        own = await self._obtain(need, alone=True)
        return None if own.header == rejected else own.header_for(need)

    def too_wide(self, rejected: str | None) -> None:
        """Hear that a token for one question did what the `rejected` one for many did not."""
        grant = self._grants.drop(rejected)
        if grant is not None and grant.token.granted is None:
            self._scopes.narrow(1)

    async def _under_any_name(
        self, find_need: Callable[[], Need], rejected: str | None, challenge: Challenge
    ) -> str | None:
        """Another header for the name the challenge gives the repository, else for its own."""
        need = find_need()
        try:
            header = await self._other_token(need, rejected, challenge)
        except CopyFailed as error:
            if error.temporary or not self._scopes.drop_name(need.repository):
                raise
            return await self._other_token(find_need(), rejected, challenge)
        if header is None and self._scopes.drop_name(need.repository):
            return (await self._obtain(find_need(), alone=True)).header
        return header

    def _realm_of(self, challenge: Challenge) -> Realm | None:
        return realm_of(challenge, self._registry, allows_plain=self._allows_plain)

    async def _other_login(self, repository: str, rejected: str | None) -> str | None:
        """A Basic header that was not refused: looked up again, for a helper's login may end."""
        if repository in self._basics:
            known = self._basics[repository]
            if known is None or known != rejected:
                return known
        found = await self._basic(repository)
        if found is not None and found == rejected:
            self._basics.pop(repository, None)
            return None
        self._basics[repository] = found
        return found

    async def _basic(self, repository: str) -> str | None:
        header = basic_header(await self._find(repository))
        if header is not None:
            await self.proofs.check(header)
        return header

    async def _other_token(
        self, need: Need, rejected: str | None, challenge: Challenge
    ) -> str | None:
        grant = self._grants.drop(rejected)
        if grant is None:
            # Never had one, or somebody else has dropped it already.
            held = self._grants.fresh(need, self._clock())
            return (held or await self._obtain(need)).header_for(need)
        if not need.rights <= grant.rights:
            # The challenge has named a right nobody knew of.
            return (await self._obtain(need, alone=True)).header_for(need)
        # RFC 6750 section 3.1: `invalid_token` is about the token, whatever it was asked for.
        ended = challenge.parameters.get("error") == "invalid_token" or grant.worked_for(need)
        if not grant.wide and not ended:
            return None
        if grant.wide and not ended and grant.token.granted is None:
            self._scopes.too_wide(need)
        header = (await self._obtain(need, alone=True)).header_for(need)
        return None if header == rejected else header

    async def _renewed(self, need: Need) -> Grant:
        """A new token; while the token server is out of order, the old one to its very end."""
        try:
            return await self._obtain(need)
        except (RateLimited, Unavailable, TimedOut):
            old = self._grants.alive(need, self._clock())
            if old is None:
                raise
            return old

    async def _obtain(self, need: Need, *, alone: bool = False, gathered: bool = False) -> Grant:
        """A token for `need` from the flight that asks for it already, or from a new one.

        `alone` asks for nothing else; `gathered`: others had time to say what they need. What a
        wide token turns out not to grant is asked for alone.
        """
        alone = alone or bool(need.rights & self._ungranted)
        flights = (f for f in self._flights if need.rights <= f.rights and not (alone and f.wide))
        flight = next(flights, None)
        if flight is None and not (alone or gathered) and await self._gathered(need):
            held = self._grants.fresh(need, self._clock())
            return held or await self._obtain(need, gathered=True)
        flight = flight or self._take_off(need, alone)
        grant = await asyncio.shield(flight.task)
        if need.rights <= grant.rights:
            return grant
        single = await self._obtain(need, alone=True)
        if single.token.granted is not None and need.rights <= single.token.granted:
            self._scopes.narrow(1)
        return single

    async def _gathered(self, need: Need) -> bool:
        """Whether it was waited for others who may share the token for `need`, as was worth it."""
        if self._flights and not self._scopes.lack(need, self._covered()):
            await asyncio.wait({one.task for one in self._flights})
            return True
        if self._scopes.may_grow(need):
            await asyncio.sleep(GATHER_SECONDS)
            return True
        return False

    def _take_off(self, need: Need, alone: bool) -> _Flight:
        wide = need.scopes if alone else self._scopes.widened(need, self._covered())
        task = asyncio.ensure_future(self._ask_for(need, wide))
        flight = _Flight(rights_of(wide) | need.rights, wide != need.scopes, task)
        self._flights.append(flight)
        task.add_done_callback(partial(self._landed, flight))
        return flight

    def _covered(self) -> Rights:
        return self._grants.covered(self._clock()).union(*(one.rights for one in self._flights))

    def _landed(self, flight: _Flight, task: asyncio.Task[Grant]) -> None:
        self._flights.remove(flight)
        if not task.cancelled():
            # Looked at here, for all who waited may have been cancelled.
            task.exception()

    async def _ask_for(self, need: Need, wide: tuple[Scope, ...]) -> Grant:
        """The token for the widest set of scopes that the server answers, down to one scope."""
        realm = self._realm
        assert realm is not None
        credentials = await self._find(need.repository)
        self._refuse_unsafe(realm, credentials)
        async with self.proofs.login(credentials):
            return await self._ask_widest(realm, need, wide, credentials)

    async def _let_in(self, realm: Realm, credentials: Credentials) -> None:
        """Nothing when the token server takes the login, asked without a scope as docker does."""
        self._refuse_unsafe(realm, credentials)
        async with self.proofs.login(credentials):
            answer = await self._answer(realm, (), credentials)
            if isinstance(answer, Refusal):
                raise refused(realm, answer, credentials)

    def _refuse_unsafe(self, realm: Realm, credentials: Credentials | None) -> None:
        if credentials is not None and not (self._allows_plain or realm.is_safe()):
            raise unsafe(realm)

    async def _ask_widest(
        self, realm: Realm, need: Need, wide: tuple[Scope, ...], credentials: Credentials | None
    ) -> Grant:
        refusal = Refusal(0, {})
        for scopes in dict.fromkeys((wide, need.scopes, need.scopes[:1])):
            begun = self._clock()
            answer = await self._answer(realm, scopes, credentials)
            is_wide = scopes != need.scopes and scopes == wide
            if isinstance(answer, Refusal):
                refusal = answer
            elif is_wide and len(answer.text) > LONGEST_TOKEN:
                self._scopes.narrow(len(scopes) // 2)
            else:
                if refusal.status and scopes == need.scopes:
                    self._scopes.too_wide(need)
                return self._keep(answer, need, scopes if is_wide else None, begun)
        raise refused(realm, refusal, credentials)

    async def _answer(
        self, realm: Realm, scopes: tuple[Scope, ...], credentials: Credentials | None
    ) -> Token | Refusal:
        logger.debug("asking {} for a token for {} scopes", realm.url.host, len(scopes))
        ask = partial(ask_realm, realm, scopes, credentials, self._ask)
        answer = await repeat_async(RETRY, partial(ask, by_get=self._tokens_by_get))
        is_identity = credentials is not None and bool(credentials.identity_token)
        if not is_identity or self._tokens_by_get or not takes_no_post(answer):
            return answer
        second = await repeat_async(RETRY, partial(ask, by_get=True))
        self._tokens_by_get = isinstance(second, Token)
        return better(answer, second)

    def _keep(
        self, token: Token, need: Need, wide: tuple[Scope, ...] | None, begun: float
    ) -> Grant:
        """Keep a token: a wide one for what it says it grants, else for what was asked for.

        A token for one need is the best there is for it, whatever it says.
        """
        if wide is None:
            rights = need.rights | (token.granted or frozenset())
        else:
            rights = rights_of(wide) if token.granted is None else token.granted
            self._ungranted |= rights_of(wide) - rights
        return self._grants.keep(Grant(token, rights, wide is not None, begun))

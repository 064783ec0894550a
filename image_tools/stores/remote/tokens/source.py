"""Requests for tokens: one for many repositories, shared by all callers it can serve."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from loguru import logger

from image_tools.errors import RateLimited, TimedOut, Unavailable
from image_tools.logins.auth_file import Credentials
from image_tools.retry import RetryPolicy, repeat_async
from image_tools.stores.remote.api import ApiAnswer
from image_tools.stores.remote.tokens.realm import (
    Ask,
    Realm,
    ask_realm,
    better,
    refused,
    takes_no_post,
    unsafe,
)
from image_tools.stores.remote.tokens.scopes import ExpectedScopes
from image_tools.stores.remote.tokens.token import (
    Grant,
    Grants,
    Rights,
    Scope,
    Token,
    TokenNeed,
    rights_of,
)
from image_tools.stores.remote.tokens.tried_logins import TriedLogins

# nginx accepts header lines of 8 KiB; proxies before a registry refuse a longer token.
LONGEST_TOKEN = 7000
# Many images are planned at once, and each announces on its own that it will be pushed.
GATHER_SECONDS = 0.02

Find = Callable[[str], Awaitable[Credentials | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOptions:
    """How tokens are asked for; `allows_plain` sends logins to a token server over plain HTTP.

    `policy` repeats a request; a token of more than `longest` letters is not used. `clock` gives
    seconds.
    """

    allows_plain: bool = False
    policy: RetryPolicy = RetryPolicy(times=3, delay=1.0)
    longest: int = LONGEST_TOKEN
    clock: Callable[[], float] = time.monotonic


TOKEN_OPTIONS = TokenOptions()


@dataclass(frozen=True, slots=True, eq=False)
class _TokenRequest:
    """A request for a token under way, awaited by all who need what it asks for."""

    rights: Rights
    wide: bool
    task: asyncio.Task[Grant]


class TokenSource:
    """Gets tokens from the `realm` of one registry, and reuses them while they are good.

    `realm` is None until the registry has named one. `scopes` knows what the run will use, `grants`
    holds the tokens; see Authorizer for the other arguments. Belongs to one event loop.
    """

    def __init__(
        self,
        find: Find,
        ask: Ask,
        tried_logins: TriedLogins,
        options: TokenOptions,
    ) -> None:
        self.realm: Realm | None = None
        self.scopes = ExpectedScopes()
        self.grants = Grants()
        self._find, self._ask, self._tried_logins = find, ask, tried_logins
        self._options, self._clock = options, options.clock
        self._tokens_by_get = False
        self._under_way: list[_TokenRequest] = []
        self._ungranted: Rights = frozenset()

    async def token(self, need: TokenNeed, *, renew: bool = True) -> Grant:
        """Return the token held for `need`, else a new one; with `renew` before it expires."""
        held = self.grants.fresh(need, self._clock())
        if held is not None:
            return held
        return await (self._renewed(need) if renew else self.obtain(need))

    async def _renewed(self, need: TokenNeed) -> Grant:
        """Return a new token, or while the token server is out of order the old one."""
        try:
            return await self.obtain(need)
        except (RateLimited, Unavailable, TimedOut):
            old = self.grants.alive(need, self._clock())
            if old is None:
                raise
            return old

    async def obtain(
        self, need: TokenNeed, *, alone: bool = False, gathered: bool = False
    ) -> Grant:
        """Return a token for `need`, from a request under way or a new one.

        `alone` asks for nothing else; `gathered`: others had time to announce their needs. Rights
        that a wide token does not grant are asked for alone.
        """
        alone = alone or bool(need.rights & self._ungranted)
        requests = (
            f for f in self._under_way if need.rights <= f.rights and not (alone and f.wide)
        )
        request = next(requests, None)
        if request is None and not (alone or gathered) and await self._gathered(need):
            held = self.grants.fresh(need, self._clock())
            return held or await self.obtain(need, gathered=True)
        request = request or self._begin(need, alone)
        grant = await asyncio.shield(request.task)
        if need.rights <= grant.rights:
            return grant
        single = await self.obtain(need, alone=True)
        if single.token.granted is not None and need.rights <= single.token.granted:
            self.scopes.narrow(1)
        return single

    async def _gathered(self, need: TokenNeed) -> bool:
        """Return whether it was worth waiting for others who may share the token for `need`."""
        if self._under_way and not self.scopes.lack(need, self._covered()):
            await asyncio.wait({one.task for one in self._under_way})
            return True
        if self.scopes.may_grow(need):
            await asyncio.sleep(GATHER_SECONDS)
            return True
        return False

    def _begin(self, need: TokenNeed, alone: bool) -> _TokenRequest:
        wide = need.scopes if alone else self.scopes.widened(need, self._covered())
        task = asyncio.ensure_future(self._ask_for(need, wide))
        request = _TokenRequest(rights_of(wide) | need.rights, wide != need.scopes, task)
        self._under_way.append(request)
        task.add_done_callback(partial(self._ended, request))
        return request

    def _covered(self) -> Rights:
        return self.grants.covered(self._clock()).union(*(one.rights for one in self._under_way))

    def _ended(self, request: _TokenRequest, task: asyncio.Task[Grant]) -> None:
        self._under_way.remove(request)
        if not task.cancelled():
            # Retrieved here, because all who waited may have been cancelled.
            task.exception()

    async def _ask_for(self, need: TokenNeed, wide: tuple[Scope, ...]) -> Grant:
        """Return the token for the widest set of scopes that the server accepts."""
        realm = self.realm
        assert realm is not None
        credentials = await self._find(need.repository)
        self._refuse_unsafe(realm, credentials)
        async with self._tried_logins.login(credentials):
            return await self._ask_widest(realm, need, wide, credentials)

    async def check_login(self, realm: Realm, credentials: Credentials) -> None:
        """Raise unless the token server accepts the login, asked without a scope as docker does."""
        self._refuse_unsafe(realm, credentials)
        async with self._tried_logins.login(credentials):
            answer = await self._answer(realm, (), credentials)
            if isinstance(answer, ApiAnswer):
                raise refused(realm, answer, credentials)

    def _refuse_unsafe(self, realm: Realm, credentials: Credentials | None) -> None:
        if credentials is not None and not (self._options.allows_plain or realm.is_safe()):
            raise unsafe(realm)

    async def _ask_widest(
        self,
        realm: Realm,
        need: TokenNeed,
        wide: tuple[Scope, ...],
        credentials: Credentials | None,
    ) -> Grant:
        refusal = ApiAnswer(0, {})
        for scopes in dict.fromkeys((wide, need.scopes, need.scopes[:1])):
            begun = self._clock()
            answer = await self._answer(realm, scopes, credentials)
            is_wide = scopes != need.scopes and scopes == wide
            if isinstance(answer, ApiAnswer):
                refusal = answer
            elif is_wide and len(answer.text) > self._options.longest:
                self.scopes.narrow(len(scopes) // 2)
            else:
                if refusal.status and scopes == need.scopes:
                    self.scopes.too_wide(need)
                return self._keep(answer, need, scopes if is_wide else None, begun)
        raise refused(realm, refusal, credentials)

    async def _answer(
        self, realm: Realm, scopes: tuple[Scope, ...], credentials: Credentials | None
    ) -> Token | ApiAnswer:
        logger.debug("asking {} for a token for {} scopes", realm.url.host, len(scopes))
        ask = partial(ask_realm, realm, scopes, credentials, self._ask)
        answer = await repeat_async(self._options.policy, partial(ask, by_get=self._tokens_by_get))
        is_identity = credentials is not None and bool(credentials.identity_token)
        if not is_identity or self._tokens_by_get or not takes_no_post(answer):
            return answer
        second = await repeat_async(self._options.policy, partial(ask, by_get=True))
        self._tokens_by_get = isinstance(second, Token)
        return better(answer, second)

    def _keep(
        self, token: Token, need: TokenNeed, wide: tuple[Scope, ...] | None, begun: float
    ) -> Grant:
        """Keep a token: a wide one for what it says it grants, else for what was asked for.

        There is nothing better than a token for one need, whatever it says.
        """
        if wide is None:
            rights = need.rights | (token.granted or frozenset())
        else:
            rights = rights_of(wide) if token.granted is None else token.granted
            self._ungranted |= rights_of(wide) - rights
        return self.grants.keep(Grant(token, rights, wide is not None, begun))

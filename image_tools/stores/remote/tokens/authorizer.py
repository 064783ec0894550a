"""The Authorization header for every request to one registry; one token for many repositories."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from image_tools.errors import CopyFailed, Unauthorized
from image_tools.logins.auth_file import Credentials
from image_tools.stores.remote.tokens.challenge import Challenge
from image_tools.stores.remote.tokens.realm import Ask, Realm, basic_header, realm_of
from image_tools.stores.remote.tokens.source import TOKEN_OPTIONS, Find, TokenOptions, TokenSource
from image_tools.stores.remote.tokens.token import Grants, TokenNeed
from image_tools.stores.remote.tokens.tried_logins import TriedLogins


class Authorizer:
    """Chooses the Authorization header for requests to one registry.

    `find` looks up the login for a repository; `ask` sends a request (`Connections.open`). A login
    that was refused is not sent again, see TriedLogins. Belongs to one event loop.
    """

    def __init__(
        self,
        registry: str,
        find: Find,
        ask: Ask,
        options: TokenOptions = TOKEN_OPTIONS,
    ) -> None:
        self._registry, self._find, self._options = registry, find, options
        self._wants_basic = False
        self._basics: dict[str, str | None] = {}
        self.tried_logins = TriedLogins(registry)
        self._source = TokenSource(find, ask, self.tried_logins, options)
        self._scopes = self._source.scopes

    def expect(self, repositories: Iterable[str], *, push: bool, delete: bool = False) -> None:
        """Announce repositories of this run: their scopes are asked for together."""
        self._scopes.expect(repositories, push=push, delete=delete)

    def greeted(self, challenges: tuple[Challenge, ...]) -> None:
        """Take note of the registry's greeting, whose scopes are ignored later."""
        self._scopes.note_greeting(challenges)

    def forget(self, project: str) -> None:
        """Drop the tokens for repositories below `project`: new ones may allow more."""
        below = f"{project}/"
        for grant in tuple(self._source.grants):
            if any(name.startswith(below) for name, _ in grant.rights):
                self._source.grants.drop(grant.header)

    def restart(self) -> None:
        """Drop every login and token, because there is another login now."""
        self._basics.clear()
        self._source.grants = Grants()

    async def accepted_login(
        self, repository: str, challenges: tuple[Challenge, ...]
    ) -> Credentials | None:
        """Return the login for `repository`, after the registry accepted it; None without one.

        `challenges` are those of the registry's greeting. Raise Unauthorized when it is refused.
        """
        credentials = await self._find(repository)
        if credentials is None:
            return None
        realm = None if self._wants_basic else self._source.realm
        realm = realm or next(filter(None, map(self._realm_of, challenges)), None)
        header = basic_header(credentials)
        if realm is not None:
            await self._source.check_login(realm, credentials)
        elif header is not None:
            await self.tried_logins.check(header)
        return credentials

    async def grants_push(self, repository: str) -> bool:
        """Return whether the token for `repository` says it allows pushes; opaque ones do not."""
        if self._source.realm is None or self._wants_basic:
            return False
        need = self._scopes.need(repository, True, None)
        grant = await self._source.token(need, renew=False)
        granted = grant.token.granted
        return granted is not None and need.rights <= granted

    async def header(
        self, repository: str, *, push: bool = False, also_pull: str | None = None
    ) -> str | None:
        """Return the header to send first; None before any challenge, or without a login.

        `also_pull` is the repository a blob is mounted from. A token is renewed before it expires.
        Raises Unauthorized when the token server refuses, EnvironmentProblem from `find`, and
        temporary failures of the token server.
        """
        if self._source.realm is not None and not self._wants_basic:
            need = self._scopes.need(repository, push, also_pull)
            grant = await self._source.token(need)
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
        """Return the header to try after a challenge; None when there is nothing else to try.

        `rejected` is the header that was just refused. Raises as `header` does.
        """
        has_basic = any(challenge.scheme == "basic" for challenge in challenges)
        for challenge in challenges:
            realm = self._realm_of(challenge)
            if realm is not None:
                self._source.realm, self._wants_basic = realm, False
                if also_pull is None:
                    self._scopes.note_name(repository, challenge)
                find_need = partial(self._scopes.need, repository, push, also_pull)
                try:
                    return await self._under_any_name(find_need, rejected, challenge)
                except CopyFailed as error:
                    if error.temporary or isinstance(error, Unauthorized) or not has_basic:
                        raise
                    self._source.realm = None  # No token server there; Basic is offered, too.
                    break
        if has_basic:
            self._wants_basic = True
            return await self._other_login(repository, rejected)
        return None

    async def alone(
        self, rejected: str | None, repository: str, *, push: bool, also_pull: str | None
    ) -> str | None:
        """Return the header of a token for this request only, after a 403 without a challenge.

        None where `rejected` was such a token already, or none at all. Token servers that grant one
        of several scopes refuse the others so (docker_auth#67, harbor#2411).
        """
        grant = self._source.grants.find(rejected)
        if grant is None or not grant.wide:
            return None
        need = self._scopes.need(repository, push, also_pull)
        own = await self._source.obtain(need, alone=True)
        return None if own.header == rejected else own.header_for(need)

    def too_wide(self, rejected: str | None) -> None:
        """Remember that a token for one request was accepted where a wide one was `rejected`."""
        grant = self._source.grants.drop(rejected)
        if grant is not None and grant.token.granted is None:
            self._scopes.narrow(1)

    async def _under_any_name(
        self, find_need: Callable[[], TokenNeed], rejected: str | None, challenge: Challenge
    ) -> str | None:
        """Return another header for the name in the challenge, else for the own name."""
        need = find_need()
        try:
            header = await self._other_token(need, rejected, challenge)
        except CopyFailed as error:
            if error.temporary or not self._scopes.drop_name(need.repository):
                raise
            return await self._other_token(find_need(), rejected, challenge)
        if header is None and self._scopes.drop_name(need.repository):
            return (await self._source.obtain(find_need(), alone=True)).header
        return header

    def _realm_of(self, challenge: Challenge) -> Realm | None:
        return realm_of(challenge, self._registry, allows_plain=self._options.allows_plain)

    async def _other_login(self, repository: str, rejected: str | None) -> str | None:
        """Return a Basic header that was not refused.

        It is looked up again, because a helper's login may expire.
        """
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
            await self.tried_logins.check(header)
        return header

    async def _other_token(
        self, need: TokenNeed, rejected: str | None, challenge: Challenge
    ) -> str | None:
        grant = self._source.grants.drop(rejected)
        if grant is None:
            # There was none, or another request has dropped it already.
            return (await self._source.token(need, renew=False)).header_for(need)
        if not need.rights <= grant.rights:
            # The challenge has named another right.
            return (await self._source.obtain(need, alone=True)).header_for(need)
        # RFC 6750, 3.1: `invalid_token` is about the token, not about its scope.
        is_invalid = challenge.parameters.get("error") == "invalid_token"
        ended = is_invalid or grant.worked_for(need)
        if is_invalid:
            # A registry that was restarted accepts no earlier token.
            self._source.grants = Grants()
        if not grant.wide and not ended:
            return None
        if grant.wide and not ended and grant.token.granted is None:
            self._scopes.too_wide(need)
        header = (await self._source.obtain(need, alone=True)).header_for(need)
        return None if header == rejected else header

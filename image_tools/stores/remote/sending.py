"""Sending a request with the Authorization header it needs, and reading the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp
from loguru import logger
from yarl import URL

from image_tools.errors import CopyFailed, InvalidManifest, Unauthorized
from image_tools.logins.auth_file import Credentials
from image_tools.stores.remote.api import ApiAnswer, ApiRequest
from image_tools.stores.remote.tokens.authorizer import Authorizer
from image_tools.stores.remote.tokens.challenge import Challenge, parse_challenges
from image_tools.stores.remote.tokens.tried_logins import UNAUTHORIZED
from image_tools.web.address import same_origin
from image_tools.web.connect import Connections, Request
from image_tools.web.redaction import Secrets
from image_tools.web.responses import drain, read_body

FORBIDDEN = 403
_REFUSED = frozenset({UNAUTHORIZED, FORBIDDEN})
# One more header is tried after one that was refused; the first one does not count.
MOST_RENEWALS = 1
MOST_BYTES_OF_A_REFUSAL = 64 * 1024

Find = Callable[[str], Awaitable[Credentials | None]]


class Sender:
    """Sends requests to one registry; `greeting` holds the challenges of its first answer."""

    def __init__(
        self, connections: Connections, authorizer: Authorizer, secrets: ShownSecrets
    ) -> None:
        self._connections, self._authorizer, self._secrets = connections, authorizer, secrets
        self.greeting: tuple[Challenge, ...] = ()

    async def send(self, root: URL, request: ApiRequest) -> aiohttp.ClientResponse:
        """Return the answer, after another try with each header that may be accepted."""
        url = request.address(root)
        is_own = same_origin(url, root)
        header = await self._header(request) if is_own else None
        response = await self._sent(request, url, header)
        tries = MOST_RENEWALS
        while response.status in _REFUSED and is_own and tries > 0:
            # A server that we were redirected to does not know our login.
            if not same_origin(response.url, root):
                break
            if response.status == FORBIDDEN and not request.can_repeat:
                break  # The same token began this upload: the refusal is not about it.
            fresh = await self._other_header(response, header, request)
            if fresh is None:
                break
            await drain(response)
            if not request.can_repeat:
                raise _ended_login(request)
            # A second token that is refused like the first ends the tries.
            tries -= header is not None
            refused, header = header, fresh
            is_forbidden = response.status == FORBIDDEN
            response = await self._sent(request, url, header)
            if is_forbidden and response.status not in _REFUSED:
                self._authorizer.too_wide(refused)
        return response

    async def _sent(
        self, request: ApiRequest, url: URL, header: str | None
    ) -> aiohttp.ClientResponse:
        header = self._secrets.header(header)
        response = await self._connections.open(request_of(request, url, header))
        logger.debug("{} {}: {}", request.method, request.reference, response.status)
        return response

    async def _other_header(
        self, response: aiohttp.ClientResponse, header: str | None, request: ApiRequest
    ) -> str | None:
        """Return another header after a refusal, None without one.

        A refusal without a challenge may be about a token for many repositories.
        """
        challenges = challenges_of(response)
        try:
            if challenges:
                return await self._answer(challenges, header, request)
            return await self._authorizer.alone(
                header, request.repository, push=request.push, also_pull=request.origin
            )
        except CopyFailed as error:
            if response.status == FORBIDDEN and not error.temporary:
                return None  # The registry's own words explain more.
            response.close()
            raise
        except BaseException:
            response.close()
            raise

    async def _header(self, request: ApiRequest) -> str | None:
        header = await self._authorizer.header(
            request.repository, push=request.push, also_pull=request.origin
        )
        if header is None and self.greeting:
            return await self._answer(self.greeting, None, request)
        return header

    async def _answer(
        self, challenges: tuple[Challenge, ...], rejected: str | None, request: ApiRequest
    ) -> str | None:
        return await self._authorizer.challenged(
            challenges,
            rejected,
            request.repository,
            push=request.push,
            also_pull=request.origin,
        )


def request_of(request: ApiRequest, url: URL, authorization: str | None) -> Request:
    """Return `request` as HTTP, with its Authorization header."""
    return Request(
        method=request.method,
        url=url,
        reference=request.reference,
        headers=request.headers,
        body=request.body,
        authorization=authorization,
        is_slow=request.is_slow,
    )


def challenges_of(response: aiohttp.ClientResponse) -> tuple[Challenge, ...]:
    """Return the challenges of the answer's WWW-Authenticate fields."""
    return parse_challenges(response.headers.getall("WWW-Authenticate", []))


def _ended_login(request: ApiRequest) -> Unauthorized:
    """Return the temporary error of an upload whose token expired in the middle."""
    said = f"{request.reference}: the login ended during the upload"
    error = Unauthorized(said, status=UNAUTHORIZED)
    error.temporary = True
    return error


async def read(
    response: aiohttp.ClientResponse, request: ApiRequest, seconds: float, secrets: ShownSecrets
) -> ApiAnswer:
    """Return the whole answer; of a refusal 64 KiB, without the `secrets` the server was sent.

    Raise InvalidManifest when it is longer than the request allows, TimedOut after `seconds`.
    """
    good = response.status in request.expected
    limit = request.limit if good else MOST_BYTES_OF_A_REFUSAL
    body = await read_body(response, request.reference, limit, seconds)
    if good and len(body) > limit:
        raise InvalidManifest(f"{request.reference}: answered with over {limit} bytes")
    body = body if good else secrets.hidden(body)
    return ApiAnswer(response.status, response.headers, body, response.url)


class ShownSecrets:
    """The secrets that were sent to a registry, removed from what it says about a refusal."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._secrets = Secrets()

    async def find(self, repository: str) -> Credentials | None:
        """Return the login for `repository`, and remember its secrets."""
        found = await self._find(repository)
        for secret in (found.password, found.identity_token) if found else ():
            self._secrets.add(secret)
        return found

    def header(self, authorization: str | None) -> str | None:
        """Return the same header, and remember its secret."""
        if authorization:
            self._secrets.add(authorization.rpartition(" ")[2])
        return authorization

    def hidden(self, said: bytes) -> bytes:
        """Return `said` without any of the secrets."""
        text = self._secrets.hidden(said.decode(errors="surrogateescape"))
        return text.encode(errors="surrogateescape")

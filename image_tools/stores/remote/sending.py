"""Sending one question with the header that may help it, as long as there is another one."""

from __future__ import annotations

import aiohttp
from loguru import logger
from yarl import URL

from image_tools.errors import CopyFailed, Unauthorized
from image_tools.stores.remote.questions import Question
from image_tools.stores.remote.shown import Shown
from image_tools.stores.remote.tokens.challenge import Challenge, parse_challenges
from image_tools.stores.remote.tokens.proofs import UNAUTHORIZED
from image_tools.stores.remote.tokens.tokens import Authorizer
from image_tools.web.address import same_origin
from image_tools.web.connect import Connections, Request, drain

FORBIDDEN = 403
_REFUSED = frozenset({UNAUTHORIZED, FORBIDDEN})
# After a header that is refused comes one more; the first comes after none.
MOST_RENEWALS = 1


class Sender:
    """Sends questions to one registry. `greeting` are the challenges of its greeting."""

    def __init__(self, connections: Connections, authorizer: Authorizer, shown: Shown) -> None:
        self._connections, self._authorizer, self._shown = connections, authorizer, shown
        self.greeting: tuple[Challenge, ...] = ()

    async def send(self, root: URL, question: Question) -> aiohttp.ClientResponse:
        """The answer to a question, asked again with each header that may help it."""
        url = question.address(root)
        is_own = same_origin(url, root)
        header = await self._header(question) if is_own else None
        response = await self._sent(question, url, header)
        tries = MOST_RENEWALS
        while response.status in _REFUSED and is_own and tries > 0:
            # Whoever we were sent on to knows nothing of our login, and asks for none of it.
            if not same_origin(response.url, root):
                break
            if response.status == FORBIDDEN and not question.can_repeat:
                break  # The same token began this upload: it is not about the token.
            fresh = await self._other_header(response, header, question)
            if fresh is None:
                break
            await drain(response)
            if not question.can_repeat:
                raise _ended_login(question)
            # A second token that is refused for what the first was is the end.
            tries -= header is not None
            refused, header = header, fresh
            is_forbidden = response.status == FORBIDDEN
            response = await self._sent(question, url, header)
            if is_forbidden and response.status not in _REFUSED:
                self._authorizer.too_wide(refused)
        return response

    async def _sent(
        self, question: Question, url: URL, header: str | None
    ) -> aiohttp.ClientResponse:
        header = self._shown.header(header)
        response = await self._connections.open(request_of(question, url, header))
        logger.debug("{} {}: {}", question.method, question.reference, response.status)
        return response

    async def _other_header(
        self, response: aiohttp.ClientResponse, header: str | None, question: Question
    ) -> str | None:
        """Another header after a refusal; one without a challenge may be about a wide token."""
        challenges = challenges_of(response)
        try:
            if challenges:
                return await self._answer(challenges, header, question)
            return await self._authorizer.alone(
                header, question.repository, push=question.push, also_pull=question.origin
            )
        except CopyFailed as error:
            if response.status == FORBIDDEN and not error.temporary:
                return None  # What the registry itself has said is the better explanation.
            response.close()
            raise
        except BaseException:
            response.close()
            raise

    async def _header(self, question: Question) -> str | None:
        header = await self._authorizer.header(
            question.repository, push=question.push, also_pull=question.origin
        )
        if header is None and self.greeting:
            return await self._answer(self.greeting, None, question)
        return header

    async def _answer(
        self, challenges: tuple[Challenge, ...], rejected: str | None, question: Question
    ) -> str | None:
        return await self._authorizer.challenged(
            challenges,
            rejected,
            question.repository,
            push=question.push,
            also_pull=question.origin,
        )


def request_of(question: Question, url: URL, authorization: str | None) -> Request:
    """A question as HTTP, with the header that lets it in."""
    return Request(
        method=question.method,
        url=url,
        reference=question.reference,
        headers=question.headers,
        body=question.body,
        authorization=authorization,
        is_slow=question.is_slow,
    )


def challenges_of(response: aiohttp.ClientResponse) -> tuple[Challenge, ...]:
    """How the server wants to be convinced."""
    return parse_challenges(response.headers.getall("WWW-Authenticate", []))


def _ended_login(question: Question) -> Unauthorized:
    """The failure of an upload in the middle of which the token ended: another one may do."""
    said = f"{question.reference}: the login ended during the upload"
    error = Unauthorized(said, status=UNAUTHORIZED)
    error.temporary = True
    return error

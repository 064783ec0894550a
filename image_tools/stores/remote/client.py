"""Questions to one registry: scheme, rights, pace, repetition, failures, in one place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import aiohttp
from loguru import logger
from yarl import URL

from image_tools.errors import CopyFailed, ImageToolsError, RateLimited, Unauthorized
from image_tools.retry import RetryPolicy, repeat_async
from image_tools.stores.remote.address import same_origin
from image_tools.stores.remote.answering import read
from image_tools.stores.remote.body import StreamBody
from image_tools.stores.remote.capabilities import Capabilities
from image_tools.stores.remote.challenge import Challenge, parse_challenges
from image_tools.stores.remote.connect import Connections, Request, Timing, drain
from image_tools.stores.remote.credentials import Keyring
from image_tools.stores.remote.failures import about, failure
from image_tools.stores.remote.meter import Meter
from image_tools.stores.remote.pacing import LONGEST_WAIT, WINDOW, Pace, Turn
from image_tools.stores.remote.proofs import UNAUTHORIZED
from image_tools.stores.remote.pull_window import pull_limit
from image_tools.stores.remote.questions import Answer, Counts, Question
from image_tools.stores.remote.scheme import Root
from image_tools.stores.remote.shown import Shown
from image_tools.stores.remote.tls import TlsChoice
from image_tools.stores.remote.tokens import Authorizer

T = TypeVar("T")
FORBIDDEN = 403
NOT_FOUND = 404
_GREETINGS = frozenset({200, 403, 405, 501})
_REFUSED = frozenset({UNAUTHORIZED, FORBIDDEN})
# Without a login, with a token for many, with one for this question, with one under another name.
MOST_LOGINS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """How a registry is spoken to; `window` bounds the requests under way at once.

    With a `meter` manifests are read within its pull limit.
    """

    tls: TlsChoice = TlsChoice()
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    window: int = WINDOW
    timing: Timing = field(default_factory=Timing)
    meter: Meter | None = None


class RegistryClient:
    """Asks one registry, with the right scheme, the right header and at the right pace."""

    def __init__(
        self, registry: str, keyring: Keyring, options: RemoteOptions, environ: Mapping[str, str]
    ) -> None:
        self.registry = registry
        self.policy = options.policy
        self._meter = options.meter
        self._connections = Connections(options.tls, environ, options.timing)
        self._pace = Pace(registry, window=options.window, on_rest=self._announce_rest)
        self._root = Root(registry, options.tls, self._ping, self.repeat)
        self._tls = options.tls
        self._challenges: tuple[Challenge, ...] = ()
        # Until it has, a web page may come from anybody who owns the name.
        self._has_spoken = False
        self.capabilities = Capabilities()
        self._background: set[asyncio.Future[None]] = set()
        self._shown = Shown(partial(keyring.find, registry))
        self.authorizer = Authorizer(
            registry,
            self._shown.find,
            self._connections.open,
            allows_plain=options.tls.verify is False,
        )
        self.authorizer.proofs.prove = self._lets_in

    @property
    def challenges(self) -> tuple[Challenge, ...]:
        """How the registry asked for a login when it was greeted; none before."""
        return self._challenges

    def allows_plain(self, url: URL) -> bool:
        """Whether plain HTTP may be spoken to the host of `url`."""
        return self._tls.allows_plain(url.host or "")

    async def ask(self, question: Question) -> Answer:
        """The answer, asked again while the failure may pass: for what is idempotent."""
        return await self.repeat(lambda: self.once(question))

    async def repeat(self, action: Callable[[], Awaitable[T]]) -> T:
        """Whatever `action` gives, tried again while the failure may pass."""
        return await repeat_async(self.policy, action, on_retry=_announce_retry)

    async def once(self, question: Question) -> Answer:
        """The answer to a question asked once, read to its end."""
        root = await self._find_root(question)
        async with self._turn(question) as turn:
            answer = await self._metered(root, question)
            self._listen(answer)
            if not question.accepts(answer):
                raise self._failure(turn, answer, question)
            self._pace.went_well(turn)
            return answer

    def says_unknown(self, answer: Answer) -> bool:
        """Whether this answer says that content is unknown: a 404 of what is a registry.

        nginx in front of one puts its own page into the place of a 404.
        """
        return answer.status == NOT_FOUND and (self._has_spoken or not answer.is_page)

    def refusal(self, answer: Answer, question: Question) -> ImageToolsError:
        """The failure that an answer means which the question expected."""
        return failure(self._without_page(answer), question.reference, doing=question.doing)

    async def open(self, question: Question) -> aiohttp.ClientResponse:
        """The head of an expected answer; its body is read outside the pace, by the caller."""
        root = await self._find_root(question)
        async with self._pace.turn() as turn:
            response = await self._send(root, question)
            if not question.accepts(Answer(response.status, response.headers)):
                answer = await self._read(response, question)
                raise self._failure(turn, answer, question)
            self._pace.went_well(turn)
            return response

    async def root(self) -> URL:
        """Where the registry answers, asked once; raises why it does not."""
        return await self._root.find()

    async def beside(self, question: Question, authorization: str | None) -> Answer:
        """The answer of another API of the same server, asked once, with a header of its own."""
        assert question.url is not None
        async with self._pace.turn() as turn:
            request = replace(_request(question, question.url, authorization), stays=True)
            answer = await self._read(await self._connections.open(request), question)
            if not question.accepts(answer):
                raise self._failure(turn, answer, question)
            self._pace.went_well(turn)
            return answer

    def body(
        self, chunks: AsyncIterator[bytes], reference: str, size: int | None = None
    ) -> StreamBody:
        """`chunks` as the body of an upload, given up when the registry takes no more."""
        return StreamBody(chunks, reference, size=size, stall=self._connections.stall)

    async def in_background(self, action: Coroutine[Any, Any, None], patience: float) -> None:
        """Wait `patience` seconds for `action`, which goes on even if the waiting is cancelled."""
        task = asyncio.ensure_future(action)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        await asyncio.wait({task}, timeout=patience)

    async def close(self) -> None:
        """Close every connection."""
        for task in tuple(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._root.close()
        await self._connections.close()

    def _turn(self, question: Question) -> AbstractAsyncContextManager[Turn]:
        """A place in the window; long uploads take none, or they would fill it."""
        return self._outside() if isinstance(question.body, StreamBody) else self._pace.turn()

    @asynccontextmanager
    async def _outside(self) -> AsyncIterator[Turn]:
        yield await self._pace.rested()

    async def _find_root(self, question: Question) -> URL:
        try:
            return await self._root.find()
        except ImageToolsError as error:
            raise about(error, question.reference, self.registry) from error

    async def _send(self, root: URL, question: Question) -> aiohttp.ClientResponse:
        """The answer to a question, asked again with each header that may help it."""
        url = question.address(root)
        is_own = same_origin(url, root)
        header = await self._header(question) if is_own else None
        response = await self._sent(question, url, header)
        for _ in range(MOST_LOGINS):
            # Whoever we were sent on to knows nothing of our login, and asks for none of it.
            if response.status not in _REFUSED or not (is_own and same_origin(response.url, root)):
                break
            fresh = await self._other_header(response, header, question)
            if fresh is None:
                break
            await drain(response)
            if not question.can_repeat:
                raise _ended_login(question)
            refused, header = header, fresh
            is_forbidden = response.status == FORBIDDEN
            response = await self._sent(question, url, header)
            if is_forbidden and response.status not in _REFUSED:
                self.authorizer.too_wide(refused)
        return response

    async def _sent(
        self, question: Question, url: URL, header: str | None
    ) -> aiohttp.ClientResponse:
        header = self._shown.header(header)
        response = await self._connections.open(_request(question, url, header))
        logger.debug("{} {}: {}", question.method, question.reference, response.status)
        return response

    async def _other_header(
        self, response: aiohttp.ClientResponse, header: str | None, question: Question
    ) -> str | None:
        """Another header after a refusal; a 403 without a challenge may be about a wide token."""
        challenges = _challenges(response)
        try:
            if response.status == UNAUTHORIZED or challenges:
                return await self._answer(challenges, header, question)
            return await self.authorizer.alone(
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

    async def _metered(self, root: URL, question: Question) -> Answer:
        """The answer, within the pull limit; Deferred, unasked, when that leaves no room."""
        meter = self._meter
        if meter is None or question.counts is Counts.NOTHING:
            return await self._read(await self._send(root, question), question)
        sent = meter.begin(question.reference, is_pull=question.counts is Counts.PULL)
        answer: Answer | None = None
        try:
            answer = await self._read(await self._send(root, question), question)
            return answer
        finally:
            headers = None if answer is None else answer.headers
            meter.end(sent, headers, 0 if answer is None else answer.status)

    async def _header(self, question: Question) -> str | None:
        header = await self.authorizer.header(
            question.repository, push=question.push, also_pull=question.origin
        )
        if header is None and self._challenges:
            return await self._answer(self._challenges, None, question)
        return header

    async def _answer(
        self, challenges: tuple[Challenge, ...], rejected: str | None, question: Question
    ) -> str | None:
        return await self.authorizer.challenged(
            challenges,
            rejected,
            question.repository,
            push=question.push,
            also_pull=question.origin,
        )

    async def _read(self, response: aiohttp.ClientResponse, question: Question) -> Answer:
        return await read(response, question, self._connections.whole, self._shown)

    def _failure(self, turn: Turn, answer: Answer, question: Question) -> ImageToolsError:
        """The failure an answer means; the pace learns of it."""
        error = self.refusal(answer, question)
        if isinstance(error, RateLimited):
            if self._meter is not None and pull_limit(answer.headers) is not None:
                return self._meter.refusal(question.reference, error)
            rest = self._pace.limited(turn, error.retry_after)
            error.exhausted = rest > LONGEST_WAIT
        elif not error.temporary:
            self._pace.went_well(turn)
        return error

    def _listen(self, answer: Answer) -> None:
        """Note that a registry answers, and not just some web server."""
        is_good = answer.status < 300 or answer.status == UNAUTHORIZED or bool(answer.code)
        self._has_spoken = self._has_spoken or (is_good and not answer.is_page)

    def _without_page(self, answer: Answer) -> Answer:
        """A registry's 404 without the page that a server in front of it has put there."""
        if answer.status != NOT_FOUND or not (answer.is_page and self._has_spoken):
            return answer
        return replace(answer, headers={}, body=b"")

    async def _ping(self, root: URL) -> None:
        """Nothing when a registry answers at `root`; its challenge is kept for what follows."""
        url = URL(f"{root}/v2/", encoded=True)
        question = Question(method="GET", repository="", reference=self.registry, url=url)
        async with self._pace.turn() as turn:
            response = await self._connections.open(_request(question, url, None))
            answer = await self._read(response, question)
            self._challenges = _challenges(response) if answer.status == 401 else ()
            self.authorizer.greeted(self._challenges)
            self._challenges = tuple(map(_without_scope, self._challenges))
            self._listen(answer)
            # A registry may keep /v2/ to itself: what is really asked for decides then.
            says = answer.status in _GREETINGS and not answer.is_page
            if not (self._challenges or says or answer.status == NOT_FOUND):
                raise self._failure(turn, answer, question)

    async def _lets_in(self, header: str) -> bool:
        """Whether a login is good, asked at `/v2/` as `docker login` does; outside the pace."""
        url = URL(f"{await self._root.find()}/v2/", encoded=True)
        question = Question(method="GET", repository="", reference=self.registry, url=url)
        response = await self._connections.open(_request(question, url, header))
        return (await self._read(response, question)).status != UNAUTHORIZED

    def _announce_rest(self, seconds: float) -> None:
        logger.warning("{} asks us to slow down: {} s of rest", self.registry, round(seconds, 1))


def _request(question: Question, url: URL, authorization: str | None) -> Request:
    return Request(
        method=question.method,
        url=url,
        reference=question.reference,
        headers=question.headers,
        body=question.body,
        authorization=authorization,
        is_slow=question.is_slow,
    )


def _ended_login(question: Question) -> Unauthorized:
    """The failure of an upload in the middle of which the token ended: another one may do."""
    said = f"{question.reference}: the login ended during the upload"
    error = Unauthorized(said, status=UNAUTHORIZED)
    error.temporary = True
    return error


def _without_scope(challenge: Challenge) -> Challenge:
    """A greeting's challenge as it counts for all repositories."""
    named = challenge.parameters.items()
    kept = {name: value for name, value in named if name != "scope"}
    return Challenge(challenge.scheme, kept)


def _challenges(response: aiohttp.ClientResponse) -> tuple[Challenge, ...]:
    return parse_challenges(response.headers.getall("WWW-Authenticate", []))


def _announce_retry(error: ImageToolsError, wait: float) -> None:
    logger.info("{}; trying again in {} s", error, round(wait, 1))

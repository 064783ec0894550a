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

from image_tools.errors import CopyFailed, ImageToolsError, RateLimited
from image_tools.logins.credentials import Keyring
from image_tools.retry import RetryPolicy, repeat_async
from image_tools.stores.remote.answering import read
from image_tools.stores.remote.capabilities import Capabilities
from image_tools.stores.remote.failures import about, failure
from image_tools.stores.remote.limits.meter import Meter
from image_tools.stores.remote.limits.pull_window import pull_limit
from image_tools.stores.remote.questions import Answer, Counts, Question
from image_tools.stores.remote.scheme import Root
from image_tools.stores.remote.sending import Sender, challenges_of, request_of
from image_tools.stores.remote.shown import Shown
from image_tools.stores.remote.tokens.challenge import Challenge
from image_tools.stores.remote.tokens.proofs import UNAUTHORIZED
from image_tools.stores.remote.tokens.tokens import Authorizer
from image_tools.web.body import StreamBody
from image_tools.web.connect import Connections, Timing
from image_tools.web.pacing import LONGEST_WAIT, WINDOW, Pace, Turn
from image_tools.web.tls import TlsChoice

T = TypeVar("T")
NOT_FOUND = 404
_GREETINGS = frozenset({200, 403, 405, 501})


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
        self._sender = Sender(self._connections, self.authorizer, self._shown)

    @property
    def challenges(self) -> tuple[Challenge, ...]:
        """How the registry asked for a login when it was greeted; none before."""
        return self._sender.greeting

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
        error = failure(
            self._without_page(answer),
            question.reference,
            doing=question.doing,
            asked=question.asked(proxied=self._connections.is_read_by_proxy(answer.url)),
        )
        if isinstance(error, CopyFailed):
            error.answered = True
        return error

    async def open(self, question: Question) -> aiohttp.ClientResponse:
        """The head of an expected answer; its body is read outside the pace, by the caller."""
        root = await self._find_root(question)
        async with self._pace.turn() as turn:
            response = await self._sender.send(root, question)
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
            request = replace(request_of(question, question.url, authorization), stays=True)
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

    async def _metered(self, root: URL, question: Question) -> Answer:
        """The answer, within the pull limit; Deferred, unasked, when that leaves no room."""
        meter = self._meter
        if meter is None or question.counts is Counts.NOTHING:
            return await self._read(await self._sender.send(root, question), question)
        sent = meter.begin(question.reference, is_pull=question.counts is Counts.PULL)
        answer: Answer | None = None
        try:
            answer = await self._read(await self._sender.send(root, question), question)
            return answer
        finally:
            headers = None if answer is None else answer.headers
            meter.end(sent, headers, 0 if answer is None else answer.status)

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
            response = await self._connections.open(request_of(question, url, None))
            answer = await self._read(response, question)
            challenges = challenges_of(response) if answer.status == UNAUTHORIZED else ()
            self.authorizer.greeted(challenges)
            self._sender.greeting = tuple(map(_without_scope, challenges))
            self._listen(answer)
            # A registry may keep /v2/ to itself: what is really asked for decides then.
            says = answer.status in _GREETINGS and not answer.is_page
            if not (challenges or says or answer.status == NOT_FOUND):
                raise self._failure(turn, answer, question)

    async def _lets_in(self, header: str) -> bool:
        """Whether a login is good, asked at `/v2/` as `docker login` does; outside the pace."""
        url = URL(f"{await self._root.find()}/v2/", encoded=True)
        question = Question(method="GET", repository="", reference=self.registry, url=url)
        response = await self._connections.open(request_of(question, url, header))
        return (await self._read(response, question)).status != UNAUTHORIZED

    def _announce_rest(self, seconds: float) -> None:
        logger.warning("{}: rate limited, pausing for {} s", self.registry, round(seconds, 1))


def _without_scope(challenge: Challenge) -> Challenge:
    """A greeting's challenge as it counts for all repositories."""
    named = challenge.parameters.items()
    kept = {name: value for name, value in named if name != "scope"}
    return Challenge(challenge.scheme, kept)


def _announce_retry(error: ImageToolsError, wait: float) -> None:
    logger.info("{}; trying again in {} s", error, round(wait, 1))

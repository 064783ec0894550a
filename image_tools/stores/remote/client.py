"""Requests to one registry: scheme, rights, pace, repetition and failures in one place."""

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
from image_tools.retry import RetryPolicy, announce_retry, repeat_async
from image_tools.stores.remote.api import ApiAnswer, ApiRequest, Counts
from image_tools.stores.remote.capabilities import Capabilities
from image_tools.stores.remote.failures import Asked, about, failure
from image_tools.stores.remote.limits.meter import Meter
from image_tools.stores.remote.limits.pull_window import pull_limit
from image_tools.stores.remote.scheme import RegistryRoot
from image_tools.stores.remote.sending import Sender, ShownSecrets, challenges_of, read, request_of
from image_tools.stores.remote.tokens.authorizer import Authorizer
from image_tools.stores.remote.tokens.challenge import Challenge
from image_tools.stores.remote.tokens.source import TOKEN_OPTIONS, TokenOptions
from image_tools.stores.remote.tokens.tried_logins import UNAUTHORIZED
from image_tools.web.address import follow, next_page
from image_tools.web.body import StreamBody
from image_tools.web.connect import Connections, Timing
from image_tools.web.pacing import LONGEST_WAIT, WINDOW, Pace, Turn
from image_tools.web.tls import TlsChoice

T = TypeVar("T")
NOT_FOUND = 404
_GREETINGS = frozenset({200, 403, 405, 501})


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """How a registry is reached; `window` is the most requests under way at once.

    `policy` repeats requests to the registry, `token_policy` those to its token server. With a
    `meter`, manifests are read within its pull limit.
    """

    tls: TlsChoice = TlsChoice()
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    token_policy: RetryPolicy = TOKEN_OPTIONS.policy
    window: int = WINDOW
    timing: Timing = field(default_factory=Timing)
    meter: Meter | None = None


class RegistryClient:
    """Sends requests to one registry with the right scheme and header, at the right pace."""

    def __init__(
        self, registry: str, keyring: Keyring, options: RemoteOptions, environ: Mapping[str, str]
    ) -> None:
        self.registry = registry
        self.policy = options.policy
        self._meter = options.meter
        self._connections = Connections(options.tls, environ, options.timing)
        self._pace = Pace(registry, window=options.window, on_rest=self._announce_rest)
        self._root = RegistryRoot(registry, options.tls, self._ping, self.repeat)
        self._tls = options.tls
        # Until a registry has answered, a web page may come from any owner of the name.
        self._has_spoken = False
        self.capabilities = Capabilities()
        self._background: set[asyncio.Future[None]] = set()
        self._secrets = ShownSecrets(partial(keyring.find, registry))
        self.authorizer = Authorizer(
            registry,
            self._secrets.find,
            self._connections.open,
            TokenOptions(allows_plain=options.tls.verify is False, policy=options.token_policy),
        )
        self.authorizer.tried_logins.prove = self._accepts_login
        self._sender = Sender(self._connections, self.authorizer, self._secrets)

    @property
    def challenges(self) -> tuple[Challenge, ...]:
        """Return the challenges of the registry's greeting; none before it was greeted."""
        return self._sender.greeting

    def allows_plain(self, url: URL) -> bool:
        """Return whether plain HTTP may be used for the host of `url`."""
        return self._tls.allows_plain(url.host or "")

    async def ask(self, request: ApiRequest) -> ApiAnswer:
        """Return the answer to an idempotent request, repeated while the failure is temporary."""
        return await self.repeat(lambda: self.once(request))

    async def repeat(self, action: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `action`, repeated while its failure is temporary."""
        return await repeat_async(self.policy, action, on_retry=announce_retry)

    async def once(self, request: ApiRequest) -> ApiAnswer:
        """Return the answer to a request that is sent once, read to its end."""
        root = await self._find_root(request)
        async with self._turn(request) as turn:
            answer = await self._metered(root, request)
            self._note_speaker(answer)
            if not request.accepts(answer):
                raise self._failure(turn, answer, request)
            self._pace.went_well(turn)
            return answer

    def says_unknown(self, answer: ApiAnswer) -> bool:
        """Return whether an answer means unknown content: a 404 that a registry sent.

        nginx replaces the 404 of a registry behind it by its own page.
        """
        return answer.status == NOT_FOUND and (self._has_spoken or not answer.is_page)

    def refusal(self, answer: ApiAnswer, request: ApiRequest) -> ImageToolsError:
        """Return the error for an `answer` that the request listed as expected."""
        error = failure(
            self._without_page(answer),
            request.reference,
            doing=request.doing,
            asked=Asked.by(request, proxied=self._connections.is_read_by_proxy(answer.url)),
        )
        if isinstance(error, CopyFailed):
            error.answered = True
        return error

    def following(self, answer: ApiAnswer, reference: str) -> URL | None:
        """Return the URL of the next page of a list, None after the last one."""
        target = next_page(answer.fields("Link"))
        if target is None:
            return None
        return follow(answer.url, target, reference, allows_plain=self.allows_plain(answer.url))

    async def open(self, request: ApiRequest) -> aiohttp.ClientResponse:
        """Return the head of an expected answer; the caller reads its body, outside the pace."""
        root = await self._find_root(request)
        async with self._pace.turn() as turn:
            response = await self._sender.send(root, request)
            if not request.accepts(ApiAnswer(response.status, response.headers)):
                answer = await self._read(response, request)
                raise self._failure(turn, answer, request)
            self._pace.went_well(turn)
            return response

    async def root(self) -> URL:
        """Return the root URL, looked for once; raise why the registry does not answer."""
        return await self._root.find()

    async def ask_other_api(self, request: ApiRequest, authorization: str | None) -> ApiAnswer:
        """Return the answer of another API of the same server, with a header of its own.

        The request is sent once.
        """
        assert request.url is not None
        async with self._pace.turn() as turn:
            sent = replace(request_of(request, request.url, authorization), stays=True)
            answer = await self._read(await self._connections.open(sent), request)
            if not request.accepts(answer):
                raise self._failure(turn, answer, request)
            self._pace.went_well(turn)
            return answer

    def body(
        self, chunks: AsyncIterator[bytes], reference: str, size: int | None = None
    ) -> StreamBody:
        """Return `chunks` as an upload's body that fails when the registry stops reading it."""
        return StreamBody(chunks, reference, size=size, stall=self._connections.stall)

    async def in_background(self, action: Coroutine[Any, Any, None], patience: float) -> None:
        """Wait up to `patience` seconds for `action`.

        It continues when the time is over or the waiting is cancelled.
        """
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

    def _turn(self, request: ApiRequest) -> AbstractAsyncContextManager[Turn]:
        """Return a place in the window; uploads take none, or long ones would fill it."""
        return self._outside() if isinstance(request.body, StreamBody) else self._pace.turn()

    @asynccontextmanager
    async def _outside(self) -> AsyncIterator[Turn]:
        yield await self._pace.rested()

    async def _find_root(self, request: ApiRequest) -> URL:
        try:
            return await self._root.find()
        except ImageToolsError as error:
            raise about(error, request.reference, self.registry) from error

    async def _metered(self, root: URL, request: ApiRequest) -> ApiAnswer:
        """Return the answer; raise Deferred, without a request, when the pull limit is reached."""
        meter = self._meter
        if meter is None or request.counts is Counts.NOTHING:
            return await self._read(await self._sender.send(root, request), request)
        sent = meter.begin(request.reference, is_pull=request.counts is Counts.PULL)
        answer: ApiAnswer | None = None
        try:
            answer = await self._read(await self._sender.send(root, request), request)
            return answer
        finally:
            headers = None if answer is None else answer.headers
            meter.end(sent, headers, 0 if answer is None else answer.status)

    async def _read(self, response: aiohttp.ClientResponse, request: ApiRequest) -> ApiAnswer:
        return await read(response, request, self._connections.answer_seconds, self._secrets)

    def _failure(self, turn: Turn, answer: ApiAnswer, request: ApiRequest) -> ImageToolsError:
        """Return the error for an answer, after the pace was told of it."""
        error = self.refusal(answer, request)
        if isinstance(error, RateLimited):
            if self._meter is not None and pull_limit(answer.headers) is not None:
                return self._meter.refusal(request.reference, error)
            rest = self._pace.limited(turn, error.retry_after)
            error.exhausted = rest > LONGEST_WAIT
        elif not error.temporary:
            self._pace.went_well(turn)
        return error

    def _note_speaker(self, answer: ApiAnswer) -> None:
        """Remember that a registry answers at this address, and not just some web server."""
        is_good = answer.status < 300 or answer.status == UNAUTHORIZED or bool(answer.code)
        self._has_spoken = self._has_spoken or (is_good and not answer.is_page)

    def _without_page(self, answer: ApiAnswer) -> ApiAnswer:
        """Return a 404 without the page that a server in front of the registry put there."""
        if answer.status != NOT_FOUND or not (answer.is_page and self._has_spoken):
            return answer
        return replace(answer, headers={}, body=b"")

    async def _ping(self, root: URL) -> None:
        """Raise unless a registry answers at `root`; keep its challenges for later requests."""
        url = URL(f"{root}/v2/", encoded=True)
        request = ApiRequest(method="GET", repository="", reference=self.registry, url=url)
        async with self._pace.turn() as turn:
            response = await self._connections.open(request_of(request, url, None))
            answer = await self._read(response, request)
            challenges = challenges_of(response) if answer.status == UNAUTHORIZED else ()
            self.authorizer.greeted(challenges)
            self._sender.greeting = tuple(map(_without_scope, challenges))
            self._note_speaker(answer)
            # Some registries refuse /v2/ itself: then the real requests decide.
            says = answer.status in _GREETINGS and not answer.is_page
            if not (challenges or says or answer.status == NOT_FOUND):
                raise self._failure(turn, answer, request)

    async def _accepts_login(self, header: str) -> bool:
        """Return whether `/v2/` accepts a login, as `docker login` asks; outside the pace."""
        url = URL(f"{await self._root.find()}/v2/", encoded=True)
        request = ApiRequest(method="GET", repository="", reference=self.registry, url=url)
        response = await self._connections.open(request_of(request, url, header))
        return (await self._read(response, request)).status != UNAUTHORIZED

    def _announce_rest(self, seconds: float) -> None:
        logger.warning("{}: rate limited, pausing for {} s", self.registry, round(seconds, 1))


def _without_scope(challenge: Challenge) -> Challenge:
    """Return the challenge of a greeting without its scope, to use it for all repositories."""
    named = challenge.parameters.items()
    kept = {name: value for name, value in named if name != "scope"}
    return Challenge(challenge.scheme, kept)

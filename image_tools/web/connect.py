"""Connections that are kept alive: TLS by host, proxies, and redirects with each method."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from image_tools import __version__
from image_tools.errors import TlsProblem, Unavailable
from image_tools.web.address import located, registry_of, same_origin
from image_tools.web.basic import basic_authorization
from image_tools.web.body import STALL_SECONDS, StreamBody, own_failure
from image_tools.web.network_failures import network_failure
from image_tools.web.proxies import proxy_for
from image_tools.web.responses import drain
from image_tools.web.time_limit import in_time
from image_tools.web.tls import (
    TlsChoice,
    shared_context,
    shows_certificate,
)
from image_tools.web.tls_failures import expiry, has_expired

CONNECT_SECONDS = 15.0
# A registry over object storage copies a large blob before it answers the last PUT.
COMMIT_SECONDS = 600.0
# Shorter than every time-out: aiohttp 3.14 does not stop the timer of an answer without a body, and
# a connection that was idle for that long fails at once.
KEEPALIVE_SECONDS = 30.0
READ_BUFFER = 256 * 1024
# As many as Go's HTTP client follows.
MOST_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"User-Agent": f"image-tools/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Time-outs in seconds: to connect, without a byte in either direction, to close an upload.

    An idle connection is closed after `keepalive` seconds.
    """

    connect: float = CONNECT_SECONDS
    stall: float = STALL_SECONDS
    commit: float = COMMIT_SECONDS
    keepalive: float = KEEPALIVE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request; `reference` is what it is about, for messages.

    `is_slow`: the server may be silent for as long as closing an upload takes. A redirect of a
    request that `stays` is not followed: its body is a secret, or its address matters.
    """

    method: str
    url: URL
    reference: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | StreamBody | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)
    is_slow: bool = False
    stays: bool = False

    @property
    def follows(self) -> bool:
        """Return whether a redirect is followed."""
        return not self.stays or self.method in ("GET", "HEAD")


class Connections:
    """All connections for one registry or server, and for the hosts that it redirects to.

    There is no limit per host: if both ends are one registry, a download waits for the upload that
    it feeds, and both could wait for ever. The pace and the callers bound the number.
    """

    def __init__(
        self, tls: TlsChoice, environ: Mapping[str, str], timing: Timing | None = None
    ) -> None:
        self._tls, self._environ = tls, environ
        self._timing = timing or Timing()
        self._usual = _timeout(self._timing.connect, self._timing.stall)
        self._slow = _timeout(self._timing.connect, self._timing.commit)
        self._is_closed = False
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._proxies: dict[str, str | None] = {}
        # Where servers redirect uploads: to the same path of another server, or (None) elsewhere.
        self._sent_on: dict[str, URL | None] = {}

    @property
    def stall(self) -> float:
        """Return the seconds without a byte after which a connection is given up."""
        return self._timing.stall

    @property
    def answer_seconds(self) -> float:
        """Return the seconds after which a whole answer has to be there."""
        return self._timing.commit

    async def open(self, request: Request) -> aiohttp.ClientResponse:
        """Return the answer at the end of all redirects, its body unread; the caller closes it.

        A redirect keeps the method: gateways redirect uploads with any of the five statuses
        (distribution-spec#299, #607). The login goes to no other host. Raise TlsProblem, TimedOut,
        Unavailable or one of their kinds if no answer came.
        """
        here = self._known_target(request)
        response = await self._send(request, here, _authorization(request, here))
        for _ in range(MOST_REDIRECTS):
            target = self._redirect(request, here, response)
            if target is None:
                return response
            await drain(response)
            self._keep_body(request, here, target)
            response = await self._send(request, target, _authorization(request, target))
            here = target
        if response.status in _REDIRECTS and request.follows:
            response.close()
            raise Unavailable(f"{request.reference}: more than {MOST_REDIRECTS} redirects")
        return response

    def _known_target(self, request: Request) -> URL:
        """Return where to send a body that can be sent only once: where the last one had to go."""
        url = request.url
        if not isinstance(request.body, StreamBody):
            return url
        other = self._sent_on.get(str(url.origin()))
        return url if other is None else URL(f"{other}{url.raw_path_qs}", encoded=True)

    def _keep_body(self, request: Request, here: URL, target: URL) -> None:
        """Raise Unavailable, so that the upload is repeated, if its body was sent to `here`."""
        if not isinstance(request.body, StreamBody):
            return
        origin, is_same_path = str(here.origin()), here.raw_path_qs == target.raw_path_qs
        was_known = origin in self._sent_on
        self._sent_on[origin] = target.origin() if is_same_path else None
        if request.body.started:
            said = f"{request.reference}: the upload is redirected to {registry_of(target)}"
            error = Unavailable(f"{said} after its body was sent")
            # The next one goes there at once, or waits for the answer before its body is sent.
            error.another_way = is_same_path or not was_known
            raise error

    def is_read_by_proxy(self, url: URL) -> bool:
        """Return whether a proxy can read a request to `url`: plain HTTP, and a proxy for it."""
        return url.scheme == "http" and self._proxy(url)[0] is not None

    async def close(self) -> None:
        """Close every connection; later requests fail."""
        self._is_closed = True
        if self._session is not None:
            await self._session.close()

    def _redirect(
        self, request: Request, here: URL, response: aiohttp.ClientResponse
    ) -> URL | None:
        location = response.headers.get("Location")
        if response.status not in _REDIRECTS or not request.follows:
            return None
        if not location:
            return None
        target = located(here, location)
        if target is None:
            response.close()
            raise Unavailable(f"{request.reference}: redirected to where nobody can go")
        if here.scheme == "https" and target.scheme == "http" and self._tls.verify is not False:
            response.close()
            raise TlsProblem(
                f"{request.reference}: {here.host} leads from TLS to plain HTTP at {target.host}",
                advice="have the registry redirect to https, or allow it with --tls-verify=false",
            )
        return target

    async def _send(
        self, request: Request, url: URL, authorization: str | None
    ) -> aiohttp.ClientResponse:
        if self._is_closed:
            raise Unavailable(f"{request.reference}: the run has ended")
        headers = dict(request.headers)
        if authorization is not None:
            headers["Authorization"] = authorization
        proxy, proxy_headers = self._proxy(url)
        if proxy_headers and url.scheme == "http":
            headers.update(proxy_headers)
        # Before the try: a broken certificate file is not a failure of the network.
        context = await self._context(url)
        try:
            answering = self._open_session().request(
                request.method,
                url,
                headers=headers,
                data=request.body,
                allow_redirects=False,
                ssl=context,
                proxy=proxy,
                proxy_headers=proxy_headers or None,
                timeout=self._slow if request.is_slow else self._usual,
                expect100=self._asks_first(request, url),
            )
            if isinstance(request.body, StreamBody):
                # Its time-out is for each chunk.
                response = await _response(answering)
            else:
                response = await in_time(self._patience(request), _response(answering))
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise await self._explain(error, request, url, proxy) from error
        if isinstance(request.body, StreamBody) and request.body.started:
            request.body.stop()
        return response

    def _asks_first(self, request: Request, url: URL) -> bool:
        """Return whether to send `Expect: 100-continue` before the body (RFC 9110, 10.1.1).

        Not all servers support it, so it is only used where uploads are redirected.
        """
        return isinstance(request.body, StreamBody) and str(url.origin()) in self._sent_on

    def _patience(self, request: Request) -> float:
        """Return the seconds after which the head of an answer has to be there."""
        timing = self._timing
        return 2 * timing.connect + (timing.commit if request.is_slow else timing.stall)

    async def _explain(
        self, error: BaseException, request: Request, url: URL, proxy: URL | None
    ) -> BaseException:
        """Return what ended the body, else the error for an exception of aiohttp or the system."""
        if (own := own_failure(request.body)) is not None:
            return own
        shown = shows_certificate(registry_of(url), self._environ)
        expired = ""
        if proxy is None and has_expired(error):
            expired = await expiry(url.host or "", url.port or 443)
        return network_failure(error, request.reference, url, shown=shown, expired=expired)

    async def _context(self, url: URL) -> ssl.SSLContext | bool:
        if url.scheme != "https":
            return True
        host = registry_of(url)
        if host not in self._contexts:
            self._contexts[host] = shared_context(self._tls, host, self._environ)
        return self._contexts[host]

    def _proxy(self, url: URL) -> tuple[URL | None, dict[str, str]]:
        origin = str(url.origin())
        if origin not in self._proxies:
            host, port = url.host or "", url.port or 0
            self._proxies[origin] = proxy_for(url.scheme, host, port, self._environ)
        found = self._proxies[origin]
        if found is None:
            return None, {}
        proxy = URL(found)
        bare = proxy.with_user(None)
        if proxy.user is None:
            return bare, {}
        return bare, {"Proxy-Authorization": basic_authorization(proxy.user, proxy.password or "")}

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=self._timing.keepalive),
                headers=_HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=READ_BUFFER,
                trust_env=False,
            )
        return self._session


def _timeout(connect: float, silence: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=silence)


def _authorization(request: Request, url: URL) -> str | None:
    """Return the header of the request, only for the server of its URL."""
    return request.authorization if same_origin(url, request.url) else None


async def _response(answering: Awaitable[aiohttp.ClientResponse]) -> aiohttp.ClientResponse:
    return await answering

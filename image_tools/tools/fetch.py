"""One GET of a file for this machine: proxies, private CA, redirects, failures of our own kinds."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from image_tools.errors import (
    AccessDenied,
    EnvironmentProblem,
    ImageToolsError,
    NotFound,
    RateLimited,
    TimedOut,
    TlsProblem,
    Unavailable,
    UnknownFailure,
)

SILENCE_SECONDS = 30.0
MOST_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
_PORTS = {"http": 80, "https": 443}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to `Fetcher.open`, which chooses the proxy for each host anew."""

    def redirect_request(self, *_: object) -> None:
        """None: the answer is raised as an error."""


class Fetcher:
    """Opens URLs as `environ` wants it: HTTP_PROXY, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE.

    `advice` is what to do next where the file is not there. EnvironmentProblem when SSL_CERT_FILE
    cannot be read.
    """

    def __init__(self, environ: Mapping[str, str], *, advice: str) -> None:
        self._environ = environ
        self._advice = advice
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=_tls_context(environ)),
            _NoRedirect(),
        )

    def open(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """The answer to a GET, 200 or 206, at the end of all redirects; to be closed.

        A CopyFailed of the fitting kind otherwise. https is never left for http.
        """
        here = url
        for _ in range(MOST_REDIRECTS):
            try:
                request = _request(here, headers, self._environ)
                answer: http.client.HTTPResponse = self._opener.open(
                    request, timeout=SILENCE_SECONDS
                )
                return answer
            except urllib.error.HTTPError as error:
                with error:
                    here = self._next(here, error)
            except (OSError, http.client.HTTPException) as error:
                raise unreachable(here, error) from None
        raise UnknownFailure(f"{shown(url)}: more than {MOST_REDIRECTS} redirects")

    def _next(self, url: str, error: urllib.error.HTTPError) -> str:
        location = error.headers.get("Location", "")
        if error.code not in _REDIRECTS or not location:
            raise self._refused(url, error)
        target = urljoin(url, location)
        schemes = (urlsplit(url).scheme, urlsplit(target).scheme)
        if schemes[1] not in _PORTS or schemes == ("https", "http"):
            raise UnknownFailure(
                f"{shown(url)}: redirects from {schemes[0]} to {schemes[1]}, which is refused",
                advice=self._advice,
            )
        return target

    def _refused(self, url: str, error: urllib.error.HTTPError) -> ImageToolsError:
        status = error.code
        message = f"{shown(url)}: {status} {error.reason}".rstrip()
        if status in (404, 410):
            return NotFound(message, status=status, advice=self._advice)
        if status in (401, 403):
            return AccessDenied(message, status=status, advice=self._advice)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimited(message, status=status, advice="wait and run again")
        if status >= 500 or status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return Unavailable(message, status=status, advice="run again later")
        return UnknownFailure(message, status=status, advice=self._advice)


def unreachable(url: str, error: Exception) -> ImageToolsError:
    """The error for a request or a body of `url` that ended in `error`."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    message = f"{shown(url)}: {reason or type(reason).__name__}"
    if isinstance(reason, TimeoutError):
        return TimedOut(message, advice="look at the line, or at HTTPS_PROXY")
    if isinstance(reason, ssl.SSLError) and not isinstance(reason, _CUT):
        return TlsProblem(message, advice="name the authority's file in SSL_CERT_FILE")
    return Unavailable(message, advice="look at the line, or at HTTPS_PROXY; then run again")


def shown(url: str) -> str:
    """`url` for people: without login and query, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{_host(parts)}{parts.path}"


def _request(
    url: str, headers: Mapping[str, str], environ: Mapping[str, str]
) -> urllib.request.Request:
    parts = urlsplit(url)
    bare = parts._replace(netloc=_host(parts), fragment="").geturl()
    request = urllib.request.Request(bare, headers={"User-Agent": "image-tools", **headers})
    if parts.username:
        request.add_unredirected_header("Authorization", _basic(parts))
    proxy = _proxy(parts, environ)
    if proxy is not None:
        request.set_proxy(_host(proxy), proxy.scheme)
        if proxy.username:
            request.add_unredirected_header("Proxy-Authorization", _basic(proxy))
    return request


def _proxy(target: SplitResult, environ: Mapping[str, str]) -> SplitResult | None:
    name = f"{target.scheme}_proxy"
    value = environ.get(name) or environ.get(name.upper()) or ""
    host = f"{target.hostname}:{target.port or _PORTS[target.scheme]}"
    exempt = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    # Undocumented, so unknown to mypy; the same since Python 2.
    bypassed = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]
    if not value or bypassed(host, {"no": exempt}):
        return None
    proxy = urlsplit(value if "://" in value else f"http://{value}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise EnvironmentProblem(
            f"{name.upper()} names no http proxy: no other kind is spoken here"
        )
    return proxy


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _basic(parts: SplitResult) -> str:
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def _tls_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    file = environ.get("SSL_CERT_FILE")
    if file:
        try:
            context.load_verify_locations(file)
        except OSError as error:
            said = error.strerror or error
            raise EnvironmentProblem(f"SSL_CERT_FILE: {file} cannot be read: {said}") from None
    return context

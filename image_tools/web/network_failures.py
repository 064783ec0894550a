"""Errors for requests without an answer, from exceptions of aiohttp, TLS and the system."""

from __future__ import annotations

import asyncio
import errno
import re
import socket

import aiohttp
from yarl import URL

from image_tools.errors import CopyFailed, Unavailable, UnknownFailure
from image_tools.refusals.case import Case, Stage, place_of
from image_tools.refusals.classify import classify
from image_tools.web.address import registry_of
from image_tools.web.tls_failures import tls_cause

_LONGEST_WORDS = 300
# As Go says it, which the table of refusals knows.
_SAID = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to host",
    errno.EHOSTDOWN: "host is down",
    errno.ENETUNREACH: "network is unreachable",
    errno.ENETDOWN: "network is down",
    errno.ETIMEDOUT: "timed out",
}


def network_failure(
    error: BaseException, reference: str, url: URL, *, shown: bool = True, expired: str = ""
) -> CopyFailed:
    """Return the error for a request without an answer from the host of `url`.

    `shown` and `expired` are as in `tls_cause`.
    """
    host = registry_of(url)
    cause = tls_cause(error, host, shown=shown, expired=expired)
    words, status = (cause, None) if cause is not None else _network_words(error, host)
    case = Case(
        stages=frozenset({Stage.CONNECTING}),
        words=words,
        status=status,
        by_proxy=status is not None,
        registry=host,
        repository=place_of(reference)[1],
    )
    verdict = classify(case)
    said = words
    if cause is None and verdict.row.kind is not UnknownFailure:
        said = verdict.said or words
        said = said if status is None else f"{said} ({words})"
    found = verdict.error(f"{reference}: {said}")
    if isinstance(found, CopyFailed) and not isinstance(found, UnknownFailure):
        return found
    return Unavailable(f"{reference}: {words}", advice=verdict.hint or None)


def _network_words(error: BaseException, host: str) -> tuple[str, int | None]:
    """Return what an exception says, in words of the table of refusals, and a proxy's status."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"{error.status} {_words(error)}", error.status
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy for {host} cannot be reached", None
    if isinstance(error, asyncio.TimeoutError):
        return "timed out", None
    if isinstance(error, aiohttp.ClientConnectorError):
        inner = error.os_error
        if isinstance(inner, socket.gaierror):
            return "no such host", None
        if inner.errno in _SAID:
            return _SAID[inner.errno], None
        return f"{host} cannot be reached ({error.strerror or error})", None
    return f"the connection to {host} broke ({_words(error)})", None


def _words(error: BaseException) -> str:
    """Return what an exception says, without URLs: their query may hold a signature."""
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer was cut off"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        # Its text may be the whole head of an answer.
        return "it was closed before the end of the answer"
    said = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    said = said[:_LONGEST_WORDS]  # It may quote megabytes of the answer.
    return re.sub(r"\S+://\S+", "…", " ".join(said.split())) or type(error).__name__

"""What is said of a connection that broke: plain words, and nothing of the answer's head."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_parser import RawResponseMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from image_tools.errors import (
    CertificateExpired,
    ConnectionRefused,
    CopyFailed,
    NameUnknown,
    ProxyRefused,
    TimedOut,
    TlsProblem,
    Unavailable,
)
from image_tools.web.network_failures import network_failure

ADDRESS = URL("https://cdn.example/blob?X-Signature=secret")
HEAD = RawResponseMessage(
    version=aiohttp.HttpVersion11,
    code=200,
    reason="OK",
    headers=CIMultiDictProxy(CIMultiDict({"Location": "https://cdn.example/?X-Signature=secret"})),
    raw_headers=((b"Location", b"https://cdn.example/?X-Signature=secret"),),
    should_close=False,
    compression=None,
    upgrade=False,
    chunked=False,
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            aiohttp.ServerDisconnectedError(HEAD),
            "the connection to cdn.example broke (it was closed before the end of the answer)",
        ),
        (
            aiohttp.ClientPayloadError("Response payload is not completed: <ContentLengthError>"),
            "the connection to cdn.example broke (the answer was cut off)",
        ),
        (
            ConnectionResetError(104, "Connection reset by peer"),
            "the connection to cdn.example broke ([Errno 104] Connection reset by peer)",
        ),
    ],
    ids=["disconnected", "cut", "reset"],
)
def test_network_failure_of_a_broken_connection_is_plain_words(error: Exception, said: str) -> None:
    found = network_failure(error, "r.example/a/b:v1", ADDRESS)

    assert (type(found), str(found)) == (Unavailable, f"r.example/a/b:v1: {said}")


KEY = ConnectionKey("r.example", 5000, True, True, None, None, None)


def refused(number: int) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(KEY, OSError(number, "as the system says"))


def unverified(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_code, error.verify_message = code, message
    return error


def by_proxy(status: int) -> aiohttp.ClientHttpProxyError:
    info = aiohttp.RequestInfo(ADDRESS, "CONNECT", CIMultiDictProxy(CIMultiDict()), ADDRESS)
    return aiohttp.ClientHttpProxyError(info, (), status=status, message="Forbidden")


@pytest.mark.parametrize(
    ("error", "kind", "said", "hint", "temporary"),
    [
        (
            refused(errno.ECONNREFUSED),
            ConnectionRefused,
            "r.example:5000 cannot be reached: connection refused",
            "check that the registry is running on r.example",
            True,
        ),
        (
            refused(errno.EHOSTUNREACH),
            Unavailable,
            "r.example:5000 cannot be reached: no route to host",
            "routes and firewalls",
            True,
        ),
        (
            refused(errno.ENETUNREACH),
            Unavailable,
            "r.example:5000 cannot be reached: the network is unreachable",
            "connected to the network",
            True,
        ),
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "Name not known")),
            NameUnknown,
            "the host name r.example does not resolve",
            "getent hosts r.example",
            True,
        ),
        (
            asyncio.TimeoutError(),
            TimedOut,
            "r.example:5000 does not answer: timed out",
            "firewalls between here and r.example:5000",
            True,
        ),
        (
            by_proxy(407),
            ProxyRefused,
            "the proxy requires authentication (407 Forbidden)",
            "HTTPS_PROXY",
            False,
        ),
        (
            by_proxy(403),
            ProxyRefused,
            "the proxy refused the connection to r.example:5000 (403 Forbidden)",
            "NO_PROXY",
            False,
        ),
        (
            by_proxy(503),
            Unavailable,
            "the proxy cannot reach r.example:5000 (503 Forbidden)",
            "name r.example in NO_PROXY",
            True,
        ),
        (
            aiohttp.ClientProxyConnectionError(KEY, OSError(errno.ECONNREFUSED, "refused")),
            Unavailable,
            "the proxy for r.example:5000 cannot be reached",
            "HTTP_PROXY",
            True,
        ),
        (
            unverified(10, "certificate has expired"),
            CertificateExpired,
            "the certificate of r.example:5000 expired on 2024-05-01",
            "renew the certificate on r.example",
            False,
        ),
        (
            unverified(9, "certificate is not yet valid"),
            TlsProblem,
            "the certificate of r.example:5000 is not valid yet",
            "check this machine's clock",
            False,
        ),
        (
            unverified(20, "unable to get local issuer certificate"),
            TlsProblem,
            "the certificate of r.example:5000 is signed by an unknown authority"
            " (unable to get local issuer certificate)",
            "--ca-file",
            False,
        ),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_network_failure_says_what_it_is_and_what_to_check(
    error: Exception, kind: type[CopyFailed], said: str, hint: str, temporary: bool
) -> None:
    url = URL("https://r.example:5000/v2/")

    found = network_failure(error, "r.example:5000/a:1", url, expired="2024-05-01")

    assert (type(found), str(found)) == (kind, f"r.example:5000/a:1: {said}")
    assert hint in found.advice
    assert (found.temporary, found.status) == (temporary, None)


def test_network_failure_of_an_expired_certificate_without_a_day_says_so() -> None:
    error = unverified(10, "certificate has expired")

    found = network_failure(error, "r.example/a:1", URL("https://r.example/v2/"))

    assert (type(found), str(found)) == (
        CertificateExpired,
        "r.example/a:1: the certificate of r.example has expired",
    )

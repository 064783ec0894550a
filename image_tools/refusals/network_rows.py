"""Rows of the table: proxies, TLS and the network."""

from __future__ import annotations

from image_tools.errors import (
    CertificateExpired,
    ConnectionRefused,
    NameUnknown,
    ProxyRefused,
    TimedOut,
    TlsProblem,
    Unavailable,
)
from image_tools.refusals import hints
from image_tools.refusals.case import Stage
from image_tools.refusals.row import RefusalRow

_TOOL = frozenset({Stage.TOOL})
_CONNECTING = frozenset({Stage.CONNECTING})
_FOURS = range(400, 500)
_NO_ANSWERS = range(400)
_NO_FAILURES = range(500)
_DATE = r"(?P<date>\d{4}-\d\d-\d\d)"

PROXIES = (
    RefusalRow(kind=ProxyRefused, statuses=(407,), said=hints.PROXY_LOGIN),
    RefusalRow(kind=ProxyRefused, stages=_TOOL, words=r"proxy authentication required"),
    RefusalRow(
        kind=Unavailable,
        stages=_CONNECTING,
        statuses=(502, 503, 504),
        by_proxy=True,
        said="the proxy cannot reach {registry}",
        hint=hints.PROXY,
    ),
    RefusalRow(
        kind=ProxyRefused,
        stages=_CONNECTING,
        by_proxy=True,
        said="the proxy refused the connection to {registry}",
    ),
    RefusalRow(
        kind=Unavailable,
        stages=_CONNECTING,
        words=r"proxyconnect |the proxy for \S+ cannot be reached",
        said="the proxy for {registry} cannot be reached",
        hint=hints.PROXY,
    ),
    RefusalRow(
        kind=ProxyRefused,
        statuses=_NO_FAILURES,
        pages=True,
        by_proxy=True,
        said="the proxy answered instead of the registry",
    ),
    RefusalRow(
        kind=ProxyRefused,
        statuses=_NO_FAILURES,
        pages=True,
        words=r"\bsquid\b|zscaler|blue ?coat|forti(?:gate|guard|net|proxy)|forcepoint|websense"
        r"|mcafee|skyhigh|netskope|\bproxy\b|web ?filter|web gateway",
        said="a proxy answered instead of the registry",
    ),
)

NETWORK = (
    RefusalRow(
        kind=TimedOut,
        stages=_CONNECTING,
        words=r"TLS handshake timeout|context deadline exceeded|i/o timeout|Client\.Timeout"
        r"|timed out",
        said="{registry} does not answer: timed out",
        hint=hints.SILENT,
    ),
    RefusalRow(
        kind=TlsProblem,
        stages=_CONNECTING,
        words=r"certificate has expired or is not yet valid: .*is before|is not valid yet",
        hint=hints.CLOCK,
    ),
    RefusalRow(
        kind=CertificateExpired,
        stages=_CONNECTING,
        words=rf"certificate (?:has expired or is not yet valid: .*is after|.*expired on) {_DATE}",
        said="the certificate of {registry} expired on {date}",
        hint=hints.EXPIRED,
    ),
    RefusalRow(
        kind=CertificateExpired,
        stages=_CONNECTING,
        words=r"certificate.*has expired",
        hint=hints.EXPIRED,
    ),
    RefusalRow(
        kind=TlsProblem,
        stages=_CONNECTING,
        words=r"client certificate",
        hint=hints.CLIENT_CERTIFICATE,
    ),
    RefusalRow(
        kind=TlsProblem,
        stages=_CONNECTING,
        words=r"speaks plain HTTP|HTTP response to HTTPS client|look like a TLS handshake"
        r"|HTTP request to an HTTPS server",
        hint=hints.PLAIN,
    ),
    RefusalRow(kind=TlsProblem, stages=_CONNECTING, words=r"x509:|\btls: |certificate|\bTLS with "),
    RefusalRow(
        kind=ConnectionRefused,
        stages=_CONNECTING,
        words=r"connection refused",
        said="{registry} cannot be reached: connection refused",
        hint=hints.REFUSED,
    ),
    RefusalRow(
        kind=Unavailable,
        stages=_CONNECTING,
        words=r"no route to host|host is (?:unreachable|down)",
        said="{registry} cannot be reached: no route to host",
        hint=hints.NO_ROUTE,
    ),
    RefusalRow(
        kind=Unavailable,
        stages=_CONNECTING,
        words=r"network is (?:unreachable|down)",
        said="{registry} cannot be reached: the network is unreachable",
        hint=hints.NO_NETWORK,
    ),
    RefusalRow(
        kind=NameUnknown,
        stages=_CONNECTING,
        words=r"no such host|server misbehaving|name resolution|does not resolve",
        said="the host name {host} does not resolve",
        hint=hints.NAME,
    ),
    RefusalRow(
        kind=Unavailable,
        stages=_CONNECTING,
        words=r"connection reset|broken pipe|unexpected EOF|: EOF$|^EOF$|short read"
        r"|malformed HTTP|V1 container registry",
        said="",
    ),
)

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
from image_tools.refusals.row import NO_FAILURES, TOOL, RefusalRow

_CONNECTING = frozenset({Stage.CONNECTING})
_DATE = r"(?P<date>\d{4}-\d\d-\d\d)"

PROXIES = (
    RefusalRow(ProxyRefused, hints.PROXY_LOGIN, statuses=(407,)),
    RefusalRow(ProxyRefused, stages=TOOL, words=r"proxy authentication required"),
    RefusalRow(
        Unavailable,
        "the proxy cannot reach {registry}",
        hints.PROXY,
        stages=_CONNECTING,
        statuses=(502, 503, 504),
        by_proxy=True,
    ),
    RefusalRow(
        ProxyRefused,
        "the proxy refused the connection to {registry}",
        stages=_CONNECTING,
        by_proxy=True,
    ),
    RefusalRow(
        Unavailable,
        "the proxy for {registry} cannot be reached",
        hints.PROXY,
        stages=_CONNECTING,
        words=r"proxyconnect |the proxy for \S+ cannot be reached",
    ),
    RefusalRow(
        ProxyRefused,
        "the proxy answered instead of the registry",
        statuses=NO_FAILURES,
        pages=True,
        by_proxy=True,
    ),
    RefusalRow(
        ProxyRefused,
        "a proxy answered instead of the registry",
        statuses=NO_FAILURES,
        words=r"\bsquid\b|zscaler|blue ?coat|forti(?:gate|guard|net|proxy)|forcepoint|websense"
        r"|mcafee|skyhigh|netskope|\bproxy\b|web ?filter|web gateway",
        pages=True,
    ),
)

NETWORK = (
    RefusalRow(
        TimedOut,
        "{registry} does not answer: timed out",
        hints.SILENT,
        stages=_CONNECTING,
        words=r"TLS handshake timeout|context deadline exceeded|i/o timeout|Client\.Timeout"
        r"|timed out",
    ),
    RefusalRow(
        TlsProblem,
        stages=_CONNECTING,
        words=r"certificate has expired or is not yet valid: .*is before|is not valid yet",
        hint=hints.CLOCK,
    ),
    RefusalRow(
        CertificateExpired,
        "the certificate of {registry} expired on {date}",
        hints.EXPIRED,
        stages=_CONNECTING,
        words=rf"certificate (?:has expired or is not yet valid: .*is after|.*expired on) {_DATE}",
    ),
    RefusalRow(
        CertificateExpired,
        stages=_CONNECTING,
        words=r"certificate.*has expired",
        hint=hints.EXPIRED,
    ),
    RefusalRow(
        TlsProblem, stages=_CONNECTING, words=r"client certificate", hint=hints.CLIENT_CERTIFICATE
    ),
    RefusalRow(
        TlsProblem,
        stages=_CONNECTING,
        words=r"speaks plain HTTP|HTTP response to HTTPS client|look like a TLS handshake"
        r"|HTTP request to an HTTPS server",
        hint=hints.PLAIN,
    ),
    RefusalRow(TlsProblem, stages=_CONNECTING, words=r"x509:|\btls: |certificate|\bTLS with "),
    RefusalRow(
        ConnectionRefused,
        "{registry} cannot be reached: connection refused",
        hints.REFUSED,
        stages=_CONNECTING,
        words=r"connection refused",
    ),
    RefusalRow(
        Unavailable,
        "{registry} cannot be reached: no route to host",
        hints.NO_ROUTE,
        stages=_CONNECTING,
        words=r"no route to host|host is (?:unreachable|down)",
    ),
    RefusalRow(
        Unavailable,
        "{registry} cannot be reached: the network is unreachable",
        hints.NO_NETWORK,
        stages=_CONNECTING,
        words=r"network is (?:unreachable|down)",
    ),
    RefusalRow(
        NameUnknown,
        "the host name {host} does not resolve",
        hints.NAME,
        stages=_CONNECTING,
        words=r"no such host|server misbehaving|name resolution|does not resolve",
    ),
    RefusalRow(
        Unavailable,
        "",
        stages=_CONNECTING,
        words=r"connection reset|broken pipe|unexpected EOF|: EOF$|^EOF$|short read"
        r"|malformed HTTP|V1 container registry",
    ),
)

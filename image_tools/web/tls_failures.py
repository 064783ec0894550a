"""Why TLS failed: its exceptions in plain words, and the day on which a certificate ended."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Iterator

from image_tools.web.time_limit import in_time

_NO_TLS_REASONS = frozenset(
    {
        "WRONG_VERSION_NUMBER",
        "RECORD_LAYER_FAILURE",
        "PACKET_LENGTH_TOO_LONG",
        "UNKNOWN_PROTOCOL",
        "HTTP_REQUEST",
        "UNEXPECTED_EOF_WHILE_READING",
    }
)
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21, 27})
_WRONG_NAME = frozenset({62, 63, 64})
_NOT_YET, _EXPIRED = 9, 10
_SECONDS = 5.0
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def tls_cause(
    error: BaseException, host: str, *, shown: bool = True, expired: str = ""
) -> str | None:
    """Return why TLS with `host` failed, in plain words; None if `error` is not one of TLS.

    `shown`: a client certificate was sent. Registries built with Go 1.19 send the same alert for a
    wrong one and for none. `expired` is the day on which a certificate ended; empty if unknown.
    """
    problem = _ssl_error(error)
    if problem is None:
        return None
    if isinstance(problem, ssl.SSLCertVerificationError) and hasattr(problem, "verify_code"):
        return _certificate_cause(problem, host, expired)
    reason = problem.reason or ""
    if reason in _NO_TLS_REASONS:
        return f"{host} does not speak TLS, or speaks plain HTTP"
    refused = "BAD_CERTIFICATE" in reason or "ALERT_UNKNOWN_CA" in reason
    is_wanted = "CERTIFICATE_REQUIRED" in reason or reason.endswith("ALERT_HANDSHAKE_FAILURE")
    if is_wanted or (refused and not shown):
        return (
            f"{host} wants a client certificate: put NAME.cert and NAME.key into its certs.d folder"
        )
    if refused:
        return f"{host} does not accept our client certificate"
    return f"TLS with {host} failed: {reason.replace('_', ' ').lower() or problem}"


def speaks_no_tls(error: BaseException) -> bool:
    """Return whether `error` of a handshake means that the server does not speak TLS."""
    problem = _ssl_error(error)
    if problem is None:
        return any(isinstance(link, (ConnectionResetError, EOFError)) for link in _chain(error))
    if isinstance(problem, ssl.SSLEOFError):
        return True
    return not isinstance(problem, ssl.SSLCertVerificationError) and (
        (problem.reason or "") in _NO_TLS_REASONS
    )


def has_expired(error: BaseException) -> bool:
    """Return whether a handshake failed because a certificate is no longer valid."""
    return getattr(_ssl_error(error), "verify_code", None) == _EXPIRED


async def expiry(host: str, port: int) -> str:
    """Return the day, as 2024-05-01, on which the certificate of `host` ended.

    OpenSSL's exception does not tell it: a second handshake without verification does, and sends
    nothing. Empty if that takes more than a few seconds, or if another one of the chain ended.
    """
    try:
        certificate = await in_time(_SECONDS, _shown(host, port))
        ended = not_after(certificate)
    except (OSError, ValueError, IndexError, asyncio.TimeoutError):
        return ""
    now = datetime.datetime.now(datetime.timezone.utc)
    return ended.strftime("%Y-%m-%d") if ended <= now else ""


def not_after(certificate: bytes) -> datetime.datetime:
    """Return when a certificate in DER ends (RFC 5280 section 4.1); ValueError if it is none."""
    whole, _ = _content(certificate, _SEQUENCE)
    rest, _ = _content(whole, _SEQUENCE)
    if rest[0] == _VERSION:
        rest = _content(rest)[1]
    for _ in ("serial number", "algorithm", "issuer"):
        rest = _content(rest)[1]
    validity, _ = _content(rest, _SEQUENCE)
    moment = _content(validity)[1]
    text = _content(moment)[0].decode("ascii")
    if moment[0] == _UTC_TIME:
        # RFC 5280 section 4.1.2.5.1: years of two digits are 1950 to 2049.
        text = f"{'20' if int(text[:2]) < 50 else '19'}{text}"
    elif moment[0] != _GENERALIZED_TIME:
        raise ValueError("no time")
    parsed = datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ")
    return parsed.replace(tzinfo=datetime.timezone.utc)


async def _shown(host: str, port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return found or b""
    finally:
        writer.transport.abort()


def _content(der: bytes, kind: int | None = None) -> tuple[bytes, bytes]:
    """Return the content of the first element of `der`, and what follows it (X.690)."""
    if kind is not None and der[0] != kind:
        raise ValueError("not the element that belongs here")
    length, begin = der[1], 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[2:begin], "big")
    end = begin + length
    if end > len(der):
        raise ValueError("cut off")
    return der[begin:end], der[end:]


def _certificate_cause(problem: ssl.SSLCertVerificationError, host: str, expired: str) -> str:
    code = problem.verify_code
    if code in _UNKNOWN_AUTHORITY:
        said = problem.verify_message
        return f"the certificate of {host} is signed by an unknown authority ({said})"
    if code == _EXPIRED:
        return f"the certificate of {host} " + (
            f"expired on {expired}" if expired else "has expired"
        )
    if code == _NOT_YET:
        return f"the certificate of {host} is not valid yet"
    if code in _WRONG_NAME:
        return f"the certificate of {host} is for another name ({problem.verify_message})"
    return f"the certificate of {host} is not accepted ({problem.verify_message})"


def _ssl_error(error: BaseException) -> ssl.SSLError | None:
    """Return the innermost error of TLS; first a refused certificate, which says why."""
    found = [link for link in _chain(error) if isinstance(link, ssl.SSLError)]
    # aiohttp has a subclass without the code.
    refused = [link for link in found if hasattr(link, "verify_code")]
    return next(iter(refused or found[::-1]), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error` and its causes, also those in aiohttp's own fields."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop()
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = (getattr(link, name, None) for name in ("os_error", "certificate_error"))
        waiting += [*inner, link.__cause__, link.__context__]

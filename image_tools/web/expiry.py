"""The day on which the certificate of a host ended: the exception of OpenSSL does not tell it."""

from __future__ import annotations

import asyncio
import datetime
import ssl

from image_tools.web.patience import in_time

SECONDS = 5.0
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


async def expiry(host: str, port: int) -> str:
    """Return the day, as 2024-05-01, on which the certificate that `host` shows ended.

    Empty where it cannot be found out in a few seconds, or has not ended (then it is another of
    the chain). Shakes hands once more without verification, and sends nothing.
    """
    try:
        certificate = await in_time(SECONDS, _shown(host, port))
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

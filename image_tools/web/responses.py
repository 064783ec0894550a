"""Reading answers, within bounds of time and size."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import aiohttp

from image_tools.web.network_failures import network_failure
from image_tools.web.time_limit import in_time

_CONTENT_RANGE = re.compile(r"bytes[ ](\d+)-(\d+)/(\d+|\*)")
_PARTIAL = 206
_MOST_DRAINED = 256 * 1024


@dataclass(frozen=True, slots=True)
class AnsweredRange:
    """The range of an answer: bytes from `first` on; `total` is the whole size, None if unknown."""

    first: int
    total: int | None


def answered_range(response: aiohttp.ClientResponse) -> AnsweredRange | None:
    """Return which bytes an answer brings, None if a 206 says nothing usable."""
    if response.status != _PARTIAL:
        return AnsweredRange(0, response.content_length)
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if not found:
        return None
    return AnsweredRange(int(found[1]), None if found[3] == "*" else int(found[3]))


async def read_body(
    response: aiohttp.ClientResponse, reference: str, most: int, seconds: float
) -> bytes:
    """Return the body of an answer, or a little more than `most` bytes of a longer one.

    The connection is used again, unless the body is longer. Raise the error of a broken connection
    about `reference`, TimedOut if the end does not come within `seconds`.
    """
    is_read = False
    try:
        # Most bodies come together with the head of the answer.
        if response.content.is_eof():
            body = response.content.read_nowait()
        else:
            body = await in_time(seconds, _read_up_to(response, most))
        is_read = len(body) <= most
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
        raise network_failure(error, reference, response.url) from error
    finally:
        if is_read:
            response.release()
        else:
            response.close()
    return body


async def drain(response: aiohttp.ClientResponse) -> None:
    """Read an answer that is not needed, if it is small, so that its connection is used again."""
    try:
        if (response.content_length or 0) <= _MOST_DRAINED:
            await response.content.read(_MOST_DRAINED)
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError):
        pass
    finally:
        response.release()


async def _read_up_to(response: aiohttp.ClientResponse, most: int) -> bytes:
    body = bytearray()
    while len(body) <= most and (piece := await response.content.readany()):
        body += piece
    return bytes(body)

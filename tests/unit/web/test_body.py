"""A request body that streams, counts, and is sent once only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from aiohttp.abc import AbstractStreamWriter

from image_tools.errors import RateLimited, TimedOut, Unavailable
from image_tools.web.body import StreamBody, own_failure


class Writer:
    """Takes bytes; never takes any when `is_stuck`, fails when `is_broken`."""

    def __init__(self, *, is_stuck: bool = False, is_broken: bool = False) -> None:
        self.taken = b""
        self._is_stuck, self._is_broken = is_stuck, is_broken

    async def write(self, chunk: bytes) -> None:
        if self._is_stuck:
            await asyncio.Event().wait()
        if self._is_broken:
            raise ConnectionResetError("gone")
        self.taken += chunk


async def chunks(*parts: bytes | Exception) -> AsyncIterator[bytes]:
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part


def sent(body: StreamBody, writer: Writer) -> Exception | None:
    """Give what sending raised."""
    try:
        asyncio.run(body.write_with_length(cast(AbstractStreamWriter, writer), None))
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("size", [None, 4])
def test_body_is_sent_whole(size: int | None) -> None:
    body, writer = StreamBody(chunks(b"ab", b"cd"), "r/a", size=size), Writer()

    assert sent(body, writer) is None
    assert (writer.taken, body.sent, body.complete, body.size) == (b"abcd", 4, True, size)
    assert own_failure(body) is None


LIMITED = RateLimited("source")
HUNG_UP = ConnectionResetError("tool")


@pytest.mark.parametrize(
    ("parts", "size", "failure"),
    [
        ((b"ab", LIMITED), 4, LIMITED),
        ((b"ab", HUNG_UP), None, HUNG_UP),
        ((b"ab",), 4, "r/a: 2 of 4 bytes came to send"),
        ((b"abc", b"de"), 4, "r/a: more than 4 bytes came to send"),
    ],
)
def test_body_whose_chunks_fail_keeps_the_cause(
    parts: tuple[bytes | Exception, ...], size: int | None, failure: Exception | str
) -> None:
    body = StreamBody(chunks(*parts), "r/a", size=size)

    error = sent(body, Writer())

    assert own_failure(body) is error
    assert failure in (error, str(error))
    assert not body.complete


def test_body_that_nobody_takes_is_given_up() -> None:
    body = StreamBody(chunks(b"ab"), "r/a", stall=0.01)

    assert isinstance(sent(body, Writer(is_stuck=True)), TimedOut)
    assert isinstance(own_failure(body), TimedOut)


def test_body_over_a_broken_line_has_no_failure_of_its_own() -> None:
    body = StreamBody(chunks(b"ab"), "r/a")

    assert isinstance(sent(body, Writer(is_broken=True)), ConnectionResetError)
    assert own_failure(body) is None


def test_body_is_never_sent_twice() -> None:
    body, writer = StreamBody(chunks(b"ab"), "r/a"), Writer()
    sent(body, writer)

    assert isinstance(sent(body, writer), Unavailable)
    assert writer.taken == b"ab"


def test_body_after_an_early_answer_sends_nothing_more() -> None:
    body, writer = StreamBody(chunks(b"ab"), "r/a", size=2), Writer()
    body.stop()

    assert isinstance(sent(body, writer), ConnectionAbortedError)
    assert (writer.taken, own_failure(body)) == (b"", None)

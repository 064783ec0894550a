"""Bytes are counted where they pass, for the image and for the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from image_tools.exchange.ledger import Traffic

CHUNKS = [b"one", b"three", b""]


async def chunks(broken: bool = False) -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk
    if broken:
        raise OSError("cut")


def books(*accounts: Traffic) -> list[tuple[int, int]]:
    return [(traffic.bytes_read, traffic.bytes_written) for traffic in accounts]


def test_accounts_of_two_images_add_up_in_the_runs() -> None:
    run = Traffic()
    first, second = Traffic(run), Traffic(run)

    first.read(1)
    first.wrote(2)
    second.read(10)

    assert books(first, second, run) == [(1, 2), (10, 0), (11, 2)]


def test_reading_and_writing_pass_all_chunks_on() -> None:
    run = Traffic()
    image = Traffic(run)

    async def scene() -> list[bytes]:
        return [chunk async for chunk in image.writing(image.reading(chunks()))]

    assert asyncio.run(scene()) == CHUNKS
    assert books(image, run) == [(8, 8), (8, 8)]


def test_writing_that_stops_counts_the_last_chunk_that_was_taken() -> None:
    image = Traffic()

    async def scene() -> None:
        passing = image.writing(chunks())
        await anext(passing)

    asyncio.run(scene())
    assert books(image) == [(0, 3)]


def test_reading_that_breaks_keeps_what_came() -> None:
    image = Traffic()

    async def scene() -> str:
        try:
            async for _ in image.reading(chunks(broken=True)):
                pass
        except OSError as error:
            return str(error)
        return ""

    assert asyncio.run(scene()) == "cut"
    assert books(image) == [(8, 0)]

"""Reading an answer to its end, within bounds of time and size."""

from __future__ import annotations

import asyncio

import aiohttp

from image_tools.errors import InvalidManifest
from image_tools.stores.remote.questions import Answer, Question
from image_tools.stores.remote.shown import Shown
from image_tools.web.connect import network_failure
from image_tools.web.patience import in_time, read_at_once, read_up_to

MOST_BYTES_OF_A_REFUSAL = 64 * 1024


async def read(
    response: aiohttp.ClientResponse, question: Question, seconds: float, shown: Shown
) -> Answer:
    """The whole answer; of a refusal as much as an explanation may need, without what was `shown`.

    InvalidManifest when it is longer than the question allows, TimedOut after so many `seconds`.
    """
    good = response.status in question.expected
    limit = question.limit if good else MOST_BYTES_OF_A_REFUSAL
    try:
        body = read_at_once(response)
        if body is None:
            body = await in_time(seconds, read_up_to(response, limit))
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
        response.close()
        raise network_failure(error, question.reference, response.url) from error
    except BaseException:
        response.close()
        raise
    if len(body) > limit:
        response.close()
        if good:
            raise InvalidManifest(f"{question.reference}: answered with over {limit} bytes")
    response.release()
    body = body if good else shown.hidden(body)
    return Answer(response.status, response.headers, body, response.url)

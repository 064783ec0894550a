"""What is said of a connection that broke: plain words, and nothing of the answer's head."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp.http_parser import RawResponseMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from image_tools.errors import Unavailable
from image_tools.stores.remote.connect import network_failure

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

"""Redirects: where a request goes, with which header, and where it must not go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from image_tools.errors import ImageToolsError, TlsProblem, Unavailable
from image_tools.web.body import StreamBody
from image_tools.web.connect import MOST_REDIRECTS, Connections, Request
from image_tools.web.tls import TlsChoice

FIRST = "https://r.example/v2/a/blobs/x?n=1"
ELSEWHERE = "https://cdn.example/v2/a/blobs/x?n=1"


class Answered:
    """An answer with a status and, if it redirects, a Location."""

    def __init__(self, status: int, location: str = "") -> None:
        self.status, self.headers = status, {"Location": location} if location else {}
        self.content_length, self.content = 0, self

    async def read(self, _most: int) -> bytes:
        return b""

    def release(self) -> None:
        """Do nothing: there is no connection."""

    close = release


class ScriptedConnections(Connections):
    """Gives one answer after the other and keeps where requests went, with which header."""

    def __init__(self, *answers: Answered, verify: bool | None = None) -> None:
        super().__init__(TlsChoice(verify), {})
        self.answers, self.sent = list(answers), list[tuple[str, str | None]]()

    async def _send(self, request: Request, url: URL, authorization: str | None) -> Answered:  # type: ignore[override]
        self.sent.append((str(url), authorization))
        return self.answers.pop(0)


def asked(connections: Connections, **fields: object) -> int:
    given = {"method": "GET", "url": URL(FIRST), "reference": "r.example/a", **fields}
    request = Request(authorization="Basic x", **given)  # type: ignore[arg-type]
    return asyncio.run(connections.open(request)).status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_open_follows_a_redirect_and_shows_the_login_to_no_other_host(status: int) -> None:
    connections = ScriptedConnections(
        Answered(status, "/v2/b"), Answered(status, ELSEWHERE), Answered(200)
    )

    assert asked(connections) == 200
    assert connections.sent == [
        (FIRST, "Basic x"),
        ("https://r.example/v2/b", "Basic x"),
        (ELSEWHERE, None),
    ]


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        (Answered(302), {}),
        (Answered(304, ELSEWHERE), {}),
        (Answered(307, ELSEWHERE), {"method": "POST", "stays": True}),
    ],
    ids=["no-location", "no-redirect", "stays"],
)
def test_open_gives_the_answer_that_leads_nowhere(
    answer: Answered, fields: dict[str, object]
) -> None:
    connections = ScriptedConnections(answer)

    assert asked(connections, **fields) == answer.status
    assert connections.sent == [(FIRST, "Basic x")]


@pytest.mark.parametrize(
    ("location", "kind", "said"),
    [
        ("ftp://r.example/x", Unavailable, "redirected to where nobody can go"),
        ("http://cdn.example/x", TlsProblem, "leads from TLS to plain HTTP at cdn.example"),
    ],
)
def test_open_refuses_where_a_redirect_must_not_lead(
    location: str, kind: type[ImageToolsError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        asked(ScriptedConnections(Answered(302, location)))


def test_open_follows_to_plain_http_where_tls_is_not_verified() -> None:
    connections = ScriptedConnections(
        Answered(302, "http://cdn.example/x"), Answered(200), verify=False
    )

    assert asked(connections) == 200


def test_open_gives_up_after_many_redirects() -> None:
    connections = ScriptedConnections(
        *(Answered(302, f"/{number}") for number in range(MOST_REDIRECTS + 1))
    )
    with pytest.raises(Unavailable, match=f"more than {MOST_REDIRECTS} redirects"):
        asked(connections)

    assert len(connections.sent) == MOST_REDIRECTS + 1


async def _chunks() -> AsyncIterator[bytes]:
    yield b"x"


def test_open_sends_the_next_upload_at_once_where_the_last_one_was_redirected() -> None:
    connections = ScriptedConnections(Answered(307, ELSEWHERE), Answered(201))

    async def uploads() -> None:
        first, second = StreamBody(_chunks(), "r"), StreamBody(_chunks(), "r")
        first.started = True
        with pytest.raises(Unavailable, match="after its body was sent") as caught:
            await connections.open(_put(first))
        assert caught.value.another_way
        await connections.open(_put(second))

    asyncio.run(uploads())
    assert connections.sent == [(FIRST, None), (ELSEWHERE, None)]


def _put(body: StreamBody) -> Request:
    return Request(method="PUT", url=URL(FIRST), reference="r.example/a", body=body)

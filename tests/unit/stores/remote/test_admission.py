"""A registry is asked once whether it accepts pushes: by a token's word, else by an upload."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, cast

import pytest
from yarl import URL

from image_tools.errors import AccessDenied
from image_tools.logins.credentials import Keyring
from image_tools.stores.remote.admission import Admission
from image_tools.stores.remote.api import ApiAnswer, ApiRequest
from image_tools.stores.remote.capabilities import Capabilities

NAME = "team/app"


class Client:
    """A client and its authorizer: `answer` comes to a POST, `granted` is what the token says."""

    registry = "r.example"

    def __init__(self, answer: ApiAnswer | Exception, *, granted: bool = False) -> None:
        self.answer, self.granted = answer, granted
        self.capabilities = Capabilities()
        self.authorizer = self
        self.announced: list[str] = []
        self.asked: list[str] = []

    def expect(self, repositories: Iterable[str], *, push: bool) -> None:
        assert push
        self.announced += repositories

    async def grants_push(self, repository: str) -> bool:
        assert repository in self.announced
        return self.granted

    async def ask(self, request: ApiRequest) -> ApiAnswer:
        self.asked.append(request.method)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    once = ask

    def allows_plain(self, _url: URL) -> bool:
        return False

    async def in_background(self, action: Coroutine[Any, Any, None], _patience: float) -> None:
        await action


def begun(location: str) -> ApiAnswer:
    return ApiAnswer(202, {"Location": location}, url=URL("https://r.example/v2/"))


def tried(client: Client) -> None:
    admission = Admission(cast(Any, client), Keyring({"HOME": "/nowhere"}))
    asyncio.run(admission.try_push(NAME))


@pytest.mark.parametrize(
    ("client", "asked"),
    [
        (Client(begun("/v2/up/1"), granted=True), []),
        (Client(begun("/v2/up/1")), ["POST", "DELETE"]),
        (Client(begun("")), ["POST"]),
    ],
    ids=["token-says-so", "upload-is-aborted", "upload-without-address"],
)
def test_try_push_accepted_leaves_a_writable_repository(client: Client, asked: list[str]) -> None:
    tried(client)

    assert (client.asked, client.capabilities.writable) == (asked, {NAME})


def test_try_push_refused_raises_what_the_registry_says() -> None:
    client = Client(AccessDenied("r.example/team/app: no", status=403))

    with pytest.raises(AccessDenied, match="team/app: no"):
        tried(client)
    assert client.capabilities.writable == set()

"""Tokens and logins against real servers, through real connections and a real helper."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from image_tools.errors import Unauthorized
from image_tools.logins.credentials import Credentials, Keyring
from image_tools.stores.remote.tokens.authorizer import Authorizer
from image_tools.stores.remote.tokens.challenge import parse_challenges
from image_tools.web.connect import Connections, Request
from image_tools.web.tls import TlsChoice
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.registry import Registry
from tests.helpers.token_server import TokenServer

LOGIN = Credentials(LAB_LOGIN.username, LAB_LOGIN.password)
NAMES = [f"team/app-{number}" for number in range(60)]


class Client:
    """Asks one registry for the tags of repositories, as a store would."""

    def __init__(self, address: str, keyring: Keyring) -> None:
        self.address = address
        self.connections = Connections(TlsChoice(), {})
        self.authorizer = Authorizer(address, partial(keyring.find, address), self.connections.open)

    async def upload(self, repository: str) -> int:
        """Give the status of the beginning of an upload, after one challenge at most."""
        url = URL(f"http://{self.address}/v2/{repository}/blobs/uploads/")
        header = await self.authorizer.header(repository, push=True)
        response = await self._post(url, header)
        if response.status == 401:
            challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
            header = await self.authorizer.challenged(challenges, header, repository, push=True)
            if header is not None:
                response = await self._post(url, header)
        return response.status

    async def _post(self, url: URL, header: str | None) -> aiohttp.ClientResponse:
        request = Request(
            method="POST", url=url, reference=str(url), authorization=header, body=b""
        )
        response = await self.connections.open(request)
        await response.read()
        return response


def upload(address: str, keyring: Keyring, names: list[str]) -> set[int]:
    async def story() -> set[int]:
        client = Client(address, keyring)
        client.authorizer.expect(names, push=True)
        try:
            return {await client.upload(names[0])} | set(
                await asyncio.gather(*map(client.upload, names))
            )
        finally:
            await client.connections.close()

    return asyncio.run(story())


def test_uploads_to_many_repositories_need_two_tokens(
    token_registry: Registry, token_server: TokenServer
) -> None:
    assert upload(token_registry.address, Keyring({}, LOGIN), NAMES) == {202}
    # The second one may also read where blobs are mounted from.
    assert [len(asked.scopes) for asked in token_server.requests] == [40, 40]
    assert {asked.grant for asked in token_server.requests} == {"basic"}


def test_upload_with_identity_token_is_let_in(
    token_registry: Registry, token_server: TokenServer
) -> None:
    login = Credentials("", identity_token=token_server.identity_token())

    assert upload(token_registry.address, Keyring({}, login), ["a"]) == {202}
    assert [asked.grant for asked in token_server.requests] == ["refresh"]


def test_upload_with_wrong_password_says_who_refuses(
    token_registry: Registry, token_server: TokenServer
) -> None:
    with pytest.raises(Unauthorized) as caught:
        upload(token_registry.address, Keyring({}, Credentials("me", "wrong-secret")), ["a"])

    assert caught.value.message == (
        f"{token_registry.address}: wrong user name or password, says the token server 127.0.0.1 "
        "(401 UNAUTHORIZED: refused by the lab)"
    )


@pytest.mark.parametrize("login", [LOGIN, None], ids=["right", "none"])
def test_upload_with_basic_login(htpasswd_registry: Registry, login: Credentials | None) -> None:
    expected = {202} if login else {401}

    assert upload(htpasswd_registry.address, Keyring({}, login), ["a", "b"]) == expected


@pytest.fixture
def opaque_registry() -> Iterator[FaultRegistry]:
    with FaultRegistry(FaultOptions(tokens=True, login=LAB_LOGIN)) as double:
        yield double


def test_token_taken_back_is_replaced(opaque_registry: FaultRegistry) -> None:
    async def story() -> list[int]:
        client = Client(opaque_registry.address, Keyring({}, LOGIN))
        try:
            first = [await client.upload("a"), await client.upload("a")]
            opaque_registry.expire_tokens()
            return [*first, await client.upload("a")]
        finally:
            await client.connections.close()

    assert asyncio.run(story()) == [202, 202, 202]


def test_login_of_a_real_helper_is_used(htpasswd_registry: Registry, tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-lab"
    answer = json.dumps({"Username": LAB_LOGIN.username, "Secret": LAB_LOGIN.password})
    helper.write_text(f"#!/bin/sh\n/bin/cat > {tmp_path}/asked\necho '{answer}'\n")
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "config.json").write_text('{"credsStore": "lab"}')
    heard: list[tuple[str, str]] = []
    environ = {"PATH": str(tmp_path), "DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path),
               "XDG_RUNTIME_DIR": str(tmp_path)}  # fmt: skip

    keyring = Keyring(environ, on_secret=lambda *secret: heard.append(secret))

    assert upload(htpasswd_registry.address, keyring, ["a"]) == {202}
    assert (tmp_path / "asked").read_text() == htpasswd_registry.address
    assert set(heard) == {(LAB_LOGIN.password, LAB_LOGIN.username)}

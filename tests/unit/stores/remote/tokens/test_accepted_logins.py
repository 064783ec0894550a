from __future__ import annotations

import asyncio

import pytest

from image_tools.errors import TlsProblem, Unauthorized
from image_tools.logins.auth_file import Credentials
from image_tools.stores.remote.tokens.authorizer import Authorizer
from image_tools.stores.remote.tokens.challenge import Challenge, parse_challenges
from tests.helpers.realm import MemoryRealm, refusal

LOGIN = Credentials("me", "secret")
BEARER = parse_challenges(['Bearer realm="https://auth.example/token",service="s"'])
PLAIN = parse_challenges(['Bearer realm="http://auth.example/token",service="s"'])
BASIC = parse_challenges(['Basic realm="x"'])


def authorizer(
    realm: MemoryRealm, login: Credentials | None = LOGIN, *, let_in: bool = True
) -> Authorizer:
    async def find(_repository: str) -> Credentials | None:
        return login

    async def prove(_header: str) -> bool:
        return let_in

    made = Authorizer("reg", find, realm.ask)
    made.tried_logins.prove = prove
    return made


@pytest.mark.parametrize(
    ("challenges", "asked"),
    [(BEARER, [()]), (BASIC, []), ((), [])],
    ids=["bearer", "basic", "none"],
)
def test_proven_login_is_shown_without_a_scope(
    challenges: tuple[Challenge, ...], asked: list[tuple[str, ...]]
) -> None:
    realm = MemoryRealm()

    assert asyncio.run(authorizer(realm).accepted_login("", challenges)) == LOGIN
    assert realm.asked == asked


def test_proven_without_a_login_asks_nobody() -> None:
    realm = MemoryRealm()

    assert asyncio.run(authorizer(realm, None).accepted_login("", BEARER)) is None
    assert realm.asked == []


@pytest.mark.parametrize("challenges", [BEARER, BASIC], ids=["bearer", "basic"])
def test_proven_login_that_is_refused_is_shown_once(challenges: tuple[Challenge, ...]) -> None:
    realm = MemoryRealm(rule=lambda _: refusal(401))
    one = authorizer(realm, let_in=False)

    async def twice() -> None:
        for _ in range(2):
            with pytest.raises(Unauthorized, match="wrong user name or password"):
                await one.accepted_login("", challenges)

    asyncio.run(twice())
    assert len(realm.requests) == (1 if challenges is BEARER else 0)


def test_proven_login_is_not_sent_in_the_clear() -> None:
    realm = MemoryRealm()

    with pytest.raises(TlsProblem, match="speaks plain HTTP"):
        asyncio.run(authorizer(realm).accepted_login("", PLAIN))
    assert realm.requests == []


@pytest.mark.parametrize(
    ("realm", "granted"),
    [
        (MemoryRealm(jwt=True), True),
        (MemoryRealm(jwt=True, grants=lambda _: ("repository:team/app:pull",)), False),
        (MemoryRealm(), False),
    ],
    ids=["says-push", "says-pull", "opaque"],
)
def test_grants_push_believes_only_what_a_token_says(realm: MemoryRealm, granted: bool) -> None:
    one = authorizer(realm)

    async def asked() -> bool:
        await one.challenged(BEARER, None, "team/app")
        return await one.grants_push("team/app")

    assert asyncio.run(asked()) is granted


def test_restart_forgets_logins_and_tokens() -> None:
    realm = MemoryRealm()
    one = authorizer(realm)

    async def twice() -> None:
        for _ in range(2):
            await one.challenged(BEARER, None, "team/app")
            await one.header("team/app")
            one.restart()

    asyncio.run(twice())
    assert len(realm.requests) == 2

"""The Authorizer: which header goes with a request, how few tokens are asked for."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import pytest

from image_tools.errors import CopyFailed, RateLimited, TlsProblem, Unauthorized, Unavailable
from image_tools.logins.auth_file import Credentials
from image_tools.retry import RetryPolicy
from image_tools.stores.remote.tokens.authorizer import Authorizer
from image_tools.stores.remote.tokens.challenge import Challenge, parse_challenges
from image_tools.stores.remote.tokens.scopes import MOST_QUERY, MOST_SCOPES
from image_tools.stores.remote.tokens.source import LONGEST_TOKEN, TokenOptions
from tests.helpers.realm import MemoryRealm, Reply, refusal

LOGIN = Credentials("me", "pass")
BASIC = (Challenge("basic", {"realm": "x"}),)
BEARER = parse_challenges(['Bearer realm="https://auth.example/token",service="r"'])
ENDED = parse_challenges(['Bearer realm="https://auth.example/token",error="invalid_token"'])
T = TypeVar("T")


class Lab:
    """An Authorizer with a token server, a clock and a keyring that tests may turn."""

    def __init__(
        self,
        realm: MemoryRealm | None = None,
        *,
        allows_plain: bool = False,
        registry: str = "r.example",
        longest: int = LONGEST_TOKEN,
    ) -> None:
        self.realm = realm or MemoryRealm()
        self.now = 1000.0
        self.login: Credentials | None = LOGIN
        self.finds: list[str] = []
        self.authorizer = Authorizer(
            registry,
            self.find,
            self.realm.ask,
            TokenOptions(
                allows_plain=allows_plain,
                policy=RetryPolicy(times=3, delay=0.0),
                longest=longest,
                clock=lambda: self.now,
            ),
        )

    async def find(self, repository: str) -> Credentials | None:
        self.finds.append(repository)
        return self.login

    @property
    def asked(self) -> list[tuple[str, ...]]:
        return self.realm.asked


def only(allowed: Callable[[tuple[str, ...]], bool], status: int = 403) -> MemoryRealm:
    """Give a token server that refuses all sets of scopes but the allowed."""
    return MemoryRealm(rule=lambda scopes: None if allowed(scopes) else refusal(status))


def run(action: Callable[[], Awaitable[T]]) -> T:
    async def inside() -> T:
        return await action()

    return asyncio.run(inside())


def single(scopes: tuple[str, ...]) -> bool:
    return len(scopes) == 1


# Before and without tokens


def test_header_before_any_challenge_is_none() -> None:
    lab = Lab()

    assert run(lambda: lab.authorizer.header("a")) is None
    assert (lab.finds, lab.asked) == ([], [])


UNUSABLE = {
    "nothing": (),
    "other-scheme": (Challenge("negotiate"),),
    "bearer-without-realm": (Challenge("bearer"),),
}


@pytest.mark.parametrize("challenges", UNUSABLE.values(), ids=UNUSABLE)
def test_challenged_unusable_challenge_is_none(challenges: tuple[Challenge, ...]) -> None:
    lab = Lab()

    assert run(lambda: lab.authorizer.challenged(challenges, None, "a")) is None


def test_challenged_basic_gives_the_login_from_then_on() -> None:
    lab = Lab()

    async def story() -> list[str | None]:
        first = await lab.authorizer.challenged(BASIC, None, "a")
        return [first, await lab.authorizer.header("a"), await lab.authorizer.header("b")]

    assert run(story) == ["Basic bWU6cGFzcw=="] * 3
    assert lab.finds == ["a", "b"]


def test_challenged_basic_never_gives_the_same_header_again() -> None:
    lab = Lab()

    async def story() -> list[str | None]:
        first = await lab.authorizer.challenged(BASIC, None, "a")
        same = await lab.authorizer.challenged(BASIC, first, "a")
        lab.login = Credentials("me", "new")
        renewed = await lab.authorizer.challenged(BASIC, first, "a")
        for_the_late = await lab.authorizer.challenged(BASIC, first, "a")
        return [same, renewed, for_the_late]

    assert run(story) == [None, "Basic bWU6bmV3", "Basic bWU6bmV3"]
    assert len(lab.finds) == 3


@pytest.mark.parametrize("login", [None, Credentials("", "", "identity")])
def test_challenged_basic_without_password_is_none(login: Credentials | None) -> None:
    lab = Lab()
    lab.login = login

    async def story() -> list[str | None]:
        first = await lab.authorizer.challenged(BASIC, None, "a")
        again = await lab.authorizer.challenged(BASIC, None, "a")
        return [first, again, await lab.authorizer.header("a")]

    assert run(story) == [None, None, None]
    assert lab.finds == ["a"]


def test_challenged_both_schemes_prefers_tokens() -> None:
    lab = Lab()

    assert run(lambda: lab.authorizer.challenged(BASIC + BEARER, None, "a")) == "Bearer token-1"


# One token


def test_challenged_basic_leaves_a_token_that_is_being_asked_for() -> None:
    """Harbor asks for Basic where a token lacks the repository, while others ask for tokens."""
    lab = Lab()

    async def action() -> tuple[str | None, ...]:
        asking = asyncio.ensure_future(lab.authorizer.challenged(BEARER, None, "team/app"))
        await asyncio.sleep(0)
        basic = await lab.authorizer.challenged(BASIC, None, "team/web")
        return await asking, basic, await lab.authorizer.header("team/web")

    token, basic, then = run(action)
    assert token is not None
    assert token.startswith("Bearer ")
    assert basic is not None
    assert basic == then
    assert basic.startswith("Basic ")


def test_proven_after_a_change_to_basic_asks_no_token_server() -> None:
    lab = Lab()

    async def action() -> Credentials | None:
        await lab.authorizer.challenged(BEARER, None, "a")
        await lab.authorizer.challenged(BASIC, None, "a")
        return await lab.authorizer.accepted_login("a", BASIC)

    assert run(action) == LOGIN
    assert len(lab.asked) == 1


def test_challenged_bearer_gives_a_token_that_is_kept() -> None:
    lab = Lab()

    async def story() -> list[str | None]:
        first = await lab.authorizer.challenged(BEARER, None, "a", push=True)
        return [
            first,
            await lab.authorizer.header("a"),
            await lab.authorizer.header("a", push=True),
        ]

    assert run(story) == ["Bearer token-1"] * 3
    assert lab.asked == [("a:pull,push",)]


def test_challenged_without_login_asks_anonymously() -> None:
    lab = Lab()
    lab.login = None

    assert run(lambda: lab.authorizer.challenged(BEARER, None, "a")) == "Bearer token-1"
    assert lab.realm.requests[0].authorization is None


def test_header_for_more_than_the_token_allows_asks_anew() -> None:
    lab = Lab()

    async def story() -> list[str | None]:
        await lab.authorizer.challenged(BEARER, None, "a")
        push = await lab.authorizer.header("a", push=True)
        return [push, await lab.authorizer.header("b"), await lab.authorizer.header("a")]

    assert run(story) == ["Bearer token-2", "Bearer token-3", "Bearer token-2"]
    assert lab.asked == [("a:pull",), ("a:pull,push",), ("b:pull",)]


def test_header_for_a_mount_asks_for_its_origin_too() -> None:
    lab = Lab()

    async def story() -> list[str | None]:
        await lab.authorizer.challenged(BEARER, None, "a", push=True)
        mount = await lab.authorizer.header("a", push=True, also_pull="b")
        own = await lab.authorizer.header("a", push=True, also_pull="a")
        return [mount, own, await lab.authorizer.header("b")]

    assert run(story) == ["Bearer token-2"] * 3
    assert lab.asked == [("a:pull,push",), ("a:pull,push", "b:pull")]


def test_header_for_a_mount_whose_origin_is_refused_goes_without() -> None:
    lab = Lab(only(single))

    async def story() -> str | None:
        await lab.authorizer.challenged(BEARER, None, "a", push=True)
        return await lab.authorizer.header("a", push=True, also_pull="secret")

    assert run(story) == "Bearer token-3"
    assert lab.asked[1:] == [("a:pull,push", "secret:pull"), ("a:pull,push",)]


def test_header_for_a_mount_whose_origin_is_refused_still_asks_for_many() -> None:
    lab = Lab(only(lambda scopes: "secret" not in "".join(scopes)))

    async def story() -> None:
        await lab.authorizer.challenged(BEARER, None, "a", push=True)
        lab.authorizer.expect("bc", push=False)
        await lab.authorizer.header("a", push=True, also_pull="secret")
        await lab.authorizer.header("b")

    run(story)
    assert lab.asked[-1] == ("b:pull", "c:pull")


AGES = {60: (29, 31), 300: (239, 241), 100: (69, 71), 3600: (2879, 2881), 5: (29, 31)}


@pytest.mark.parametrize(("life", "young", "old"), [(k, *v) for k, v in AGES.items()])
def test_header_renews_the_token_before_its_end(life: int, young: int, old: int) -> None:
    lab = Lab(MemoryRealm(life=life))

    async def story() -> list[str | None]:
        await lab.authorizer.challenged(BEARER, None, "a")
        lab.now += young
        kept = await lab.authorizer.header("a")
        lab.now += old - young
        return [kept, await lab.authorizer.header("a")]

    assert run(story) == ["Bearer token-1", "Bearer token-2"]


def test_header_while_token_server_is_down_uses_the_old_token_to_its_end() -> None:
    lab = Lab(MemoryRealm(life=300))

    async def story() -> str | None:
        await lab.authorizer.challenged(BEARER, None, "a")
        lab.realm.rule = lambda scopes: refusal(503)
        lab.now += 290
        kept = await lab.authorizer.header("a")
        lab.now += 20
        with pytest.raises(Unavailable):
            await lab.authorizer.header("a")
        return kept

    assert run(story) == "Bearer token-1"


def test_header_by_many_at_once_asks_once() -> None:
    lab = Lab()

    async def story() -> set[str | None]:
        many = (lab.authorizer.challenged(BEARER, None, "a") for _ in range(50))
        return set(await asyncio.gather(*many))

    assert run(story) == {"Bearer token-1"}
    assert (len(lab.asked), lab.finds) == (1, ["a"])


def test_header_whose_first_asker_is_cancelled_is_given_to_the_others() -> None:
    lab = Lab()
    released = asyncio.Event()

    async def ask(request: object) -> object:
        await released.wait()
        return await MemoryRealm.ask(lab.realm, request)  # type: ignore[arg-type]

    async def story() -> str | None:
        lab.authorizer._ask = ask  # type: ignore[assignment]
        first, second = (
            asyncio.ensure_future(lab.authorizer.challenged(BEARER, None, "a")) for _ in range(2)
        )
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        released.set()
        return await second

    assert run(story) == "Bearer token-1"
    assert len(lab.asked) == 1


# Many repositories in one token


def names(count: int, length: int = 4) -> list[str]:
    return [f"{number:0{length}d}" for number in range(count)]


@pytest.mark.parametrize("jwt", [False, True], ids=["opaque", "jwt"])
def test_expect_many_repositories_share_tokens(jwt: bool) -> None:
    lab = Lab(MemoryRealm(jwt=jwt))
    lab.authorizer.expect(names(100), push=True)

    async def story() -> list[str | None]:
        first = (lab.authorizer.challenged(BEARER, None, name) for name in names(100))
        await asyncio.gather(*first)
        return [await lab.authorizer.header(name, push=True) for name in names(100)]

    assert len(set(run(story))) == 3
    assert [len(scopes) for scopes in lab.asked] == [MOST_SCOPES, MOST_SCOPES, 20]


def test_expect_long_names_keeps_the_query_short() -> None:
    lab = Lab()
    lab.authorizer.expect(names(100, 200), push=True)

    run(lambda: lab.authorizer.challenged(BEARER, None, names(1, 200)[0]))

    query = lab.realm.requests[0].url.raw_query_string
    assert MOST_QUERY - 300 < len(query) < MOST_QUERY + 100


def test_expect_pull_after_push_keeps_push() -> None:
    lab = Lab()
    lab.authorizer.expect(["a"], push=True)
    lab.authorizer.expect(["a", "b"], push=False)

    run(lambda: lab.authorizer.challenged(BEARER, None, "c"))

    assert lab.asked == [("c:pull", "a:pull,push", "b:pull")]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 414])
def test_expect_server_refuses_many_asks_one_by_one(status: int) -> None:
    lab = Lab(only(single, status))
    lab.authorizer.expect("abc", push=False)

    async def story() -> list[str | None]:
        first = await lab.authorizer.challenged(BEARER, None, "a")
        return [first, await lab.authorizer.header("b"), await lab.authorizer.header("a")]

    assert run(story) == ["Bearer token-2", "Bearer token-3", "Bearer token-2"]
    assert lab.asked == [("a:pull", "b:pull", "c:pull"), ("a:pull",), ("b:pull",)]


def test_expect_push_refused_where_pull_is_wanted_asks_for_pull() -> None:
    lab = Lab(only(lambda scopes: "push" not in "".join(scopes)))
    lab.authorizer.expect("ab", push=True)

    run(lambda: lab.authorizer.challenged(BEARER, None, "a"))

    assert lab.asked == [("a:pull,push", "b:pull,push"), ("a:pull",)]


def test_expect_token_grants_the_first_only_asks_one_by_one() -> None:
    lab = Lab(MemoryRealm(jwt=True, grants=lambda scopes: scopes[:1]))
    lab.authorizer.expect("abcd", push=False)

    async def story() -> None:
        await lab.authorizer.challenged(BEARER, None, "a")
        for name in "bcd":
            await lab.authorizer.header(name)

    run(story)
    assert lab.asked[:1] == [("a:pull", "b:pull", "c:pull", "d:pull")]
    assert lab.asked[1:] == [("b:pull",), ("c:pull",), ("d:pull",)]


def test_expect_others_wait_for_a_token_that_lacks_them_then_ask_alone() -> None:
    lab = Lab(MemoryRealm(jwt=True, grants=lambda scopes: scopes[:1]))
    lab.authorizer.expect("abc", push=False)

    async def story() -> None:
        await asyncio.gather(*(lab.authorizer.challenged(BEARER, None, name) for name in "abc"))
        await lab.authorizer.header("d")

    run(story)
    assert lab.asked == [("a:pull", "b:pull", "c:pull"), ("b:pull",), ("c:pull",), ("d:pull",)]


def test_expect_right_that_nobody_has_is_asked_once_more_and_then_kept() -> None:
    def but_b(scopes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(scope for scope in scopes if ":b:" not in scope)

    lab = Lab(MemoryRealm(jwt=True, grants=but_b))
    lab.authorizer.expect("abc", push=True)

    async def story() -> None:
        for name in "abcba":
            await lab.authorizer.challenged(BEARER, None, name, push=True)
        await lab.authorizer.header("d")

    run(story)
    assert [len(scopes) for scopes in lab.asked] == [3, 1, 1]


def test_expect_token_too_long_for_a_header_is_halved() -> None:
    lab = Lab(MemoryRealm(jwt=True), longest=3000)
    lab.authorizer.expect(names(40, 60), push=True)

    async def story() -> None:
        await lab.authorizer.challenged(BEARER, None, names(1, 60)[0])
        await lab.authorizer.header(names(2, 60)[1])

    run(story)
    first, alone, *rest = map(len, lab.asked)
    assert (alone, rest[0]) == (1, first // 2)


# Refused tokens


def test_challenged_token_for_many_refused_asks_alone_and_remembers() -> None:
    lab = Lab()
    lab.authorizer.expect("abc", push=False)

    async def story() -> list[str | None]:
        wide = await lab.authorizer.challenged(BEARER, None, "a")
        alone = await lab.authorizer.challenged(BEARER, wide, "a")
        return [wide, alone, await lab.authorizer.header("a"), await lab.authorizer.header("b")]

    assert run(story) == ["Bearer token-1", "Bearer token-2", "Bearer token-2", "Bearer token-3"]
    assert lab.asked == [("a:pull", "b:pull", "c:pull"), ("a:pull",), ("b:pull",)]


@pytest.mark.parametrize(
    ("challenges", "given"),
    [(BEARER, None), (ENDED, "Bearer token-2")],
    ids=["refused", "said-invalid"],
)
def test_challenged_token_for_one_at_its_first_use_is_replaced_only_when_it_ended(
    challenges: tuple[Challenge, ...], given: str | None
) -> None:
    lab = Lab()

    async def story() -> str | None:
        first = await lab.authorizer.challenged(BEARER, None, "a")
        return await lab.authorizer.challenged(challenges, first, "a")

    assert run(story) == given


@pytest.mark.parametrize(
    ("jwt", "uses", "challenges"),
    [(False, 2, BEARER), (False, 1, ENDED), (True, 1, BEARER)],
    ids=["worked-before", "said-invalid", "granted-by-jwt"],
)
def test_challenged_token_for_many_that_ended_goes_on_with_many(
    jwt: bool, uses: int, challenges: tuple[Challenge, ...]
) -> None:
    lab = Lab(MemoryRealm(jwt=jwt))
    lab.authorizer.expect("abc", push=False)

    async def story() -> None:
        wide = await lab.authorizer.challenged(BEARER, None, "a")
        for _ in range(uses - 1):
            await lab.authorizer.header("a")
        await lab.authorizer.challenged(challenges, wide, "a")
        await lab.authorizer.header("b")

    run(story)
    assert lab.asked == [("a:pull", "b:pull", "c:pull"), ("a:pull",), ("b:pull", "c:pull")]


def test_challenged_fresh_token_for_one_refused_is_the_end() -> None:
    lab = Lab()

    async def story() -> str | None:
        first = await lab.authorizer.challenged(BEARER, None, "a")
        return await lab.authorizer.challenged(BEARER, first, "a")

    assert run(story) is None
    assert len(lab.asked) == 1


def test_challenged_token_that_worked_is_replaced() -> None:
    lab = Lab()

    async def story() -> list[str | None]:
        first = await lab.authorizer.challenged(BEARER, None, "a")
        await lab.authorizer.header("a")
        new = await lab.authorizer.challenged(BEARER, first, "a")
        return [new, await lab.authorizer.challenged(BEARER, first, "a")]

    assert run(story) == ["Bearer token-2"] * 2
    assert len(lab.asked) == 2


def test_challenged_server_gives_the_refused_token_again_is_the_end() -> None:
    lab = Lab(MemoryRealm(rule=lambda scopes: (200, {}, b'{"token": "always"}')))

    async def story() -> str | None:
        first = await lab.authorizer.challenged(BEARER, None, "a")
        await lab.authorizer.header("a")
        return await lab.authorizer.challenged(BEARER, first, "a")

    assert run(story) is None


def test_challenged_other_name_in_scope_is_asked_for() -> None:
    lab = Lab()
    named = parse_challenges(
        ['Bearer realm="https://auth.example/token",scope="repository:proxy/library/a:pull"']
    )

    async def story() -> list[str | None]:
        first = await lab.authorizer.challenged(named, None, "a")
        return [first, await lab.authorizer.header("a", push=True)]

    assert run(story) == ["Bearer token-1", "Bearer token-2"]
    assert lab.asked == [("proxy/library/a:pull",), ("proxy/library/a:pull,push",)]


PLACEHOLDER = parse_challenges(
    ['Bearer realm="https://auth.example/token",scope="repository:user/image:pull"']
)
NARROW = parse_challenges(
    [
        'Bearer realm="https://auth.example/token",error="insufficient_scope",'
        'scope="repository:a:pull,metadata_read"'
    ]
)


def test_challenged_scope_of_the_greeting_is_passed_over() -> None:
    """GHCR greets with a placeholder (cloudflare/serverless-registry#148)."""
    lab = Lab()
    lab.authorizer.greeted(PLACEHOLDER)

    assert run(lambda: lab.authorizer.challenged(PLACEHOLDER, None, "a")) == "Bearer token-1"
    assert lab.asked == [("a:pull",)]


@pytest.mark.parametrize("status", [400, 403, 404])
def test_challenged_other_name_that_is_refused_gives_way_to_the_own_one(status: int) -> None:
    lab = Lab(only(lambda scopes: scopes == ("repository:a:pull",), status))

    assert run(lambda: lab.authorizer.challenged(PLACEHOLDER, None, "a")) is not None
    assert lab.asked[-2:] == [("user/image:pull",), ("a:pull",)]


def test_challenged_other_name_whose_token_is_refused_gives_way_to_the_own_one() -> None:
    lab = Lab()

    async def story() -> list[str | None]:
        first = await lab.authorizer.challenged(PLACEHOLDER, None, "a")
        return [first, await lab.authorizer.challenged(PLACEHOLDER, first, "a")]

    assert run(story) == ["Bearer token-1", "Bearer token-2"]
    assert lab.asked == [("user/image:pull",), ("a:pull",)]


def test_challenged_insufficient_scope_asks_for_the_rare_right_too() -> None:
    """ACR wants metadata_read for a list of tags."""
    lab = Lab()

    async def story() -> list[str | None]:
        first = await lab.authorizer.challenged(BEARER, None, "a")
        second = await lab.authorizer.challenged(NARROW, first, "a")
        return [second, await lab.authorizer.challenged(NARROW, second, "a")]

    assert run(story) == ["Bearer token-2", None]
    assert lab.asked == [("a:pull",), ("a:pull,metadata_read",)]


def test_alone_after_a_token_for_many_asks_for_the_one_once() -> None:
    lab = Lab()
    lab.authorizer.expect("abc", push=False)

    async def story() -> list[str | None]:
        wide = await lab.authorizer.challenged(BEARER, None, "a")
        own = await lab.authorizer.alone(wide, "a", push=False, also_pull=None)
        again = await lab.authorizer.alone(own, "a", push=False, also_pull=None)
        # The refusal says nothing of the others.
        return [wide, own, again, await lab.authorizer.header("b")]

    assert run(story) == ["Bearer token-1", "Bearer token-2", None, "Bearer token-1"]
    assert lab.asked == [("a:pull", "b:pull", "c:pull"), ("a:pull",)]


def test_too_wide_after_a_token_for_one_did_what_many_did_not_asks_one_by_one() -> None:
    lab = Lab()
    lab.authorizer.expect("abc", push=False)

    async def story() -> None:
        wide = await lab.authorizer.challenged(BEARER, None, "a")
        await lab.authorizer.alone(wide, "a", push=False, also_pull=None)
        lab.authorizer.too_wide(wide)
        await lab.authorizer.header("b")

    run(story)
    assert lab.asked == [("a:pull", "b:pull", "c:pull"), ("a:pull",), ("b:pull",)]


def test_expect_to_push_later_shares_the_tokens_of_those_that_are_ready_at_once() -> None:
    lab = Lab()
    lab.authorizer.expect(names(30), push=False)

    async def write(name: str) -> None:
        lab.authorizer.expect([name], push=True)
        await lab.authorizer.header(name, push=True)

    async def story() -> None:
        await lab.authorizer.challenged(BEARER, None, names(1)[0])
        await asyncio.gather(*map(write, names(20)))

    run(story)
    assert [len(scopes) for scopes in lab.asked] == [30, 30]
    assert [scope.endswith("pull,push") for scope in lab.asked[1]] == [True] * 20 + [False] * 10


IDENTITY = Credentials("", "", "identity")


def by_get_only(status: int) -> MemoryRealm:
    """Give a token server that knows no POST (gitea#31861, containerd's authorizer)."""
    realm = MemoryRealm()
    realm.rule = lambda _: refusal(status) if realm.requests[-1].method == "POST" else None
    return realm


@pytest.mark.parametrize("status", [401, 403, 404, 405, 501])
def test_challenged_identity_token_goes_by_get_where_post_is_refused(status: int) -> None:
    lab = Lab(by_get_only(status))
    lab.login = IDENTITY

    async def story() -> None:
        await lab.authorizer.challenged(BEARER, None, "a")
        await lab.authorizer.header("b")

    run(story)
    sent = [(one.method, one.authorization) for one in lab.realm.requests]
    basic = f"Basic {base64.b64encode(b'<token>:identity').decode()}"
    assert sent == [("POST", None), ("GET", basic), ("GET", basic)]


def test_challenged_identity_token_refused_both_ways_is_unauthorized() -> None:
    lab = Lab(MemoryRealm(rule=lambda scopes: refusal(401)))
    lab.login = IDENTITY

    with pytest.raises(Unauthorized, match="does not accept the identity token"):
        run(lambda: lab.authorizer.challenged(BEARER, None, "a"))


# Failures of the token server


@pytest.mark.parametrize(
    ("login", "said"), [(LOGIN, "wrong user name"), (None, "requires a login")]
)
def test_challenged_refused_by_realm_is_unauthorized(login: Credentials | None, said: str) -> None:
    lab = Lab(MemoryRealm(rule=lambda scopes: refusal(401)))
    lab.login = login

    with pytest.raises(Unauthorized, match=said):
        run(lambda: lab.authorizer.challenged(BEARER, None, "a"))

    assert len(lab.asked) == 1


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (500, Unavailable)])
@pytest.mark.parametrize(("failures", "requests"), [(2, 3), (9, 4)], ids=["passes", "stays"])
def test_challenged_realm_fails_is_asked_again(
    status: int, kind: type[CopyFailed], failures: int, requests: int
) -> None:
    lab = Lab()
    lab.realm.rule = _failing(lab, failures, refusal(status))
    outcome: object = None

    try:
        outcome = run(lambda: lab.authorizer.challenged(BEARER, None, "a"))
    except CopyFailed as error:
        outcome = (type(error), error.exhausted)

    assert outcome == ("Bearer token-3" if failures == 2 else (kind, True))
    assert len(lab.asked) == requests


def _failing(lab: Lab, times: int, reply: Reply) -> Callable[[Iterable[str]], Reply | None]:
    return lambda scopes: reply if len(lab.realm.requests) <= times else None


PLAIN = parse_challenges(['Bearer realm="http://auth.example/token"'])


@pytest.mark.parametrize(
    "login", [LOGIN, Credentials("", "", "refresh")], ids=["basic", "identity"]
)
def test_challenged_plain_realm_elsewhere_gets_no_login(login: Credentials) -> None:
    lab = Lab()
    lab.login = login

    with pytest.raises(TlsProblem, match=r"auth\.example speaks plain HTTP"):
        run(lambda: lab.authorizer.challenged(PLAIN, None, "a"))

    assert lab.asked == []


ALLOWED = {
    "anonymous": (None, False, "r.example"),
    "allowed": (LOGIN, True, "r.example"),
}


@pytest.mark.parametrize(("login", "allows", "registry"), ALLOWED.values(), ids=ALLOWED)
def test_challenged_plain_realm_is_asked_where_that_is_harmless(
    login: Credentials | None, allows: bool, registry: str
) -> None:
    lab = Lab(allows_plain=allows, registry=registry)
    lab.login = login

    assert run(lambda: lab.authorizer.challenged(PLAIN, None, "a")) == "Bearer token-1"


def test_forget_asks_anew_for_the_repositories_of_a_project_alone() -> None:
    lab = Lab()

    async def story() -> int:
        for name in ("team/a", "team-b/a"):
            await lab.authorizer.challenged(BEARER, None, name)
        lab.authorizer.forget("team")
        before = len(lab.asked)
        await lab.authorizer.header("team-b/a")
        assert len(lab.asked) == before
        await lab.authorizer.header("team/a")
        return len(lab.asked) - before

    assert run(story) == 1

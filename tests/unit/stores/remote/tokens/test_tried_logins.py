"""Logins are tried alone and once; what was refused is not shown again."""

from __future__ import annotations

import asyncio

import pytest

from image_tools.errors import Unauthorized, Unavailable
from image_tools.logins.auth_file import Credentials
from image_tools.stores.remote.tokens.tried_logins import TriedLogins

LOGIN = Credentials("me", "secret")


class Door:
    """Lets in the headers it knows, and counts who came; ``broken`` fails that often before."""

    def __init__(self, *known: str, broken: int = 0) -> None:
        self.known, self.broken = known, broken
        self.seen: list[str] = []

    async def __call__(self, header: str) -> bool:
        """Tell whether the header is known."""
        self.seen.append(header)
        await asyncio.sleep(0)
        if self.broken:
            self.broken -= 1
            raise Unavailable("r: out of order")
        return header in self.known


async def _checked(tried_logins: TriedLogins, *headers: str) -> list[str]:
    results = await asyncio.gather(*map(tried_logins.check, headers), return_exceptions=True)
    return ["let in" if found is None else str(found) for found in results]


@pytest.mark.parametrize(
    ("headers", "said", "seen"),
    [
        (["good", "good"], ["let in", "let in"], ["good"]),
        (["bad"] * 3, ["r: wrong user name or password"] * 3, ["bad"]),
        (["bad", "good"], ["r: wrong user name or password", "let in"], ["bad", "good"]),
    ],
)
def test_header_is_shown_once_whoever_asks(headers, said, seen) -> None:
    door = Door("good")

    assert asyncio.run(_checked(TriedLogins("r", door), *headers)) == said
    assert door.seen == seen


def test_header_whose_proof_failed_is_shown_again() -> None:
    door = Door("good", broken=1)

    found = asyncio.run(_checked(TriedLogins("r", door), "good", "good"))

    assert found == ["r: out of order", "let in"]
    assert door.seen == ["good", "good"]


async def _logins(answers: list[Exception | None]) -> tuple[int, int]:
    """Give how often a login was shown, and how often it got through, to these answers."""
    tried_logins, shown, through = TriedLogins("r", Door()), 0, 0
    for answer in answers:
        try:
            async with tried_logins.login(LOGIN):
                shown += 1
                if answer is not None:
                    raise answer
                through += 1
        except (Unauthorized, Unavailable):
            pass
    return shown, through


@pytest.mark.parametrize(
    ("answers", "shown", "through"),
    [
        ([Unauthorized("no", status=401), None], 1, 0),
        ([Unauthorized("not this one", status=403), None], 2, 1),
        ([Unavailable("later"), None], 2, 1),
        ([None, Unauthorized("ended", status=401), None], 3, 2),
    ],
)
def test_login_that_was_refused_and_never_let_in_is_not_shown_again(
    answers, shown, through
) -> None:
    assert asyncio.run(_logins(answers)) == (shown, through)


def test_no_login_is_never_refused() -> None:
    async def anonymous() -> int:
        tried_logins, refused = TriedLogins("r", Door()), 0
        for _ in range(2):
            try:
                async with tried_logins.login(None):
                    raise Unauthorized("no", status=401)
            except Unauthorized:
                refused += 1
        return refused

    assert asyncio.run(anonymous()) == 2

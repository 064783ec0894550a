"""Questions to many registries: their order, their number at once, and who gets a login."""

from __future__ import annotations

import asyncio

import pytest

from image_tools.commands.opening import RegistryAccess, ask_each, opened
from image_tools.logins.auth_file import Credentials
from image_tools.run.endpoints import RegistryEnd


def test_ask_each_answers_in_order_and_bounds_what_is_asked_at_once() -> None:
    running, most = 0, 0

    async def double(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(10 - number):
            await asyncio.sleep(0)
        running -= 1
        return number * 2

    found = asyncio.run(ask_each(range(10), double, at_once=3))

    assert (found, most) == ([number * 2 for number in range(10)], 3)


def test_ask_each_first_failure_cancels_the_rest() -> None:
    ended: list[int] = []

    async def ask(number: int) -> None:
        if number == 1:
            raise ValueError(number)
        await asyncio.sleep(60)
        ended.append(number)

    with pytest.raises(ValueError, match="1"):
        asyncio.run(ask_each(range(3), ask))
    assert ended == []


LOGIN = Credentials("me", "secret")


@pytest.mark.parametrize(
    ("chosen", "registries", "shown"),
    [
        (None, {"a"}, ["a"]),
        (None, {"a", "b"}, []),
        ("b", {"a", "b"}, ["b"]),
        ("c", {"a"}, []),
    ],
)
def test_login_is_shown_to_one_registry_alone(
    chosen: str | None, registries: set[str], shown: list[str]
) -> None:
    end = RegistryEnd(registry=chosen, login=LOGIN).among(registries)

    assert [name for name in sorted(registries) if end.login_for(name)] == shown


def test_opening_cancels_its_work_when_the_waiting_ends() -> None:
    async def fail() -> None:
        raise KeyError("a bug")

    with opened(RegistryAccess(end=RegistryEnd(), mirrors=False), (), {}) as opening:
        assert opening.run(asyncio.sleep(0, "done")) == "done"
        with pytest.raises(KeyError):
            opening.run(fail())
        store = opening.run(_registry(opening))
        assert store.name == "r.example"


async def _registry(opening: object) -> object:
    return opening.registry("r.example")  # type: ignore[attr-defined]

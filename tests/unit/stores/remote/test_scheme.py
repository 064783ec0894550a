"""TLS or plain HTTP, asked once."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest
from yarl import URL

from image_tools.errors import CopyFailed, ImageToolsError, TimedOut, TlsProblem, Unavailable
from image_tools.stores.remote.scheme import RegistryRoot
from image_tools.web.tls import TlsChoice

REFUSED = Unavailable("r: refused")
SILENT = TimedOut("r: silent")
BROKEN = Unavailable("r: 503", status=503)
UNKNOWN_AUTHORITY = TlsProblem("r: unknown authority")
NOT_PLAIN = Unavailable("r: bad request", status=400)


def no_tls() -> TlsProblem:
    error = TlsProblem("r: plain")
    error.__cause__ = ssl.SSLError(1, "x")
    error.__cause__.reason = "WRONG_VERSION_NUMBER"
    return error


async def once(action: Callable[[], Awaitable[URL]]) -> URL:
    return await action()


def found(
    registry: str, verify: bool | None, answers: dict[str, CopyFailed | None]
) -> str | ImageToolsError:
    """Give the root found when `https` and `http` answer as told, or the error raised."""

    async def ping(root: URL) -> None:
        error = answers[root.scheme]
        if error is not None:
            raise error

    async def run() -> str:
        return str(await RegistryRoot(registry, TlsChoice(verify), ping, once).find())

    try:
        return asyncio.run(run())
    except ImageToolsError as error:
        return error


@pytest.mark.parametrize(
    ("registry", "verify", "secure", "plain", "expected"),
    [
        ("r.example", None, None, None, "https://r.example"),
        ("docker.io", None, None, None, "https://registry-1.docker.io"),
        ("r.example", None, no_tls(), None, TlsProblem),
        ("localhost:1", True, no_tls(), None, TlsProblem),
        ("localhost:1", None, no_tls(), None, "http://localhost:1"),
        ("r.example:1", False, no_tls(), None, "http://r.example:1"),
        ("localhost:1", None, UNKNOWN_AUTHORITY, None, UNKNOWN_AUTHORITY),
        ("localhost:1", None, REFUSED, None, REFUSED),
        ("localhost", None, REFUSED, None, "http://localhost"),
        ("r.example", False, SILENT, None, "http://r.example"),
        ("localhost:1", None, SILENT, None, "http://localhost:1"),
        ("r.example", False, SILENT, NOT_PLAIN, SILENT),
        ("localhost", None, REFUSED, SILENT, REFUSED),
        ("r.example:1", False, REFUSED, None, "http://r.example:1"),
        ("r.example:1", False, REFUSED, Unavailable("r: refused too"), REFUSED),
        ("localhost:1", None, BROKEN, None, BROKEN),
        ("localhost:1", None, no_tls(), BROKEN, BROKEN),
    ],
)
def test_root_is_plain_only_where_that_is_allowed_and_tls_is_not_spoken(
    registry: str,
    verify: bool | None,
    secure: CopyFailed | None,
    plain: CopyFailed | None,
    expected: str | CopyFailed | type[CopyFailed],
) -> None:
    result = found(registry, verify, {"https": secure, "http": plain})

    assert isinstance(result, expected) if isinstance(expected, type) else result == expected


def test_root_is_asked_once_by_many_and_again_after_a_failure() -> None:
    asked: list[str] = []
    failures = [REFUSED]

    async def ping(root: URL) -> None:
        asked.append(root.scheme)
        await asyncio.sleep(0)
        if failures:
            raise failures.pop()

    async def run() -> list[object]:
        root = RegistryRoot("r.example", TlsChoice(), ping, once, remembers=-1.0)
        first = await asyncio.gather(*(root.find() for _ in range(5)), return_exceptions=True)
        second = await asyncio.gather(*(root.find() for _ in range(5)))
        await root.close()
        return [*first, *second]

    assert asyncio.run(run()) == [REFUSED] * 5 + [URL("https://r.example")] * 5
    assert asked == ["https", "https"]


def test_root_whose_first_asker_gives_up_is_found_by_the_others() -> None:
    async def run() -> object:
        gate = asyncio.Event()
        root = RegistryRoot("r.example", TlsChoice(), lambda _: _wait(gate), once)
        first, second = (asyncio.ensure_future(root.find()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        return await second

    assert asyncio.run(run()) == URL("https://r.example")


async def _wait(gate: asyncio.Event) -> None:
    await gate.wait()

"""The unit tier starts no process and opens no connection to anybody."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import NoReturn

# plumbum asks `uname -p` when it is imported: that has to be over before processes are faked.
import plumbum  # noqa: F401
import pytest
from pytest_subprocess import FakeProcess

_WAYS_OUT: dict[object, tuple[str, ...]] = {
    os: ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system"),
    socket.socket: ("connect", "connect_ex", "sendto"),
    socket: ("getaddrinfo",),
}


@pytest.fixture(autouse=True)
def _no_way_out(fp: FakeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only processes that the test has registered seem to start; whatever else is refused."""
    fp.allow_unregistered(False)
    for place, names in _WAYS_OUT.items():
        for name in names:
            monkeypatch.setattr(place, name, _forbidden(name))


def _forbidden(name: str) -> Callable[..., NoReturn]:
    def refuse(*_words: object, **_named: object) -> NoReturn:
        raise AssertionError(f"a unit test called {name}")

    return refuse

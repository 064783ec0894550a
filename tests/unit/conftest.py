"""The unit tier starts no process and opens no connection to anybody."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from typing import Any, NoReturn

# plumbum asks `uname -p` when it is imported: that has to be over before starts are refused.
import plumbum  # noqa: F401
import pytest


class Forbidden(AssertionError):
    """A unit test reached for something outside its process."""


def _refused(name: str) -> Any:
    def refuse(*_words: object, **_named: object) -> NoReturn:
        raise Forbidden(f"a unit test called {name}")

    return refuse


# `_execute_child` is where every Popen ends, also one that was imported by name before; the fakes
# of `fp` never come there. All of `fp` for every test would double the time of this tier.
_WAYS_OUT = [
    (place, name, _refused(name))
    for place, names in (
        (os, ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system")),
        (subprocess.Popen, ("_execute_child",)),
        (socket.socket, ("connect", "connect_ex", "sendto")),
        (socket, ("getaddrinfo",)),
    )
    for name in names
]


@pytest.fixture(autouse=True, scope="module")
def _no_way_out() -> Iterator[None]:
    """Only processes that a test registers with `fp` seem to start; all else is refused.

    Nobody's certificate is looked at, either: OpenSSL takes 50 ms to read the system's.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", os.devnull)
        for place, name, refuse in _WAYS_OUT:
            patch.setattr(place, name, refuse)
        yield

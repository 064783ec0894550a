"""The guard of this tier: no process, no connection."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable

import pytest
from plumbum import local
from pytest_subprocess import FakeProcess
from pytest_subprocess.exceptions import ProcessNotRegisteredError


@pytest.mark.parametrize(
    "way_out",
    [
        lambda: subprocess.run(["/bin/true"], check=False),
        lambda: local["/bin/true"].popen(),
        lambda: asyncio.run(asyncio.create_subprocess_exec("/bin/true")),
        lambda: os.system("true"),
        lambda: os.fork(),
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: socket.create_connection(("127.0.0.1", 9)),
        lambda: socket.socket().connect(("127.0.0.1", 9)),
        lambda: socket.getaddrinfo("registry.example", 443),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_unit_test_that_reaches_out_is_refused(way_out: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match=r"^a unit test called"):
        way_out()


def test_unit_test_with_fakes_starts_only_what_it_registered(fp: FakeProcess) -> None:
    fp.register(["/bin/skopeo", "--version"], stdout=b"1.9.3")

    assert subprocess.run(["/bin/skopeo", "--version"], capture_output=True).stdout == b"1.9.3"
    with pytest.raises(ProcessNotRegisteredError):
        subprocess.run(["/bin/true"], check=False)

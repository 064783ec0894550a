"""Registries that others wrote, each in a process of its own on loopback."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.endpoint import Endpoint
from tests.helpers.registry import start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.tools import ToolNotFound, newest, run

PATIENCE = 15.0
# docker-registry is Debian's; scripts/servers builds the others.
SERVERS = ("docker-registry", "distribution", "ggcr")
_PORT = re.compile(r"serving on port (\d+)\n")
_ASKED = re.compile(
    r"^\S+ \S+ (?P<method>[A-Z]+) /v2/\S+?/(?P<what>manifests|blobs|tags|referrers)/", re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running registry; ``questions`` tells how often each method and kind was asked for."""

    name: str
    endpoint: Endpoint
    questions: Callable[[], Counter[str]]

    @property
    def address(self) -> str:
        """Return host and port."""
        return self.endpoint.address


@contextmanager
def serving(name: str) -> Iterator[Server]:
    """Run one of `SERVERS` while the context lasts; skips the test where there is no Go for it."""
    if name == "ggcr":
        with _in_memory(built(name)) as server:
            yield server
        return
    program = None if name == "docker-registry" else built(name)
    with start_registry(RegistryOptions(program=program)) as registry:

        def questions() -> Counter[str]:
            found = registry.requests()
            return Counter(f"{one.method} {one.what}" for one in found if one.what != "ping")

        yield Server(name=name, endpoint=registry.endpoint, questions=questions)


def built(name: str) -> Path:
    """Return the path of a server that scripts/servers has built with Go."""
    with suppress(ToolNotFound):
        return newest(name)
    if not _usable_go():
        pytest.skip(f"{name} is built with Go 1.21 or newer, which is not installed")
    pytest.fail(f"{name} is not built: run scripts/servers", pytrace=False)


def _usable_go() -> bool:
    # As scripts/servers decides.
    if shutil.which("go") is None:
        return False
    found = re.match(r"go1\.(\d+)", run("go", "env", "GOVERSION").stdout)
    return found is not None and int(found[1]) >= 21


@contextmanager
def _in_memory(program: Path) -> Iterator[Server]:
    """Run go-containerregistry's registry, on a port that it chooses on localhost."""
    with tempfile.TemporaryDirectory(prefix="lab-ggcr-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                [program, "-port", "0"], stdin=subprocess.DEVNULL, stderr=written, env={}
            )
        try:
            endpoint = Endpoint(address=f"127.0.0.1:{_port(process, log)}")
            yield Server(name="ggcr", endpoint=endpoint, questions=lambda: _logged(log))
        finally:
            process.kill()
            process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if found := _PORT.search(log.read_text()):
            return int(found[1])
        time.sleep(0.01)
    raise RuntimeError(f"go-containerregistry's registry did not start: {log.read_text()}")


def _logged(log: Path) -> Counter[str]:
    """Count the questions in the log once it is at rest: a line comes behind its answer."""
    text = ""
    while text != (text := log.read_text()):
        time.sleep(0.05)
    found = Counter[str]()
    for asked in _ASKED.finditer(text):
        found[f"{asked['method']} {asked['what']}"] += 1
    return found

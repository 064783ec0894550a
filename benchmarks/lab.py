"""Two registries over TLS, as far away as a link says, and a home for whoever mirrors."""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import counts
from benchmarks.child import ROOT
from benchmarks.measure import Command, Failed, run
from benchmarks.population import World
from benchmarks.records import Record
from benchmarks.relay import Link, far_away
from benchmarks.storage import tags_of
from tests.helpers import tools
from tests.helpers.certificates import Certificates
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.registry import Registry, start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.token_server import TokenServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A source that is full and a destination, with the addresses contestants see them at."""

    world: World
    source: Registry
    destination: Registry
    source_address: str
    destination_address: str
    home: Path
    certificates: Certificates
    tokens: TokenServer | None

    @property
    def environment(self) -> dict[str, str]:
        """Give an environment without anybody's settings and with a blob cache of its own."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "XDG_DATA_HOME": str(self.home),
            "_CONTAINERS_ROOTLESS_UID": "1000",
            "SSL_CERT_FILE": str(self.certificates.authority),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.home),
        }

    def measure(self, command: Command, patience: float) -> Record:
        """Run a command and give what it cost and asked; Failed when it does not end well."""
        starts = [self._begin(end) for end in (self.source, self.destination)]
        tokens = len(self.tokens.requests) if self.tokens else 0
        cost = run(command, patience)
        self._check()
        asked = [end.requests() for end in (self.source, self.destination)]
        ends = zip((self.source, self.destination), starts, strict=True)
        return Record(
            seconds=cost.seconds,
            cpu=cost.cpu,
            own_cpu=cost.own_cpu,
            memory=cost.memory,
            source=counts.kinds(asked[0]),
            destination=counts.kinds(asked[1]),
            read=counts.bytes_read(asked[0]),
            written=counts.bytes_written(asked[1], self.world),
            connections=sum(counts.connections(end, start) for end, start in ends),
            tokens=len(self.tokens.requests) - tokens if self.tokens else 0,
        )

    @staticmethod
    def _begin(end: Registry) -> int:
        end.clear_log()
        return (end.folder / "error.log").stat().st_size

    def _check(self) -> None:
        """Failed unless every tag of the list is at the destination, whatever its project."""
        there = {(Path(name).name, tag) for name, tag, _ in tags_of(self.destination.storage)}
        wanted = {(Path(place.repository).name, place.tag) for place in self.world.places}
        if missing := len(wanted - there):
            raise Failed(f"{missing} of {len(wanted)} tags are missing")


@contextmanager
def lab_of(
    world: World, certificates: Certificates, link: Link, *, with_tokens: bool
) -> Iterator[Lab]:
    """Run a lab with an empty destination and an empty home while the context lasts."""
    with ExitStack() as stack:
        tokens = _token_server(stack, certificates, link) if with_tokens else None
        common = {"certificates": certificates, "token_server": tokens, "log_level": "info"}
        source = stack.enter_context(
            start_registry(RegistryOptions(storage=world.storage, **common))  # type: ignore[arg-type]
        )
        destination = stack.enter_context(start_registry(RegistryOptions(**common)))  # type: ignore[arg-type]
        addresses = [
            _named(name, stack.enter_context(far_away(end.address, link)))
            for name, end in (("source", source), ("registry", destination))
        ]
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-home-")))
        _furnish(home, addresses)
        yield Lab(
            world=world,
            source=source,
            destination=destination,
            source_address=addresses[0],
            destination_address=addresses[1],
            home=home,
            certificates=certificates,
            tokens=tokens,
        )


def _token_server(stack: ExitStack, certificates: Certificates, link: Link) -> TokenServer:
    server = stack.enter_context(TokenServer(tls=certificates.server_context()))
    server.address = _named("source", stack.enter_context(far_away(server.address, link)))
    return server


def _named(end: str, address: str) -> str:
    """Give the address under a name: 127.0.0.1 itself is plain HTTP to buildx."""
    return f"{end}.image-tools.test:{address.rpartition(':')[2]}"


def _furnish(home: Path, addresses: list[str]) -> None:
    """Lay the login and buildx where every contestant looks for them."""
    login = f"{LAB_LOGIN.username}:{LAB_LOGIN.password}"
    coded = base64.b64encode(login.encode()).decode()
    auths = {"auths": {address: {"auth": coded} for address in addresses}}
    plugins = home / ".docker/cli-plugins"
    plugins.mkdir(parents=True)
    (home / ".docker/config.json").write_text(json.dumps(auths))
    (plugins / "docker-buildx").symlink_to(tools.newest("buildx"))

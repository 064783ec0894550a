"""One image across two registries, of which one is hard to get into: at either side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.helpers import images
from tests.helpers.client import push
from tests.helpers.content import Image
from tests.helpers.endpoint import Endpoint
from tests.helpers.running import Ran, mirror
from tests.helpers.walk import pull_everything

SIDES = ("source", "destination")
NAME = "registry.image-tools.test"
REPOSITORY = "team/app"
# The cheapest to copy: one manifest and two blobs, one start of skopeo, none of buildx.
SMALL = images.helm_chart(1)


class Place(Protocol):
    """A registry of the lab, real or double."""

    @property
    def endpoint(self) -> Endpoint:
        """Give what the lab's own client needs."""

    def at(self, host: str) -> str:
        """Give ``host:port`` for another name of its address."""


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """``guarded`` stands at ``side``, ``other`` is open and stands opposite.

    ``host`` is the name the program knows the guarded registry by.
    """

    side: str
    guarded: Place
    other: Place
    folder: Path
    host: str = "127.0.0.1"
    image: Image = field(default=SMALL)

    @property
    def ends(self) -> tuple[Place, Place]:
        """Give source and destination."""
        ends = (self.guarded, self.other)
        return ends if self.side == "source" else ends[::-1]

    @property
    def registry(self) -> str:
        """Give the guarded registry as the program knows it."""
        return self.guarded.at(self.host)

    @property
    def login_variables(self) -> tuple[str, str]:
        """Give the names of the variables that hold the login of this side."""
        prefix = "SOURCE" if self.side == "source" else "DOCKER"
        return f"{prefix}_USERNAME", f"{prefix}_PASSWORD"

    @property
    def unverified(self) -> str:
        """Give the option that turns verification off at this side alone."""
        return f"--{'src' if self.side == 'source' else 'dest'}-tls-verify=false"

    def run(self, *words: str | Path, environ: Mapping[str, str] | None = None) -> Ran:
        """Mirror the image, with everything written down that might hold a secret."""
        source, destination = self.registry, self.other.at("127.0.0.1")
        if self.side == "destination":
            source, destination = destination, source
        report = ("--report", self.folder / "report.json")
        lines = f"{source}/{REPOSITORY}:1.0\n"
        return mirror(self.folder, lines, "-d", destination, *report, *words, environ=environ)

    def run_names(self, count: int, *words: str, environ: Mapping[str, str]) -> Ran:
        """Mirror the one image from or to many names at the guarded registry."""
        source, destination = (end.at("127.0.0.1") for end in self.ends)
        names = [f"team/app-{number}" for number in range(count)]
        lines = "".join(
            f"{source}/{name if self.side == 'source' else REPOSITORY} {destination}/{name} 1.0\n"
            for name in names
        )
        return mirror(self.folder, lines, *words, "-j", "4", environ=environ)

    def push(self) -> None:
        """Store the image in whichever registry is the source."""
        push(self.ends[0].endpoint, REPOSITORY, "1.0", self.image)

    def arrived(self) -> bool:
        """Tell whether the destination holds the whole image."""
        pulled = pull_everything(self.ends[1].endpoint, REPOSITORY, "1.0")
        return pulled.blobs.keys() == {blob.digest for blob in self.image.blobs}

    def written(self, ran: Ran) -> str:
        """Give everything the run has printed or left behind in files."""
        names = ("report.json", "failed.txt")
        files = [path for name in names if (path := self.folder / name).exists()]
        return "\n".join((ran.stdout, ran.stderr, *(path.read_text() for path in files)))

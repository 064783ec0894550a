"""A source whose tag moves between releases, and the destination it is mirrored to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.client import manifest, push
from tests.helpers.content import Entry, Image
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, image_tools, mirror
from tests.helpers.studio import Studio, platform

ALL = ("-a", "all", "--os", "all")


@dataclass(frozen=True)
class MovingLab:
    """Two plain registries, and a folder for list, state and failed list."""

    source: Registry
    destination: Registry
    folder: Path

    def release(self, number: int, *platforms: str) -> Image:
        """Move the source's tag to a release with `platforms`."""
        image = made(number, platforms)
        push(self.source.endpoint, "team/app", "1.0", image)
        return image

    def mirror(self, *words: str, comment: str = "") -> Ran:
        line = f"{self.source.address}/team/app:1.0{comment}\n"
        return mirror(self.folder, line, "-d", self.destination.address, *words)

    def validate(self, *words: str) -> Ran:
        files = ["-f", self.folder / "list.txt", "-o", self.folder / "differs.txt"]
        fixed = ["--format", "json", "--state", self.folder / "state.db"]
        to = ["-d", self.destination.address]
        return image_tools("mirror-validate", *files, *fixed, *to, *words)

    def held(self) -> list[tuple[str, str]]:
        """Return platform and digest of each entry under the destination's tag."""
        found = manifest(self.destination, "team/app", "1.0")
        assert found is not None
        return [(_where(e), e["digest"]) for e in json.loads(found[0])["manifests"]]

    def top(self) -> tuple[bytes, str]:
        found = manifest(self.destination, "team/app", "1.0")
        assert found is not None
        return found[0], found[2]


def made(number: int, platforms: Sequence[str]) -> Image:
    studio = Studio("app", number)
    return studio.index([studio.child(platform(where)) for where in platforms])


def _where(entry: dict[str, dict[str, str]]) -> str:
    stated = entry["platform"]
    return "/".join(stated[n] for n in ("os", "architecture", "variant") if n in stated)


def entries(image: Image, *wanted: str) -> list[tuple[str, str]]:
    found = ((platform_of(entry), entry.digest) for entry in image.leaves)
    return [one for one in found if not wanted or one[0] in wanted]


def platform_of(entry: Entry) -> str:
    stated = entry.true_platform or {}
    return "/".join(str(stated[n]) for n in ("os", "architecture", "variant") if n in stated)

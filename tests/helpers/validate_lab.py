"""Two registries, one image, and what `mirror` and `mirror-validate` say of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.helpers.client import push
from tests.helpers.content import Image
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, image_tools, mirror

DEPTHS = ("digest", "tree", "content")


@dataclass
class Lab:
    """Two registries, one image in the source, and a folder."""

    source: Registry
    destination: Registry
    folder: Path

    @property
    def line(self) -> str:
        return f"{self.source.address}/team/app:1.0"

    @property
    def place(self) -> str:
        return f"{self.destination.address}/team/app:1.0"

    def push(self, image: Image) -> None:
        push(self.source.endpoint, "team/app", "1.0", image)

    def replace(self, image: Image) -> None:
        push(self.destination.endpoint, "team/app", "1.0", image)

    def mirror(self, *words: str) -> Ran:
        return mirror(self.folder, f"{self.line}\n", "-d", self.destination.address, *words)

    def validate(self, *words: str, state: bool = False) -> Ran:
        listed = self.folder / "list.txt"
        listed.write_text(f"{self.line}\n")
        fixed = ["-f", listed, "-d", self.destination.address, "--format", "json"]
        fixed += ["-o", self.folder / "failed.txt", "--retry-delay", "10ms"]
        fixed += ["--state", self.folder / "state.db"] if state else ["--no-state"]
        return image_tools("mirror-validate", *fixed, *words)

    def stored(self, digest: str) -> Path:
        name = digest.removeprefix("sha256:")
        return self.destination.storage / f"docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data"

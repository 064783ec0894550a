"""Pull what a demonstration copied and compare it with what the population holds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_tools.imagelist.reader import read_list
from image_tools.imagelist.registries import Registries
from tests.helpers.content import SCHEMA1_TYPES, Entry, Image
from tests.helpers.endpoint import Endpoint
from tests.helpers.population import residents
from tests.helpers.walk import Pulled, pull_everything

WANTED = frozenset({("linux", "amd64"), ("linux", "arm64")})


@dataclass(frozen=True, slots=True)
class Pair:
    """An image of the population, and what lies at the destination of its line."""

    image: Image
    pulled: Pulled

    @property
    def differences(self) -> frozenset[str]:
        """Give the digests only one side has; a converted image has others by nature."""
        if self.image.top.media_type in SCHEMA1_TYPES:
            return frozenset()
        found = frozenset(entry.digest for entry in self.pulled.entries)
        return found ^ wanted(self.image)


def wanted(image: Image) -> frozenset[str]:
    """Give the digests of the entries a run with default options keeps."""
    kept = {entry.digest for entry in image.leaves if _is_wanted(entry)}
    return frozenset(kept | {e.digest for e in image.leaves if e.subject in kept})


def _is_wanted(entry: Entry) -> bool:
    where = entry.true_platform or {}
    return (where.get("os"), where.get("architecture")) in WANTED


def pairs(content: bytes, source: str, destination: str) -> Iterator[Pair]:
    """Pull every destination of an image list whole, from a plain HTTP registry."""
    listed = read_list(content, "list", Registries(source=source, destination=destination))
    assert not listed.problems, listed.problems
    images = {(each.repository, each.tag): each.image for each in residents()}
    for entry in listed.entries:
        tag = str(entry.destination.tag)
        pulled = pull_everything(Endpoint(address=destination), entry.destination.repository, tag)
        yield Pair(images[entry.source.repository, str(entry.source.tag)], pulled)


def main(words: Sequence[str] | None = None) -> None:
    """Read back the list named on the command line and say what was there."""
    parser = argparse.ArgumentParser(prog="python -m tests.helpers.read_back")
    parser.add_argument("list", type=Path)
    parser.add_argument("source", metavar="HOST:PORT")
    parser.add_argument("destination", metavar="HOST:PORT")
    chosen = parser.parse_args(words)
    found = list(pairs(chosen.list.read_bytes(), chosen.source, chosen.destination))
    for pair in found:
        assert not pair.differences, f"{pair.image.kind}: {sorted(pair.differences)}"
    platforms = sum(entry.subject is None for pair in found for entry in pair.pulled.entries)
    blobs = [size for pair in found for size in pair.pulled.blobs.values()]
    sys.stdout.write(
        f"{len(found)} images, {platforms} platforms, {len(blobs)} blobs,"
        f" {sum(blobs) / 1e6:.1f} MB: every digest is right.\n"
    )


if __name__ == "__main__":
    main()

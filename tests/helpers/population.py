"""A small varied population of a source registry: for demonstrations and matrix tests."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.helpers.client import Target, push
from tests.helpers.content import Image
from tests.helpers.endpoint import Endpoint
from tests.helpers.images import KINDS, shared_base

BASE_SIZES = (600_000, 250_000)


@dataclass(frozen=True, slots=True)
class Resident:
    """An image under its name in the source registry."""

    repository: str
    tag: str
    image: Image


def _on_base(seed: int) -> Image:
    return shared_base(seed, base=0, sizes=BASE_SIZES)


POPULATION: tuple[tuple[str, str, Callable[[int], Image]], ...] = (
    ("library/base", "1.0", _on_base),
    ("library/web", "1.0", _on_base),
    ("team/api", "2.1.0", _on_base),
    ("library/tools", "latest", KINDS["docker_list"]),
    ("library/single", "3", KINDS["docker_schema2"]),
    ("library/legacy", "latest", KINDS["schema1_signed"]),
    ("team/built", "1.0", KINDS["attestations"]),
    ("team/boards", "v8", KINDS["arm_variants_v8"]),
    ("team/deep/nested", "0.9", KINDS["nested_index"]),
    ("library/desktop", "ltsc2022", KINDS["windows"]),
)


def residents(seed: int = 0) -> Iterator[Resident]:
    """Give the images of the population; another seed changes all but the shared base."""
    for at, (repository, tag, build) in enumerate(POPULATION):
        yield Resident(repository, tag, build(seed * len(POPULATION) + at))


def fill(target: Target, seed: int = 0) -> tuple[Resident, ...]:
    """Push the whole population (10 images, about 2.5 MB) and give it."""
    found = tuple(residents(seed))
    for resident in found:
        push(target, resident.repository, resident.tag, resident.image)
    return found


def demo_list(source: str, destination: str | None = None) -> str:
    """Give an image list of the population between two ``host:port`` addresses.

    With a destination in lines ``SOURCE DESTINATION TAG``, else one reference a line.
    """
    return "".join(f"{line}\n" for line in _lines(source, destination))


def _lines(source: str, destination: str | None) -> Iterator[str]:
    for repository, tag, _ in POPULATION:
        if destination is None:
            yield f"{source}/{repository}:{tag}"
        else:
            yield f"{source}/{repository} {destination}/{repository} {tag}"


def main(words: Sequence[str] | None = None) -> None:
    """Fill the registry named on the command line over plain HTTP and write its image list."""
    parser = argparse.ArgumentParser(prog="python -m tests.helpers.population")
    parser.add_argument("registry", metavar="HOST:PORT", help="plain HTTP registry to fill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--destination", metavar="HOST:PORT", help="write SOURCE DESTINATION TAG")
    chosen = parser.parse_args(words)
    fill(Endpoint(address=chosen.registry), chosen.seed)
    sys.stdout.write(demo_list(chosen.registry, chosen.destination))


if __name__ == "__main__":
    main()

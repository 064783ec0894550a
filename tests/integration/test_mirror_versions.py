"""The same list with every skopeo and every buildx that is here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.client import push
from tests.helpers.content import Image
from tests.helpers.expected import rows, wanted_entries
from tests.helpers.images import KINDS
from tests.helpers.registry import Registry, plain_registry
from tests.helpers.running import mirror
from tests.helpers.tools import Tool, every
from tests.helpers.walk import pull_everything

LISTED = (
    "docker_list",
    "arm_variants_v8",
    "attestations",
    "duplicate_digests",
    "entry_annotations",
    "index_annotations",
    "mixed_children",
    "nested_index",
    "no_platform",
    "plain_layers",
    "windows",
)
SKOPEOS, BUILDXES = every("skopeo"), every("buildx")
# Each version once, old beside old: that the oldest skopeo places well, all other tests show.
PAIRS = [
    (SKOPEOS[min(at, len(SKOPEOS) - 1)], BUILDXES[min(at, len(BUILDXES) - 1)])
    for at in range(max(len(SKOPEOS), len(BUILDXES)))
]
PLACED, THROUGH = "--provenance", "--no-ahead"
SAMPLE = {(way, pair) for at, pair in enumerate(PAIRS) for way in [(THROUGH, PLACED)[at % 2]]}


@pytest.fixture(scope="module")
def images(source: Registry) -> dict[str, Image]:
    """Give the images that are in the source, by kind."""
    found = {kind: KINDS[kind](3) for kind in (*LISTED, "schema1_signed")}
    for kind, image in found.items():
        push(source.endpoint, f"kinds/{kind}", "1.0", image)
    return found


@pytest.fixture(scope="module")
def source(docker_registry: Path) -> Iterator[Registry]:
    with plain_registry() as running:
        yield running


def test_versions_to_test_with_are_old_and_new() -> None:
    assert len({tool.version for pair in PAIRS for tool in pair}) >= 4


@pytest.mark.parametrize(
    ("way", "pair"),
    [
        pytest.param(
            *(way, pair),
            id="-".join([name, *(tool.version for tool in pair)]),
            marks=() if (way, pair) in SAMPLE else pytest.mark.soak,
        )
        for way, name in ((PLACED, "placed"), (THROUGH, "through"))
        for pair in PAIRS
    ],
)
def test_mirror_with_a_version_of_a_tool_brings_the_same(
    source: Registry,
    images: dict[str, Image],
    registry: Registry,
    tmp_path: Path,
    pair: tuple[Tool, Tool],
    way: str,
) -> None:
    lines = "".join(f"{source.address}/kinds/{kind}:1.0\n" for kind in images)
    words = ("-d", registry.address, "-j", "3", way)
    names = ("IMAGE_TOOLS_SKOPEO", "IMAGE_TOOLS_BUILDX")
    environ = {name: str(tool.path) for name, tool in zip(names, pair, strict=True)}
    ran = mirror(tmp_path, lines, *words, environ=environ)
    pulled = {
        kind: pull_everything(registry.endpoint, f"kinds/{kind}", "1.0").entries for kind in LISTED
    }
    assert (ran.code, ran.statuses) == (0, ["copied"] * len(images)), ran.stderr
    for kind in LISTED:
        if pulled[kind] != images[kind].entries:
            assert rows(pulled[kind]) == rows(wanted_entries(images[kind])), kind

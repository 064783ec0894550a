"""The same list with every skopeo and every buildx that is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.client import push
from tests.helpers.expected import rows, wanted_entries
from tests.helpers.images import KINDS
from tests.helpers.registry import Registry
from tests.helpers.running import mirror
from tests.helpers.tools import Tool, versions
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
TOOLS = [
    *(("IMAGE_TOOLS_SKOPEO", tool) for tool in versions("skopeo")),
    *(("IMAGE_TOOLS_BUILDX", tool) for tool in versions("buildx")),
]


def test_versions_to_test_with_are_old_and_new() -> None:
    assert len({tool.version for _, tool in TOOLS}) >= 4


@pytest.mark.parametrize(
    ("variable", "tool"), TOOLS, ids=[f"{tool.name}-{tool.version}" for _, tool in TOOLS]
)
@pytest.mark.parametrize("way", ["--provenance", "--no-ahead"], ids=["placed", "through"])
def test_mirror_with_a_version_of_a_tool_brings_the_same(
    source_registry: Registry,
    registry: Registry,
    tmp_path: Path,
    variable: str,
    tool: Tool,
    way: str,
) -> None:
    images = {kind: KINDS[kind](3) for kind in (*LISTED, "schema1_signed")}
    for kind, image in images.items():
        push(source_registry.endpoint, f"kinds/{kind}", "1.0", image)
    lines = "".join(f"{source_registry.address}/kinds/{kind}:1.0\n" for kind in images)
    words = ("-d", registry.address, "-j", "3", way)
    ran = mirror(tmp_path, lines, *words, environ={variable: str(tool.path)})
    pulled = {
        kind: pull_everything(registry.endpoint, f"kinds/{kind}", "1.0").entries for kind in LISTED
    }
    assert (ran.code, ran.statuses) == (0, ["copied"] * len(images)), ran.stderr
    for kind in LISTED:
        if pulled[kind] != images[kind].entries:
            assert rows(pulled[kind]) == rows(wanted_entries(images[kind])), kind

"""Second runs: what is there is not copied, what is different is merged or replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from image_tools.oci import media
from tests.helpers import images
from tests.helpers.client import manifest, push, tags
from tests.helpers.content import OCI_INDEX, Image, Manifest, compact
from tests.helpers.faults import FaultRegistry
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, mirror
from tests.helpers.walk import pull_everything


@dataclass(frozen=True)
class Lab:
    """Two plain registries and a folder for list, state and failed list."""

    source: Registry
    destination: Registry
    folder: Path

    def push(self, name: str, image: Image, tag: str = "1.0") -> None:
        push(self.source.endpoint, name, tag, image)

    def mirror(self, names: str | list[str], *words: str) -> Ran:
        listed = [names] if isinstance(names, str) else names
        lines = "".join(f"{self.source.address}/{name}:1.0\n" for name in listed)
        return mirror(self.folder, lines, "-d", self.destination.address, *words)

    def platforms(self, name: str) -> list[str]:
        found = pull_everything(self.destination.endpoint, name, "1.0").entries
        return [_platform(entry.platform or {}) for entry in found]


@pytest.fixture
def lab(source_registry: Registry, registry: Registry, tmp_path: Path) -> Iterator[Lab]:
    return Lab(source_registry, registry, tmp_path)


def _platform(fields: object) -> str:
    assert isinstance(fields, dict)
    return "/".join(str(fields[n]) for n in ("os", "architecture", "variant") if n in fields)


@pytest.mark.parametrize("kind", ["docker_list", "arm_variants", "schema1_signed", "helm_chart"])
def test_mirror_again_unchanged_costs_one_head_at_each_end(lab: Lab, kind: str) -> None:
    lab.push("team/app", images.KINDS[kind](1))
    assert lab.mirror("team/app").statuses == ["copied"]
    for registry in (lab.source, lab.destination):
        registry.clear_log()
    again = lab.mirror("team/app", "--debug")
    asked = [
        [(r.method, r.what) for r in registry.requests() if r.what != "ping"]
        for registry in (lab.source, lab.destination)
    ]
    assert again.statuses == ["unchanged"]
    assert asked == [[("HEAD", "manifests")], [("HEAD", "manifests")]]
    assert " running /" not in again.stderr


WHOLE = ("-a", "all", "--os", "all")
RUNS = {
    # Words of the run: how often skopeo copies, and buildx assembles.
    "docker_list": (WHOLE, ["copy"]),
    "attestations": (WHOLE, ["copy"]),
    "arm_variants": (("-a", "arm"), ["copy", "create"]),
    "docker_schema2": (WHOLE, ["copy", "create"]),
    "nested_index": (WHOLE, ["copy", "copy", "copy"]),
    "oci_index": (("--arch-tags",), ["copy", "copy", "create"]),
}


@pytest.mark.parametrize("kind", RUNS)
def test_mirror_brings_the_platforms_of_an_image_with_one_run(lab: Lab, kind: str) -> None:
    words, expected = RUNS[kind]
    lab.push("team/app", images.KINDS[kind](1))
    ran = lab.mirror("team/app", "--debug", *words)
    started = re.findall(r" running /\S*(?:skopeo|buildx) .*?(copy|create) ", ran.stderr)
    assert (ran.statuses, sorted(started)) == (["copied"], expected)


@pytest.mark.parametrize(
    ("lie", "wanted", "statuses"),
    [
        ({"mediaType": media.DOCKER_MANIFEST}, "amd64,arm64", {"copied"}),
        ({"mediaType": media.DOCKER_MANIFEST}, "all", {"copied"}),
        ({"size": 5}, "all", {"copied"}),
        # buildx 0.29 looks, and says so; 0.13 does not.
        ({"size": 5}, "amd64,arm64", {"copied", "failed"}),
    ],
)
def test_mirror_of_an_index_that_lies_about_its_platforms_is_tried_once(
    registry: Registry, tmp_path: Path, lie: dict[str, object], wanted: str, statuses: set[str]
) -> None:
    image = images.oci_index(1)
    listed = [{**entry.descriptor(), **lie} for entry in image.entries]
    value = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": listed}
    top = Manifest.of(compact(value), OCI_INDEX)
    image = replace(image, top=top, manifests=(*image.manifests[:-1], top))
    with FaultRegistry() as source:
        source.load("team/app", "1.0", image)
        lines = f"{source.address}/team/app:1.0\n"
        ran = mirror(tmp_path, lines, "-d", registry.address, "-a", wanted, "--debug")
    assert ran.statuses[0] in statuses, ran.stderr
    assert "trying again" not in ran.stderr
    if ran.code:
        assert ran.only()["advice"] == "the image is broken at the source"
        return
    found = json.loads(manifest(registry, "team/app", "1.0")[0])["manifests"]  # type: ignore[index]
    assert {one["digest"] for one in found} <= {entry.digest for entry in image.entries}


def test_mirror_again_without_state_reads_manifests_and_copies_nothing(lab: Lab) -> None:
    lab.push("team/app", images.arm_variants(1))
    assert lab.mirror("team/app", "--no-state").statuses == ["copied"]
    lab.destination.clear_log()
    again = lab.mirror("team/app", "--no-state")
    written = [r for r in lab.destination.requests() if r.method in ("PUT", "POST", "PATCH")]
    assert (again.statuses, written) == (["unchanged"], [])


def test_mirror_again_state_deleted_finds_everything_unchanged(lab: Lab) -> None:
    lab.push("team/app", images.docker_list(1))
    assert lab.mirror("team/app").statuses == ["copied"]
    (lab.folder / "state.db").unlink()
    assert lab.mirror("team/app").statuses == ["unchanged"]


def test_mirror_again_forced_copies_once_more(lab: Lab) -> None:
    lab.push("team/app", images.docker_list(1))
    assert lab.mirror("team/app").statuses == ["copied"]
    assert lab.mirror("team/app", "--force").statuses == ["copied"]


def test_mirror_again_source_changed_replaces_the_platforms(lab: Lab) -> None:
    lab.push("team/app", images.docker_list(1))
    first = lab.mirror("team/app").only()
    lab.push("team/app", images.docker_list(2))
    second = lab.mirror("team/app").only()
    assert (first["status"], second["status"]) == ("copied", "copied")
    assert first["digest"] != second["digest"]
    assert len(lab.platforms("team/app")) == 2


def test_mirror_again_destination_tag_moved_is_put_right(lab: Lab) -> None:
    lab.push("team/app", images.docker_list(1))
    first = lab.mirror("team/app").only()
    push(lab.destination.endpoint, "team/app", "1.0", images.docker_schema2(9))
    second = lab.mirror("team/app").only()
    assert (second["status"], second["digest"]) == ("copied", first["digest"])


def test_mirror_one_platform_after_the_other_merges_both(lab: Lab) -> None:
    lab.push("team/app", images.oci_index(1))
    assert lab.mirror("team/app", "-a", "amd64").statuses == ["copied"]
    assert lab.platforms("team/app") == ["linux/amd64"]
    assert lab.mirror("team/app", "-a", "arm64").statuses == ["copied"]
    assert lab.platforms("team/app") == ["linux/amd64", "linux/arm64"]


def test_mirror_merge_keeps_the_attestations_of_both(lab: Lab) -> None:
    lab.push("team/app", images.attestations(1))
    assert lab.mirror("team/app", "-a", "amd64").statuses == ["copied"]
    assert lab.mirror("team/app", "-a", "arm64").statuses == ["copied"]
    found = pull_everything(lab.destination.endpoint, "team/app", "1.0").entries
    subjects = [entry.subject for entry in found if entry.subject]
    assert subjects == [entry.digest for entry in found if not entry.subject]


def test_mirror_overwrite_leaves_only_the_platforms_of_this_run(lab: Lab) -> None:
    lab.push("team/app", images.oci_index(1))
    assert lab.mirror("team/app").statuses == ["copied"]
    assert lab.mirror("team/app", "-a", "arm64", "--overwrite").statuses == ["copied"]
    assert lab.platforms("team/app") == ["linux/arm64"]
    assert lab.mirror("team/app", "-a", "arm64", "--overwrite").statuses == ["unchanged"]


def test_mirror_over_a_single_image_merges_with_it(lab: Lab) -> None:
    lab.push("team/app", images.arm_variants(1))
    push(lab.destination.endpoint, "team/app", "1.0", images.docker_schema2(9))
    assert lab.mirror("team/app", "-a", "arm", "--variant", "v7").statuses == ["copied"]
    assert lab.platforms("team/app") == ["linux/amd64", "linux/arm/v7"]


def test_mirror_over_schema_1_asks_for_overwrite(lab: Lab) -> None:
    lab.push("team/app", images.oci_index(1))
    push(lab.destination.endpoint, "team/app", "1.0", images.KINDS["schema1_signed"](2))
    refused = lab.mirror("team/app")
    assert (refused.code, refused.only()["kind"]) == (1, "invalid-manifest")
    assert "--overwrite" in refused.only()["advice"]
    assert lab.mirror("team/app", "--overwrite").statuses == ["copied"]


def test_mirror_nothing_wanted_is_skipped_and_fails_when_asked_to(lab: Lab) -> None:
    lab.push("team/app", images.docker_list(1))
    skipped = lab.mirror("team/app", "-a", "riscv64")
    assert (skipped.code, skipped.statuses) == (1, ["skipped"])
    assert "every image was skipped: none has a platform you chose" in skipped.stderr
    assert skipped.stderr.count("none of the wanted platforms") == 1
    failed = lab.mirror("team/app", "-a", "riscv64", "--no-arch-os-fail")
    assert (failed.code, failed.only()["kind"]) == (1, "platform-missing")
    assert tags(lab.destination.endpoint, "team/app") == []


def test_mirror_without_provenance_leaves_attestations_out(lab: Lab) -> None:
    lab.push("team/app", images.attestations(1))
    assert lab.mirror("team/app", "--provenance=false").statuses == ["copied"]
    assert lab.platforms("team/app") == ["linux/amd64", "linux/arm64"]


def test_mirror_arch_tags_name_every_platform(lab: Lab) -> None:
    lab.push("team/app", images.arm_variants(1))
    run = lab.mirror("team/app", "-a", "all", "--arch-tags")
    found = tags(lab.destination.endpoint, "team/app")
    whole = pull_everything(lab.destination.endpoint, "team/app", "1.0")
    assert run.statuses == ["copied"]
    assert sorted(found) == ["1.0", *sorted(_tag_of(e.platform) for e in whole.entries)]
    for entry in whole.entries:
        tagged = manifest(lab.destination.endpoint, "team/app", _tag_of(entry.platform))
        assert tagged is not None
        assert tagged[2] == entry.digest
    assert lab.mirror("team/app", "-a", "all", "--arch-tags").statuses == ["unchanged"]


def _tag_of(platform: object) -> str:
    assert isinstance(platform, dict)
    return f"1.0-{platform['os']}-{platform['architecture']}{platform.get('variant', '')}"


def test_mirror_dry_run_tells_bytes_and_writes_nothing(lab: Lab) -> None:
    lab.push("team/app", images.docker_list(1))
    lab.push("team/web", images.docker_list(1))
    planned = lab.mirror(["team/app", "team/web"], "--dry-run").report
    copied = lab.mirror(["team/app", "team/web"])
    assert [row["action"] for row in planned["rows"]] == ["copy", "copy"]
    assert 0 in [row["bytes_to_move"] for row in planned["rows"]]
    assert 0 < planned["bytes_to_move"] < copied.report["bytes_moved"]
    assert copied.statuses == ["copied", "copied"]
    planned = lab.mirror(["team/app"], "--dry-run").report
    assert [row["action"] for row in planned["rows"]] == ["unchanged"]


def test_mirror_shared_layers_cross_the_line_once_and_are_mounted(lab: Lab) -> None:
    names = [f"team/app{number}" for number in range(4)]
    for number, name in enumerate(names):
        lab.push(name, images.shared_base(number, base=1))
    lab.source.clear_log()
    assert lab.mirror(names, "-j", "4").statuses == ["copied"] * 4
    layers = [r.reference for r in lab.source.requests() if r.method == "GET" and r.what == "blobs"]
    mounts = [r for r in lab.destination.requests() if r.mounted_from and r.status == 201]
    assert len(layers) == len(set(layers))
    assert len(mounts) > 0


def test_mirror_without_placing_ahead_brings_the_same(lab: Lab) -> None:
    image = images.oci_index(3)
    lab.push("team/app", image)
    assert lab.mirror("team/app", "--no-ahead").statuses == ["copied"]
    pulled = pull_everything(lab.destination.endpoint, "team/app", "1.0")
    wanted = [e for e in image.entries if (e.platform or {})["architecture"] in ("amd64", "arm64")]
    assert [entry.digest for entry in pulled.entries] == [entry.digest for entry in wanted]


def test_mirror_direct_lets_skopeo_read_the_source(lab: Lab) -> None:
    lab.push("team/app", images.docker_list(1))
    lab.source.clear_log()
    assert lab.mirror("team/app", "--direct").statuses == ["copied"]
    assert any("skopeo" in request.agent for request in lab.source.requests())
    assert len(lab.platforms("team/app")) == 2


def test_mirror_digest_with_tag_is_copied_by_digest_to_that_tag(lab: Lab) -> None:
    image = images.docker_list(1)
    lab.push("team/app", image)
    lab.push("team/app", images.docker_list(2))
    line = f"{lab.source.address}/team/app:1.0@{image.top.digest}\n"
    ran = mirror(lab.folder, line, "-d", lab.destination.address)
    pulled = pull_everything(lab.destination.endpoint, "team/app", "1.0")
    wanted = {e.digest for e in image.entries}
    assert ran.statuses == ["copied"]
    assert {entry.digest for entry in pulled.entries} <= wanted

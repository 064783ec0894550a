"""What a validation sees at every depth, in the words users search for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.client import Client
from tests.helpers.content import Image
from tests.helpers.damage import Damage, Spot, corrupt_inner_index, lose_inner_index
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.images import KINDS
from tests.helpers.registry import Registry, start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.running import image_tools
from tests.helpers.validate_lab import DEPTHS, Lab

DOCUMENT = (Path(__file__).parents[2] / "docs/validate.md").read_text()
TIMES = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)
SPEC = """[ERRO] [M_ID:1] NAME: [
        {
            "digest": "DIGEST",
            "platform": {
                "architecture": "amd64",
                "os": "linux"
            }
        }
    ]
"""


@pytest.fixture
def lab(source_registry: Registry, registry: Registry, tmp_path: Path) -> Lab:
    return Lab(source_registry, registry, tmp_path)


@pytest.mark.parametrize(
    "kind",
    [
        "docker_list",
        "docker_schema2",
        "oci_index",
        "attestations",
        "arm_variants",
        "nested_index",
        "duplicate_digests",
        "index_annotations",
        "schema1_signed",
        "helm_chart",
    ],
)
def test_validate_after_a_mirror_passes_at_every_depth(lab: Lab, kind: str) -> None:
    lab.push(KINDS[kind](1))
    assert lab.mirror().statuses in (["copied"], ["skipped"])
    for depth in DEPTHS:
        ran = lab.validate("--depth", depth)
        assert (ran.code, ran.statuses) == (0, ["passed"]), ran.stderr
        assert f"PASS [{lab.line}] == [{lab.place}]" in ran.stderr


def test_validate_does_not_believe_the_state(lab: Lab) -> None:
    """The state says that both tags are as a run left them: a damaged index would pass by that."""
    image = images.docker_list(1)
    lab.push(image)
    lab.mirror()
    for registry in (lab.source, lab.destination):
        registry.clear_log()
    ran = lab.validate(state=True)
    asked = [
        [(r.method, r.what) for r in registry.requests() if r.what != "ping"]
        for registry in (lab.source, lab.destination)
    ]
    assert ran.statuses == ["passed"]
    assert asked == [[("HEAD", "manifests"), ("GET", "manifests")]] * 2


def test_validate_the_source_s_own_index_costs_one_head_at_each_end(lab: Lab) -> None:
    lab.push(images.docker_list(1))
    lab.mirror("--arch", "all", "--os", "all")
    for registry in (lab.source, lab.destination):
        registry.clear_log()
    assert lab.validate().only()["change"] == "same digest"
    for registry in (lab.source, lab.destination):
        asked = [(r.method, r.what) for r in registry.requests() if r.what != "ping"]
        assert asked == [("HEAD", "manifests")]


@pytest.mark.parametrize(("depth", "requests"), [("digest", 2), ("tree", 20), ("content", 32)])
def test_validate_costs_the_requests_that_the_document_says(
    lab: Lab, depth: str, requests: int
) -> None:
    image = images.docker_list(1)
    lab.push(image)
    lab.replace(image)
    ends = (lab.source, lab.destination)
    for registry in ends:
        registry.clear_log()
    assert lab.validate("--arch", "all", "--depth", depth).statuses == ["passed"]
    asked = [r for registry in ends for r in registry.requests() if r.what != "ping"]
    row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{depth}` |"))
    assert (len(image.entries), len(image.blobs), len(asked)) == (4, 12, requests)
    assert row.endswith(f"| {requests} requests |")


def test_validate_writes_nothing_and_makes_no_state(lab: Lab) -> None:
    lab.push(images.docker_list(1))
    lab.destination.clear_log()
    ran = lab.validate(state=True)
    assert ran.code == 1
    assert [r for r in lab.destination.requests() if r.method not in ("GET", "HEAD")] == []
    assert not (lab.folder / "state.db").exists()


def _child_of(image: Image) -> str:
    return next(e.digest for e in image.entries if (e.platform or {})["architecture"] == "amd64")


def _layer_of(image: Image) -> str:
    child = image.find(_child_of(image))
    found: str = json.loads(child.data)["layers"][0]["digest"]
    return found


def _delete_child(lab: Lab, image: Image) -> None:
    with Client(lab.destination) as client:
        client.expect(202, "DELETE", f"/v2/team/app/manifests/{_child_of(image)}")


def _delete_blob(lab: Lab, image: Image) -> None:
    with Client(lab.destination) as client:
        client.expect(202, "DELETE", f"/v2/team/app/blobs/{_layer_of(image)}")


def _corrupt_blob(lab: Lab, image: Image) -> None:
    path = lab.stored(_layer_of(image))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "seen_from", "says"),
    [
        (_delete_child, "tree", "child manifest does not exists"),
        (_delete_blob, "tree", "blob does not exists"),
        (_corrupt_blob, "content", "the blob is damaged"),
    ],
    ids=["child-deleted", "blob-deleted", "blob-corrupted"],
)
def test_validate_deeper_finds_what_the_depth_before_cannot(
    lab: Lab, damage: Callable[[Lab, Image], None], seen_from: str, says: str
) -> None:
    image = images.docker_list(1)
    lab.push(image)
    lab.mirror()
    damage(lab, image)
    found = {depth: lab.validate("--depth", depth) for depth in DEPTHS}
    passing = [depth for depth in DEPTHS if found[depth].statuses == ["passed"]]
    assert passing == list(DEPTHS[: DEPTHS.index(seen_from)])
    outcome = found[seen_from].only()
    assert (outcome["kind"], says in outcome["reason"]) == ("different", True), outcome


def test_validate_sampled_content_reads_only_a_part(lab: Lab) -> None:
    image = images.docker_list(1)
    lab.push(image)
    lab.mirror()
    _corrupt_blob(lab, image)
    assert lab.validate("--depth", "content", "--sample", "0%").statuses == ["passed"]
    assert lab.validate("--depth", "content", "--sample=100%").statuses == ["failed"]


def test_validate_sample_at_another_depth_is_refused(lab: Lab) -> None:
    ran = lab.validate("--sample", "5%")
    assert ran.code == 2
    assert "--sample is of no use without --depth content" in ran.stderr


def test_validate_destination_absent_says_so(lab: Lab) -> None:
    lab.push(images.docker_list(1))
    ran = lab.validate()
    outcome = ran.only()
    assert (ran.code, outcome["kind"]) == (1, "different")
    assert f"[{lab.place}]: destination manifest does not exists" in outcome["reason"]
    assert f"FAILED [{lab.line}]" in ran.stderr


def test_validate_single_image_at_the_destination_is_an_unknown_type(lab: Lab) -> None:
    lab.push(images.docker_list(1))
    lab.replace(images.docker_schema2(1))
    reason = lab.validate().only()["reason"]
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    assert f"destination manifest MIME type unknown: {kind}" in reason


def test_validate_schema_1_at_the_destination_is_an_unknown_type(lab: Lab) -> None:
    lab.push(images.docker_list(1))
    lab.replace(KINDS["schema1_signed"](1))
    assert (
        "MIME type unknown: application/vnd.docker.distribution.manifest.v1"
        in (lab.validate().only()["reason"])
    )


def test_validate_list_with_others_of_a_single_source_has_a_wrong_length(lab: Lab) -> None:
    lab.push(images.docker_schema2(1))
    lab.replace(images.docker_list(5))
    assert "destination manifest list length should be 1" in lab.validate().only()["reason"]


def test_validate_lists_differ_both_specs_are_logged_word_for_word(lab: Lab) -> None:
    source, destination = images.no_layers(1), images.no_layers(2)
    lab.push(source)
    lab.replace(destination)
    ran = lab.validate("-j", "2")
    specs = [
        SPEC.replace("NAME", name).replace("DIGEST", image.entries[0].digest)
        for name, image in (("srcSpec", source), ("dstSpec", destination))
    ]
    assert "".join(specs) in TIMES.sub("", ran.stderr)
    assert (
        f'source manifest "{lab.line}" != dest "{lab.destination.address}/team/app", tag "1.0"'
        in ran.only()["reason"]
    )


def test_validate_nothing_wanted_is_skipped(lab: Lab) -> None:
    lab.push(images.docker_list(1))
    ran = lab.validate("-a", "riscv64")
    assert (ran.code, ran.statuses) == (1, ["skipped"])


def test_validate_refused_by_the_destination_is_no_difference(
    source_registry: Registry, tmp_path: Path
) -> None:
    with start_registry(RegistryOptions(login=LAB_LOGIN)) as closed:
        lab = Lab(source_registry, closed, tmp_path)
        lab.push(images.docker_list(1))
        assert lab.validate().only()["kind"] == "unauthorized"


def test_validate_round_trip_by_the_failed_list(lab: Lab) -> None:
    image = images.docker_list(1)
    lab.push(image)
    lab.mirror()
    _delete_child(lab, image)
    broken = lab.validate("--depth", "tree")
    assert f"run mirror with -f {lab.folder / 'failed.txt'}" in broken.stderr
    words = ["-d", lab.destination.address, "--no-state", "--format", "json"]
    again = image_tools("mirror", "-f", lab.folder / "failed.txt", "-o", lab.folder / "f2", *words)
    assert (broken.code, again.code, again.statuses) == (1, 0, ["copied"])
    assert lab.validate("--depth", "content").statuses == ["passed"]
    assert not (lab.folder / "failed.txt").exists()


@pytest.mark.parametrize(
    ("breaks", "words"),
    [(lose_inner_index, "MANIFEST_UNKNOWN"), (corrupt_inner_index, "expected sha256:")],
)
def test_validate_unreadable_index_is_replaced_by_mirror(
    lab: Lab, breaks: Damage, words: str
) -> None:
    lab.push(KINDS["nested_index"](1))
    other = KINDS["nested_index"](2)
    lab.replace(other)
    breaks(Spot(lab.destination, "team/app", other))
    outcome = lab.validate().only()
    assert (outcome["kind"], outcome["advice"]) == (
        "different",
        "feed the failed list to mirror: it replaces the destination's index",
    )
    assert f"[{lab.place}]: destination manifest cannot be read: " in outcome["reason"]
    assert words in outcome["reason"]
    told = (lab.folder / "failed.txt").rename(lab.folder / "told.txt")
    refused = lab.mirror().only()
    assert (refused["status"], refused["kind"]) == ("failed", "invalid-manifest")
    mended = image_tools(
        *("mirror", "-f", told, "-d", lab.destination.address),
        *("-o", lab.folder / "left.txt", "--format", "json", "--retry-delay", "10ms"),
    )
    assert mended.statuses == ["copied"], mended.stderr
    assert lab.validate("--depth", "content").statuses == ["passed"]


def test_mirror_validate_may_be_written_in_two_words(lab: Lab) -> None:
    lab.push(images.docker_list(1))
    lab.mirror()
    (lab.folder / "list.txt").write_text(f"{lab.line}\n")
    ran = image_tools(
        "mirror",
        "validate",
        *("-f", lab.folder / "list.txt", "-d", lab.destination.address, "-o", lab.folder / "f"),
        "--format=json",
        "--force",
        "-j2",
    )
    assert (ran.code, ran.statuses) == (0, ["passed"])

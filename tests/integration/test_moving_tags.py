"""What a destination's tag holds after the source's tag has moved, and what is said about it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.client import blob, delete_manifest, manifest, push
from tests.helpers.content import Image
from tests.helpers.damage import Spot
from tests.helpers.moving import ALL, MovingLab, entries, made
from tests.helpers.registry import Registry
from tests.helpers.running import image_tools, mirror
from tests.helpers.studio import Studio, platform
from tests.helpers.walk import pull_everything


@pytest.fixture
def lab(source_registry: Registry, registry: Registry, tmp_path: Path) -> MovingLab:
    return MovingLab(source_registry, registry, tmp_path)


@pytest.mark.parametrize("words", [(), ALL])
def test_mirror_chosen_platform_gone_at_the_source_leaves_the_tag(
    lab: MovingLab, words: tuple[str, ...]
) -> None:
    lab.release(1, "linux/amd64", "linux/arm64")
    assert lab.mirror(*words).statuses == ["copied"]
    second = lab.release(2, "linux/amd64")

    ran = lab.mirror(*words)

    assert (ran.statuses, ran.only()["warnings"], ran.only()["kept"]) == (["copied"], [], [])
    assert ": removed linux/arm64 (sha256:" in ran.stderr
    assert lab.top() == (second.top.data, second.top.digest)
    assert lab.validate(*words).statuses == ["passed"]
    assert lab.mirror(*words).statuses == ["unchanged"]


def test_mirror_everything_chosen_replaces_what_others_laid_under_the_tag(lab: MovingLab) -> None:
    push(lab.destination.endpoint, "team/app", "1.0", made(7, ["linux/s390x", "windows/amd64"]))
    release = lab.release(1, "linux/amd64", "linux/arm64")

    ran = lab.mirror(*ALL)

    assert (ran.statuses, lab.top()[1]) == (["copied"], release.top.digest)


def test_mirror_platform_not_chosen_stays_and_is_told_each_time(lab: MovingLab) -> None:
    first = lab.release(1, "linux/amd64", "linux/arm64", "linux/arm/v7")
    assert lab.mirror(*ALL).statuses == ["copied"]
    second = lab.release(2, "linux/amd64", "linux/arm64", "linux/arm/v7")

    moved, again = lab.mirror(), lab.mirror()

    ((_, old),) = entries(first, "linux/arm/v7")
    chosen = entries(second, "linux/amd64", "linux/arm64")
    assert lab.held() == [*chosen, ("linux/arm/v7", old)]
    (kept,) = moved.only()["kept"]
    assert (kept["platform"], kept["digest"]) == ("linux/arm/v7", old)
    assert kept["since"].endswith("+00:00")
    assert (again.statuses, again.only()["kept"]) == (["unchanged"], [kept])
    for ran in (moved, again):
        assert old in ran.only()["warnings"][0]
        assert "[WARN" in ran.stderr
    checked = lab.validate().only()
    assert (checked["status"], checked["kept"]) == ("passed", [{**kept, "since": None}])
    assert checked["warnings"]
    assert lab.validate("--overwrite").statuses == ["failed"]


def test_mirror_again_over_a_kept_platform_costs_one_head_at_each_end(lab: MovingLab) -> None:
    lab.release(1, "linux/amd64", "linux/s390x")
    lab.mirror(*ALL)
    lab.release(2, "linux/amd64", "linux/s390x")
    lab.mirror()
    for one in (lab.source, lab.destination):
        one.clear_log()

    again = lab.mirror().only()

    assert (again["status"], len(again["kept"])) == ("unchanged", 1)
    for one in (lab.source, lab.destination):
        asked = [(r.method, r.what) for r in one.requests() if r.what != "ping"]
        assert asked == [("HEAD", "manifests")]


def test_mirror_foreign_image_under_the_tag_counts_as_kept(lab: MovingLab) -> None:
    studio = Studio("foreign", 1)
    push(lab.destination.endpoint, "team/app", "1.0", studio.single(studio.child(images.S390X)))
    lab.release(1, "linux/amd64", "linux/arm64")

    ran = lab.mirror()

    assert [kept["platform"] for kept in ran.only()["kept"]] == ["linux/s390x"]
    assert [where for where, _ in lab.held()] == ["linux/s390x", "linux/amd64", "linux/arm64"]


def test_mirror_platform_that_the_source_still_has_is_not_told(lab: MovingLab) -> None:
    lab.release(1, "linux/amd64", "linux/s390x")
    assert lab.mirror("-a", "s390x").statuses == ["copied"]

    ran = lab.mirror("-a", "amd64", "-q")

    assert (ran.only()["kept"], ran.stderr) == ([], "")
    assert lab.mirror("-a", "amd64", "--no-state").only()["change"] == "same digest"


def test_mirror_table_shows_what_stays_and_what_changed(lab: MovingLab) -> None:
    lab.release(1, "linux/amd64", "linux/arm64", "linux/arm/v7")
    lab.mirror(*ALL)
    lab.release(2, "linux/amd64", "linux/arm64", "linux/arm/v7")

    shown = lab.mirror("--format", "table").stdout

    assert "amd64,arm64 (kept: arm/v7)" in shown
    assert " filtered" in shown


SBOMS = ("linux/amd64", "linux/arm64")


def _with_sboms() -> Image:
    studio = Studio("sboms", 1)
    listed = [studio.child(platform(where)) for where in SBOMS]
    boms = [studio.child({}, studio.own_layers(f"bom of {where}")) for where in SBOMS]
    nowhere = {"os": "linux", "architecture": ""}
    return studio.index([*listed, *(replace(bom, platform=nowhere) for bom in boms)])


@pytest.mark.parametrize(("words", "status"), [((), "skipped"), (("--no-arch-os-fail",), "failed")])
def test_mirror_unstated_platform_is_not_a_wanted_one(
    lab: MovingLab, words: tuple[str, ...], status: str
) -> None:
    push(lab.source.endpoint, "team/app", "1.0", _with_sboms())

    ran = lab.mirror("-a", "riscv64", *words)

    assert (ran.statuses, ran.code) == ([status], 1)
    assert manifest(lab.destination, "team/app", "1.0") is None


def test_mirror_required_platform_that_is_missing_fails(lab: MovingLab) -> None:
    lab.release(1, "linux/amd64")

    without, required = lab.mirror(), lab.mirror("--require-platforms")

    assert (without.statuses, required.statuses) == (["copied"], ["failed"])
    assert required.only()["kind"] == "platform-missing"
    assert "required platforms are missing: linux/arm64" in required.only()["reason"]
    assert lab.validate("--require-platforms").statuses == ["failed"]
    lab.release(1, "linux/amd64", "linux/arm64")
    assert lab.mirror("--require-platforms").statuses == ["copied"]
    assert lab.mirror("--require-platforms").statuses == ["unchanged"]


@pytest.mark.parametrize("kind", ["docker_schema2", "oci_manifest"])
def test_mirror_single_image_kept_as_it_is_keeps_its_digest(lab: MovingLab, kind: str) -> None:
    image = images.KINDS[kind](1)
    push(lab.source.endpoint, "team/app", "1.0", image)

    kept, again = lab.mirror("--keep-single"), lab.mirror("--keep-single")

    assert lab.top() == (image.top.data, image.top.digest)
    assert (kept.only()["change"], again.only()["change"]) == ("same digest", "same digest")
    assert (kept.statuses, again.statuses) == (["copied"], ["unchanged"])
    assert lab.validate("--keep-single").statuses == ["passed"]
    assert lab.validate().statuses == ["failed"]
    assert lab.mirror().only()["change"] == "list of one"
    assert lab.mirror().only()["change"] == "list of one"
    assert lab.validate().statuses == ["passed"]
    assert lab.mirror("--keep-single").statuses == ["copied"]


def test_mirror_single_image_with_tags_for_platforms_gets_both(lab: MovingLab) -> None:
    image = images.oci_manifest(1)
    push(lab.source.endpoint, "team/app", "1.0", image)

    assert lab.mirror("--keep-single", "--arch-tags").statuses == ["copied"]

    for tag in ("1.0", "1.0-linux-amd64"):
        found = manifest(lab.destination, "team/app", tag)
        assert found is not None
        assert found[2] == image.top.digest


@pytest.mark.parametrize("way", ["option", "failed-list", "no-state"])
def test_mirror_looks_behind_and_brings_what_a_registry_has_lost(lab: MovingLab, way: str) -> None:
    release = lab.release(1, "linux/amd64", "linux/arm64")
    assert lab.mirror().statuses == ["copied"]
    lost = release.leaves[1].digest
    delete_manifest(lab.destination, "team/app", lost)
    assert lab.mirror().statuses == ["unchanged"]
    assert lab.validate("--depth", "tree").statuses == ["failed"]
    assert "# depth=tree" in (lab.folder / "differs.txt").read_text()

    if way == "failed-list":
        fixed = ["--state", lab.folder / "state.db", "-o", lab.folder / "left.txt"]
        to = ["-d", lab.destination.address, "--format", "json"]
        ran = image_tools("mirror", "-f", lab.folder / "differs.txt", *fixed, *to)
    else:
        ran = lab.mirror("--depth", "tree", *(["--no-state"] if way == "no-state" else []))

    assert ran.statuses == ["copied"], ran.stderr
    assert "content is missing" in ran.stderr
    pulled = pull_everything(lab.destination.endpoint, "team/app", "1.0")
    assert (pulled.digest, len(pulled.entries)) == (release.top.digest, 2)
    assert lab.validate("--depth", "tree").statuses == ["passed"]


def test_mirror_that_looks_behind_asks_for_each_manifest_and_blob_once(lab: MovingLab) -> None:
    lab.release(1, "linux/amd64", "linux/arm64")
    assert lab.mirror().statuses == ["copied"]
    for one in (lab.source, lab.destination):
        one.clear_log()

    ran = lab.mirror("--depth", "tree")

    asked = [(r.method, r.what) for r in lab.destination.requests() if r.what != "ping"]
    assert ran.statuses == ["unchanged"]
    assert [one for one in asked if one[0] not in ("HEAD", "GET")] == []
    assert asked.count(("GET", "manifests")) == 3
    assert ("GET", "blobs") not in asked
    reads = [r for r in lab.source.requests() if r.what != "ping"]
    assert [(r.method, r.what) for r in reads] == [("HEAD", "manifests")]


def test_mirror_looking_behind_drops_a_kept_platform_that_is_lost(lab: MovingLab) -> None:
    first = lab.release(1, "linux/amd64", "linux/s390x")
    assert lab.mirror(*ALL).statuses == ["copied"]
    lab.release(2, "linux/amd64", "linux/s390x")
    assert lab.mirror().only()["kept"][0]["platform"] == "linux/s390x"
    delete_manifest(lab.destination, "team/app", first.leaves[1].digest)

    ran = lab.mirror(comment="  # depth=tree")

    assert (ran.statuses, ran.only()["kept"]) == (["copied"], [])
    assert [where for where, _ in lab.held()] == ["linux/amd64"]
    assert lab.validate("--depth", "tree").statuses == ["passed"]


def test_mirror_looking_behind_brings_a_lost_layer(lab: MovingLab) -> None:
    release = lab.release(1, "linux/amd64", "linux/arm64")
    assert lab.mirror().statuses == ["copied"]
    # The registry remembers what it has in the one repository, and nothing of the other.
    twin = Spot(lab.destination, "team/app", release).twin("team/twin")
    shutil.rmtree(twin.folder / "_layers/sha256" / twin.layer.removeprefix("sha256:"))
    line = f"{lab.source.address}/team/app {lab.destination.address}/team/twin 1.0\n"
    assert mirror(lab.folder, line).statuses == ["unchanged"]

    assert mirror(lab.folder, line, "--depth", "tree").statuses == ["copied"]

    assert blob(lab.destination, "team/twin", twin.layer) is not None


def test_mirror_looking_behind_a_lost_tag_brings_the_layers_of_its_platforms(
    lab: MovingLab,
) -> None:
    release = lab.release(1, "linux/amd64", "linux/arm64")
    assert lab.mirror().statuses == ["copied"]
    twin = Spot(lab.destination, "team/app", release).twin("team/tagless")
    shutil.rmtree(twin.folder / "_layers/sha256" / twin.layer.removeprefix("sha256:"))
    shutil.rmtree(twin.folder / "_manifests/tags")
    line = f"{lab.source.address}/team/app {lab.destination.address}/team/tagless 1.0\n"

    assert mirror(lab.folder, line, "--depth", "tree").statuses == ["copied"]

    assert blob(lab.destination, "team/tagless", twin.layer) is not None


def test_mirror_tells_nothing_of_kept_platforms_that_another_run_has_replaced(
    lab: MovingLab,
) -> None:
    lab.release(1, "linux/amd64", "linux/arm/v7")
    assert lab.mirror(*ALL).statuses == ["copied"]
    second = lab.release(2, "linux/amd64", "linux/arm/v7")
    assert [one["platform"] for one in lab.mirror().only()["kept"]] == ["linux/arm/v7"]
    assert lab.mirror(*ALL).statuses == ["copied"]

    ran = lab.mirror()

    assert lab.top()[1] == second.top.digest
    assert (ran.statuses, ran.only()["kept"], ran.only()["warnings"]) == (["unchanged"], [], [])


def test_attestations_that_are_not_asked_for_are_seen_and_leave_the_tag(lab: MovingLab) -> None:
    push(lab.source.endpoint, "team/app", "1.0", images.attestations(1))
    assert lab.mirror(*ALL).statuses == ["copied"]
    without = (*ALL, "--provenance=false")

    (said,) = [one["reason"] for one in lab.validate(*without).outcomes]

    assert "the destination has an attestation (sha256:" in said
    assert "which was not asked for" in said
    assert lab.mirror(*without).statuses == ["copied"]
    assert len(lab.held()) == 3
    assert lab.validate(*without).statuses == ["passed"]
    assert lab.mirror(*without).statuses == ["unchanged"]


def test_validate_attestation_of_an_absent_image_beside_a_filtered_one_is_too_much(
    lab: MovingLab,
) -> None:
    lab.release(1, "linux/amd64", "linux/s390x")
    assert lab.mirror().statuses == ["copied"]
    studio = Studio("app", 1)
    found = [studio.child(platform("linux/amd64")), studio.attestation("sha256:" + 64 * "a")]
    push(lab.destination.endpoint, "team/app", "1.0", studio.index(found))

    assert lab.validate().statuses == ["failed"]
    assert lab.mirror().statuses == ["copied"]
    assert lab.validate().statuses == ["passed"]


def test_mirror_referrer_that_is_an_index_of_thousands_is_brought_in_seconds(
    lab: MovingLab,
) -> None:
    release = lab.release(1, "linux/amd64")
    studio = Studio("many", 1)
    many = [studio.child(platform("linux/amd64"))] * 20
    for _ in range(2):
        many = [studio.nested(many)] * 20
    push(lab.source.endpoint, "team/app", "many", studio.index(many))
    entry = replace(studio.nested(many), platform=platform("unknown/unknown"))
    listed = f"sha256-{release.top.digest.removeprefix('sha256:')}"
    push(lab.source.endpoint, "team/app", listed, studio.index([entry]))

    ran = lab.mirror("--timeout", "30s")

    assert ran.statuses == ["copied"], ran.stderr
    assert manifest(lab.destination, "team/app", entry.digest) is not None


@pytest.mark.parametrize("there", ["too deep", "schema 1"])
def test_list_of_a_validation_repairs_what_nothing_can_be_merged_with(
    lab: MovingLab, there: str
) -> None:
    release = lab.release(1, "linux/amd64", "linux/arm64")
    studio = Studio("deep", 1)
    inner = studio.child(platform("linux/amd64"))
    for _ in range(5):
        inner = studio.nested([inner])
    odd = studio.index([inner]) if there == "too deep" else images.KINDS["schema1_signed"](1)
    push(lab.destination.endpoint, "team/app", "1.0", odd)
    # What others laid there is not replaced unasked.
    assert (lab.mirror().code, lab.mirror("--depth", "tree").code) == (1, 1)
    assert lab.validate().statuses == ["failed"]

    ran = mirror(
        lab.folder, (lab.folder / "differs.txt").read_text(), "-d", lab.destination.address
    )

    assert ran.statuses == ["copied"]
    assert lab.top()[1] == release.top.digest


def test_list_of_a_validation_repairs_an_entry_without_a_platform(lab: MovingLab) -> None:
    image = images.no_platform(1)
    push(lab.source.endpoint, "team/app", "1.0", image)
    assert lab.mirror(*ALL).statuses == ["copied"]
    delete_manifest(lab.destination, "team/app", image.leaves[0].digest)
    assert lab.validate(*ALL, "--depth", "tree").statuses == ["failed"]

    lines = (lab.folder / "differs.txt").read_text()
    ran = mirror(lab.folder, lines, "-d", lab.destination.address, *ALL)

    assert "  # depth=tree\n" in lines
    assert ran.statuses == ["copied"]
    assert lab.validate(*ALL, "--depth", "content").statuses == ["passed"]

"""`mirror-validate` and the platforms of an image: chosen, kept, lost, unknown."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.client import Client, push, push_manifest
from tests.helpers.content import DOCKER_LIST, OCI_INDEX, Manifest, compact
from tests.helpers.damage import Spot, restate
from tests.helpers.images import KINDS
from tests.helpers.registry import Registry
from tests.helpers.validate_lab import DEPTHS, Lab


@pytest.fixture
def lab(source_registry: Registry, registry: Registry, tmp_path: Path) -> Lab:
    return Lab(source_registry, registry, tmp_path)


@pytest.mark.parametrize(
    ("kind", "number", "name", "old", "new"),
    [
        ("docker_list", 0, "arch", "amd64", "riscv64"),
        ("docker_list", 0, "os", "linux", "freebsd"),
        ("arm_variants", 1, "variant", "v7", "v5"),
        ("windows", 2, "os.version", "10.0.20348.2227", "10.0.17763.1"),
    ],
)
def test_validate_platform_differs_says_in_which_field(
    lab: Lab, kind: str, number: int, name: str, old: str, new: str
) -> None:
    image = KINDS[kind](1)
    lab.push(image)
    lab.replace(image)
    place = Spot(lab.destination, "team/app", image)
    restate(place, {"arch": "architecture"}.get(name, name), new, number)
    ran = lab.validate("--arch", "all", "--os", "all")
    assert f'source {name} "{old}" != dest {name} "{new}"' in ran.only()["reason"]


def test_validate_platform_that_is_not_chosen_passes_and_fails_with_overwrite(lab: Lab) -> None:
    lab.push(images.oci_index(1))
    lab.mirror("--arch", "all")
    passed = lab.validate("-a", "amd64").only()
    assert (passed["status"], passed["kept"], passed["warnings"]) == ("passed", [], [])
    assert lab.validate("-a", "amd64", "--overwrite").statuses == ["failed"]


def _arches(lab: Lab, *names: str) -> None:
    """Push a new release that is made for these architectures."""
    release = images.docker_list(7)
    with Client(lab.source) as client:
        push(lab.source.endpoint, "team/app", "1.0", release)
        document = json.loads(release.top.data)
        document["manifests"] = [
            entry for entry in document["manifests"] if entry["platform"]["architecture"] in names
        ]
        push_manifest(client, "team/app", "1.0", Manifest.of(compact(document), DOCKER_LIST))


@pytest.mark.parametrize("words", [(), ("--arch", "all", "--os", "all")])
def test_validate_chosen_platform_that_the_source_has_lost_fails(
    lab: Lab, words: tuple[str, ...]
) -> None:
    """Row 1: the tag held amd64 of the new release and arm64 of the old one, and passed."""
    _arches(lab, "amd64")
    lab.replace(images.docker_list(7))
    reason = lab.validate(*words).only()["reason"]
    assert re.search(
        r"the destination has linux/arm64\S* \(sha256:\w+\), which was chosen and is not at", reason
    )


@pytest.mark.parametrize("depth", DEPTHS)
def test_validate_platform_of_an_earlier_release_that_was_not_chosen_is_told(
    lab: Lab, depth: str
) -> None:
    """Row 2: it stays, and is not hidden."""
    lab.replace(images.docker_list(7))
    _arches(lab, "amd64")
    ran = lab.validate("-a", "amd64", "--depth", depth)
    outcome = ran.only()
    kept = outcome["kept"]
    assert (ran.code, outcome["status"]) == (0, "passed")
    assert {one["platform"].split("/")[1] for one in kept} >= {"arm64"}
    assert [set(one) for one in kept] == [{"platform", "digest", "since"}] * len(kept)
    assert {one["since"] for one in kept} == {None}
    for one, warning in zip(kept, outcome["warnings"], strict=True):
        said = (
            f"the tag keeps {one['platform']} ({one['digest']}), which is not what the source has"
        )
        assert said in warning
        assert said in ran.stderr


def test_validate_kept_platform_has_to_be_complete(lab: Lab) -> None:
    image = images.docker_list(7)
    lab.replace(image)
    _arches(lab, "amd64")
    arm = next(e for e in image.entries if (e.platform or {})["architecture"] == "arm64")
    with Client(lab.destination) as client:
        client.expect(202, "DELETE", f"/v2/team/app/manifests/{arm.digest}")
    assert lab.validate("-a", "amd64").statuses == ["passed"]
    reason = lab.validate("-a", "amd64", "--depth", "tree").only()["reason"]
    assert f"@{arm.digest}]: child manifest does not exists" in reason


def test_validate_platform_unknown_is_not_platform_wanted(lab: Lab) -> None:
    """Row 5: two SBOMs of an unknown architecture do not make an image for riscv64."""
    image = images.oci_index(1)
    document = json.loads(image.top.data)
    for number in (1, 2):
        sbom = {**document["manifests"][0], "platform": {"os": "linux", "architecture": ""}}
        document["manifests"].append({**sbom, "annotations": {"number": str(number)}})
    lab.push(image)
    with Client(lab.source) as client:
        push_manifest(client, "team/app", "1.0", Manifest.of(compact(document), OCI_INDEX))
    lab.replace(image)
    assert lab.validate("-a", "riscv64").statuses == ["skipped"]
    failed = lab.validate("-a", "riscv64", "--no-arch-os-fail").only()
    assert (failed["status"], failed["kind"]) == ("failed", "platform-missing")


def test_validate_required_platform_that_the_source_has_not_fails(lab: Lab) -> None:
    lab.push(images.docker_list(1))
    lab.mirror()
    assert lab.validate("-a", "amd64,riscv64").statuses == ["passed"]
    failed = lab.validate("-a", "amd64,riscv64", "--require-platforms").only()
    assert failed["kind"] == "platform-missing"
    assert "required platforms are missing: linux/riscv64" in failed["reason"]
    lab.mirror("--arch", "all", "--os", "all")
    assert lab.validate("-a", "amd64,riscv64", "--require-platforms").statuses == ["failed"]


def test_validate_single_image_that_was_to_stay_one(lab: Lab) -> None:
    image = images.docker_schema2(1)
    lab.push(image)
    lab.replace(image)
    assert "MIME type unknown" in lab.validate().only()["reason"]
    for depth in DEPTHS:
        passed = lab.validate("--keep-single", "--depth", depth).only()
        assert (passed["status"], passed["change"]) == ("passed", "same digest")

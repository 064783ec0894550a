"""The program against registries that others wrote, each as source and as destination."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.archives import run, write_list
from tests.helpers.client import Client, manifest, push, push_manifest, tags
from tests.helpers.content import OCI_INDEX, Image, Manifest, compact
from tests.helpers.real_servers import SERVERS, Server, serving
from tests.helpers.running import Ran, image_tools, mirror
from tests.helpers.signatures import entry_of, identities, public_key, refer, sign, tag_of
from tests.helpers.walk import pull_everything

KINDS = ("oci_index", "docker_list", "attestations")
ALL = ("--arch", "all", "--os", "all")
DEPTHS = ("digest", "tree", "content")
KEY = 1
# The soak takes every server with every other one, and with one of its own kind.
SAMPLE = {("distribution", "ggcr"), ("ggcr", "distribution")}
PAIRS = [
    pytest.param(pair, id="-to-".join(pair), marks=() if pair in SAMPLE else pytest.mark.soak)
    for pair in itertools.product(SERVERS, repeat=2)
]


@dataclass(frozen=True)
class Lab:
    """A source with an image of each kind, a destination, and a folder for lists and state."""

    source: Server
    destination: Server
    folder: Path

    def push(self, kind: str, seed: int = 1) -> Image:
        image = images.KINDS[kind](seed)
        push(self.source.endpoint, f"team/{kind}", "1.0", image)
        return image

    def mirror(self, *words: str) -> Ran:
        lines = "".join(f"{self.source.address}/team/{kind}:1.0\n" for kind in KINDS)
        return mirror(self.folder, lines, "-d", self.destination.address, *words)

    def asked_meanwhile(self, *words: str) -> tuple[Ran, list[dict[str, int]]]:
        """Mirror; give also what each end was asked for meanwhile."""
        ends = (self.source, self.destination)
        before = [end.questions() for end in ends]
        ran = self.mirror(*words)
        asked = [end.questions() - old for end, old in zip(ends, before, strict=True)]
        return ran, [dict(one) for one in asked]

    def arrived(self) -> list[str]:
        """Pull everything from the destination; give the digests of the tags."""
        pulled = [
            pull_everything(self.destination.endpoint, f"team/{kind}", "1.0") for kind in KINDS
        ]
        return [one.digest for one in pulled]

    def destination_digest(self, name: str, reference: str) -> str | None:
        found = manifest(self.destination.endpoint, name, reference)
        return found and found[2]


@pytest.fixture(params=PAIRS)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as stack:
        source, destination = (stack.enter_context(serving(name)) for name in request.param)
        yield Lab(source, destination, tmp_path)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(request.param) as running:
        yield running


TWO_HEADS = [{"HEAD manifests": len(KINDS)}] * 2


def test_mirror_copies_then_finds_all_unchanged_then_copies_what_changed(lab: Lab) -> None:
    pushed = [lab.push(kind) for kind in KINDS]

    assert lab.mirror(*ALL).statuses == ["copied"] * 3
    assert lab.arrived() == [image.top.digest for image in pushed]

    again, asked = lab.asked_meanwhile(*ALL)
    assert (again.statuses, asked) == (["unchanged"] * 3, TWO_HEADS)

    pushed[0] = lab.push(KINDS[0], seed=2)
    assert lab.mirror(*ALL).statuses == ["copied", "unchanged", "unchanged"]
    assert lab.arrived() == [image.top.digest for image in pushed]


def test_mirror_with_a_platform_filter_brings_it_once(lab: Lab) -> None:
    for kind in KINDS:
        lab.push(kind)

    assert lab.mirror("--arch", "arm64").statuses == ["copied"] * 3
    lab.arrived()
    for kind in KINDS:
        entries = pull_everything(lab.destination.endpoint, f"team/{kind}", "1.0").entries
        found = {entry.platform["architecture"] for entry in entries if entry.platform}
        assert found - {"unknown"} == {"arm64"}

    again, asked = lab.asked_meanwhile("--arch", "arm64")
    assert (again.statuses, asked) == (["unchanged"] * 3, TWO_HEADS)


def test_signatures_and_referrers_come_along(lab: Lab) -> None:
    name, source, destination = "team/oci_index", lab.source.endpoint, lab.destination.endpoint
    subject = lab.push("oci_index").top.digest
    signature = sign(source, name, subject, KEY)
    referrer = refer(source, name, subject)
    # None of these servers has the referrers API: a tag leads to the list.
    entry = entry_of(source, name, referrer)
    value = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    with Client(source) as client:
        push_manifest(client, name, tag_of(subject, ""), Manifest.of(compact(value), OCI_INDEX))

    outcome = mirror(
        lab.folder, f"{lab.source.address}/{name}:1.0\n", "-d", lab.destination.address, *ALL
    ).only()

    assert (outcome["status"], outcome["digest"], outcome["warnings"]) == ("copied", subject, [])
    assert lab.destination_digest(name, tag_of(subject)) == signature
    assert lab.destination_digest(name, referrer) == referrer
    assert lab.destination_digest(name, tag_of(subject, "")) is not None
    assert identities(destination, name, subject, public_key(KEY)) == ["app"]


def test_mirror_validate_passes_at_every_depth_and_finds_a_change(lab: Lab) -> None:
    for kind in KINDS:
        lab.push(kind)
    assert lab.mirror(*ALL).code == 0
    words = ("-f", lab.folder / "list.txt", "-d", lab.destination.address, "--no-state", *ALL)
    fixed = (*words, "--format", "json", "-o", lab.folder / "failed.txt")

    for depth in DEPTHS:
        assert image_tools("mirror-validate", *fixed, "--depth", depth).statuses == ["passed"] * 3

    lab.push(KINDS[0], seed=2)
    found = image_tools("mirror-validate", *fixed)
    assert (found.code, found.statuses) == (1, ["failed", "passed", "passed"])


def test_archive_is_saved_from_one_and_loaded_into_the_other(lab: Lab) -> None:
    pushed = [lab.push(kind) for kind in KINDS]
    listed = write_list(lab.folder, lab.source.address, *(f"team/{kind}" for kind in KINDS))
    archive = lab.folder / "images.tar.gz"

    saved = run("save", lab.folder, "-f", listed, "-d", archive, *ALL)
    loaded = run("load", lab.folder, "-s", archive, "-d", lab.destination.address)

    assert (saved.code, loaded.code) == (0, 0), saved.stderr + loaded.stderr
    assert lab.arrived() == [image.top.digest for image in pushed]


def test_tags_are_listed_and_an_image_is_inspected(server: Server) -> None:
    image = images.oci_index(1)
    for tag in ("1.0", "1.10", "1.9"):
        push(server.endpoint, "team/app", tag, image)

    listed = image_tools("list-tags", f"{server.address}/team/app")
    inspected = image_tools("inspect", f"{server.address}/team/app:1.9", "--format", "json")

    assert listed == Ran(code=0, stdout="1.0\n1.9\n1.10\n", stderr="")
    assert (inspected.code, inspected.report["digest"]) == (0, image.top.digest)
    assert [one["digest"] for one in inspected.report["images"]] == [
        leaf.digest for leaf in image.leaves
    ]


def test_delete_never_claims_what_did_not_happen(server: Server) -> None:
    """go-containerregistry answers 202 to a deleted digest, and its tag still leads there."""
    image = images.docker_schema2(1)
    push(server.endpoint, "team/app", "1.0", image)
    push(server.endpoint, "team/app", "2.0", images.docker_schema2(2))

    ran = image_tools("delete", "-y", f"{server.address}/team/app:1.0")

    gone = manifest(server.endpoint, "team/app", "1.0") is None
    assert gone or ran.code != 0, ran.stdout
    assert (gone and ran.code == 0) or server.name == "ggcr", ran.stderr
    assert "2.0" in tags(server.endpoint, "team/app")

"""What lies beside images: copied with them, kept, made anew, and told of where it is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import images
from tests.helpers.client import Client, manifest, push, push_manifest, tags
from tests.helpers.content import OCI_INDEX, Image, Manifest, compact
from tests.helpers.fault_types import ALWAYS, Fault, Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, mirror
from tests.helpers.signatures import (
    NOTATION,
    cosign_verifies,
    entry_of,
    identities,
    public_key,
    refer,
    sign,
    tag_of,
)
from tests.helpers.tools import every, run

NAME = "team/app"
ALL = ("--arch", "all", "--os", "all")
KEY, OTHER = 1, 2
SPDX = "application/spdx+json"


@dataclass(frozen=True)
class Lab:
    """A source and a destination, and a folder for list, state and failed list."""

    source: Registry | FaultRegistry
    destination: Registry | FaultRegistry
    folder: Path

    def push(self, kind: str, name: str = NAME, tag: str = "1.0") -> Image:
        image = images.KINDS[kind](3)
        push(self.source.endpoint, name, tag, image)
        return image

    def mirror(self, *words: str | Path, names: tuple[str, ...] = (NAME,)) -> Ran:
        lines = "".join(f"{self.source.address}/{name}:1.0\n" for name in names)
        return mirror(self.folder, lines, "-d", self.destination.address, *words)

    def there(self, reference: str, name: str = NAME) -> dict[str, Any] | None:
        found = manifest(self.destination.endpoint, name, reference)
        return None if found is None else json.loads(found[0])

    def listed(self, subject: str) -> dict[str, str]:
        """Give digests and artifact types of what the tag of referrers lists."""
        found = self.there(tag_of(subject, "")) or {"manifests": []}
        return {entry["digest"]: entry.get("artifactType", "") for entry in found["manifests"]}


@pytest.fixture
def lab(source_registry: Registry, registry: Registry, tmp_path: Path) -> Lab:
    return Lab(source_registry, registry, tmp_path)


@pytest.fixture
def doubles(tmp_path: Path) -> Iterator[Lab]:
    """Registries that list referrers; the destination takes indexes without their children."""
    options = FaultOptions(referrers=True, partial_indexes=True)
    with FaultRegistry(FaultOptions(referrers=True)) as source, FaultRegistry(options) as there:
        yield Lab(source, there, tmp_path)


@pytest.mark.parametrize("kind", ["oci_index", "docker_list", "nested_index", "helm_chart"])
def test_signatures_of_a_whole_image_come_along(lab: Lab, kind: str) -> None:
    image = lab.push(kind)
    digest, ends = image.top.digest, ("sig", "att", "sbom")
    made = [sign(lab.source, NAME, digest, KEY, end=end) for end in ends]
    outcome = lab.mirror(*ALL).only()
    assert (outcome["status"], outcome["digest"], outcome["warnings"]) == ("copied", digest, [])
    found = [manifest(lab.destination, NAME, tag_of(digest, end)) for end in ends]
    assert [one and one[2] for one in found] == made
    assert identities(lab.destination, NAME, digest, public_key(KEY)) == ["app"]
    key = lab.folder / "key.pub"
    key.write_bytes(public_key(KEY))
    assert cosign_verifies(lab.destination.endpoint, f"{NAME}:1.0", key)


def test_signatures_are_there_before_the_tag(doubles: Lab) -> None:
    image = doubles.push("oci_index")
    sign(doubles.source, NAME, image.top.digest, KEY)
    refer(doubles.source, NAME, image.top.digest)
    assert doubles.mirror(*ALL).statuses == ["copied"]
    assert isinstance(doubles.destination, FaultRegistry)
    written = [s.reference for s in doubles.destination.requests if s.stage is Stage.PUT_MANIFEST]
    assert written.index(image.top.digest) < written.index(tag_of(image.top.digest))
    assert written[-1] == "1.0"


def test_signatures_of_platforms_come_along_with_a_filter(lab: Lab) -> None:
    image = lab.push("oci_index")
    wanted, other = image.leaves[0].digest, image.leaves[-1].digest
    sign(lab.source, NAME, wanted, KEY)
    sign(lab.source, NAME, other, KEY)
    sign(lab.source, NAME, image.top.digest, KEY)
    outcome = lab.mirror("--arch", "amd64").only()
    assert tags(lab.destination, NAME) == sorted(["1.0", tag_of(wanted)])
    assert outcome["status"] == "copied"
    assert len(outcome["warnings"]) == 1
    assert image.top.digest in outcome["warnings"][0]
    assert outcome["digest"] in outcome["warnings"][0]
    assert "--keep-digest" in outcome["warnings"][0]


def test_signature_of_a_single_image_does_not_cover_the_index_around_it(lab: Lab) -> None:
    image = lab.push("oci_manifest")
    sign(lab.source, NAME, image.top.digest, KEY)
    (warning,) = lab.mirror().only()["warnings"]
    assert "the source's digest, which is there too" in warning
    assert identities(lab.destination, NAME, image.top.digest, public_key(KEY)) == ["app"]


@pytest.mark.parametrize("lists", [False, True])
def test_referrers_come_along_and_are_listed(lab: Lab, doubles: Lab, lists: bool) -> None:
    lab = Lab(doubles.source, doubles.destination if lists else lab.destination, lab.folder)
    image = lab.push("oci_index")
    subject = image.top.digest
    sbom = refer(lab.source, NAME, subject, SPDX, "materials")
    about = refer(lab.source, NAME, sbom, NOTATION, "the materials are signed")
    signature = refer(lab.source, NAME, subject)
    assert lab.mirror(*ALL, "--debug").only()["warnings"] == []
    assert all(lab.there(digest) for digest in (sbom, about, signature))
    assert lab.listed(subject) == ({} if lists else {sbom: SPDX, signature: NOTATION})
    assert lab.listed(sbom) == ({} if lists else {about: NOTATION})


def test_referrers_of_a_tag_are_added_to_those_that_are_there(lab: Lab) -> None:
    image = lab.push("oci_index")
    subject = image.top.digest
    brought = refer(lab.source, NAME, subject)
    push(lab.destination.endpoint, NAME, "old", image)
    own = refer(lab.destination, NAME, subject, SPDX, "our own")
    for side, digest in ((lab.source, brought), (lab.destination, own)):
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX}
        data = compact({**index, "manifests": [entry_of(side, NAME, digest)]})
        with Client(side) as client:
            push_manifest(client, NAME, tag_of(subject, ""), Manifest.of(data, OCI_INDEX))
    ran = lab.mirror(*ALL)
    assert ran.statuses == ["copied"], ran.stdout
    assert lab.listed(subject) == {own: NOTATION, brought: NOTATION}


def test_signatures_of_an_unchanged_image_are_not_looked_for(doubles: Lab) -> None:
    doubles.push("oci_index")
    assert doubles.mirror().statuses == ["copied"]
    assert isinstance(doubles.source, FaultRegistry)
    doubles.source.clear_log()
    assert doubles.mirror().statuses == ["unchanged"]
    assert [seen.method for seen in doubles.source.requests if seen.repository] == ["HEAD"]


def test_referrers_a_registry_without_them_is_asked_once(
    lab: Lab, fault_registry: FaultRegistry
) -> None:
    lab = Lab(fault_registry, lab.destination, lab.folder)
    names = ("team/a", "team/b", "team/c")
    for name in names:
        lab.push("oci_index", name)
    lab.mirror("-j", "1", names=names[:1])
    fault_registry.clear_log()
    assert lab.mirror("--force", names=names).statuses == ["copied"] * 3
    asked = [seen for seen in fault_registry.requests if "/referrers/" in seen.path]
    assert 1 <= len(asked) <= 9
    assert all(seen.method == "GET" for seen in asked)


def test_signatures_are_left_behind_with_remove_signatures(doubles: Lab) -> None:
    image = doubles.push("oci_index")
    sign(doubles.source, NAME, image.top.digest, KEY)
    assert isinstance(doubles.source, FaultRegistry)
    doubles.source.clear_log()
    outcome = doubles.mirror("--remove-signatures").only()
    assert (outcome["status"], outcome["warnings"]) == ("copied", [])
    assert tags(doubles.destination, NAME) == ["1.0"]
    assert not any("sha256-" in s.path or "referrers" in s.path for s in doubles.source.requests)


def test_signature_that_cannot_be_copied_fails_the_image_and_leaves_the_tag(doubles: Lab) -> None:
    image = doubles.push("oci_index")
    tag = tag_of(image.top.digest)
    sign(doubles.source, NAME, image.top.digest, KEY)
    assert isinstance(doubles.destination, FaultRegistry)
    doubles.destination.add(Fault(Stage.PUT_MANIFEST, 403, times=ALWAYS, reference=tag))
    outcome = doubles.mirror(*ALL).only()
    assert (outcome["status"], outcome["kind"]) == ("failed", "access-denied")
    assert "its signature about" in outcome["reason"]
    assert doubles.there("1.0") is None


def test_signatures_that_cannot_be_looked_for_are_a_warning(doubles: Lab) -> None:
    doubles.push("oci_index")
    assert isinstance(doubles.source, FaultRegistry)
    doubles.source.add(Fault(Stage.OTHER, 503, times=ALWAYS))
    outcome = doubles.mirror("--retry-times", "0").only()
    assert outcome["status"] == "copied"
    assert "cannot look up signatures" in outcome["warnings"][0]


@pytest.mark.parametrize(
    ("here", "words", "left", "warned"),
    [
        ((KEY, OTHER), (), [KEY, OTHER], 0),
        ((OTHER,), (), [OTHER], 1),
        ((OTHER,), ("--overwrite",), [KEY], 0),
        ((), (), [KEY], 0),
    ],
)
def test_signatures_of_the_destination_are_not_lost(
    lab: Lab, here: tuple[int, ...], words: tuple[str, ...], left: list[int], warned: int
) -> None:
    image = lab.push("oci_index")
    digest = image.top.digest
    sign(lab.source, NAME, digest, KEY)
    push(lab.destination.endpoint, NAME, "old", image)
    if here:
        sign(lab.destination, NAME, digest, *here)
    outcome = lab.mirror(*ALL, *words).only()
    assert outcome["status"] == "copied"
    found = [
        seed for seed in (KEY, OTHER) if identities(lab.destination, NAME, digest, public_key(seed))
    ]
    assert (found, len(outcome["warnings"])) == (left, warned)


def test_keep_digest_keeps_the_source_index_where_the_registry_takes_it(doubles: Lab) -> None:
    image = doubles.push("nested_index")
    sign(doubles.source, NAME, image.top.digest, KEY)
    outcome = doubles.mirror("--arch", "amd64", "--keep-digest").only()
    assert outcome["digest"] != image.top.digest
    found = manifest(doubles.destination, NAME, image.top.digest)
    assert found is not None
    assert found[0] == image.top.data
    assert identities(doubles.destination, NAME, image.top.digest, public_key(KEY)) == ["app"]
    (warning,) = outcome["warnings"]
    assert "which is there too" in warning


def test_keep_digest_says_where_the_registry_refuses(lab: Lab) -> None:
    image = lab.push("oci_index")
    ran = lab.mirror("--arch", "amd64", "--keep-digest")
    outcome = ran.only()
    assert (ran.code, outcome["status"]) == (0, "copied")
    (warning,) = outcome["warnings"]
    assert f"does not take the source's {image.top.digest}" in warning
    assert warning in ran.stderr
    assert lab.there(image.top.digest) is None


def test_keep_digest_asked_for_later_is_made_up_for(doubles: Lab) -> None:
    image = doubles.push("oci_index")
    filtered = ("--arch", "amd64", "--no-state")
    assert doubles.mirror(*filtered).statuses == ["copied"]
    assert doubles.mirror(*filtered, "--keep-digest").statuses == ["copied"]
    assert doubles.there(image.top.digest) is not None
    assert doubles.mirror(*filtered, "--keep-digest").statuses == ["unchanged"]


@dataclass(frozen=True)
class Key:
    """A key pair of cosign's kind, and what the program is told of it."""

    private: Path
    public: Path
    words: tuple[str | Path, ...]


@pytest.fixture(scope="module")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a key pair and its passphrase."""
    folder = tmp_path_factory.mktemp("key")
    passphrase, prefix = folder / "passphrase", folder / "lab"
    passphrase.write_text("correct horse")
    words = ("--output-prefix", prefix, "--passphrase-file", passphrase)
    run(every("skopeo")[-1].path, "generate-sigstore-key", *words)
    return folder


@pytest.fixture
def key(key_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Key:
    """Give a key of its own, and let the program use a skopeo that can sign with it."""
    monkeypatch.setenv("IMAGE_TOOLS_SKOPEO", str(every("skopeo")[-1].path))
    shutil.copytree(key_files, tmp_path, dirs_exist_ok=True)
    passphrase = tmp_path / "passphrase"
    private = tmp_path / "lab.private"
    words = ("--sigstore-private-key", private, "--sigstore-passphrase-file", passphrase)
    return Key(private, tmp_path / "lab.pub", words)


@pytest.mark.parametrize(
    "kind",
    [
        "oci_index",
        pytest.param("docker_list", marks=pytest.mark.soak),
        "oci_manifest",
        "helm_chart",
    ],
)
def test_signing_covers_the_tag_and_every_platform(lab: Lab, key: Key, kind: str) -> None:
    lab.push(kind)
    outcome = lab.mirror("--arch", "amd64", *key.words).only()
    assert (outcome["status"], outcome["warnings"]) == ("copied", [])
    identity = outcome["destination"]
    top = lab.there("1.0")
    assert top is not None
    children = [entry["digest"] for entry in top.get("manifests", ())]
    for digest in (outcome["digest"], *children):
        found = identities(lab.destination, NAME, digest, key.public.read_bytes())
        assert found == [identity]
    assert cosign_verifies(lab.destination.endpoint, f"{NAME}:1.0", key.public)


def test_signing_adds_to_the_signature_of_the_source(lab: Lab, key: Key) -> None:
    image = lab.push("oci_index_untyped")
    sign(lab.source, NAME, image.top.digest, KEY)
    assert lab.mirror(*ALL, *key.words).only()["digest"] == image.top.digest
    assert identities(lab.destination, NAME, image.top.digest, public_key(KEY)) == ["app"]
    assert identities(lab.destination, NAME, image.top.digest, key.public.read_bytes())
    stranger = lab.folder / "stranger.pub"
    stranger.write_bytes(public_key(OTHER))
    assert cosign_verifies(lab.destination.endpoint, f"{NAME}:1.0", key.public)
    assert not cosign_verifies(lab.destination.endpoint, f"{NAME}:1.0", stranger)


def test_signing_is_done_once_and_made_up_for(lab: Lab, key: Key) -> None:
    lab.push("oci_manifest")
    assert lab.mirror("--no-state").statuses == ["copied"]
    digest = lab.mirror("--no-state", *key.words).only()["digest"]
    assert len(identities(lab.destination, NAME, digest, key.public.read_bytes())) == 1
    assert lab.mirror("--no-state", *key.words).statuses == ["unchanged"]
    assert lab.mirror(*key.words).statuses == ["unchanged"]
    assert len(identities(lab.destination, NAME, digest, key.public.read_bytes())) == 1


def test_signing_with_the_passphrase_of_a_variable(
    lab: Lab, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.push("helm_chart")
    monkeypatch.setenv("COSIGN_PASSWORD", "correct horse")
    ran = lab.mirror("--sigstore-private-key", key.private, "--debug")
    assert identities(lab.destination, NAME, ran.only()["digest"], key.public.read_bytes())
    assert "correct horse" not in ran.stderr


def test_signing_with_a_wrong_passphrase_stops_before_anything_is_copied(
    lab: Lab, key: Key
) -> None:
    lab.push("oci_index")
    (key.private.parent / "passphrase").write_text("wrong")
    outcome = lab.mirror(*key.words).only()
    assert (outcome["status"], outcome["kind"]) == ("failed", "environment-problem")
    assert "skopeo cannot sign with this key" in outcome["reason"]
    assert lab.there("1.0") is None
    assert isinstance(lab.destination, Registry)
    assert lab.destination.stored_blobs() == frozenset()

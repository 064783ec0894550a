"""What no tool can carry arrives all the same, whole and byte for byte, by our own client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import uncarried
from tests.helpers.archives import run, write_list
from tests.helpers.content import Image, Manifest
from tests.helpers.fault_types import Fault, Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.images import AMD64, KINDS
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, image_tools, mirror
from tests.helpers.studio import Studio
from tests.helpers.tools import Tool, every
from tests.helpers.walk import pull_everything

NAME = "team/app"
BOTH = {"IMAGE_TOOLS_SKOPEO": "skopeo", "IMAGE_TOOLS_BUILDX": "buildx"}
SKOPEOS, BUILDXES = every("skopeo"), every("buildx")
OLDEST, NEWEST = SKOPEOS[0], SKOPEOS[-1]
OWN, OURSELVES = "own-client", "image-tools writes the manifest itself"


@dataclass(frozen=True)
class Lab:
    """Two registries that take every kind of manifest whose content is there."""

    source: FaultRegistry
    destination: FaultRegistry
    folder: Path

    def mirror(self, *words: str | Path, skopeo: Tool = OLDEST, **environ: str) -> Ran:
        fixed = ("-d", self.destination.address, "--arch", "all", "--os", "all")
        chosen = {"IMAGE_TOOLS_SKOPEO": str(skopeo.path), **environ}
        return mirror(self.folder, f"{self.line}\n", *fixed, *words, environ=chosen)

    @property
    def line(self) -> str:
        return f"{self.source.address}/{NAME}:1.0"

    def arrived(self, image: Image) -> bool:
        """Tell whether all manifests of the image are there, as bytes and types, and its blobs."""
        there = self.destination.manifests[NAME]
        blobs = self.destination.blobs[NAME]
        return all(
            (there[one.digest].data, there[one.digest].media_type) == (one.data, one.media_type)
            for one in image.manifests
        ) and all(blobs[blob.digest] == blob.data for blob in image.blobs)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with (
        FaultRegistry(FaultOptions(referrers=True)) as source,
        FaultRegistry(FaultOptions(referrers=True)) as destination,
    ):
        yield Lab(source, destination, tmp_path)


@pytest.mark.parametrize(
    ("skopeo", "way"),
    [
        *((skopeo, "") for skopeo in SKOPEOS),
        *((OLDEST, way) for way in ("--no-ahead", "--arch-tags", "--keep-digest")),
    ],
    ids=lambda value: value.version if isinstance(value, Tool) else value or "ahead",
)
def test_docker_zstd_layers_arrive_with_every_skopeo(
    lab: Lab, registry: Registry, skopeo: Tool, way: str
) -> None:
    image = uncarried.zstd_layers()
    lab.source.load(NAME, "1.0", image)
    words = ("-d", registry.address, *filter(None, [way]))
    environ = {"IMAGE_TOOLS_SKOPEO": str(skopeo.path)}
    ran = mirror(lab.folder, f"{lab.line}\n", *words, environ=environ)
    outcome = ran.only()
    assert (outcome["status"], outcome["digest"]) == ("copied", image.top.digest), ran.stderr
    by_us = skopeo.order < (1, 19)
    assert (outcome["path"] == OWN, ran.stderr.count(OURSELVES)) == (by_us, int(by_us))
    assert pull_everything(registry.endpoint, NAME, "1.0").entries == image.entries
    if way == "--arch-tags":
        own = pull_everything(registry.endpoint, NAME, "1.0-linux-amd64")
        assert [entry.digest for entry in own.entries] == [image.entries[0].digest]


CARRIED_BY_US = (
    uncarried.odd_docker_layers,
    uncarried.docker_without_type,
    uncarried.own_manifest_type,
    uncarried.odd_annotations,
    uncarried.artifact_entry,
    uncarried.artifact,
)
CARRIED_BY_US_WHERE_SKOPEO_IS_OLD = (uncarried.untyped_entry,)
CARRIED_BY_TOOLS = (uncarried.unknown_types, uncarried.docker_chart)


@pytest.mark.parametrize("skopeo", [OLDEST, NEWEST], ids=lambda tool: tool.version)
@pytest.mark.parametrize(
    "made",
    [*CARRIED_BY_US, *CARRIED_BY_US_WHERE_SKOPEO_IS_OLD, *CARRIED_BY_TOOLS],
    ids=lambda made: made.__name__,
)
def test_what_a_tool_cannot_parse_arrives_with_its_bytes_and_stays(
    lab: Lab, made: Callable[[], Image], skopeo: Tool
) -> None:
    image = made()
    lab.source.load(NAME, "1.0", image)
    ran = lab.mirror(skopeo=skopeo)
    outcome = ran.only()
    assert (outcome["status"], outcome["digest"]) == ("copied", image.top.digest), ran.stderr
    is_old = skopeo is OLDEST and made in CARRIED_BY_US_WHERE_SKOPEO_IS_OLD
    by_us = is_old or made in CARRIED_BY_US
    assert (outcome["path"] == OWN, ran.stderr.count(OURSELVES)) == (by_us, int(by_us)), ran.stderr
    assert lab.arrived(image)
    for registry in (lab.source, lab.destination):
        registry.clear_log()
    assert lab.mirror(skopeo=skopeo).statuses == ["unchanged"]
    for registry in (lab.source, lab.destination):
        asked = [seen.stage for seen in registry.requests if seen.stage is not Stage.PING]
        assert asked == [Stage.HEAD_MANIFEST]
    for depth in ("digest", "tree", "content"):
        listed = ("-f", lab.folder / "list.txt", "-d", lab.destination.address)
        wanted = ("--arch", "all", "--os", "all", "--depth", depth)
        assert image_tools("mirror-validate", *listed, *wanted, "-o", lab.folder / "f").code == 0


def test_reason_is_logged_once_for_a_list(lab: Lab) -> None:
    names = ("team/a", "team/b", "team/c")
    for seed, name in enumerate(names):
        lab.source.load(name, "1.0", uncarried.zstd_layers(seed))
    lines = "".join(f"{lab.source.address}/{name}:1.0\n" for name in names)
    ran = mirror(
        lab.folder,
        lines,
        *("-d", lab.destination.address),
        environ={"IMAGE_TOOLS_SKOPEO": str(OLDEST.path)},
    )
    assert [outcome["path"] for outcome in ran.outcomes] == [OWN] * 3
    said = f"skopeo cannot parse Docker manifests with zstd layers; {OURSELVES}"
    assert ran.stderr.count(said) == 1, ran.stderr


@pytest.mark.parametrize("made", [uncarried.zstd_layers, uncarried.artifact])
def test_archive_brings_it_to_the_other_side(
    lab: Lab, made: Callable[[], Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = made()
    lab.source.load(NAME, "1.0", image)
    monkeypatch.setenv("IMAGE_TOOLS_SKOPEO", str(OLDEST.path))
    listed = write_list(lab.folder, lab.source.address, NAME)
    archive = lab.folder / "images.tar.gz"
    saved = run("save", lab.folder, "-f", listed, "-d", archive).only()
    loaded = run("load", lab.folder, "-s", archive, "-d", lab.destination.address).only()
    for outcome in (saved, loaded):
        assert (outcome["status"], outcome["path"]) == ("copied", OWN), outcome
        assert outcome["digest"] == image.top.digest
    assert lab.arrived(image)
    assert image_tools("archive", "verify", archive).code == 0


def test_referrer_that_is_an_artifact_manifest_comes_along(lab: Lab) -> None:
    image = KINDS["oci_index"](1)
    lab.source.load(NAME, "1.0", image)
    studio = Studio("beside", 1)
    top = {"mediaType": image.top.media_type, "digest": image.top.digest}
    beside = studio.single(uncarried.artifact_of(studio, {**top, "size": len(image.top.data)}))
    lab.source.load(NAME, "beside", beside)
    del lab.source.tags[NAME]["beside"]
    outcome = lab.mirror().only()
    assert (outcome["status"], outcome["path"], outcome["warnings"]) == ("copied", OWN, [])
    assert lab.arrived(image)
    assert lab.arrived(beside)


def test_source_that_skopeo_reads_itself_has_no_other_way(lab: Lab) -> None:
    lab.source.load(NAME, "1.0", uncarried.zstd_layers())
    ran = lab.mirror("--direct", "--src-tls-verify=false")
    outcome = ran.only()
    assert (outcome["status"], outcome["kind"]) == ("failed", "manifest-unsupported"), ran.stderr
    assert outcome["advice"] == "leave out --direct, or install a newer skopeo"
    assert OURSELVES not in ran.stderr
    assert lab.destination.tags[NAME] == {}


def test_policy_that_rejects_is_not_gone_around(lab: Lab) -> None:
    lab.source.load(NAME, "1.0", uncarried.zstd_layers())
    policy = lab.folder / "policy.json"
    policy.write_text('{"default": [{"type": "reject"}]}')
    ran = lab.mirror("--policy", policy, "--src-tls-verify=false")
    assert ran.only()["kind"] == "policy-rejected", ran.stderr
    assert OURSELVES not in ran.stderr
    assert lab.destination.manifests[NAME] == {}


@pytest.mark.parametrize("made", [KINDS["docker_list"], uncarried.zstd_layers])
def test_registry_that_refuses_is_not_asked_in_another_way(
    lab: Lab, made: Callable[[int], Image]
) -> None:
    image = made(1)
    first = image.entries[0].digest
    lab.source.load(NAME, "1.0", image)
    said = "unsupported schema version 2"
    lab.destination.add(Fault(Stage.PUT_MANIFEST, 400, None, reference=first, message=said))
    ran = lab.mirror()
    outcome = ran.only()
    assert (outcome["status"], NAME in lab.destination.tags) == ("failed", False), ran.stderr
    assert said in outcome["reason"]
    put = [seen.reference for seen in lab.destination.requests if seen.stage is Stage.PUT_MANIFEST]
    assert put.count(first) == 1
    assert image.top.digest not in lab.destination.manifests[NAME]


def test_blob_that_is_missing_keeps_the_image_away(lab: Lab) -> None:
    image = uncarried.zstd_layers()
    lab.source.load(NAME, "1.0", image)
    del lab.source.blobs[NAME][image.blobs[0].digest]
    outcome = lab.mirror("--retry-times", "0").only()
    assert (outcome["status"], outcome["kind"]) == ("failed", "not-found")
    assert NAME not in lab.destination.tags


def test_bytes_of_another_digest_are_never_written(lab: Lab) -> None:
    image = uncarried.zstd_layers()
    lab.source.load(NAME, "1.0", image)
    digest, there = image.entries[0].digest, lab.source.manifests[NAME]
    there[digest] = Manifest(there[digest].data + b" ", there[digest].media_type, digest)
    outcome = lab.mirror("--retry-times", "0").only()
    assert outcome["kind"] == "digest-mismatch", outcome
    assert lab.destination.manifests[NAME] == {}


@pytest.mark.parametrize("buildx", BUILDXES, ids=lambda tool: tool.version)
def test_entries_with_urls_never_reach_buildx(lab: Lab, buildx: Tool) -> None:
    with FaultRegistry() as nowhere:
        image = uncarried.entries_with_urls(nowhere.address)
        nowhere.load("base", "1.0", image)
        lab.source.load(NAME, "1.0", image)
        outcome = lab.mirror(IMAGE_TOOLS_BUILDX=str(buildx.path)).only()
        assert (outcome["status"], outcome["digest"]) == ("copied", image.top.digest)
        assert outcome["path"] == OWN
        assert lab.arrived(image)
        assert nowhere.requests == []


def test_platform_that_is_merged_in_is_read_by_buildx_as_it_is(lab: Lab) -> None:
    studio = Studio("there", 1, uncarried.Format.DOCKER)
    lab.destination.load(NAME, "1.0", studio.index([studio.child({**AMD64, "os": "windows"})]))
    image = uncarried.zstd_layers()
    lab.source.load(NAME, "1.0", image)
    to = ("-d", lab.destination.address)
    chosen = {"IMAGE_TOOLS_SKOPEO": str(OLDEST.path)}
    outcome = mirror(lab.folder, f"{lab.line}\n", *to, environ=chosen).only()
    assert (outcome["status"], outcome["path"]) == ("copied", OWN)
    listed = pull_everything(lab.destination.endpoint, NAME, "1.0").entries
    assert {entry.digest for entry in image.entries} < {entry.digest for entry in listed}

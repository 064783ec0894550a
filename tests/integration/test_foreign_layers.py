"""Layers with addresses of their own, as Windows images have them: taken from the source alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.content import Image, Manifest
from tests.helpers.fault_types import Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.images import AMD64, ARM64, S390X
from tests.helpers.registry import Registry
from tests.helpers.running import image_tools, mirror
from tests.helpers.studio import Format, Studio, descriptor, index_value
from tests.helpers.tools import Tool, every

FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


@pytest.fixture
def nowhere() -> Iterator[FaultRegistry]:
    """Give the server the layers are said to lie at."""
    with FaultRegistry() as double:
        yield double


def with_foreign_layers(nowhere: FaultRegistry, form: Format = Format.DOCKER) -> Image:
    """Give an image of two platforms; one layer of each lies at `nowhere`, says its manifest.

    An OCI one has entries with artifact types, which skopeo 1.9 cannot keep.
    """
    studio = Studio("foreign", 1, form)
    entries = []
    for where in (AMD64, ARM64):
        far, near = studio.own_layers(str(where["architecture"]))
        url = f"http://{nowhere.address}/v2/base/blobs/{far.blob.digest}"
        made: Manifest = studio.manifest(
            {
                "schemaVersion": 2,
                "mediaType": studio.types.manifest,
                "config": descriptor(studio.types.config, studio.config(where, [far, near])),
                "layers": [
                    {**descriptor(FOREIGN, far.blob), "urls": [url]},
                    descriptor(near.media_type, near.blob),
                ],
            },
            studio.types.manifest,
        )
        entries.append(studio.entry(made, where, config_platform=where))
    value: dict[str, Any] = dict(index_value(entries, studio.types.index))
    if form is Format.OCI:
        value["manifests"] = [{**one, "artifactType": "text/x"} for one in value["manifests"]]
    return studio.raw_index(value, entries)


WAYS = [(), ("--no-ahead",), ("--arch-tags",), ("--direct",)]
LINE = "{}/team/app:1.0\n"


def foreign_of(image: Image) -> set[str]:
    """Give the digests of the layers that have urls."""
    layers = [layer for child in image.manifests[:-1] for layer in json.loads(child.data)["layers"]]
    return {layer["digest"] for layer in layers if layer.get("urls")}


def loaded(source: FaultRegistry, image: Image, *, held: bool) -> Image:
    """Give `image`, which `source` has now; whether with its foreign layers is `held`."""
    source.load("team/app", "1.0", image)
    for digest in () if held else foreign_of(image):
        del source.blobs["team/app"][digest]
    return image


def blobs_of(destination: FaultRegistry) -> set[str]:
    """Give the digests of all blobs there."""
    return {blob for name in destination.blobs for blob in destination.blobs[name]}


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_foreign_layers_that_the_source_holds_are_brought_whatever_copies(
    nowhere: FaultRegistry, fault_registry: FaultRegistry, tmp_path: Path, way: tuple[str, ...]
) -> None:
    image = loaded(fault_registry, with_foreign_layers(nowhere), held=True)
    with FaultRegistry(FaultOptions(partial_images=True)) as destination:
        ran = mirror(tmp_path, LINE.format(fault_registry.address), "-d", destination.address, *way)
        assert ran.statuses == ["copied"], ran.stderr
        assert ran.only()["warnings"] == []
        assert destination.tags["team/app"]["1.0"] == image.top.digest
        assert blobs_of(destination) == {blob.digest for blob in image.blobs}
    assert nowhere.requests == []


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_foreign_layers_that_the_source_lacks_are_a_warning_and_stay_behind(
    nowhere: FaultRegistry, fault_registry: FaultRegistry, tmp_path: Path, way: tuple[str, ...]
) -> None:
    image = loaded(fault_registry, with_foreign_layers(nowhere), held=False)
    with FaultRegistry(FaultOptions(partial_images=True)) as destination:
        ran = mirror(tmp_path, LINE.format(fault_registry.address), "-d", destination.address, *way)
        assert ran.statuses == ["copied"], ran.stderr
        assert destination.tags["team/app"]["1.0"] == image.top.digest
        assert blobs_of(destination) == {blob.digest for blob in image.blobs} - foreign_of(image)
    said = " ".join(ran.only()["warnings"])
    assert all(digest in said and digest in ran.stderr for digest in foreign_of(image))
    assert f"http://{nowhere.address}/v2/base/blobs/" in said
    assert nowhere.requests == []


def test_foreign_layers_of_an_image_of_the_own_registry_are_mounted(
    nowhere: FaultRegistry, tmp_path: Path
) -> None:
    with FaultRegistry(FaultOptions(partial_images=True)) as both:
        image = loaded(both, with_foreign_layers(nowhere), held=True)
        ran = mirror(tmp_path, f"{both.address}/team/app {both.address}/copy/app 1.0\n")
        assert ran.statuses == ["copied"], ran.stderr
        assert both.blobs["copy/app"].keys() == {blob.digest for blob in image.blobs}
        assert both.count(Stage.BLOB) <= len(image.entries)


@pytest.mark.parametrize("buildx", every("buildx"), ids=lambda tool: tool.version)
def test_merged_index_over_foreign_layers_asks_no_address(
    nowhere: FaultRegistry, fault_registry: FaultRegistry, tmp_path: Path, buildx: Tool
) -> None:
    image = with_foreign_layers(nowhere)
    nowhere.load("base", "1.0", image)
    fault_registry.load("team/app", "1.0", image)
    with FaultRegistry(FaultOptions(partial_images=True)) as destination:
        studio = Studio("there", 1, Format.DOCKER)
        destination.load("team/app", "1.0", studio.index([studio.child(S390X)]))
        ran = mirror(
            tmp_path,
            f"{fault_registry.address}/team/app:1.0\n",
            *("-d", destination.address),
            environ={"IMAGE_TOOLS_BUILDX": str(buildx.path)},
        )
        outcome = ran.only()
        assert (outcome["status"], outcome["path"]) == ("copied", "index-only"), ran.stderr
        listed = json.loads(destination.manifests["team/app"][outcome["digest"]].data)
        assert len(listed["manifests"]) == 3
        far = {blob for name in destination.blobs for blob in destination.blobs[name]}
        assert len(far & {blob.digest for blob in image.blobs}) == len(image.blobs)
    assert nowhere.requests == []


@pytest.mark.parametrize("buildx", every("buildx"), ids=lambda tool: tool.version)
def test_index_that_skopeo_cannot_keep_over_foreign_layers_does_not_reach_buildx(
    nowhere: FaultRegistry, fault_registry: FaultRegistry, tmp_path: Path, buildx: Tool
) -> None:
    image = with_foreign_layers(nowhere, Format.OCI)
    nowhere.load("base", "1.0", image)
    fault_registry.load("team/app", "1.0", image)
    with FaultRegistry(FaultOptions(partial_images=True)) as destination:
        tools = {"SKOPEO": every("skopeo")[0], "BUILDX": buildx}
        ran = mirror(
            tmp_path,
            f"{fault_registry.address}/team/app:1.0\n",
            *("-d", destination.address),
            environ={f"IMAGE_TOOLS_{name}": str(tool.path) for name, tool in tools.items()},
        )
        outcome = ran.only()
        assert (outcome["status"], outcome["path"]) == ("copied", "own-client"), ran.stderr
        assert destination.tags["team/app"]["1.0"] == image.top.digest
    assert nowhere.requests == []


@pytest.mark.parametrize("held", [True, False], ids=["held", "lacking"])
def test_foreign_layers_go_into_an_archive_and_out_again_as_far_as_the_source_holds_them(
    nowhere: FaultRegistry, fault_registry: FaultRegistry, tmp_path: Path, held: bool
) -> None:
    image = loaded(fault_registry, with_foreign_layers(nowhere), held=held)
    foreign = foreign_of(image)
    listed, archive = tmp_path / "list.txt", tmp_path / "images.tar.gz"
    listed.write_text(LINE.format(fault_registry.address))
    saved = image_tools("save", "-f", listed, "-d", archive)
    assert saved.code == 0, saved.stderr
    ends = {"export": ("-s", archive, "-d"), "merge": (tmp_path / "export.tar", "-o")}
    for step, words in ends.items():
        archive = tmp_path / f"{step}.tar"
        ran = image_tools("archive", step, *words, archive)
        assert ran.code == 0, ran.stderr
    verified = image_tools("archive", "verify", archive, "--format", "json")
    assert verified.code == 0, verified.stderr
    absent = {layer["digest"] for layer in verified.report["foreign"]}
    assert absent == (set() if held else foreign)
    assert (f", without {len(foreign)} foreign layers" in verified.stderr) is not held
    with FaultRegistry(FaultOptions(partial_images=True)) as destination:
        ran = image_tools("load", "-s", archive, "-d", destination.address)
        assert ran.code == 0, ran.stderr
        assert (foreign <= blobs_of(destination)) is held
    assert all((digest in saved.stderr) is not held for digest in foreign)
    assert nowhere.requests == []


def test_foreign_layer_that_is_damaged_in_an_archive_is_repaired(
    nowhere: FaultRegistry, fault_registry: FaultRegistry, tmp_path: Path
) -> None:
    image = loaded(fault_registry, with_foreign_layers(nowhere), held=True)
    listed, archive = tmp_path / "list.txt", tmp_path / "images"
    listed.write_text(LINE.format(fault_registry.address))
    words = ("-f", listed, "-d", archive, "-c", "dir")
    assert image_tools("save", *words).code == 0
    for digest in foreign_of(image):
        (archive / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(b"no")

    damaged = image_tools("archive", "verify", archive)
    repaired = image_tools("save", "--repair", *words)

    assert (damaged.code, repaired.code) == (1, 0), repaired.stderr
    verified = image_tools("archive", "verify", archive, "--format", "json")
    assert (verified.code, verified.report["foreign"]) == (0, []), verified.stderr


def test_foreign_layers_that_a_destination_lacks_are_brought_by_the_failed_list(
    nowhere: FaultRegistry, fault_registry: FaultRegistry, tmp_path: Path
) -> None:
    image = loaded(fault_registry, with_foreign_layers(nowhere), held=True)
    line, failed = LINE.format(fault_registry.address), tmp_path / "validate-failed.txt"
    with FaultRegistry(FaultOptions(partial_images=True)) as destination:
        mirror(tmp_path, line, "-d", destination.address)
        for digest in foreign_of(image):
            del destination.blobs["team/app"][digest]
        words = ("-d", destination.address, "-o", failed, "--depth", "tree")
        ran = image_tools("mirror-validate", "-f", tmp_path / "list.txt", *words)
        assert ran.code == 1, ran.stderr

        again = mirror(tmp_path, failed.read_text(), "-d", destination.address)
        assert again.statuses == ["copied"], again.stderr
        assert foreign_of(image) <= blobs_of(destination)
        assert image_tools("mirror-validate", "-f", tmp_path / "list.txt", *words).code == 0


def test_foreign_layers_that_the_registry_does_not_allow_are_named(
    nowhere: FaultRegistry, fault_registry: FaultRegistry, registry: Registry, tmp_path: Path
) -> None:
    fault_registry.load("team/app", "1.0", with_foreign_layers(nowhere))
    ran = mirror(tmp_path, f"{fault_registry.address}/team/app:1.0\n", "-d", registry.address)

    outcome = ran.only()
    assert outcome["kind"] == "type-refused", ran.stderr
    assert "a manifest with layers that have urls (sha256:" in outcome["reason"]
    assert "validation.manifests.urls.allow" in outcome["advice"]
    assert "trying again" not in ran.stderr

"""Layers that lie somewhere else, as Windows images had them: named, and never fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.content import Image, Manifest
from tests.helpers.fault_types import Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.images import AMD64, ARM64
from tests.helpers.registry import Registry
from tests.helpers.running import image_tools, mirror
from tests.helpers.studio import Format, Studio, descriptor

FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


@pytest.fixture
def nowhere() -> Iterator[FaultRegistry]:
    """Give the server the layers are said to lie at."""
    with FaultRegistry() as double:
        yield double


def with_foreign_layers(nowhere: FaultRegistry) -> Image:
    """Give an image of two platforms; one layer of each lies at `nowhere`, says its manifest."""
    studio = Studio("foreign", 1, Format.DOCKER)
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
    return studio.index(entries)


@pytest.mark.parametrize("way", [(), ("--no-ahead",), ("--arch-tags",)], ids=" ".join)
def test_foreign_layers_are_neither_fetched_nor_sent(
    nowhere: FaultRegistry, fault_registry: FaultRegistry, tmp_path: Path, way: tuple[str, ...]
) -> None:
    image = with_foreign_layers(nowhere)
    fault_registry.load("team/app", "1.0", image)
    with FaultRegistry(FaultOptions(partial_images=True)) as destination:
        lines = f"{fault_registry.address}/team/app:1.0\n"
        ran = mirror(tmp_path, lines, "-d", destination.address, *way)
        assert ran.statuses == ["copied"], ran.stderr
        assert destination.tags["team/app"]["1.0"] == image.top.digest
        far = {blob for name in destination.blobs for blob in destination.blobs[name]}
        assert len(far) == len(image.blobs) - 2
    assert nowhere.requests == []
    assert fault_registry.count(Stage.BLOB) == 2


def test_foreign_layers_stay_where_they_are_when_saved(
    nowhere: FaultRegistry, fault_registry: FaultRegistry, tmp_path: Path
) -> None:
    fault_registry.load("team/app", "1.0", with_foreign_layers(nowhere))
    listed, archive = tmp_path / "list.txt", tmp_path / "images.tar.gz"
    listed.write_text(f"{fault_registry.address}/team/app:1.0\n")
    saved = image_tools("save", "-f", listed, "-d", archive)
    assert (saved.code, image_tools("archive", "verify", archive).code) == (0, 0), saved.stderr
    assert nowhere.requests == []


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

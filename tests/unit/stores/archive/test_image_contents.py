"""What belongs to an image in an archive: each manifest looked at once, within bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.image_contents import ImageContents, contents_of, incomplete_images
from image_tools.stores.archive.opening import new_archive
from tests.helpers.archive_files import add
from tests.helpers.descriptors import entry, index, platform

NAME = Reference("reg.example", "team/app", "1")
LAYER = b"layer"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = new_archive(tmp_path / "images", Form.FOLDER)
    add(archive.content, LAYER)
    yield archive
    archive.close()


def image(blob: bytes = LAYER) -> RawManifest:
    described = {"mediaType": "x", "digest": str(Digest.of(blob)), "size": len(blob)}
    document = {"schemaVersion": 2, "config": described, "layers": [described]}
    return RawManifest(media.OCI_MANIFEST, json.dumps(document).encode())


def tag(archive: Archive, *raws: RawManifest) -> Digest:
    """The last of `raws` gets the name."""
    for raw in raws:
        archive.add_manifest(raw)
    archive.add_tag(NAME, raws[-1])
    return raws[-1].digest


def found(archive: Archive) -> ImageContents:
    contents = contents_of(archive, NAME)
    assert contents is not None
    return contents


def test_contents_of_indexes_that_name_each_other_are_read_once(archive: Archive) -> None:
    raws = [image()]
    for _ in range(3):
        raws.append(index(*[replace(raws[-1].descriptor, platform=platform("linux/s390x"))] * 20))
    top = tag(archive, *raws)

    with patch.object(Archive, "manifest", autospec=True, side_effect=Archive.manifest) as read:
        seen = found(archive)
        assert archive.is_whole(top)

    assert seen.sizes == {
        **{raw.digest: len(raw.content) for raw in raws},
        Digest.of(LAYER): len(LAYER),
    }
    assert (seen.problems, [*seen.platforms]) == ({}, [platform("linux/s390x")])
    assert read.call_count == 2 * 4


def test_contents_beyond_all_bounds_are_a_problem_and_not_whole(archive: Archive) -> None:
    raws = [image()]
    for _ in range(5):
        raws.append(index(raws[-1].descriptor))
    top = tag(archive, *raws)

    assert found(archive).problems == {raws[1].digest: "indexes are nested more than 4 deep"}
    assert not archive.is_whole(top)
    assert incomplete_images(archive) == {NAME}


def test_contents_with_one_odd_entry_are_looked_at_behind_the_others(archive: Archive) -> None:
    missing = entry("missing", media_type=media.OCI_INDEX)
    nested = index(image().descriptor)
    top = tag(archive, image(), nested, index(missing, nested.descriptor))

    seen = found(archive)

    assert [*seen.problems] == [missing.digest]
    assert {nested.digest, image().digest, Digest.of(LAYER)} <= seen.sizes.keys()
    assert not archive.is_whole(top)


def test_contents_of_a_tag_whose_manifest_is_missing_are_one_problem(archive: Archive) -> None:
    archive.add_tag(NAME, index())

    assert [*found(archive).problems] == [index().digest]
    assert not archive.is_whole(index().digest)


def test_lacking_is_an_image_whose_signature_is_an_index_something_is_missing_of(
    archive: Archive,
) -> None:
    subject = tag(archive, image())
    document = json.loads(index(entry("missing")).content)
    document["subject"] = {"mediaType": "x", "digest": str(subject), "size": 1}
    signature = RawManifest(media.OCI_INDEX, json.dumps(document).encode())
    archive.add_manifest(signature)
    archive.add_referrer(signature)

    assert incomplete_images(archive) == {NAME}

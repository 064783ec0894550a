"""Both sides of an image as they are read, and what each end is asked for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from image_tools.errors import DigestMismatch, ImageToolsError, InvalidManifest, NotFound
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.plan.inputs import DestinationImage, SourceImage
from image_tools.run.line.probe import Probed
from image_tools.run.line.read import ReadImage, read
from tests.helpers.descriptors import platform
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import (
    AMD64,
    ARM64,
    DESTINATION,
    REPOSITORY,
    S390X,
    SOURCE,
    TAG,
    Lab,
    entry_of,
    head_of,
    schema1,
)

BROKEN = frozenset({Digest.of(b"lost")})


def reading(
    lab: Lab,
    top: RawManifest,
    there: RawManifest | None = None,
    *,
    look_behind: bool = False,
    broken: frozenset[Digest] = frozenset(),
) -> ReadImage:
    context = lab.new_run()
    probed = Probed(head_of(top), None if there is None else head_of(there), broken=broken)
    return run(read(context, context.line_job(entry_of(look_behind=look_behind)), probed))


def test_read_index_that_states_all_platforms_reads_that_alone() -> None:
    lab = Lab()
    amd64, arm64 = lab.source.image(AMD64), lab.source.image(ARM64)
    top = lab.source.index(amd64, arm64)

    assert reading(lab, top) == ReadImage(
        source=head_of(top),
        leaves=(amd64, arm64),
        image=SourceImage(top=top, leaves=(amd64, arm64)),
    )
    assert lab.events == [f"{SOURCE} manifest index"]


def test_read_nested_index_opens_it() -> None:
    lab = Lab()
    amd64, arm64 = lab.source.image(AMD64), lab.source.image(ARM64)
    inner = lab.source.index(arm64, tag=None, name="inner")
    top = lab.source.index(amd64, inner.descriptor)

    assert reading(lab, top).image == SourceImage(top=top, leaves=(amd64, arm64), nested=(inner,))
    assert lab.asked(SOURCE) == ["manifest index", "manifest inner"]


def test_read_entry_without_a_platform_gets_it_from_its_config() -> None:
    lab = Lab()
    amd64, bare = lab.source.image(AMD64), lab.source.image(ARM64, stated="")
    top = lab.source.index(amd64, bare)

    found = reading(lab, top)

    assert found.leaves == (amd64, replace(bare, platform=platform(ARM64)))
    assert lab.asked(SOURCE) == ["manifest index", "manifest linux/arm64"]
    assert lab.source.count("blob") == 1


def test_read_single_manifest_is_its_own_leaf() -> None:
    lab = Lab()
    image = lab.source.image(AMD64)
    top = lab.source.raw(image.digest)

    assert reading(lab, top) == ReadImage(
        source=head_of(top),
        leaves=(image,),
        image=SourceImage(top=top, leaves=(image,), single=True),
    )


@pytest.mark.parametrize("told", ["", "application/octet-stream"])
def test_read_media_type_that_a_registry_told_wrong_is_that_of_the_bytes(told: str) -> None:
    lab = Lab()
    top = lab.source.index(lab.source.image(AMD64))
    context = lab.new_run()
    probed = Probed(replace(head_of(top), media_type=told), None)

    found = run(read(context, context.line_job(entry_of()), probed))

    assert found.source == head_of(top)


# Schema 1.


@pytest.mark.parametrize(
    ("architecture", "reads_destination"),
    [("amd64", True), ("s390x", False)],
    ids=["wanted", "not wanted"],
)
def test_read_schema1_reads_the_destination_only_where_it_is_wanted(
    architecture: str, reads_destination: bool
) -> None:
    lab = Lab()
    top = lab.source.add(schema1(architecture), "old", TAG)
    entry = lab.destination.image(AMD64)
    there = lab.destination.index(entry)
    where = platform(f"linux/{architecture}")

    assert reading(lab, top, there, broken=BROKEN) == ReadImage(
        source=head_of(top),
        leaves=(replace(top.descriptor, platform=where),),
        converts=where,
        destination=head_of(there),
        existing=DestinationImage(there, (entry,), is_index=True) if reads_destination else None,
        broken=BROKEN,
    )
    assert lab.asked(SOURCE) == ["manifest 1"]
    assert lab.asked(DESTINATION) == (["manifest index"] if reads_destination else [])


# What lies at the destination.


def test_read_destination_is_read_after_the_source_and_shares_what_was_read() -> None:
    lab = Lab()
    amd64, bare = lab.source.image(AMD64), lab.source.image(ARM64, stated="")
    top = lab.source.index(amd64, bare)
    lab.destination.take(lab.source)
    old = lab.destination.image(S390X)
    there = lab.destination.index(amd64, bare, old, name="old index")

    found = reading(lab, top, there)

    assert found.existing == DestinationImage(
        there, (amd64, replace(bare, platform=platform(ARM64)), old), is_index=True
    )
    assert lab.events == [
        f"{SOURCE} manifest index",
        f"{SOURCE} manifest linux/arm64",
        f"{DESTINATION} manifest old index",
    ]


@pytest.mark.parametrize("overwrite", [False, True])
def test_read_single_image_at_the_destination_can_be_merged_with(overwrite: bool) -> None:
    lab = Lab(overwrite=overwrite)
    top = lab.source.index(lab.source.image(AMD64))
    entry = lab.destination.image(S390X)
    there = lab.destination.raw(entry.digest)

    assert reading(lab, top, there).existing == DestinationImage(there, (entry,), is_index=False)


def unmergeable(kind: str) -> Callable[[Lab], RawManifest]:
    def lay(lab: Lab) -> RawManifest:
        if kind == "schema 1":
            return lab.destination.add(schema1(), "old", TAG)
        if kind == "unknown":
            return lab.destination.add(RawManifest(media.OCI_INDEX, b"{}"), "odd", TAG)
        there = lab.destination.index(lab.destination.image(S390X), name="old index")
        if kind == "lost":
            lab.destination.lose(there.digest)
        else:
            wrong = RawManifest(media.OCI_INDEX, b"other bytes")
            lab.destination.repositories[REPOSITORY].manifests[there.digest] = wrong
        return there

    return lay


@pytest.mark.parametrize("kind", ["schema 1", "unknown", "lost", "damaged"])
@pytest.mark.parametrize(
    ("overwrite", "run_looks", "line_looks"),
    [
        (False, False, False),
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ],
    ids=["plain", "overwrite", "the run looks behind", "the line looks behind"],
)
def test_read_destination_that_cannot_be_merged_with(
    kind: str, overwrite: bool, run_looks: bool, line_looks: bool
) -> None:
    lab = Lab(overwrite=overwrite, look_behind=run_looks)
    top = lab.source.index(lab.source.image(AMD64))
    there = unmergeable(kind)(lab)
    # What is lost may go where the run looks behind; what is odd only where a line is named.
    goes = overwrite or line_looks or (run_looks and kind in {"lost", "damaged"})

    if goes:
        found = reading(lab, top, there, look_behind=line_looks)
        assert (found.destination, found.existing) == (head_of(there), None)
    else:
        with pytest.raises(InvalidManifest, match="what lies there cannot be merged") as caught:
            reading(lab, top, there, look_behind=line_looks)
        assert caught.value.advice == "replace it with --overwrite"


def test_read_entry_that_the_destination_has_lost_is_told_apart() -> None:
    lab = Lab()
    top = lab.source.index(lab.source.image(AMD64))
    kept, lost = lab.destination.image(S390X), lab.destination.image(ARM64, stated="")
    there = lab.destination.index(kept, lost, name="old index")
    lab.destination.lose(lost.digest)

    assert reading(lab, top, there).existing == DestinationImage(
        there, (kept,), is_index=True, lost=(lost,)
    )


# A source that cannot be read.


@pytest.mark.parametrize(
    ("harm", "error"),
    [
        ("gone", NotFound),
        ("damaged", DigestMismatch),
        ("unknown", InvalidManifest),
        ("nested gone", NotFound),
    ],
)
def test_read_source_that_cannot_be_read_is_the_failure(
    harm: str, error: type[ImageToolsError]
) -> None:
    lab = Lab()
    inner = lab.source.index(lab.source.image(AMD64), tag=None, name="inner")
    top = lab.source.index(inner.descriptor)
    if harm == "gone":
        lab.source.lose(top.digest)
    if harm == "damaged":
        wrong = RawManifest(media.OCI_INDEX, b"other bytes")
        lab.source.repositories[REPOSITORY].manifests[top.digest] = wrong
    if harm == "unknown":
        top = lab.source.add(RawManifest(media.OCI_INDEX, b"{}"), "odd", TAG)
    if harm == "nested gone":
        lab.source.lose(inner.digest)

    with pytest.raises(error):
        reading(lab, top, lab.destination.index(lab.destination.image(S390X)))

    assert lab.asked(DESTINATION) == []

"""The index of several sources, published at one destination."""

from __future__ import annotations

from typing import Any

import pytest

from image_tools.errors import (
    ImageToolsError,
    IntegrityError,
    InvalidManifest,
    NotFound,
    UsageError,
)
from image_tools.oci import media
from image_tools.oci.manifest import Index, RawManifest, parse
from image_tools.run.merge_manifest import Merged, merge_images
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
    schema1,
)


class Bench(Lab):
    """A lab with one single image for each tag `amd64`, `arm64`, …"""

    def __init__(self, *platforms: str) -> None:
        super().__init__()
        self.images = [self.source.image(where) for where in platforms or (AMD64, ARM64)]
        self.sources = [entry.platform.architecture for entry in self.images]
        for entry, tag in zip(self.images, self.sources, strict=True):
            self.source.add(self.source.raw(entry.digest), str(entry.platform), tag)

    def merged(self, **more: Any) -> Merged:
        context = self.new_run()
        jobs = [
            context.job(entry_of(number, f"{SOURCE}/{REPOSITORY}:{tag}"))
            for number, tag in enumerate(self.sources, start=1)
        ]
        return run(merge_images(context, jobs, **more))

    @property
    def copies(self) -> list[str]:
        return [event for event in self.events if event.startswith("copy ")]


def listed(raw: RawManifest) -> list[str]:
    found = parse(raw)
    assert isinstance(found, Index)
    return [str(entry.platform) for entry in found.entries]


def test_merge_of_two_images_is_an_index_of_both_under_the_tag() -> None:
    lab = Bench()

    found = lab.merged()

    assert found == Merged(
        index=lab.destination.raw(found.index.digest),
        copied=tuple(entry.digest for entry in lab.images),
    )
    assert lab.destination.tagged() == found.index.digest
    assert (found.index.media_type, listed(found.index)) == (media.OCI_INDEX, [AMD64, ARM64])
    assert lab.copies == ["copy @linux/amd64", "copy @linux/arm64"]


def test_merge_that_is_there_already_changes_nothing() -> None:
    lab = Bench()
    first = lab.merged()
    lab.events.clear()

    assert lab.merged() == Merged(index=first.index, changed=False)
    assert not any("put_manifest" in event for event in lab.events)


def test_merge_copies_only_what_is_missing() -> None:
    lab = Bench()
    lab.destination.image(AMD64)

    assert lab.merged().copied == (lab.images[1].digest,)
    assert lab.copies == ["copy @linux/arm64"]


def test_merge_replaces_what_the_tag_leads_to() -> None:
    lab = Bench()
    lab.destination.index(lab.destination.image(S390X), name="there")

    assert listed(lab.merged().index) == [AMD64, ARM64]


def test_merge_replaces_what_cannot_be_compared() -> None:
    lab = Bench()
    lab.destination.add(schema1(), "old", TAG)

    assert listed(lab.merged().index) == [AMD64, ARM64]


def test_merge_in_a_dry_run_returns_the_index_and_writes_nothing() -> None:
    lab = Bench()

    planned = lab.merged(dry_run=True)

    assert lab.destination.tagged() is None
    assert not any("put_manifest" in event for event in lab.events)
    assert planned == lab.merged()


def test_merge_of_an_index_that_has_all_platforms_keeps_its_bytes() -> None:
    lab = Bench()
    top = lab.source.index(*lab.images, tag="all")
    lab.sources.append("all")

    assert lab.merged().index == top
    assert lab.merged(dry_run=True) == Merged(index=top, changed=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_merge_of_two_images_of_one_platform_needs_overwrite(overwrite: bool) -> None:
    lab = Bench()
    other = lab.source.image(AMD64, "other")
    lab.source.add(lab.source.raw(other.digest), "other", "other")
    lab.sources.append("other")

    if overwrite:
        found = lab.merged(overwrite=True)
        assert found.copied == (other.digest, lab.images[1].digest)
    else:
        with pytest.raises(UsageError, match=f"{AMD64} is .* and {other.digest}"):
            lab.merged()


@pytest.mark.parametrize(
    ("harm", "error", "message"),
    [
        ("gone", NotFound, "src.example/team/app:amd64: not found at the source"),
        ("schema 1", InvalidManifest, "a Docker schema 1 image, which no index can hold"),
    ],
)
def test_merge_of_a_source_that_does_not_fit_is_a_failure_before_anything_is_copied(
    harm: str, error: type[ImageToolsError], message: str
) -> None:
    lab = Bench()
    if harm == "gone":
        del lab.source.repositories[REPOSITORY].tags["amd64"]
    else:
        lab.source.add(schema1(), "old", "amd64")

    with pytest.raises(error, match=message):
        lab.merged()

    assert (lab.copies, lab.asked(DESTINATION)) == ([], [])


def test_merge_whose_tag_somebody_else_moves_is_a_failure() -> None:
    lab = Bench()
    real = lab.assembler.publish

    async def overtaken(*words: Any) -> Any:
        written = await real(*words)
        lab.destination.index(lab.destination.image(S390X), name="theirs")
        return written

    lab.assembler.publish = overtaken  # type: ignore[assignment, method-assign]

    with pytest.raises(IntegrityError, match="was written, but the registry shows"):
        lab.merged()

"""What is written before the tag, and what the tag leads to in the end."""

from __future__ import annotations

from typing import Any

import pytest

from image_tools.errors import (
    AccessDenied,
    ImageToolsError,
    InvalidManifest,
    NotFound,
    Unavailable,
    UnknownFailure,
)
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.plan.referrers import FoundReferrers
from image_tools.run.line.publish import Published, publish
from image_tools.run.line.transfer import transfer
from image_tools.run.transfer_job import TransferJob
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import (
    AMD64,
    ARM64,
    DESTINATION,
    REPOSITORY,
    S390X,
    TAG,
    ImageLab,
    entry_of,
    schema1,
)


class Bench(ImageLab):
    """A lab, and what was published of its image; the events are those of the publication."""

    def __init__(self, *platforms: str, **options: Any) -> None:
        super().__init__(*platforms, **options)
        self.carried: TransferJob | None = None

    def published(self, found: FoundReferrers | None = None, **more: Any) -> Published:
        context = self.new_run(**{"referrers": True, **more})

        async def work() -> Published:
            self.carried = await self.task(context)
            job = self.local_job(context, self.carried)
            done = await transfer(context.local, job, self.carried)
            self.events.clear()
            return await publish(context.local, job, self.carried, done)

        return run(work())

    @property
    def plan(self) -> Any:
        assert self.carried is not None
        return self.carried.plan

    @property
    def written(self) -> list[str]:
        """Return what was written to the destination, in order."""
        asked = self.asked(DESTINATION)
        return [one.removeprefix("put_manifest ") for one in asked if one.startswith("put_")]


def merged(bench: Bench) -> Digest:
    """Return the digest that the destination's tag leads to."""
    digest = bench.destination.tagged()
    assert digest is not None
    return digest


def test_publish_tag_that_was_written_with_the_children_writes_nothing() -> None:
    bench = Bench()

    assert bench.published() == Published(
        plan=bench.plan, digest=bench.top.digest, path="copy", has_source_index=True
    )
    assert bench.events == []


def test_publish_selection_is_a_new_index_under_the_tag() -> None:
    bench = Bench(AMD64, S390X)

    assert bench.published() == Published(plan=bench.plan, digest=merged(bench), path="buildx")
    assert bench.written == [TAG]


def test_publish_merges_with_what_the_tag_has_and_moves_it() -> None:
    bench = Bench(AMD64)
    there = bench.destination.index(bench.destination.image(S390X), name="there")

    found = bench.published()

    assert found == Published(plan=bench.plan, digest=merged(bench), path="buildx")
    assert (found.digest != there.digest, bench.written) == (True, [TAG])


def test_publish_nested_indexes_come_before_the_index_that_lists_them() -> None:
    bench = Bench()
    inner = bench.source.index(*bench.entries, tag=None, name="inner")
    bench.top = bench.source.index(inner.descriptor)

    assert bench.published() == Published(
        plan=bench.plan, digest=bench.top.digest, path="index-only", has_source_index=True
    )
    assert bench.written == ["inner", TAG]


def test_publish_single_image_as_a_list_of_one_keeps_the_source_digest_too() -> None:
    bench = Bench()
    image = bench.single(bench.entries[0])

    found = bench.published()

    assert found == Published(
        plan=bench.plan, digest=merged(bench), path="buildx", has_source_index=True
    )
    assert image.digest in bench.destination.repositories[REPOSITORY].manifests


def test_publish_converted_image_that_the_tag_has_already_writes_nothing() -> None:
    bench = Bench()
    bench.source.add(schema1(), "old", TAG)
    entry = bench.destination.image(AMD64, "converted")
    there = bench.destination.index(entry, name="there")
    bench.copier.converted = lambda _job: bench.destination.raw(entry.digest)

    found = bench.published()

    assert (found.digest, found.path, bench.written) == (there.digest, "", [])


# Referrers.


def test_publish_signature_of_a_platform_comes_before_the_tag() -> None:
    bench = Bench(AMD64, S390X)
    bench.source.signature(bench.entries[0].digest)

    bench.published()

    assert bench.written == ["linux/amd64.sig", TAG]


def test_publish_signed_index_is_there_by_its_digest_before_its_signature_and_its_tag() -> None:
    bench = Bench()
    bench.source.signature(bench.top.digest)
    bench.source.referrer(bench.top.digest, "sbom")

    assert bench.published() == Published(
        plan=bench.plan, digest=bench.top.digest, path="index-only", has_source_index=True
    )
    assert bench.written == ["index", "index.sig", "sbom", TAG]


def test_publish_signed_single_image_that_stays_single_gets_its_tag_last() -> None:
    bench = Bench(keep_single=True)
    image = bench.single(bench.entries[0])
    bench.source.signature(image.digest)

    assert bench.published() == Published(
        plan=bench.plan, digest=image.digest, path="copy", has_source_index=True
    )
    assert bench.written == ["image.sig", TAG]


def test_publish_signatures_of_what_does_not_come_along_stay_behind() -> None:
    bench = Bench(AMD64, S390X)
    bench.source.signature(bench.top.digest)

    assert bench.published() == Published(plan=bench.plan, digest=merged(bench), path="buildx")
    assert bench.written == [TAG]


def test_publish_what_the_search_for_referrers_warned_about_is_told() -> None:
    bench = Bench()
    bench.source.fail("referrers", lambda: Unavailable("no answer"), times=3)

    found = bench.published()

    assert found.warnings == ("cannot look up signatures: no answer",)


def test_publish_signature_that_cannot_be_copied_leaves_the_tag_as_it_is() -> None:
    bench = Bench(AMD64, S390X)
    old = bench.destination.index(bench.destination.image(ARM64), name="there")
    bench.source.signature(bench.entries[0].digest)
    bench.copier.failures = [("copy :linux/amd64.sig", AccessDenied("denied"))]

    with pytest.raises(AccessDenied, match="could not be copied: denied"):
        bench.published()

    assert merged(bench) == old.digest


# Signing.


def test_publish_signing_comes_between_the_digest_and_the_tag() -> None:
    bench = Bench(AMD64, S390X)

    found = bench.published(signs=True)

    assert found.digest == merged(bench)
    assert bench.tools == [
        "publish @merged",
        "sign @linux/amd64 @merged",
        "exactly :1",
    ]


def test_publish_signing_leaves_out_attestations() -> None:
    bench = Bench(AMD64)
    about = bench.source.attestation(bench.entries[0])
    bench.top = bench.source.index(*bench.entries, about)

    bench.published(signs=True)

    assert "sign @linux/amd64 @index" in bench.tools


def test_publish_key_that_fails_leaves_the_tag_unwritten() -> None:
    bench = Bench()
    bench.signer.failures = [("sign", Unavailable("no room"))]

    with pytest.raises(Unavailable, match="no room"):
        bench.published(signs=True)

    assert bench.destination.tagged() is None


# The source's own digest.


def test_publish_kept_digest_is_there_with_its_signature_before_the_tag() -> None:
    bench = Bench(AMD64, S390X, keep_digest=True)
    bench.source.signature(bench.top.digest)

    assert bench.published() == Published(
        plan=bench.plan, digest=merged(bench), path="buildx", has_source_index=True
    )
    assert bench.written == ["index", "index.sig", TAG]


def test_publish_kept_digest_brings_nested_indexes_first() -> None:
    bench = Bench(AMD64, S390X, keep_digest=True)
    inner = bench.source.index(*bench.entries, tag=None, name="inner")
    bench.top = bench.source.index(inner.descriptor)

    bench.published()

    assert bench.written == ["inner", "index", TAG]


@pytest.mark.parametrize(
    "error",
    [
        AccessDenied("children are missing"),
        InvalidManifest("children are missing"),
        NotFound("children are missing"),
        UnknownFailure("children are missing"),
    ],
    ids=lambda error: error.kind,
)
def test_publish_kept_digest_that_is_refused_is_a_warning(error: ImageToolsError) -> None:
    bench = Bench(AMD64, S390X, keep_digest=True)
    bench.source.signature(bench.top.digest)
    bench.assembler.failures = [("exactly", error)]

    found = bench.published()

    assert found == Published(
        plan=bench.plan,
        digest=merged(bench),
        path="buildx",
        warnings=(
            f"the registry does not take the source's {bench.top.digest} beside the tag:"
            " children are missing. Most want every platform of an index; copy all of them"
            " (--arch all --os all), or give up on that digest",
        ),
    )
    assert bench.written == [TAG]


def test_publish_kept_digest_that_meets_an_outage_is_a_failure() -> None:
    bench = Bench(AMD64, S390X, keep_digest=True)
    bench.assembler.failures = [("exactly", Unavailable("down"))]

    with pytest.raises(Unavailable, match="down"):
        bench.published()

    assert bench.destination.tagged() is None


def test_publish_kept_digest_of_a_single_image_is_that_of_its_platform() -> None:
    bench = Bench(keep_digest=True)
    raw: RawManifest = bench.single(bench.entries[0])
    bench.source.signature(raw.digest)

    found = bench.published()

    assert (found.has_source_index, bench.written) == (True, ["image.sig", TAG])


def test_publish_kept_digest_that_the_tag_leads_to_is_written_once() -> None:
    bench = Bench(keep_digest=True)
    bench.source.signature(bench.top.digest)

    assert bench.published().has_source_index
    assert bench.written == ["index", "index.sig", TAG]


def test_publish_kept_digest_of_schema1_cannot_be_kept() -> None:
    bench = Bench(keep_digest=True)
    bench.source.add(schema1(), "old", TAG)
    bench.copier.converted = lambda _job: bench.destination.raw(
        bench.destination.image(AMD64, "converted").digest
    )

    found = bench.published()

    assert (found.has_source_index, found.warnings, bench.written) == (False, (), [TAG])


def test_publish_shows_the_index_as_work_under_way_and_takes_it_back() -> None:
    bench = Bench(AMD64, S390X)
    shown: list[tuple[str, ...]] = []
    real = bench.assembler.publish

    async def watched(*words: Any) -> Any:
        shown.append(bench.progress.snapshot().active)
        return await real(*words)

    bench.assembler.publish = watched  # type: ignore[assignment, method-assign]

    bench.published()

    assert shown == [(f"{entry_of().destination} list",)]
    assert bench.progress.snapshot().active == ()

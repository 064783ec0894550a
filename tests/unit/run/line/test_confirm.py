"""What a published image is called, once its tag was read back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from image_tools.errors import AccessDenied, CopyFailed, IntegrityError, NotFound, Unavailable
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.plan.plan import Action, FinalIndex, Plan
from image_tools.plan.referrers import FoundReferrers, Referrer
from image_tools.report import Change, Kept, Outcome, Status
from image_tools.retry import RetryPolicy
from image_tools.run.line.confirm import confirm, read_back
from image_tools.run.line.publish import Published
from image_tools.run.transfer_job import TransferJob
from tests.helpers.memory_store import MemoryStore
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import (
    AMD64,
    DESTINATION,
    REPOSITORY,
    S390X,
    TAG,
    FakeArchive,
    ImageLab,
    entry_of,
    head_of,
    outcome,
)

OLD, NEW = RawManifest(media.OCI_INDEX, b"old"), RawManifest(media.OCI_INDEX, b"new")


class Late(MemoryStore):
    """A registry that shows a tag as it was before, so many times."""

    def __init__(self, late: int, before: RawManifest | None) -> None:
        super().__init__()
        self.late, self.before = late, before
        if before is not None:
            self.add_manifest("app", before, "1")

    async def manifest_head(self, repository: str, reference: Any) -> Any:
        if self.late == 0:
            self.add_manifest("app", NEW, "1")
        self.late -= 1
        return await super().manifest_head(repository, reference)


def look(store: MemoryStore) -> None:
    place = SimpleNamespace(store=store, name="app")
    job: Any = SimpleNamespace(
        destination=place, tag="1", entry=SimpleNamespace(destination="reg/app:1")
    )
    asyncio.run(read_back(RetryPolicy(times=2, delay=0.0), job, NEW.digest))


@pytest.mark.parametrize("before", [None, OLD])
@pytest.mark.parametrize("late", [0, 1, 2])
def test_read_back_tag_that_shows_late_is_found(late: int, before: RawManifest | None) -> None:
    store = Late(late, before)
    look(store)
    assert store.count("manifest_head") == late + 1


@pytest.mark.parametrize(("before", "shown"), [(None, "nothing"), (OLD, str(OLD.digest))])
def test_read_back_tag_that_stays_wrong_is_a_failure(
    before: RawManifest | None, shown: str
) -> None:
    store = Late(99, before)
    with pytest.raises(IntegrityError, match=f"reg/app:1: .* but the registry shows {shown}"):
        look(store)
    assert store.count("manifest_head") == 3


class Bench(ImageLab):
    """A lab whose destination has the source's index under its tag, and the job that led there."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.destination.take(self.source)
        self.found = FoundReferrers()
        self.plan = Plan(
            action=Action.COPY,
            wanted=self.entries,
            copies=self.entries,
            final=FinalIndex(media.OCI_INDEX, self.entries, self.top),
        )
        self.by_own_client = False

    def confirmed(self, published: Published | None = None, **more: Any) -> Outcome:
        """Return the outcome of what was published, as a rule the source's own index."""
        whole = Published(
            plan=self.plan, digest=self.top.digest, path="copy", has_source_index=True
        )
        task = TransferJob(
            entry=entry_of(),
            options=self.options,
            source=head_of(self.top),
            plan=self.plan,
            referrers=self.found,
            warnings=("of the plan",),
        )
        context = self.new_run(**more)
        job = self.local_job(context, task)
        job.by_own_client = self.by_own_client
        job.warnings.append("of the transfer")
        return run(confirm(context.local, job, task, published or whole))

    def copied(self, **more: Any) -> Outcome:
        """Return the outcome of an image that was copied whole."""
        base = outcome(
            Status.COPIED,
            digest=str(self.top.digest),
            source_digest=str(self.top.digest),
            digest_preserved=True,
            change=Change.SAME_DIGEST,
            platforms=(AMD64, "linux/arm64"),
            path="copy",
            warnings=("of the plan", "of the transfer"),
        )
        return replace(base, **more)

    def hide(self, status: int, kind: type[CopyFailed] = AccessDenied, times: int = 1) -> None:
        def made() -> CopyFailed:
            error = kind("hidden", status=status)
            error.answered = True
            return error

        self.destination.fail("manifest_head", made, times=times)


def test_confirm_tag_that_leads_to_what_was_published_is_copied_after_one_head() -> None:
    bench = Bench()

    assert bench.confirmed() == bench.copied()
    assert bench.events == [f"{DESTINATION} manifest_head 1"]


def test_confirm_manifest_that_no_tool_could_carry_was_written_by_our_client() -> None:
    bench = Bench()
    bench.by_own_client = True

    assert bench.confirmed() == bench.copied(path="own-client")


def filtered(bench: Bench, **more: Any) -> Published:
    """Let the destination's tag lead to another index."""
    there = bench.destination.index(bench.entries[0], name="there")
    return replace(Published(plan=bench.plan, digest=there.digest, path="buildx"), **more)


def test_confirm_other_digest_tells_how_it_compares_and_what_it_keeps() -> None:
    bench = Bench()
    old = bench.destination.image(S390X)
    published = filtered(
        bench, plan=replace(bench.plan, kept=(old,), removed=(old,)), warnings=("of the tag",)
    )

    assert bench.confirmed(published) == bench.copied(
        digest=str(published.digest),
        digest_preserved=False,
        change=Change.FILTERED,
        path="buildx",
        kept=(Kept(platform=S390X, digest=str(old.digest)),),
        warnings=("of the tag", "of the plan", "of the transfer"),
    )


def test_confirm_archives_that_are_united_keep_what_they_have_without_a_word() -> None:
    bench = Bench(names_platforms=False)
    bench.source_archive, bench.destination_archive = FakeArchive(), FakeArchive()
    old = bench.destination.image(S390X)
    published = filtered(bench, plan=replace(bench.plan, kept=(old,)))

    assert bench.confirmed(published).kept == ()


@pytest.mark.parametrize(
    ("keep_digest", "has_source", "signs", "way_out"),
    [
        (False, False, False, "keep the source's digest as well (--keep-digest)"),
        (True, False, False, "sign again (--sigstore-private-key), or copy all of it"),
        (True, True, False, "it holds for the source's digest, which is there too"),
        (False, False, True, None),
    ],
    ids=["plain", "refused", "kept", "signed again"],
)
def test_confirm_signature_that_does_not_cover_what_was_published_is_a_warning(
    keep_digest: bool, has_source: bool, signs: bool, way_out: str | None
) -> None:
    bench = Bench(keep_digest=keep_digest)
    raw = bench.source.signature(bench.top.digest)
    signature = Referrer(
        subject=bench.top.digest, descriptor=raw.descriptor, kind="signature", tag="x"
    )
    bench.found = FoundReferrers((signature,))

    found = bench.confirmed(filtered(bench, has_source_index=has_source), signs=signs)

    warnings = [one for one in found.warnings if "does not cover" in one]
    assert [way_out is not None and way_out in one for one in warnings] == [True] * bool(way_out)


def test_confirm_signature_of_what_was_published_is_no_warning() -> None:
    bench = Bench()
    raw = bench.source.signature(bench.top.digest)
    signature = Referrer(
        subject=bench.top.digest, descriptor=raw.descriptor, kind="signature", tag="x"
    )
    bench.found = FoundReferrers((signature,))

    assert bench.confirmed() == bench.copied()


# A tag that the registry takes and does not show.


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (412, ["manifest_head 1", "tags"]),
        (451, ["manifest_head 1", "tags"]),
        (403, ["manifest_head 1", "tags", "manifest_head index"]),
        (400, ["manifest_head 1", "tags", "manifest_head index"]),
    ],
)
def test_confirm_hidden_tag_that_is_listed_is_copied_with_a_warning(
    status: int, asked: list[str]
) -> None:
    bench = Bench()
    bench.hide(status)

    found = bench.confirmed()

    said = f"pushed {bench.top.digest}, but the registry does not show the tag (hidden)"
    assert found == bench.copied(warnings=("of the plan", "of the transfer", said))
    assert bench.asked(DESTINATION) == asked


def test_confirm_tag_that_a_policy_hides_is_copied_where_no_tags_are_listed() -> None:
    bench = Bench()
    bench.hide(412, times=9)
    bench.destination.fail("tags", lambda: NotFound("no list"), times=9)

    assert bench.confirmed().status is Status.COPIED
    assert bench.asked(DESTINATION) == ["manifest_head 1", "tags"]


@pytest.mark.parametrize("harm", ["the list lacks it", "the manifest is gone", "both are hidden"])
def test_confirm_hidden_tag_without_a_trace_is_a_failure(harm: str) -> None:
    bench = Bench()
    bench.hide(403, times=9)
    if harm == "the list lacks it":
        del bench.destination.repositories[REPOSITORY].tags[TAG]
    if harm == "the manifest is gone":
        bench.destination.lose(bench.top.digest)

    with pytest.raises(IntegrityError, match="the registry does not show the tag"):
        bench.confirmed()


@pytest.mark.parametrize(
    "made",
    [lambda: Unavailable("down"), lambda: AccessDenied("a proxy says no", status=403)],
    ids=["unavailable", "not the registry"],
)
def test_confirm_registry_that_does_not_answer_is_a_failure(
    made: Callable[[], CopyFailed],
) -> None:
    bench = Bench()
    bench.destination.fail("manifest_head", made, times=9)

    with pytest.raises(type(made())):
        bench.confirmed()


def test_confirm_tag_that_somebody_else_has_moved_is_a_failure() -> None:
    bench = Bench()
    other = Digest.of(b"other")
    published = Published(plan=bench.plan, digest=other, path="copy")

    with pytest.raises(IntegrityError, match=f"{other} was written") as caught:
        bench.confirmed(published)

    assert caught.value.advice == "somebody else may write this tag; run again"
    assert bench.asked(DESTINATION) == ["manifest_head 1"] * 3

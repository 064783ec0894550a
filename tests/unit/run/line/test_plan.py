"""What one image needs, and what both ends are asked to decide that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from image_tools.errors import (
    AccessDenied,
    CopyFailed,
    Deferred,
    InvalidManifest,
    PlatformMissing,
    Unavailable,
)
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest, parse
from image_tools.plan.inputs import ChildManifest, DestinationImage, PlanOptions
from image_tools.plan.plan import Action, FinalIndex, Plan
from image_tools.plan.referrers import FoundReferrers, Referrer
from image_tools.plan.selection import EVERYTHING, Selection
from image_tools.report import Change, Kept, Outcome, Status
from image_tools.run.context import RunContext
from image_tools.run.line.plan import plan_image, with_referrers
from image_tools.run.line.probe import Probed
from image_tools.run.line.read import read
from image_tools.run.options import Options
from image_tools.run.transfer_job import TransferJob
from image_tools.state import Remembered
from image_tools.stores.store import Abilities, Chosen
from tests.helpers.descriptors import platform
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import (
    AMD64,
    ARM64,
    DESTINATION,
    REPOSITORY,
    S390X,
    SINCE,
    SOURCE,
    TAG,
    FakeArchive,
    Lab,
    entry_of,
    head_of,
    outcome,
    schema1,
)


class Bench:
    """A lab with an index of amd64 and arm64 at its source; `entries` are those of the index."""

    def __init__(self, *platforms: str, **options: Any) -> None:
        self.lab = Lab(**options)
        self.entries = tuple(self.lab.source.image(one) for one in platforms or (AMD64, ARM64))
        self.top = self.lab.source.index(*self.entries)
        self.context: RunContext | None = None

    def planned(
        self,
        *,
        broken: frozenset[Digest] = frozenset(),
        pulls: bool = False,
        looks: bool = False,
        **more: Any,
    ) -> TransferJob | Outcome:
        """Return what is planned, and looked for with `looks`; the events are those of the plan."""
        context = self.context = self.lab.new_run(**more)
        there = self.lab.destination.tagged()
        head = None if there is None else head_of(self.lab.destination.raw(there))
        tag = self.lab.source.tagged()
        assert tag is not None
        top = self.lab.source.raw(tag)

        async def work() -> TransferJob | Outcome:
            job = context.line_job(entry_of())
            probed = Probed(replace(head_of(top), registry=SOURCE), head, broken=broken)
            async with context.quota.share(probed.wanted(context, job)):
                found = await read(context, job, probed)
                self.lab.events.clear()
                planned = await plan_image(context, job, found)
            if not looks or isinstance(planned, Outcome):
                return planned
            return await with_referrers(context, job, planned)

        return run(work())

    def child(self, entry: Descriptor) -> ChildManifest:
        raw = self.lab.source.raw(entry.digest)
        found: Any = parse(raw)
        return ChildManifest(entry, raw, found)

    def job(self, decided: Plan, **more: Any) -> TransferJob:
        """Return the job of this image, as far as all cases have it in common."""
        base = TransferJob(
            entry=entry_of(),
            options=self.lab.options,
            source=head_of(self.top),
            plan=decided,
            children=tuple(self.child(entry) for entry in decided.copies),
        )
        return replace(base, **more)


def whole(bench: Bench, **more: Any) -> Plan:
    """Return the plan that copies all of the source's index."""
    final = FinalIndex(media.OCI_INDEX, bench.entries, bench.top)
    base = Plan(action=Action.COPY, wanted=bench.entries, copies=bench.entries, final=final)
    return replace(base, **more)


HEADS_OF_CHILDREN = [
    f"{DESTINATION} manifest_head linux/amd64",
    f"{DESTINATION} manifest_head linux/arm64",
]
READS_OF_CHILDREN = [f"{SOURCE} manifest linux/amd64", f"{SOURCE} manifest linux/arm64"]


def test_plan_new_image_is_a_job_with_all_children() -> None:
    bench = Bench()

    assert bench.planned() == bench.job(whole(bench))
    assert bench.lab.events == [*HEADS_OF_CHILDREN, *READS_OF_CHILDREN]


def test_plan_children_that_are_there_are_not_copied() -> None:
    bench = Bench()
    bench.lab.destination.image(AMD64)

    assert bench.planned() == bench.job(whole(bench, copies=bench.entries[1:]))
    assert bench.lab.events == [*HEADS_OF_CHILDREN, READS_OF_CHILDREN[1]]


def test_plan_forced_run_does_not_ask_which_children_are_there() -> None:
    bench = Bench(force=True)
    bench.lab.destination.image(AMD64)

    found = bench.planned()

    assert found == bench.job(whole(bench))
    assert bench.lab.events == READS_OF_CHILDREN


def test_plan_merges_with_what_is_there_and_keeps_what_was_not_chosen() -> None:
    bench = Bench(AMD64)
    old = bench.lab.destination.image(S390X)
    there = bench.lab.destination.index(old, name="old index")

    assert bench.planned() == bench.job(
        Plan(
            action=Action.COPY,
            wanted=bench.entries,
            copies=bench.entries,
            final=FinalIndex(media.OCI_INDEX, (old, *bench.entries)),
            kept=(old,),
        ),
        existing=DestinationImage(there, (old,), is_index=True),
        changes_tag=True,
    )


def test_plan_nested_indexes_come_along_with_the_whole_index() -> None:
    bench = Bench()
    inner = bench.lab.source.index(*bench.entries, tag=None, name="inner")
    bench.top = bench.lab.source.index(inner.descriptor)

    found = bench.planned()

    assert isinstance(found, TransferJob)
    assert (found.plan.nested, found.plan.copies) == ((inner,), bench.entries)
    assert dict(found.manifests).keys() == {
        inner.digest,
        bench.top.digest,
        *(entry.digest for entry in bench.entries),
    }


# Nothing to copy.


@pytest.mark.parametrize("dry_run", [False, True])
def test_plan_index_that_is_as_it_should_be_is_unchanged_and_remembered(dry_run: bool) -> None:
    bench = Bench(dry_run=dry_run)
    old = bench.lab.destination.image(S390X)
    bench.lab.destination.take(bench.lab.source)
    there = bench.lab.destination.index(*bench.entries, old, name="there")
    kept = Kept(platform=S390X, digest=str(old.digest), since="" if dry_run else SINCE)

    found = bench.planned()

    assert isinstance(found, Outcome)
    assert found == outcome(
        Status.UNCHANGED,
        digest=str(there.digest),
        source_digest=str(bench.top.digest),
        digest_preserved=False,
        change=Change.FILTERED,
        platforms=(AMD64, ARM64),
        kept=(kept,),
        warnings=found.warnings,
    )
    assert [str(old.digest) in warning for warning in found.warnings] == [True]
    entry, key = entry_of(), bench.lab.options.state_key
    assert bench.lab.memory.known == (
        {}
        if dry_run
        else {
            (str(entry.source), str(entry.destination), key): Remembered(
                bench.top.digest, there.digest
            )
        }
    )
    assert bench.lab.events == []


def test_plan_image_without_wanted_platforms_is_skipped_and_remembered() -> None:
    bench = Bench(S390X)

    assert bench.planned() == outcome(
        Status.SKIPPED,
        reason=f"{SOURCE}/team/app:1: none of the wanted platforms; the source has: {S390X}",
    )
    assert [*bench.lab.memory.known.values()] == [Remembered(bench.top.digest, None, (S390X,))]
    assert bench.lab.events == []


@pytest.mark.parametrize(
    ("platforms", "options", "message"),
    [
        ((S390X,), {"missing_platform_fails": True}, "none of the wanted platforms"),
        ((AMD64,), {"require_platforms": True}, "required platforms are missing: linux/arm64"),
    ],
    ids=["none is there", "one is missing"],
)
def test_plan_missing_platform_fails_where_it_has_to(
    platforms: tuple[str, ...], options: dict[str, Any], message: str
) -> None:
    bench = Bench(*platforms, **options)

    with pytest.raises(PlatformMissing, match=message):
        bench.planned()


def test_plan_schema1_without_all_required_platforms_fails() -> None:
    bench = Bench(require_platforms=True)
    bench.lab.source.add(schema1(), "old", TAG)

    with pytest.raises(PlatformMissing, match="required platforms are missing: linux/arm64"):
        bench.planned()


def test_plan_artifact_has_no_platforms_that_could_be_required() -> None:
    bench = Bench(require_platforms=True)
    bench.top = bench.lab.source.referrer(Digest.of(b"x"), "chart", tag=TAG)

    found = bench.planned()

    assert isinstance(found, TransferJob)
    assert found.plan.as_it_is
    assert found.plan.final == FinalIndex(media.OCI_MANIFEST, (), exact=bench.top)


# Unchanged, and yet something is due.


def taken(bench: Bench) -> Bench:
    """Let the destination have what the run would publish."""
    bench.lab.destination.take(bench.lab.source)
    return bench


def merged(bench: Bench) -> Bench:
    """Let the destination have an index of other bytes, which is as wanted."""
    old = bench.lab.destination.image(S390X)
    for entry in bench.entries:
        bench.lab.destination.add(bench.lab.source.raw(entry.digest), str(entry.platform))
    bench.lab.destination.index(*bench.entries, old, name="there")
    return bench


@pytest.mark.parametrize("there", [False, True], ids=["missing", "there"])
def test_plan_source_digest_is_due_where_it_is_to_be_kept(there: bool) -> None:
    bench = merged(Bench(keep_digest=True))
    if there:
        bench.lab.destination.add(bench.top, "index")

    found = bench.planned()

    head = f"{DESTINATION} manifest_head index"
    assert isinstance(found, Outcome if there else TransferJob)
    assert bench.lab.events == ([head] if there else [head, *HEADS_OF_CHILDREN])


def test_plan_source_digest_that_the_tag_leads_to_is_not_asked_for() -> None:
    bench = taken(Bench(keep_digest=True))

    assert isinstance(bench.planned(), Outcome)
    assert bench.lab.events == []


def test_plan_signature_is_due_where_the_destination_has_none_for_its_name() -> None:
    bench = taken(Bench(key_id="key"))

    found = bench.planned()

    assert found == replace(
        bench.job(whole(bench, copies=(), kept=())),
        existing=DestinationImage(bench.top, bench.entries, is_index=True),
        changes_tag=True,
    )
    assert bench.lab.events[0] == f"{DESTINATION} manifest_head index.sig"


def test_plan_archive_that_has_lost_something_of_an_unchanged_image_is_written_again() -> None:
    bench = taken(Bench())
    bench.lab.destination.abilities = Abilities(archive=FakeArchive(lost={bench.top.digest}))

    found = bench.planned()

    assert isinstance(found, TransferJob)
    assert found.plan.action is Action.COPY


def test_plan_tags_of_platforms_are_looked_for_under_their_names() -> None:
    bench = taken(Bench(arch_tags=True))
    bench.lab.destination.add(bench.lab.source.raw(bench.entries[0].digest), AMD64, "1-linux-amd64")

    found = bench.planned()

    assert isinstance(found, TransferJob)
    assert found.plan.copies == bench.entries[1:]
    assert bench.lab.asked(DESTINATION) == [
        "manifest_head 1-linux-amd64",
        "manifest_head 1-linux-arm64",
    ]


def test_plan_tag_of_a_platform_that_leads_elsewhere_is_written_again() -> None:
    bench = taken(Bench(arch_tags=True))
    for entry, tag in zip(reversed(bench.entries), ("1-linux-amd64", "1-linux-arm64"), strict=True):
        bench.lab.destination.add(bench.lab.source.raw(entry.digest), str(entry.platform), tag)

    found = bench.planned()

    assert isinstance(found, TransferJob)
    assert found.plan.copies == bench.entries


def test_plan_single_image_that_stays_single_is_copied_to_write_its_tag() -> None:
    bench = Bench(keep_single=True)
    bench.lab.source.add(bench.lab.source.raw(bench.entries[0].digest), "image", TAG)
    bench.lab.destination.image(AMD64)

    found = bench.planned()

    assert isinstance(found, TransferJob)
    assert [child.digest for child in found.children] == [bench.entries[0].digest]
    assert bench.lab.asked(DESTINATION) == []


# Behind the tag.


def test_plan_index_that_is_lost_itself_is_no_witness_of_its_children() -> None:
    bench = taken(Bench())

    found = bench.planned(broken=frozenset({bench.top.digest}))

    assert isinstance(found, TransferJob)
    assert found.plan.copies == bench.entries
    assert bench.lab.asked(DESTINATION) == []


def test_plan_what_is_lost_behind_the_tag_is_copied_again() -> None:
    bench = taken(Bench())
    amd64 = bench.entries[0]
    bench.lab.destination.lose(amd64.digest)

    found = bench.planned(broken=frozenset({amd64.digest}))

    assert isinstance(found, TransferJob)
    assert (found.plan.copies, found.plan.final) == (
        (amd64,),
        FinalIndex(media.OCI_INDEX, bench.entries, bench.top),
    )
    assert found.warnings == ()


def test_plan_what_is_lost_and_not_copied_leaves_the_tag_with_a_warning() -> None:
    bench = Bench(AMD64)
    lost = bench.lab.destination.image(S390X)
    bench.lab.destination.index(lost, name="there")

    found = bench.planned(broken=frozenset({lost.digest}))

    assert isinstance(found, TransferJob)
    assert found.plan.removed == (lost,)
    assert found.warnings == (
        f"removed {S390X} ({lost.digest}) from {DESTINATION}/team/app:1: its content is gone"
        " there, and this run does not copy it",
    )


def test_plan_run_that_looks_behind_copies_a_child_of_which_a_blob_is_lost() -> None:
    bench = taken(Bench(look_behind=True, force=False, overwrite=True))
    bench.lab.destination.index(bench.entries[0], name="there")
    held = bench.lab.destination.repositories[REPOSITORY]
    del held.blobs[Digest.of(ARM64.encode())]

    found = bench.planned()

    assert isinstance(found, TransferJob)
    assert found.plan.copies == bench.entries[1:]


def test_plan_entry_that_is_lost_and_might_have_to_stay_is_a_refusal() -> None:
    bench = Bench(AMD64)
    lost = bench.lab.destination.image(S390X, stated="")
    bench.lab.destination.index(lost, name="there")
    bench.lab.destination.lose(lost.digest)

    with pytest.raises(InvalidManifest, match=f"{lost.digest} cannot be read") as caught:
        bench.planned()

    assert "--overwrite" in caught.value.advice


@pytest.mark.parametrize(
    "options", [{"overwrite": True}, {"selection": EVERYTHING}], ids=["overwrite", "everything"]
)
def test_plan_entry_that_is_lost_and_goes_anyway_is_no_refusal(options: dict[str, Any]) -> None:
    bench = Bench(AMD64, **options)
    lost = bench.lab.destination.image(S390X, stated="")
    bench.lab.destination.index(lost, name="there")
    bench.lab.destination.lose(lost.digest)

    assert isinstance(bench.planned(), TransferJob)


# A destination that does not say whether it has a child.


def refused(kind: type[CopyFailed], status: int) -> Callable[[], CopyFailed]:
    def made() -> CopyFailed:
        error = kind("not told", status=status)
        error.answered = True
        return error

    return made


@pytest.mark.parametrize(
    ("made", "arch_tags", "is_raised"),
    [
        (refused(Unavailable, 500), False, False),
        (refused(Unavailable, 500), True, True),
        (refused(AccessDenied, 403), False, False),
        (refused(AccessDenied, 403), True, False),
        (refused(Unavailable, 503), False, True),
    ],
    ids=["500 for a digest", "500 for a tag", "not shown", "tag not shown", "unavailable"],
)
def test_plan_child_that_the_destination_does_not_tell_of_is_missing(
    made: Callable[[], CopyFailed], arch_tags: bool, is_raised: bool
) -> None:
    bench = Bench(arch_tags=arch_tags)
    bench.lab.destination.image(AMD64)
    bench.lab.destination.fail("manifest_head", made)
    # Tags of platforms make a run write all of them, so that it asks about them too.
    if arch_tags:
        taken(bench)

    if is_raised:
        with pytest.raises(Unavailable, match="not told"):
            bench.planned()
    else:
        found = bench.planned()
        assert isinstance(found, TransferJob)
        assert bench.entries[0] in found.plan.copies
        assert bench.context is not None
        ledger = bench.context.endpoints.destination_end(DESTINATION).ledger
        assert ledger.is_doubted(REPOSITORY, bench.entries[0].digest)


# Referrers, pull limits, dry runs.


def test_referrers_of_the_image_and_its_platforms_are_found_when_it_is_its_turn() -> None:
    bench = Bench()
    signature = bench.lab.source.signature(bench.top.digest)
    sbom = bench.lab.source.referrer(bench.entries[0].digest, "sbom")

    planned = bench.planned(referrers=True)
    found = bench.planned(referrers=True, looks=True)

    assert isinstance(planned, TransferJob)
    assert isinstance(found, TransferJob)
    assert planned == replace(found, referrers=FoundReferrers(), knows_referrers=False)
    assert found.referrers == FoundReferrers(
        (
            Referrer(
                subject=bench.top.digest,
                descriptor=signature.descriptor,
                kind="signature",
                tag=f"{bench.top.digest.as_tag}.sig",
            ),
            Referrer(
                subject=bench.entries[0].digest,
                descriptor=sbom.descriptor,
                kind=media.OCI_MANIFEST,
            ),
        )
    )


def test_plan_dry_run_reads_children_and_no_referrers() -> None:
    bench = Bench(dry_run=True)
    bench.lab.source.signature(bench.top.digest)

    found = bench.planned(referrers=True)

    assert found == bench.job(whole(bench))
    assert bench.lab.asked(SOURCE) == ["manifest linux/amd64", "manifest linux/arm64"]


def test_plan_dry_run_where_pulls_are_counted_reads_no_child() -> None:
    bench = Bench(dry_run=True, pull_budget=10)

    found = bench.planned()

    assert found == bench.job(whole(bench), children=())
    assert bench.lab.asked(SOURCE) == []


@pytest.mark.parametrize(
    ("budget", "fits"),
    [(5, True), (4, False)],
    ids=["index, children and two referrers", "one too few"],
)
def test_plan_covers_children_and_referrers_together_before_it_reads_them(
    budget: int, fits: bool
) -> None:
    bench = Bench(pull_budget=budget)
    # What is found by its tag is read while it is looked for; what refers, afterwards.
    for name in ("one", "two"):
        bench.lab.source.referrer(bench.top.digest, name)

    if fits:
        found = bench.planned(referrers=True)
        assert isinstance(found, TransferJob)
        assert len(found.children) == len(found.referrers.referrers) == 2
    else:
        with pytest.raises(Deferred, match="needs 4 pulls"):
            bench.planned(referrers=True)
    read = [asked for asked in bench.lab.asked(SOURCE) if asked.startswith("manifest ")]
    assert sorted(read) == (
        ["manifest linux/amd64", "manifest linux/arm64", "manifest one", "manifest two"]
        if fits
        else []
    )


def test_plan_counts_the_children_twice_where_skopeo_reads_the_source_itself() -> None:
    bench = Bench(pull_budget=4)
    bench.lab.copier.reads_directly = True

    with pytest.raises(Deferred, match="needs 4 pulls"):
        bench.planned()


# Schema 1, archives, and places in one registry.


@pytest.mark.parametrize("wanted", [True, False])
def test_plan_schema1_is_converted_where_its_platform_is_wanted(wanted: bool) -> None:
    bench = Bench(overwrite=True, force=True)
    architecture = "amd64" if wanted else "s390x"
    bench.top = bench.lab.source.add(schema1(architecture), "old", TAG)
    where = platform(f"linux/{architecture}")

    assert bench.planned() == (
        bench.job(
            Plan(action=Action.COPY),
            convert=where,
            wish=PlanOptions(selection=Selection(), overwrite=True, force=True),
        )
        if wanted
        else outcome(
            Status.SKIPPED,
            reason=f"{SOURCE}/team/app:1: none of the wanted platforms; the source has: {where}",
        )
    )
    assert bench.lab.events == []


@pytest.mark.parametrize(
    ("saved", "kept"),
    [
        (Chosen(None, None, None), ()),
        (Chosen(frozenset({"amd64"}), None, None), (S390X,)),
        (None, (S390X,)),
    ],
    ids=["all", "amd64", "unknown"],
)
def test_plan_archive_that_is_loaded_whole_removes_what_was_chosen_when_it_was_saved(
    saved: Chosen | None, kept: tuple[str, ...]
) -> None:
    bench = Bench(AMD64, selection=EVERYTHING, names_platforms=False)
    bench.lab.source.abilities = Abilities(archive=FakeArchive(saved=saved))
    bench.lab.destination.index(bench.lab.destination.image(S390X), name="there")

    found = bench.planned()

    assert isinstance(found, TransferJob)
    assert tuple(str(entry.platform) for entry in found.plan.kept) == kept


def test_plan_source_in_the_destination_registry_is_noted_for_mounts() -> None:
    lab = Lab()
    entry = entry_of(source=f"{DESTINATION}/other/app:1")
    store = lab.destination
    top = store.index(store.image(AMD64, repository="other/app"), repository="other/app")
    context = lab.new_run()
    job = context.line_job(entry)

    async def work() -> TransferJob | Outcome:
        return await plan_image(context, job, await read(context, job, Probed(head_of(top), None)))

    found = run(work())

    assert isinstance(found, TransferJob)
    assert found.mount_from == "other/app"


def test_plan_options_of_the_run_travel_with_the_job() -> None:
    bench = Bench(timeout=5.0, arch_tags=True)

    found = bench.planned()

    assert isinstance(found, TransferJob)
    assert found.options == replace(
        Options(), jobs=2, retry=bench.lab.options.retry, timeout=5.0, arch_tags=True
    )


def test_plan_raw_manifests_of_the_job_are_those_that_were_read() -> None:
    bench = Bench()

    found = bench.planned()

    assert isinstance(found, TransferJob)
    expected: dict[Digest, RawManifest] = {
        digest: bench.lab.source.raw(digest)
        for digest in (bench.top.digest, *(entry.digest for entry in bench.entries))
    }
    assert dict(found.manifests) == expected

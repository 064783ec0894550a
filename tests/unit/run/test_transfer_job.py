"""The value between deciding and carrying out: it can be sent elsewhere, and says all there is."""

from __future__ import annotations

import pickle
from dataclasses import MISSING, Field, fields, replace
from typing import Any

import pytest

from image_tools.errors import QuotaExceeded
from image_tools.exchange.ledger import Traffic
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Manifest, parse
from image_tools.plan.inputs import ChildManifest, DestinationImage, PlanOptions
from image_tools.plan.plan import Action, FinalIndex, Plan
from image_tools.plan.referrers import FoundReferrers, Referrer
from image_tools.plan.schedule import Work
from image_tools.plan.selection import Selection
from image_tools.report import Outcome, Status
from image_tools.retry import RetryPolicy
from image_tools.run.options import Options
from image_tools.run.transfer_job import TransferJob
from tests.helpers.descriptors import entry, index, platform
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import (
    AMD64,
    DESTINATION,
    REPOSITORY,
    S390X,
    SOURCE,
    TAG,
    ImageLab,
    entry_of,
    head_of,
    schema1,
)


def full() -> TransferJob:
    """Return a job in which nothing is as it would be without being stated."""
    lab = ImageLab()
    child = _child(lab, lab.entries[0])
    inner = index(entry("a"))
    odd = Descriptor.from_json(
        {"mediaType": "x", "digest": str(Digest.of(b"x")), "size": 1, "urls": ["https://x.example"]}
    )
    return TransferJob(
        entry=entry_of(7, look_behind=True),
        options=Options(
            selection=Selection(architectures=None, variants=frozenset({"v8"})),
            names_platforms=False,
            jobs=3,
            timeout=5.0,
            retry=RetryPolicy(times=9, delay=0.5),
            force=True,
            key_id="abc",
            pull_budget=10,
        ),
        source=head_of(lab.top),
        plan=Plan(
            action=Action.UNCHANGED,
            wanted=lab.entries,
            copies=(lab.entries[0], odd),
            nested=(inner,),
            final=FinalIndex(media.OCI_INDEX, lab.entries, lab.top, (("note", "x"),)),
            kept=(entry("k"),),
            removed=(entry("r"),),
            as_it_is=True,
        ),
        children=(child,),
        convert=platform("linux/arm64/v8"),
        wish=PlanOptions(selection=Selection(), lost=frozenset({Digest.of(b"lost")})),
        existing=DestinationImage(inner, lab.entries, is_index=True, lost=(entry("l"),)),
        knows_referrers=True,
        referrers=FoundReferrers(
            (Referrer(subject=lab.top.digest, descriptor=entry("s"), kind="signature", tag="t"),),
            ("a warning",),
        ),
        mount_from="other/app",
        changes_tag=True,
        warnings=("one", "two"),
    )


def _child(lab: ImageLab, which: Descriptor) -> ChildManifest:
    raw = lab.source.raw(which.digest)
    found = parse(raw)
    assert isinstance(found, Manifest)
    return ChildManifest(which, raw, found)


def _default(one: Field[Any]) -> Any:
    return one.default_factory() if one.default_factory is not MISSING else one.default


def test_job_with_every_field_set_is_equal_after_a_round_trip() -> None:
    job = full()

    found = pickle.loads(pickle.dumps(job))

    assert found == job
    assert [one.name for one in fields(job) if getattr(job, one.name) == _default(one)] == []


def test_job_keeps_on_its_way_what_comparing_leaves_out() -> None:
    job = full()

    found = pickle.loads(pickle.dumps(job))

    assert found.children[0].manifest == job.children[0].manifest
    assert [one.fields for one in found.plan.copies] == [one.fields for one in job.plan.copies]
    assert found.blobs == job.blobs
    assert dict(found.manifests) == dict(job.manifests)


def test_job_tells_the_schedule_what_it_needs() -> None:
    job = full()
    (child,) = job.children

    assert job.work == Work(
        image=7,
        lane=(SOURCE, DESTINATION),
        blobs={blob.digest: blob.size for blob in child.manifest.blobs},
    )


def test_job_manifests_are_those_of_its_children_and_indexes() -> None:
    job = full()
    (child,) = job.children
    final = job.plan.final
    assert final is not None
    assert final.exact is not None

    assert [*job.manifests] == [
        (raw.digest, raw) for raw in (child.raw, *job.plan.nested, final.exact)
    ]


# Carried out elsewhere.


def whole(lab: ImageLab) -> None:
    """Leave the source as it is: an index that is copied whole."""


def filtered(lab: ImageLab) -> None:
    lab.source.index(lab.entries[0], lab.source.image(S390X), name="more")


def merged(lab: ImageLab) -> None:
    lab.source.index(lab.entries[0], name="less")
    lab.destination.index(lab.destination.image(S390X), name="there")


def nested(lab: ImageLab) -> None:
    inner = lab.source.index(*lab.entries, tag=None, name="inner")
    lab.source.index(inner.descriptor, name="outer")


def single(lab: ImageLab) -> None:
    lab.single(lab.entries[0])


def signed(lab: ImageLab) -> None:
    lab.source.signature(lab.top.digest)
    lab.source.referrer(lab.entries[0].digest, "sbom")


def old(lab: ImageLab) -> None:
    lab.source.add(schema1(), "old", TAG)
    lab.copier.converted = lambda _job: lab.destination.raw(
        lab.destination.image(AMD64, "converted").digest
    )


def test_job_of_a_schema1_image_knows_what_speaks_about_its_digest() -> None:
    lab = ImageLab()
    old(lab)
    signature = lab.source.signature(schema1().digest)

    task = run(lab.task(lab.new_run(referrers=True)))

    found = [one.descriptor.digest for one in task.referrers.referrers]
    assert (task.convert is not None, found) == (True, [signature.digest])


CASES = (whole, filtered, merged, nested, single, signed, old)


def carried_out(case: Any, *, elsewhere: bool) -> tuple[Outcome, dict[str, Digest], list[str], int]:
    """Return the outcome, the destination's tags, its requests, and the bytes that moved.

    `elsewhere`: another run's transfers over the same stores get what was pickled.
    """
    lab, traffic = ImageLab(), Traffic()
    case(lab)
    here = lab.new_run(referrers=True)

    async def work() -> Outcome:
        job = await lab.task(here)
        if not elsewhere:
            return await here.transfers.carry_out(job, traffic)
        there = lab.new_run(referrers=True)
        return await there.transfers.carry_out(pickle.loads(pickle.dumps(job)), traffic)

    outcome = run(work())
    tags = lab.destination.repositories[REPOSITORY].tags
    return outcome, tags, lab.asked(DESTINATION), traffic.bytes_written


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_job_that_is_carried_out_elsewhere_has_the_same_outcome(case: Any) -> None:
    here = carried_out(case, elsewhere=False)

    assert carried_out(case, elsewhere=True) == here
    assert here[0].status is Status.COPIED
    assert here[1][TAG] == Digest.parse(here[0].digest)


def test_job_that_is_carried_out_elsewhere_brings_the_manifests_along() -> None:
    lab = ImageLab()
    here = lab.new_run()

    async def work() -> Outcome:
        sent = pickle.dumps(await lab.task(here))
        return await lab.new_run().transfers.carry_out(pickle.loads(sent), Traffic())

    assert run(work()).status is Status.COPIED
    assert lab.asked(SOURCE) == []


def test_job_that_is_carried_out_elsewhere_has_its_own_options() -> None:
    lab = ImageLab(arch_tags=True)
    here = lab.new_run()
    lab.options = Options()

    async def work() -> Outcome:
        sent = pickle.dumps(await lab.task(here))
        return await lab.new_run().transfers.carry_out(pickle.loads(sent), Traffic())

    assert run(work()).status is Status.COPIED
    assert {f"{TAG}-linux-amd64", TAG} <= lab.destination.repositories[REPOSITORY].tags.keys()


def test_job_of_a_destination_that_was_closed_meanwhile_is_not_begun() -> None:
    lab = ImageLab()
    here = lab.new_run()

    async def work() -> Outcome:
        job = await lab.task(here)
        other = replace(job, entry=entry_of(2, destination=f"{DESTINATION}/{REPOSITORY}:2"))
        lab.copier.failures = [("place", QuotaExceeded("full"))]
        with pytest.raises(QuotaExceeded, match=r"^full$"):
            await here.transfers.carry_out(job, Traffic())
        lab.events.clear()
        return await here.transfers.carry_out(other, Traffic())

    with pytest.raises(QuotaExceeded, match="not tried, an earlier push was refused: full"):
        run(work())
    assert lab.events == []

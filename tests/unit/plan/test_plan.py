"""What is to be done for one image, and what its tag holds in the end."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given

from image_tools.oci import media
from image_tools.oci.manifest import Index, RawManifest, index_bytes
from image_tools.plan.inputs import DestinationImage, PlanOptions, SourceImage
from image_tools.plan.merge import select
from image_tools.plan.plan import Action, FinalIndex, Plan, final_index, plan
from image_tools.plan.selection import Selection
from tests.helpers.descriptors import attestation, entries, entry, index

ALL = Selection(architectures=None, systems=None)
NO_S390 = Selection()
AMD, ARM, S390 = entry("amd"), entry("arm", "linux/arm64"), entry("s390", "linux/s390x")
DOCKER_AMD = entry("docker amd", media_type=media.DOCKER_MANIFEST)
OLD_AMD = entry("old amd")
OLD_S390 = entry("old s390", "linux/s390x")


def source(*leaves, nested=(), media_type=media.OCI_INDEX) -> SourceImage:
    return SourceImage(top=index(*leaves, media_type=media_type), leaves=leaves, nested=nested)


def single(leaf, *, artifact=False) -> SourceImage:
    top = RawManifest(leaf.media_type, b"amd")
    return SourceImage(top=top, leaves=(leaf,), single=True, artifact=artifact)


def at_destination(*held, media_type=media.OCI_INDEX) -> DestinationImage:
    return DestinationImage(index(*held, media_type=media_type), held, is_index=True)


MULTI = source(AMD, ARM, S390)
DOCKER_LIST = source(DOCKER_AMD, media_type=media.DOCKER_LIST)
CHART = single(entry("chart", ""), artifact=True)
INNER = index(AMD, ARM)
NESTED = SourceImage(
    top=index(entry("inner", "")), leaves=(AMD, ARM), nested=(INNER,), single=False
)

FINALS = {
    "unfiltered": (MULTI, MULTI.leaves, (), FinalIndex(media.OCI_INDEX, MULTI.leaves, MULTI.top)),
    "unfiltered-docker": (
        DOCKER_LIST,
        DOCKER_LIST.leaves,
        (),
        FinalIndex(media.DOCKER_LIST, (DOCKER_AMD,), DOCKER_LIST.top),
    ),
    "unfiltered-over-the-same-platforms": (
        MULTI,
        MULTI.leaves,
        (OLD_AMD, S390),
        FinalIndex(media.OCI_INDEX, MULTI.leaves, MULTI.top),
    ),
    "unfiltered-nested": (
        NESTED,
        (AMD, ARM),
        (),
        FinalIndex(media.OCI_INDEX, (AMD, ARM), NESTED.top),
    ),
    "filtered": (MULTI, (AMD,), (), FinalIndex(media.OCI_INDEX, (AMD,))),
    "merged": (MULTI, (AMD,), (OLD_AMD, S390), FinalIndex(media.OCI_INDEX, (AMD, S390))),
    "merged-unfiltered": (
        DOCKER_LIST,
        (DOCKER_AMD,),
        (S390,),
        FinalIndex(media.OCI_INDEX, (S390, DOCKER_AMD)),
    ),
    "single-wrapped": (single(AMD), (AMD,), (), FinalIndex(media.OCI_INDEX, (AMD,))),
    "single-docker-wrapped": (
        single(DOCKER_AMD),
        (DOCKER_AMD,),
        (),
        FinalIndex(media.DOCKER_LIST, (DOCKER_AMD,)),
    ),
    "single-merged": (single(AMD), (AMD,), (ARM,), FinalIndex(media.OCI_INDEX, (ARM, AMD))),
    "artifact": (CHART, CHART.leaves, (), FinalIndex(media.OCI_MANIFEST, (), CHART.top)),
    "artifact-over-an-index": (
        CHART,
        CHART.leaves,
        (AMD,),
        FinalIndex(media.OCI_MANIFEST, (), CHART.top),
    ),
}


def test_destination_that_has_lost_an_entry_is_never_unchanged() -> None:
    whole = DestinationImage(NESTED.top, NESTED.leaves, is_index=True)
    lost = replace(whole, lost=(entry("inner", ""),))

    assert plan(NESTED, NESTED.leaves, whole, PlanOptions()).action is Action.UNCHANGED
    assert plan(NESTED, NESTED.leaves, lost, PlanOptions()).action is Action.COPY


@pytest.mark.parametrize(("image", "wanted", "existing", "expected"), FINALS.values(), ids=FINALS)
def test_final_index_keeps_the_sources_bytes_where_they_fit(
    image, wanted, existing, expected
) -> None:
    if image.artifact:
        asked = plan(image, wanted, at_destination(*existing), PlanOptions())
        assert (asked.final, asked.as_it_is) == (expected, True)
        return
    assert final_index(image, wanted, existing) == expected


OCI_ANNOTATED = RawManifest(
    media.OCI_INDEX, index_bytes(Index(media.OCI_INDEX, (AMD, ARM), (("a", "new"), ("b", "1"))))
)
OLD_ANNOTATED = RawManifest(
    media.OCI_INDEX, index_bytes(Index(media.OCI_INDEX, (S390,), (("a", "old"), ("c", "2"))))
)


def test_final_index_filtered_keeps_annotations_the_sources_before_the_destinations() -> None:
    image = SourceImage(top=OCI_ANNOTATED, leaves=(AMD, ARM))
    held = DestinationImage(OLD_ANNOTATED, (S390,), is_index=True)

    final = plan(image, (AMD,), held, PlanOptions(selection=NO_S390)).final
    assert final is not None

    notes = (("a", "new"), ("b", "1"), ("c", "2"))
    assert final == FinalIndex(media.OCI_INDEX, (S390, AMD), annotations=notes)
    written = RawManifest(media.OCI_INDEX, index_bytes(final.index))
    assert final.difference(written) is None
    assert final.difference(index(S390, AMD)) == "its annotations are different"


EXACT = FinalIndex(media.OCI_INDEX, MULTI.leaves, MULTI.top)
ONLY_AMD = FinalIndex(media.OCI_INDEX, (AMD,))
WITH_S390 = FinalIndex(media.OCI_INDEX, (AMD, S390))
BOTH = at_destination(AMD, S390)
COPY, UNCHANGED = Action.COPY, Action.UNCHANGED
PLANS = {
    "nothing-wanted": (
        (MULTI, (), BOTH, PlanOptions()),
        Plan(action=Action.SKIP),
    ),
    "only-attestations": (
        (MULTI, (attestation("amd"),), None, PlanOptions()),
        Plan(
            action=COPY,
            wanted=(attestation("amd"),),
            copies=(attestation("amd"),),
            final=FinalIndex(media.OCI_INDEX, (attestation("amd"),)),
        ),
    ),
    "new": (
        (MULTI, MULTI.leaves, None, PlanOptions()),
        Plan(action=COPY, wanted=MULTI.leaves, copies=MULTI.leaves, final=EXACT),
    ),
    "some-present": (
        (MULTI, MULTI.leaves, None, PlanOptions(present=frozenset({ARM.digest}))),
        Plan(action=COPY, wanted=MULTI.leaves, copies=(AMD, S390), final=EXACT),
    ),
    "one-digest-copied-once": (
        (MULTI, (AMD, entry("amd", "linux/arm64")), None, PlanOptions()),
        Plan(
            action=COPY,
            wanted=(AMD, entry("amd", "linux/arm64")),
            copies=(entry("amd", "linux/arm64"),),
            final=FinalIndex(media.OCI_INDEX, (AMD, entry("amd", "linux/arm64"))),
        ),
    ),
    "merged": (
        (MULTI, (AMD,), at_destination(OLD_AMD, S390), PlanOptions(selection=NO_S390)),
        Plan(action=COPY, wanted=(AMD,), copies=(AMD,), final=WITH_S390),
    ),
    "overwritten": (
        (MULTI, (AMD,), BOTH, PlanOptions(overwrite=True)),
        Plan(action=COPY, wanted=(AMD,), copies=(AMD,), final=ONLY_AMD, removed=(S390,)),
    ),
    "unchanged": (
        (MULTI, (AMD,), BOTH, PlanOptions(selection=NO_S390)),
        Plan(action=UNCHANGED, wanted=(AMD,), copies=(AMD,), final=WITH_S390),
    ),
    "unchanged-in-another-order": (
        (MULTI, (AMD,), at_destination(S390, AMD), PlanOptions(selection=NO_S390)),
        Plan(
            action=UNCHANGED,
            wanted=(AMD,),
            copies=(AMD,),
            final=FinalIndex(media.OCI_INDEX, (S390, AMD)),
        ),
    ),
    "unchanged-exact": (
        (MULTI, MULTI.leaves, at_destination(*MULTI.leaves), PlanOptions()),
        Plan(action=UNCHANGED, wanted=MULTI.leaves, copies=MULTI.leaves, final=EXACT),
    ),
    "unchanged-artifact": (
        (CHART, CHART.leaves, DestinationImage(CHART.top, (), is_index=False), PlanOptions()),
        Plan(
            action=UNCHANGED,
            wanted=CHART.leaves,
            copies=CHART.leaves,
            final=FinalIndex(media.OCI_MANIFEST, (), CHART.top),
            as_it_is=True,
        ),
    ),
    "forced": (
        (
            MULTI,
            (AMD,),
            BOTH,
            PlanOptions(selection=NO_S390, force=True, present=frozenset({AMD.digest})),
        ),
        Plan(action=COPY, wanted=(AMD,), copies=(), final=WITH_S390),
    ),
    "single-there-as-it-was-is-no-list": (
        (
            single(AMD),
            (AMD,),
            DestinationImage(single(AMD).top, (AMD,), is_index=False),
            PlanOptions(),
        ),
        Plan(action=COPY, wanted=(AMD,), copies=(AMD,), final=ONLY_AMD),
    ),
    "other-type-of-list": (
        (
            DOCKER_LIST,
            (DOCKER_AMD,),
            at_destination(DOCKER_AMD, media_type=media.OCI_INDEX),
            PlanOptions(),
        ),
        Plan(
            action=COPY,
            wanted=(DOCKER_AMD,),
            copies=(DOCKER_AMD,),
            final=FinalIndex(media.DOCKER_LIST, (DOCKER_AMD,), DOCKER_LIST.top),
        ),
    ),
    "nested-comes-along": (
        (NESTED, (AMD, ARM), None, PlanOptions()),
        Plan(
            action=COPY,
            wanted=(AMD, ARM),
            copies=(AMD, ARM),
            nested=(INNER,),
            final=FinalIndex(media.OCI_INDEX, (AMD, ARM), NESTED.top),
        ),
    ),
    "chosen-and-gone-at-the-source": (
        (source(AMD), (AMD,), at_destination(AMD, ARM), PlanOptions(selection=NO_S390)),
        Plan(
            action=COPY,
            wanted=(AMD,),
            copies=(AMD,),
            final=FinalIndex(media.OCI_INDEX, (AMD,), source(AMD).top),
            removed=(ARM,),
        ),
    ),
    "everything-chosen-is-the-sources-index": (
        (source(AMD, ARM), (AMD, ARM), at_destination(OLD_AMD, S390), PlanOptions()),
        Plan(
            action=COPY,
            wanted=(AMD, ARM),
            copies=(AMD, ARM),
            final=FinalIndex(media.OCI_INDEX, (AMD, ARM), source(AMD, ARM).top),
            removed=(S390,),
        ),
    ),
    "kept-of-an-earlier-release": (
        (
            source(AMD, S390),
            (AMD,),
            at_destination(OLD_AMD, OLD_S390),
            PlanOptions(selection=NO_S390),
        ),
        Plan(
            action=COPY,
            wanted=(AMD,),
            copies=(AMD,),
            final=FinalIndex(media.OCI_INDEX, (AMD, OLD_S390)),
            kept=(OLD_S390,),
        ),
    ),
    "kept-and-unchanged": (
        (source(AMD, S390), (AMD,), at_destination(AMD, OLD_S390), PlanOptions(selection=NO_S390)),
        Plan(
            action=UNCHANGED,
            wanted=(AMD,),
            copies=(AMD,),
            final=FinalIndex(media.OCI_INDEX, (AMD, OLD_S390)),
            kept=(OLD_S390,),
        ),
    ),
    "kept-and-lost": (
        (
            source(AMD, S390),
            (AMD,),
            at_destination(AMD, OLD_S390),
            PlanOptions(selection=NO_S390, lost=frozenset({OLD_S390.digest, AMD.digest})),
        ),
        Plan(
            action=COPY,
            wanted=(AMD,),
            copies=(AMD,),
            final=FinalIndex(media.OCI_INDEX, (AMD,)),
            removed=(OLD_S390,),
        ),
    ),
    "single-kept-as-it-is": (
        (single(AMD), (AMD,), at_destination(OLD_AMD), PlanOptions(keep_single=True)),
        Plan(
            action=COPY,
            wanted=(AMD,),
            copies=(AMD,),
            final=FinalIndex(media.OCI_MANIFEST, (), single(AMD).top),
            as_it_is=True,
        ),
    ),
    "single-as-it-is-is-there": (
        (
            single(AMD),
            (AMD,),
            DestinationImage(single(AMD).top, (AMD,), is_index=False),
            PlanOptions(keep_single=True),
        ),
        Plan(
            action=UNCHANGED,
            wanted=(AMD,),
            copies=(AMD,),
            final=FinalIndex(media.OCI_MANIFEST, (), single(AMD).top),
            as_it_is=True,
        ),
    ),
    "single-beside-what-stays-is-a-list": (
        (single(AMD), (AMD,), BOTH, PlanOptions(keep_single=True, selection=NO_S390)),
        Plan(
            action=UNCHANGED,
            wanted=(AMD,),
            copies=(AMD,),
            final=WITH_S390,
            kept=(S390,),
        ),
    ),
    "nested-filtered-is-flat": (
        (NESTED, (AMD,), None, PlanOptions()),
        Plan(action=COPY, wanted=(AMD,), copies=(AMD,), final=ONLY_AMD),
    ),
}


@pytest.mark.parametrize(("asked", "expected"), PLANS.values(), ids=PLANS)
def test_plan_of_an_image_says_all_there_is_to_do(asked, expected) -> None:
    assert plan(*asked) == expected


@given(entries, entries)
def test_plan_after_its_own_result_is_unchanged(leaves, held) -> None:
    wanted = select(leaves, ALL)
    first = plan(source(*leaves), wanted, at_destination(*held), PlanOptions())
    if first.final is None:
        assert first.action is Action.SKIP
        return
    written = at_destination(*first.final.entries, media_type=first.final.media_type)

    assert plan(source(*leaves), wanted, written, PlanOptions()).action is Action.UNCHANGED


def raw(document: object, media_type: str = media.OCI_INDEX) -> RawManifest:
    return RawManifest(media_type, json.dumps(document).encode())


TWO = FinalIndex(media.OCI_INDEX, (AMD, ARM))
DIFFERENCES = {
    "same": (TWO, index(AMD, ARM), None),
    "other-order": (TWO, index(ARM, AMD), None),
    "exact-same": (EXACT, MULTI.top, None),
    "exact-other-bytes": (
        EXACT,
        index(AMD),
        f"expected {MULTI.top.digest}, got {index(AMD).digest}",
    ),
    "missing": (TWO, index(AMD), f"the entry {ARM.digest} (linux/arm64) is missing or different"),
    "too-much": (TWO, index(AMD, ARM, S390), f"the entry {S390.digest} is too much"),
    "twice": (TWO, index(AMD, ARM, AMD), f"the entry {AMD.digest} is too much"),
    "once-instead-of-twice": (
        FinalIndex(media.OCI_INDEX, (AMD, AMD)),
        index(AMD),
        f"the entry {AMD.digest} (linux/amd64) is missing or different",
    ),
    "annotation-lost": (
        FinalIndex(media.OCI_INDEX, (attestation("amd"),)),
        index(entry("attestation of amd", attestation("amd").platform)),
        f"the entry {attestation('amd').digest} (unknown/unknown) is missing or different",
    ),
    "variant-lost": (
        FinalIndex(media.OCI_INDEX, (entry("arm", "linux/arm64/v8"),)),
        index(ARM),
        f"the entry {ARM.digest} (linux/arm64/v8) is missing or different",
    ),
    "other-type": (
        TWO,
        index(AMD, ARM, media_type=media.DOCKER_LIST),
        f"its type is {media.DOCKER_LIST}, not {media.OCI_INDEX}",
    ),
    "manifest": (TWO, raw({"config": AMD.to_json()}, media.OCI_MANIFEST), "it is no index"),
    "broken": (TWO, raw([]), "it is no index: the manifest is not a JSON object"),
}


@pytest.mark.parametrize(("final", "found", "expected"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_difference_from_what_was_found_is_said(final, found, expected) -> None:
    assert final.difference(found) == expected

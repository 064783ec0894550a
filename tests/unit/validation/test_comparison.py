"""Whether a destination passes, and in which words it does not."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform
from image_tools.validation.comparison import Comparison, compare, compare_converted
from image_tools.validation.contents import AtDestination, AtSource
from image_tools.validation.demand import Demand, choose
from image_tools.validation.verdict import Names, spec
from tests.helpers.descriptors import UNKNOWN, attestation, entry, index

NAMES = Names(source="docker.io/library/nginx:1", destination="reg:5000/library/nginx", tag="1")
PLACE = "reg:5000/library/nginx:1"
ALL = Demand()
DEFAULT = Demand(architectures=frozenset({"amd64", "arm64"}), systems=frozenset({"linux"}))
OVERWRITE = replace(DEFAULT, overwrite=True)
KEEP_SINGLE = replace(DEFAULT, keep_single=True)
AMD = entry("amd")
ARM = entry("arm", "linux/arm64")
S390 = entry("s390", "linux/s390x")
OLD_AMD = entry("old amd")
OLD_S390 = entry("old s390", "linux/s390x")
ORPHAN = attestation("gone")
SBOM = entry("sbom", UNKNOWN)
LENGTH = "destination manifest list length should be 1"
DIFFERENT = 'source manifest "docker.io/library/nginx:1" != dest "reg:5000/library/nginx", tag "1"'


def listed(*leaves: Descriptor) -> AtSource:
    return AtSource(digest=index(*leaves).digest, leaves=leaves, is_index=True)


def single(leaf: Descriptor) -> AtSource:
    return AtSource(digest=leaf.digest, leaves=(leaf,), is_index=False)


def held(*leaves: Descriptor) -> AtDestination:
    """What is there is written by another tool than the source's: its bytes are other ones."""
    top = index(*leaves, media_type=media.DOCKER_LIST)
    return AtDestination(
        digest=top.digest, media_type=media.DOCKER_LIST, leaves=leaves, is_index=True
    )


def same(*leaves: Descriptor) -> AtDestination:
    return replace(held(*leaves), digest=index(*leaves).digest)


def bare(leaf: Descriptor) -> AtDestination:
    kind = media.DOCKER_MANIFEST
    return AtDestination(digest=leaf.digest, media_type=kind, leaves=(leaf,), is_index=False)


def compared(source: AtSource, there: AtDestination | None, asked: Demand) -> Comparison:
    return compare(source, choose(source.leaves, asked), there, asked, NAMES)


def digests(expected: Digest, found: Digest) -> str:
    return f'source digest "{expected}" != dest digest "{found}"'


def left_over(one: Descriptor) -> str:
    what = f"{one.platform} ({one.digest})"
    return f"the destination has {what}, which was chosen and is not at the source"


def needless(one: Descriptor) -> str:
    what = f"an attestation ({one.digest})"
    return f"the destination has {what}, which was not asked for"


def not_chosen(one: Descriptor) -> str:
    what = "an attestation" if one.is_attestation else str(one.platform)
    return (
        f"the destination has {what} ({one.digest}), which was not chosen, and --overwrite is given"
    )


@dataclass(frozen=True)
class Passing:
    """A destination that passes; `kept` may stay, `stale` of these is not of the source now."""

    source: AtSource
    there: AtDestination
    asked: Demand = DEFAULT
    kept: tuple[Descriptor, ...] = ()
    stale: tuple[Descriptor, ...] = ()


TWO = listed(AMD, ARM)
PASSES = {
    "all-the-same": Passing(TWO, same(AMD, ARM), ALL),
    "nothing-left-out-the-same": Passing(TWO, same(AMD, ARM)),
    "filtered": Passing(listed(AMD, S390), held(AMD)),
    "filtered-another-order": Passing(listed(AMD, ARM, S390), held(ARM, AMD)),
    "kept-as-the-source-has-it": Passing(listed(AMD, S390), held(AMD, S390), kept=(S390,)),
    "kept-of-an-earlier-release": Passing(
        TWO, held(AMD, ARM, OLD_S390), kept=(OLD_S390,), stale=(OLD_S390,)
    ),
    "kept-with-its-attestation": Passing(
        TWO,
        held(AMD, ARM, OLD_S390, attestation("old s390")),
        kept=(OLD_S390, attestation("old s390")),
        stale=(OLD_S390,),
    ),
    "variant-that-is-meant": Passing(
        listed(entry("arm", "linux/arm64/v8"), S390), held(entry("arm", "linux/arm64"))
    ),
    "overwritten": Passing(listed(AMD, S390), held(AMD), OVERWRITE),
    "single": Passing(single(AMD), held(AMD)),
    "single-beside-kept": Passing(
        single(AMD), held(AMD, OLD_S390), kept=(OLD_S390,), stale=(OLD_S390,)
    ),
    "single-kept-as-it-is": Passing(single(AMD), bare(AMD), KEEP_SINGLE),
    "single-in-a-list-for-kept-ones": Passing(
        single(AMD), held(AMD, S390), KEEP_SINGLE, kept=(S390,), stale=(S390,)
    ),
    "artifact": Passing(single(SBOM), bare(SBOM)),
    "platformless-index": Passing(listed(SBOM), same(SBOM)),
}


@pytest.mark.parametrize("case", PASSES.values(), ids=PASSES)
def test_compare_destination_with_what_was_asked_for_passes(case: Passing) -> None:
    found = compared(case.source, case.there, case.asked)

    assert found.verdict.problems == ()
    wanted = choose(case.source.leaves, case.asked).wanted
    assert (found.complete, found.stale) == ((*wanted, *case.kept), case.stale)


FAILS = {
    "absent": (TWO, None, ALL, (f"[{PLACE}]: destination manifest does not exists",)),
    "single-at-destination": (
        *(TWO, bare(AMD), ALL),
        (f"[{PLACE}]: destination manifest MIME type unknown: {media.DOCKER_MANIFEST}",),
    ),
    "empty": (TWO, held(), ALL, (f"[{PLACE}]: destination manifest list is empty",)),
    "single-has-changed": (single(AMD), held(OLD_AMD), ALL, (digests(AMD.digest, OLD_AMD.digest),)),
    "single-among-others": (
        *(single(AMD), held(OLD_AMD, ARM), ALL),
        (LENGTH, digests(AMD.digest, OLD_AMD.digest), left_over(ARM)),
    ),
    "single-with-a-chosen-one": (
        *(single(AMD), held(AMD, ARM), DEFAULT),
        (LENGTH, left_over(ARM)),
    ),
    "single-with-its-attestation": (
        *(single(AMD), held(OLD_AMD, attestation("old amd")), ALL),
        (digests(AMD.digest, OLD_AMD.digest),),
    ),
    "single-wrong-arch": (
        *(single(AMD), held(entry("amd", "linux/arm64")), ALL),
        ('source arch "amd64" != dest arch "arm64"',),
    ),
    "single-wrong-os": (
        *(single(AMD), held(entry("amd", "windows/amd64")), ALL),
        ('source os "linux" != dest os "windows"',),
    ),
    "single-bare": (
        *(single(AMD), bare(AMD), DEFAULT),
        (f"[{PLACE}]: destination manifest MIME type unknown: {media.DOCKER_MANIFEST}",),
    ),
    "single-in-a-list-that-is-not-needed": (
        *(single(AMD), held(AMD), KEEP_SINGLE),
        (f"[{PLACE}]: the destination is an index, and --keep-single is given",),
    ),
    "single-kept-as-it-was": (
        *(single(AMD), bare(OLD_AMD), KEEP_SINGLE),
        (digests(AMD.digest, OLD_AMD.digest),),
    ),
    "list-changed": (TWO, held(OLD_AMD, ARM), ALL, (DIFFERENT,)),
    "list-child-missing": (TWO, held(AMD), ALL, (DIFFERENT,)),
    "list-wrong-variant": (
        listed(entry("v7", "linux/arm/v7")),
        *(held(entry("v7", "linux/arm/v6")), ALL),
        ('source variant "v7" != dest variant "v6"', DIFFERENT),
    ),
    "attestation-missing": (
        *(listed(AMD, S390, attestation("amd")), held(AMD), DEFAULT),
        (DIFFERENT,),
    ),
    "attestation-of-nothing-beside-a-filtered-image": (
        *(listed(AMD, S390), held(AMD, ORPHAN), DEFAULT),
        (needless(ORPHAN), DIFFERENT),
    ),
    "attestations-not-asked-for": (
        *(listed(AMD, attestation("amd")), held(AMD, attestation("amd"))),
        replace(DEFAULT, attestations=False),
        (needless(attestation("amd")), DIFFERENT),
    ),
    "left-over-platform-with-its-attestation": (
        *(listed(AMD), held(AMD, ARM, attestation("arm")), DEFAULT),
        (left_over(ARM), DIFFERENT),
    ),
    "left-over-platform": (
        *(listed(AMD), held(AMD, ARM), DEFAULT),
        (left_over(ARM), DIFFERENT),
    ),
    "left-over-platform-with-all": (
        *(listed(AMD), held(AMD, S390), ALL),
        (left_over(S390), DIFFERENT),
    ),
    "two-of-one-platform": (
        *(listed(AMD, S390), held(AMD, OLD_AMD), DEFAULT),
        (left_over(OLD_AMD), DIFFERENT),
    ),
    "not-sure-counts-as-chosen": (
        *(listed(AMD, S390), held(AMD, entry("x", "linux/")), DEFAULT),
        (left_over(entry("x", "linux/")), DIFFERENT),
    ),
    "overwrite-and-another-platform": (
        *(listed(AMD, S390), held(AMD, S390), OVERWRITE),
        (not_chosen(S390), DIFFERENT),
    ),
    "overwrite-and-an-attestation": (
        *(listed(AMD, S390), held(AMD, ORPHAN), OVERWRITE),
        (needless(ORPHAN), DIFFERENT),
    ),
    "other-bytes-with-all": (
        *(TWO, held(AMD, ARM), ALL),
        (digests(index(AMD, ARM).digest, held(AMD, ARM).digest), DIFFERENT),
    ),
    "other-bytes-where-nothing-is-left-out": (
        *(TWO, held(AMD, ARM), DEFAULT),
        (digests(index(AMD, ARM).digest, held(AMD, ARM).digest), DIFFERENT),
    ),
    "orphan-gone-where-nothing-is-left-out": (
        *(listed(AMD, ORPHAN), held(AMD), ALL),
        (DIFFERENT,),
    ),
    "artifact-changed": (
        *(single(SBOM), held(ARM), ALL),
        (digests(SBOM.digest, held(ARM).digest),),
    ),
    "platformless-index-beside-others": (
        *(listed(SBOM), held(SBOM, S390), DEFAULT),
        (left_over(S390), DIFFERENT),
    ),
}


@pytest.mark.parametrize(("source", "there", "asked", "problems"), FAILS.values(), ids=FAILS)
def test_compare_says_what_differs_in_known_words(
    source: AtSource, there: AtDestination | None, asked: Demand, problems: tuple[str, ...]
) -> None:
    verdict = compared(source, there, asked).verdict

    assert verdict.problems == problems
    assert not verdict.behind


def test_compare_left_over_platform_is_removed_by_mirror() -> None:
    assert compared(listed(AMD), held(AMD, ARM), DEFAULT).verdict.advice == (
        "run mirror: it removes these platforms"
    )


def test_compare_lists_differ_both_specs_are_for_the_log() -> None:
    verdict = compared(TWO, held(OLD_AMD, ARM), ALL).verdict

    assert json.loads(verdict.source_spec) == [
        {"digest": str(AMD.digest), "platform": {"architecture": "amd64", "os": "linux"}},
        {"digest": str(ARM.digest), "platform": {"architecture": "arm64", "os": "linux"}},
    ]
    assert verdict.destination_spec == spec((OLD_AMD, ARM))


OTHER = entry("x", "linux/s390x")
CONVERTED = {
    "fits": (held(AMD), ALL, (AMD,), (), ()),
    "fits-beside-kept": (held(OTHER, AMD), DEFAULT, (AMD, OTHER), (OTHER,), ()),
    "fits-single": (bare(AMD), KEEP_SINGLE, (AMD,), (), ()),
    "fits-beside-a-chosen-one": (held(ARM, AMD), DEFAULT, (), (), (left_over(ARM),)),
    "fits-and-overwrite": (held(AMD, OTHER), OVERWRITE, (), (), (not_chosen(OTHER),)),
    "absent": (None, ALL, (), (), (f"[{PLACE}]: destination manifest does not exists",)),
    "other-platform": (held(OTHER), ALL, (), (), ('source arch "amd64" != dest arch "s390x"',)),
    "two-others": (
        held(OTHER, entry("y", "linux/386")),
        *(ALL, (), ()),
        (LENGTH, 'source arch "amd64" != dest arch "s390x"'),
    ),
}


@pytest.mark.parametrize(
    ("there", "asked", "complete", "stale", "problems"), CONVERTED.values(), ids=CONVERTED
)
def test_compare_converted_compares_platforms_alone(
    there: AtDestination | None,
    asked: Demand,
    complete: tuple[Descriptor, ...],
    stale: tuple[Descriptor, ...],
    problems: tuple[str, ...],
) -> None:
    found = compare_converted(Platform("linux", "amd64"), there, asked, NAMES)

    assert (found.complete, found.stale, found.verdict.problems) == (complete, stale, problems)

from __future__ import annotations

from typing import Any

import pytest

from image_tools.errors import InvalidReference, PlatformMissing
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform
from image_tools.plan.inputs import PlanOptions
from image_tools.plan.plan import Action, Plan
from image_tools.plan.selection import NOTHING, Selection
from image_tools.report import Kept
from image_tools.run.platforms import (
    arch_tag,
    check_required,
    chosen,
    kept_entries,
    own_tag,
    wish_of,
)
from image_tools.stores.store import Abilities, Chosen
from tests.helpers.descriptors import attestation, entry
from tests.helpers.run_lab import AMD64, LINE, S390X, FakeArchive, Lab, entry_of


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        (Platform("linux", "amd64"), "1.25-linux-amd64"),
        (Platform("linux", "arm", "v7"), "1.25-linux-armv7"),
        (Platform("linux", "arm64", "v8"), "1.25-linux-arm64v8"),
        (Platform("windows", "amd64", "", "10.0.17763.1"), "1.25-windows-10.0.17763.1-amd64"),
    ],
)
def test_arch_tag_of_a_platform_names_system_and_architecture(
    platform: Platform, expected: str
) -> None:
    assert arch_tag("1.25", platform) == expected


def test_arch_tag_longer_than_a_tag_may_be_is_refused() -> None:
    with pytest.raises(InvalidReference, match="--arch-tags: tag of 1"):
        arch_tag("t" * 120, Platform("linux", "amd64"))


ARM = frozenset({"arm"})
SAVED = Chosen(ARM, None, frozenset({"v7"}))


@pytest.mark.parametrize(
    ("names_platforms", "archive", "expected"),
    [
        (True, FakeArchive(saved=SAVED), Selection()),
        (False, None, Selection()),
        (False, FakeArchive(), NOTHING),
        (
            False,
            FakeArchive(saved=SAVED),
            Selection(architectures=ARM, systems=None, variants=frozenset({"v7"})),
        ),
    ],
    ids=["named", "no archive", "an archive that does not say", "an archive that does"],
)
def test_chosen_platforms_are_those_of_the_flags_or_of_the_archive(
    names_platforms: bool, archive: FakeArchive | None, expected: Selection
) -> None:
    lab = Lab(names_platforms=names_platforms)
    lab.source.abilities = Abilities(archive=archive)
    context = lab.new_run()

    assert chosen(context, context.line_job(entry_of())) == expected


LOST = frozenset({Digest.of(b"lost")})


@pytest.mark.parametrize(
    ("options", "broken", "expected"),
    [
        ({}, frozenset(), {}),
        ({"force": True}, frozenset(), {"force": True}),
        ({"arch_tags": True}, frozenset(), {"force": True}),
        ({}, LOST, {"force": True, "lost": LOST}),
        ({"overwrite": True}, frozenset(), {"overwrite": True}),
        ({"keep_single": True}, frozenset(), {"keep_single": True}),
    ],
    ids=["plain", "force", "arch tags", "lost", "overwrite", "keep single"],
)
def test_wish_of_an_image(
    options: dict[str, Any], broken: frozenset[Digest], expected: dict[str, Any]
) -> None:
    context = Lab(**options).new_run()

    found = wish_of(context, context.line_job(entry_of()), broken)

    assert found == PlanOptions(selection=Selection(), **expected)


@pytest.mark.parametrize("source", [True, False])
@pytest.mark.parametrize("destination", [True, False])
@pytest.mark.parametrize("names_platforms", [True, False])
def test_kept_unasked_is_told_unless_whole_archives_are_united(
    source: bool, destination: bool, names_platforms: bool
) -> None:
    lab, old = Lab(names_platforms=names_platforms), entry("old", S390X)
    lab.source_archive = FakeArchive() if source else None
    lab.destination_archive = FakeArchive() if destination else None
    decided = Plan(action=Action.COPY, kept=(old,))

    found = kept_entries(lab.options, lab.new_run().endpoints, decided)

    is_united = source and destination and not names_platforms
    assert found == (() if is_united else (Kept(platform=S390X, digest=str(old.digest)),))


@pytest.mark.parametrize(
    ("requires", "leaves", "shown"),
    [
        (False, (), None),
        (True, (entry("a", AMD64), entry("b", "linux/arm64/v8")), None),
        (True, (entry("a", AMD64), attestation("a")), AMD64),
        (True, (), "none"),
    ],
    ids=["not required", "all are there", "one is missing", "none is there"],
)
def test_required_platforms_that_are_missing_are_named(
    requires: bool, leaves: tuple[Descriptor, ...], shown: str | None
) -> None:
    context = Lab(require_platforms=requires).new_run()
    job = context.line_job(entry_of())

    if shown is None:
        check_required(context, job, leaves)
        return
    with pytest.raises(PlatformMissing) as caught:
        check_required(context, job, leaves)
    missing = "linux/arm64" if leaves else "linux/amd64, linux/arm64"
    assert str(caught.value) == (
        f"{LINE}: required platforms are missing: {missing}; the source has: {shown}"
    )


@pytest.mark.parametrize(
    ("arch_tags", "child", "tag"),
    [
        (True, entry("a", AMD64), "1-linux-amd64"),
        (False, entry("a", AMD64), None),
        (True, entry("a", ""), None),
        (True, attestation("a"), None),
    ],
    ids=["platform", "not asked for", "no platform", "attestation"],
)
def test_own_tag_is_for_platforms_alone(
    arch_tags: bool, child: Descriptor, tag: str | None
) -> None:
    context = Lab(arch_tags=arch_tags).new_run()

    assert own_tag(context.options, context.line_job(entry_of()), child) == tag

"""How the children of an image get to its destination: one by one, in one run, as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from image_tools.errors import (
    EnvironmentProblem,
    ImageToolsError,
    ManifestUnsupported,
    QuotaExceeded,
    UnknownFailure,
)
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.plan.plan import Action, FinalIndex, Plan
from image_tools.plan.selection import EVERYTHING
from image_tools.run.context import RunContext
from image_tools.run.job import Job
from image_tools.run.line.transfer import Transferred, transfer
from image_tools.run.transfer_job import TransferJob
from image_tools.stores.store import Abilities
from image_tools.tools.skopeo import CANNOT_KEEP
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import (
    AMD64,
    ARM64,
    DESTINATION,
    REPOSITORY,
    S390X,
    TAG,
    ImageLab,
    Lab,
    entry_of,
    schema1,
)


class Bench(ImageLab):
    """A lab, and what its transfer gave."""

    def __init__(self, *platforms: str, **options: Any) -> None:
        super().__init__(*platforms, **options)
        self.carried: TransferJob | None = None
        self.job: Job | None = None

    def transferred(self, **more: Any) -> Transferred:
        context: RunContext = self.new_run(**more)

        async def work() -> Transferred:
            self.carried = await self.task(context)
            self.job = self.local_job(context, self.carried)
            return await transfer(context.local, self.job, self.carried)

        return run(work())

    @property
    def plan(self) -> Any:
        assert self.carried is not None
        return self.carried.plan


def test_transfer_of_several_platforms_is_one_run_that_writes_the_tag_too() -> None:
    bench = Bench()

    assert bench.transferred() == Transferred(plan=bench.plan, tagged=bench.top.digest)
    assert bench.events == [
        "place @linux/amd64 @linux/arm64",
        "copy_several @linux/amd64 @linux/arm64 with :1",
        f"{DESTINATION} put_manifest linux/amd64",
        f"{DESTINATION} put_manifest linux/arm64",
        f"{DESTINATION} put_manifest 1",
    ]


@pytest.mark.parametrize("reason", ["filtered", "nested", "signature", "key", "partly there"])
def test_transfer_in_one_run_leaves_the_tag_where_it_is_not_that_of_the_image(reason: str) -> None:
    bench = Bench(*([AMD64, ARM64, S390X] if reason == "filtered" else []))
    source = bench.source
    if reason == "nested":
        inner = source.index(*bench.entries, tag=None, name="inner")
        bench.top = source.index(inner.descriptor)
    if reason == "signature":
        source.signature(bench.top.digest)
    if reason == "partly there":
        third = source.image("linux/amd64", "another")
        bench.top = source.index(*bench.entries, third)
        bench.destination.image("linux/amd64", "another")

    found = bench.transferred(referrers=reason == "signature", signs=reason == "key")

    assert found == Transferred(plan=bench.plan, tagged=None)
    assert bench.tools == [
        *(["key"] if reason == "key" else []),
        "place @linux/amd64 @linux/arm64",
        "copy_several @linux/amd64 @linux/arm64 without an index",
    ]
    assert bench.destination.tagged() is None


@pytest.mark.parametrize(
    "reason", ["one platform", "no placing", "skopeo reads the source", "arch tags", "unreadable"]
)
def test_transfer_one_by_one(reason: str) -> None:
    bench = Bench(
        *([AMD64] if reason == "one platform" else []),
        ahead=reason != "no placing",
        arch_tags=reason == "arch tags",
    )
    bench.copier.reads_directly = reason == "skopeo reads the source"
    if reason == "unreadable":
        bench.copier.unreadable = {bench.entries[0].digest}

    assert bench.transferred() == Transferred(plan=bench.plan)
    assert bench.tools == [
        f"copy :1-{entry.platform.os}-{entry.platform.architecture}"
        if reason == "arch tags"
        else f"copy @{entry.platform}"
        for entry in bench.entries
    ]


def test_transfer_in_one_run_copies_first_what_skopeo_cannot_parse() -> None:
    bench = Bench(AMD64, ARM64, S390X, selection=EVERYTHING)
    bench.copier.unreadable = {bench.entries[0].digest}

    assert bench.transferred().tagged is None
    assert bench.tools == [
        "place @linux/amd64 @linux/arm64 @linux/s390x",
        "copy @linux/amd64",
        "copy_several @linux/arm64 @linux/s390x without an index",
    ]
    assert bench.job is not None
    assert bench.job.by_own_client


def test_transfer_in_one_run_that_meets_an_unknown_manifest_goes_on_one_by_one() -> None:
    bench = Bench()
    bench.copier.failures = [("copy_several", ManifestUnsupported("cannot parse"))]

    assert bench.transferred() == Transferred(plan=bench.plan)
    assert bench.tools[-2:] == ["copy @linux/amd64", "copy @linux/arm64"]


def test_transfer_in_one_run_that_cannot_keep_the_index_has_brought_the_children() -> None:
    bench = Bench()
    bench.copier.failures = [("copy_several", UnknownFailure(CANNOT_KEEP))]

    assert bench.transferred() == Transferred(plan=bench.plan)
    assert bench.tools[-1].startswith("copy_several")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("copy_several", UnknownFailure("something else")),
        ("copy_several", QuotaExceeded("full")),
        ("place", QuotaExceeded("full")),
    ],
    ids=["unknown", "quota", "quota while placing"],
)
def test_transfer_that_fails_raises_the_cause_and_writes_no_tag(
    call: str, error: ImageToolsError
) -> None:
    bench = Bench()
    bench.copier.failures = [(call, error)]

    with pytest.raises(type(error)):
        bench.transferred()

    assert bench.destination.tagged() is None
    assert bench.progress.snapshot().active == ()


@pytest.mark.parametrize(
    ("platforms", "shown"),
    [
        ((AMD64,), f"{DESTINATION}/team/app:1 {AMD64}"),
        ((), f"{DESTINATION}/team/app:1 2 platforms"),
    ],
    ids=["one by one", "in one run"],
)
def test_transfer_shows_what_is_under_way(platforms: tuple[str, ...], shown: str) -> None:
    bench = Bench(*platforms)
    seen: list[tuple[str, ...]] = []
    note = bench.note

    def watched(event: str) -> None:
        if event.startswith("copy"):
            seen.append(bench.progress.snapshot().active)
        note(event)

    bench.note = watched  # type: ignore[method-assign]

    bench.transferred()

    assert seen == [(shown,)]
    assert bench.progress.snapshot().active == ()


# As it is.


def test_transfer_as_it_is_writes_the_tag() -> None:
    bench = Bench(keep_single=True)
    top = bench.single(bench.entries[0])

    assert bench.transferred() == Transferred(plan=bench.plan, tagged=top.digest)
    assert bench.tools == ["copy :1"]


@pytest.mark.parametrize("reason", ["signature", "key"])
def test_transfer_as_it_is_goes_by_digest_where_something_comes_before_the_tag(reason: str) -> None:
    bench = Bench(keep_single=True)
    top = bench.single(bench.entries[0])
    bench.source.signature(top.digest)

    found = bench.transferred(referrers=reason == "signature", signs=reason == "key")

    assert found == Transferred(plan=bench.plan, tagged=None)
    assert bench.tools[-1] == "copy @image"


def test_transfer_as_it_is_gets_the_tag_of_its_platform_too() -> None:
    bench = Bench(keep_single=True, arch_tags=True)
    top = bench.single(bench.entries[0])

    assert bench.transferred() == Transferred(plan=bench.plan, tagged=top.digest)
    assert bench.tools == ["copy :1-linux-amd64", "copy :1"]


# Before the first byte.


def test_transfer_key_that_cannot_sign_is_known_before_anything_is_moved() -> None:
    bench = Bench()
    bench.signer.failures = [("key", EnvironmentProblem("wrong passphrase"))]

    with pytest.raises(EnvironmentProblem, match="wrong passphrase"):
        bench.transferred(signs=True)

    assert bench.events == ["key"]


class Projects:
    """A registry that makes its projects when they are asked for."""

    def __init__(self, tell: Any) -> None:
        self.tell = tell

    async def ensure_project(self, repository: str) -> bool:
        self.tell(f"project of {repository}")
        return True


def test_transfer_project_is_there_before_the_first_byte() -> None:
    bench = Bench()
    bench.destination.abilities = Abilities(projects=Projects(bench.note))

    bench.transferred()

    assert bench.tools[0] == f"project of {REPOSITORY}"


def test_transfer_within_one_registry_mounts_the_blobs() -> None:
    lab, place = Lab(), "other/app"
    store = lab.destination
    store.index(*(store.image(one, repository=place) for one in (AMD64, ARM64)), repository=place)
    context = lab.new_run()

    async def work() -> None:
        task = await lab.task(context, entry_of(source=f"{DESTINATION}/{place}:1"))
        await transfer(context.local, lab.local_job(context, task), task)

    run(work())

    assert (store.count("mount"), store.count("put"), store.count("upload")) == (4, 0, 0)


def test_transfer_foreign_layer_comes_along_where_the_source_holds_it() -> None:
    bench = Bench()
    held, far = b"held", b"far away"
    bench.source.add_blob(REPOSITORY, held)
    bench.single(bench.source.image(AMD64, "foreign", foreign=(held, far)))

    bench.transferred()

    assert bench.job is not None
    assert bench.destination.places(Digest.of(held)) == [REPOSITORY]
    assert bench.job.warnings == [
        f"foreign layer {Digest.of(far)} is not copied, since the source does not have it:"
        " clients download it from https://far.example/layer"
    ]


# Schema 1.


@pytest.mark.parametrize(
    ("arch_tags", "tag"), [(False, None), (True, "1-linux-amd64")], ids=["plain", "arch tags"]
)
def test_transfer_schema1_is_converted_and_planned_for_what_it_has_become(
    arch_tags: bool, tag: str | None
) -> None:
    bench = Bench(arch_tags=arch_tags)
    bench.source.add(schema1(), "old", TAG)
    made: list[RawManifest] = []

    def convert(_job: Job) -> RawManifest:
        entry = bench.destination.image(AMD64, "converted")
        made.append(bench.destination.raw(entry.digest))
        return made[-1]

    bench.copier.converted = convert

    found = bench.transferred()

    (raw,) = made
    (entry,) = found.plan.wanted
    assert json.loads(raw.content)["schemaVersion"] == 2
    assert found == Transferred(
        plan=Plan(
            action=Action.COPY,
            wanted=(entry,),
            final=FinalIndex("application/vnd.oci.image.index.v1+json", (entry,)),
        )
    )
    assert (entry.digest, str(entry.platform)) == (raw.digest, AMD64)
    assert bench.tools == [f"convert {tag}"]


def test_transfer_schema1_is_wanted_however_the_config_of_the_result_spells_its_platform() -> None:
    bench = Bench()
    bench.source.add(schema1(), "old", TAG)
    entry = bench.destination.image(S390X, "converted")
    bench.copier.converted = lambda _job: bench.destination.raw(entry.digest)

    found = bench.transferred()

    assert [one.digest for one in found.plan.wanted] == [entry.digest]
    assert found.plan.action is Action.COPY


def test_transfer_schema1_that_becomes_an_image_without_a_platform_gets_its_tag() -> None:
    bench = Bench()
    bench.source.add(schema1(), "old", TAG)
    entry = bench.destination.image("", "converted")
    bench.copier.converted = lambda _job: bench.destination.raw(entry.digest)

    found = bench.transferred()

    assert (found.plan.as_it_is, found.tagged) == (True, entry.digest)
    assert bench.destination.tagged() == entry.digest

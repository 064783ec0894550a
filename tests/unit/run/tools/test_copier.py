"""How one run of skopeo is prepared, repeated and judged; what it does is said by the test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from image_tools.errors import (
    CopyFailed,
    ImageToolsError,
    ManifestUnsupported,
    Unavailable,
    UnknownFailure,
)
from image_tools.exchange.sessions import ToolSession
from image_tools.machine.run import CompletedRun
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Manifest, RawManifest, parse
from image_tools.plan.copy_all import copy_all
from image_tools.plan.inputs import ChildManifest
from image_tools.run.job import Job
from image_tools.run.tools.copier import Copier
from image_tools.run.tools.toolbox import Tools
from image_tools.tools.skopeo import CANNOT_KEEP, SkopeoSetting
from image_tools.tools.versions import Version
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import REPOSITORY, SOURCE, TAG, ImageLab, entry_of

SETTING = SkopeoSetting(
    skopeo="skopeo", policy=Path("policy.json"), authfile=Path("auth.json"), tmpdir=Path("tmp")
)
PARSE = 'level=fatal msg="unsupported schema version 3"'
Act = Callable[["Skopeo", ToolSession, ToolSession], Awaitable[CompletedRun]]


async def pushing(skopeo: Skopeo, source: ToolSession, there: ToolSession) -> CompletedRun:
    """Push what the source's session has, indexes last, as skopeo does."""
    for raw in sorted(source.manifests.values(), key=lambda one: one.media_type in media.INDEXES):
        if raw.digest not in there.withheld:
            await there.store.put_manifest(there.repository, raw.digest, raw)
        there.pushed.append(raw)
    return skopeo.ended(0)


async def idling(skopeo: Skopeo, source: ToolSession, there: ToolSession) -> CompletedRun:
    return skopeo.ended(0)


def failing(said: str, cause: ImageToolsError | None = None) -> Act:
    async def act(skopeo: Skopeo, source: ToolSession, there: ToolSession) -> CompletedRun:
        there.cause = cause
        return skopeo.ended(1, said)

    return act


class Skopeo:
    """A toolbox and its exchange, in one: each run does the next of `acts`, then pushes."""

    def __init__(self, *acts: Act) -> None:
        self.acts = [*acts]
        self.version = Version(1, 18)
        self.argv: list[tuple[str, ...]] = []
        self.direct: list[bool] = []
        self.open: list[ToolSession] = []
        self.seen: list[tuple[ToolSession, ToolSession]] = []
        self.exchange = self

    async def tools(self) -> Tools:
        return Tools(SETTING, self.version, "buildx")

    async def run(self, argv: tuple[str, ...], *, direct: bool = False) -> CompletedRun:
        self.argv.append(argv)
        self.direct.append(direct)
        source, there = self.open
        self.seen.append((source, there))
        act = self.acts.pop(0) if self.acts else pushing
        return await act(self, source, there)

    def ended(self, returncode: int, stderr: str = "") -> CompletedRun:
        return CompletedRun(argv=self.argv[-1], returncode=returncode, stderr=stderr)

    def open_source(self, store: Any, repository: str, traffic: Any, **more: Any) -> ToolSession:
        return self._opened(
            ToolSession(key="s", store=store, repository=repository, traffic=traffic, **more)
        )

    def open_destination(
        self, tracked: Any, repository: str, traffic: Any, **more: Any
    ) -> ToolSession:
        session = ToolSession(
            key="d",
            store=tracked.store,
            repository=repository,
            traffic=traffic,
            ledger=tracked.ledger,
            **more,
        )
        return self._opened(session)

    def reference(self, session: ToolSession, ending: str) -> str:
        return f"exchange/{session.key}{ending}"

    async def close(self, session: ToolSession) -> None:
        self.open.remove(session)

    def _opened(self, session: ToolSession) -> ToolSession:
        self.open.append(session)
        return session


class Direct:
    """Sources that skopeo reads by itself, if `applies`."""

    def __init__(self, applies: bool) -> None:
        self.applies = applies

    def applies_to(self, _source: object) -> bool:
        return self.applies

    def advice(self, _source: object) -> str:
        return "leave out --direct"

    async def request(self, _source: object, request: Any, ending: str) -> Any:
        return request


class Bench(ImageLab):
    """A lab with a real copier, whose skopeo does `acts`."""

    def __init__(self, *acts: Act, direct: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.skopeo = Skopeo(*acts)
        self.context = self.new_run()
        self.job: Job = self.context.line_job(entry_of())
        self.real = Copier(
            cast(Any, self.skopeo),
            self.options,
            self.context.reader,
            self.context.scheduler,
            cast(Any, Direct(direct)),
        )
        self.children = tuple(self.child(self.source.raw(one.digest)) for one in self.entries)

    def child(self, raw: RawManifest) -> ChildManifest:
        found = parse(raw)
        assert isinstance(found, Manifest)
        return ChildManifest(raw.descriptor, raw, found)

    def odd(self) -> ChildManifest:
        """Return a Docker manifest that does not state its type, which skopeo cannot parse."""
        plain = self.children[0].raw
        return self.child(self.source.add(RawManifest(media.DOCKER_MANIFEST, plain.content), "odd"))

    def copied(self, child: ChildManifest | None = None, ending: str = "", **more: Any) -> None:
        child = child or self.children[0]
        run(self.real.copy(self.job, child, ending or f"@{child.digest}", **more))

    def copied_together(self, *, image: bool = True) -> None:
        bundle = copy_all(self.children, self.top if image else None, len(self.children))
        run(self.real.copy_several(self.job, bundle, TAG))

    @property
    def blobs(self) -> set[Digest]:
        return set(self.destination.repositories[REPOSITORY].blobs)


def test_copy_places_the_blobs_before_skopeo_runs() -> None:
    seen: list[set[Digest]] = []

    async def looking(skopeo: Skopeo, source: ToolSession, there: ToolSession) -> CompletedRun:
        seen.append(bench.blobs)
        return await pushing(skopeo, source, there)

    bench = Bench(looking)
    bench.copied()

    (child, _) = bench.children
    assert seen == [{blob.digest for blob in child.manifest.blobs}]
    assert bench.destination.repositories[REPOSITORY].manifests == {child.digest: child.raw}
    assert bench.skopeo.argv[0][-2:] == (
        f"docker://exchange/s@{child.digest}",
        f"docker://exchange/d@{child.digest}",
    )
    assert bench.skopeo.open == []


def test_copy_answers_skopeo_from_what_was_read() -> None:
    bench = Bench()
    bench.copied()

    ((source, there),) = bench.skopeo.seen
    (child, _) = bench.children
    config = child.manifest.config
    assert config is not None
    sizes = {blob.digest: blob.size for blob in child.manifest.blobs}
    assert source.manifests == {child.digest: child.raw}
    # The config was read to be placed.
    assert source.blobs.keys() == {config.digest}
    assert (source.sizes, there.expected) == (sizes, sizes)


def test_copy_without_placing_leaves_the_blobs_to_skopeo() -> None:
    bench = Bench(ahead=False)
    bench.copied()

    assert bench.blobs == set()


@pytest.mark.parametrize("is_referrer", [False, True])
def test_copy_of_a_source_that_skopeo_reads_itself_places_nothing(is_referrer: bool) -> None:
    bench = Bench(direct=True)
    bench.copied(is_referrer=is_referrer)

    # A signature never goes past the exchange.
    assert bench.skopeo.direct == [not is_referrer]
    assert (bench.blobs == set()) is not is_referrer


# Repeating.


@pytest.mark.parametrize(
    ("act", "runs"),
    [
        (failing("", Unavailable("down")), 3),
        (failing("something new"), 2),
        (idling, 2),
    ],
    ids=["may pass", "unknown", "nothing was pushed"],
)
def test_copy_that_fails_is_repeated_as_often_as_it_may_help(act: Act, runs: int) -> None:
    bench = Bench(*[act] * 5)

    with pytest.raises(CopyFailed):
        bench.copied()

    assert len(bench.skopeo.argv) == runs


def test_copy_that_fails_looks_again_for_blobs_that_were_believed_to_be_there() -> None:
    bench = Bench(failing("", Unavailable("a blob is missing")))
    bench.copied()

    # Two blobs, each looked for before both attempts.
    assert bench.destination.count("blob_size") >= 4
    assert bench.destination.count("put") == 2


def test_copy_whose_cause_the_exchange_saw_is_not_what_skopeo_said() -> None:
    bench = Bench(*[failing("unauthorized: go away", Unavailable("down"))] * 3)

    with pytest.raises(Unavailable, match="down"):
        bench.copied()


# What skopeo cannot parse.


@pytest.mark.parametrize("ending", ["", ":1"])
def test_copy_of_what_skopeo_is_known_not_to_parse_is_written_by_us(ending: str) -> None:
    bench = Bench()
    child = bench.odd()

    bench.copied(child, ending)

    assert (bench.skopeo.argv, bench.job.by_own_client) == ([], True)
    assert bench.destination.raw(child.digest) == child.raw
    assert bench.destination.tagged() == (child.digest if ending else None)
    assert bench.blobs == {blob.digest for blob in child.manifest.blobs}


def test_copy_of_what_skopeo_turns_out_not_to_parse_is_written_by_us() -> None:
    bench = Bench(failing(PARSE))
    bench.copied()

    assert (len(bench.skopeo.argv), bench.job.by_own_client) == (1, True)
    assert bench.destination.raw(bench.children[0].digest) == bench.children[0].raw


def test_copy_of_what_skopeo_has_to_verify_is_never_written_by_us() -> None:
    bench = Bench(failing(PARSE), direct=True)

    with pytest.raises(ManifestUnsupported) as caught:
        bench.copied()

    assert caught.value.advice == "leave out --direct"
    assert bench.destination.repositories[REPOSITORY].manifests == {}


def test_readable_leaves_out_what_skopeo_is_known_not_to_parse() -> None:
    bench = Bench()

    assert run(bench.real.readable((*bench.children, bench.odd()))) == bench.children


@pytest.mark.parametrize(
    ("options", "direct", "takes"),
    [({}, False, True), ({"ahead": False}, False, False), ({}, True, False)],
    ids=["plain", "no placing", "skopeo reads the source"],
)
def test_takes_several_only_where_blobs_are_placed(
    options: dict[str, Any], direct: bool, takes: bool
) -> None:
    bench = Bench(direct=direct, **options)

    assert bench.real.takes_several(bench.job) is takes


# Several at once.


@pytest.mark.parametrize("image", [True, False])
def test_copy_several_writes_the_tag_only_with_the_index_of_the_image(image: bool) -> None:
    bench = Bench()
    bench.copied_together(image=image)

    ((source, there),) = bench.skopeo.seen
    index = next(raw for raw in source.manifests.values() if raw.media_type == media.OCI_INDEX)
    ending = f":{TAG}" if image else f"@{index.digest}"
    assert bench.skopeo.argv[0][-1] == f"docker://exchange/d{ending}"
    assert there.withheld == (frozenset() if image else {index.digest})
    assert there.behind == {child.digest for child in bench.children}
    assert there.check is not None
    assert there.check(index) is None
    assert there.check(RawManifest("", b"other")) == "the tool changed the bytes of a manifest"


@pytest.mark.parametrize(
    ("said", "error"),
    [(CANNOT_KEEP, UnknownFailure), (PARSE, ManifestUnsupported)],
    ids=["cannot keep", "cannot parse"],
)
def test_copy_several_that_skopeo_cannot_do_says_so_and_keeps_what_is_placed(
    said: str, error: type[ImageToolsError]
) -> None:
    bench = Bench(failing(said))

    with pytest.raises(error):
        bench.copied_together()

    assert len(bench.skopeo.argv) == 1
    # What is understood is no reason to doubt the blobs: none is looked for again.
    assert bench.destination.count("put") == 4


# Schema 1.


@pytest.mark.parametrize("tag", [None, "1-linux-amd64"])
def test_convert_returns_what_skopeo_has_pushed(tag: str | None) -> None:
    made = RawManifest(media.DOCKER_MANIFEST, b"{}")

    async def converting(skopeo: Skopeo, source: ToolSession, there: ToolSession) -> CompletedRun:
        there.pushed.append(made)
        return skopeo.ended(0)

    bench = Bench(converting)

    assert run(bench.real.convert(bench.job, tag)) == made
    ((_, there),) = bench.skopeo.seen
    assert there.tags_become_digests is (tag is None)
    assert bench.skopeo.argv[0][-2:] == (
        f"docker://exchange/s:{TAG}",
        f"docker://exchange/d:{tag or TAG}",
    )


def test_convert_without_a_manifest_is_a_failure() -> None:
    bench = Bench(*[idling] * 4)

    with pytest.raises(UnknownFailure, match=f"{SOURCE}/team/app:1: skopeo ended well without"):
        run(bench.real.convert(bench.job, None))


def test_copy_gives_back_its_place_and_its_sessions_when_skopeo_cannot_start() -> None:
    async def breaking(_skopeo: Skopeo, _source: object, _there: object) -> CompletedRun:
        raise ManifestUnsupported("no such program")

    bench = Bench(breaking, jobs=1)
    bench.copied()

    assert bench.skopeo.open == []
    bench.copied(bench.children[1])
    assert len(bench.skopeo.argv) == 2

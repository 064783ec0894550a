"""How a validation asks both ends, and how its verdict is told; the rules have their own tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from image_tools.errors import AccessDenied, Unavailable
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.report import Change, Kept, Outcome, Status
from image_tools.run.deep_walk import Depth
from image_tools.run.engine import Engine
from image_tools.run.validation import ValidateMode, Validation
from image_tools.state import Remembered
from image_tools.stores.store import Abilities, Chosen
from image_tools.validation.demand import Demand
from image_tools.validation.verdict import COPY_AGAIN, KEPT, LOST, REPLACE
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import (
    AMD64,
    ARM64,
    DESTINATION,
    LINE,
    REPOSITORY,
    S390X,
    SOURCE,
    TAG,
    FakeArchive,
    ImageLab,
    entry_of,
    list_of,
    outcome,
    schema1,
)

PLACE = f"{DESTINATION}/team/app:1"
CHOSEN = Demand(architectures=frozenset({"amd64", "arm64"}), systems=frozenset({"linux"}))
HEADS = [f"{SOURCE} manifest_head 1", f"{DESTINATION} manifest_head 1"]
WRITING = {"put_manifest", "upload", "put", "mount", "append", "commit"}


class Bench(ImageLab):
    """A lab whose images are compared."""

    def validated(
        self,
        depth: Depth = Depth.DIGEST,
        *,
        asked: Demand = CHOSEN,
        sample: float = 1.0,
        **more: Any,
    ) -> Outcome:
        """Return the outcome of the one line, without its time; nothing may have been written."""
        mode = ValidateMode(self.new_run(**more), Validation(depth=depth, sample=sample), asked)
        engine = Engine(mode.context, mode, lambda result: result)
        (found,) = run(engine.run(list_of(LINE)))
        assert engine.fatal is None
        assert not WRITING & {call.operation for call in self.destination.calls}
        return replace(found, seconds=0.0)

    def copied(self) -> RawManifest:
        """Let the destination have what the source has; return its index."""
        self.destination.take(self.source)
        return self.top

    def filtered(self, *more: Any) -> RawManifest:
        """Let the destination have an index of the chosen platforms, and `more` entries."""
        self.destination.take(self.source)
        return self.destination.index(*self.entries[:2], *more, name="there")

    def passed(self, there: Digest, **more: Any) -> Outcome:
        base = outcome(
            Status.PASSED,
            raw=LINE,
            digest=str(there),
            source_digest=str(self.top.digest),
            digest_preserved=True,
            change=Change.SAME_DIGEST,
        )
        return replace(base, **more)


# Two heads.


def test_validation_of_the_same_index_passes_after_two_heads() -> None:
    lab = Bench()
    lab.copied()

    assert lab.validated() == lab.passed(lab.top.digest)
    assert lab.events == HEADS


@pytest.mark.parametrize(
    "exact",
    [
        {"overwrite": True},
        {"require_platforms": True},
        {"missing_platform_fails": True},
        {"attestations": False},
    ],
    ids=lambda exact: next(iter(exact)),
)
def test_validation_of_the_same_index_is_read_where_more_is_asked(exact: dict[str, Any]) -> None:
    lab = Bench()
    lab.copied()

    found = lab.validated(asked=replace(CHOSEN, **exact))

    assert found == lab.passed(lab.top.digest, platforms=(AMD64, ARM64))
    assert lab.events == [*HEADS, f"{SOURCE} manifest index"]


@pytest.mark.parametrize("keep_single", [True, False])
def test_validation_of_the_same_single_image_passes_only_where_it_stays_single(
    keep_single: bool,
) -> None:
    lab = Bench()
    lab.single(lab.entries[0])
    lab.copied()

    found = lab.validated(asked=replace(CHOSEN, keep_single=keep_single))

    assert found.status is (Status.PASSED if keep_single else Status.FAILED)


@pytest.mark.parametrize(
    ("end", "error", "kind"),
    [
        (SOURCE, Unavailable("down"), "unavailable"),
        (DESTINATION, Unavailable("down"), "unavailable"),
        (DESTINATION, AccessDenied("hidden", status=403), "access-denied"),
    ],
    ids=["source down", "destination down", "destination hidden"],
)
def test_validation_of_an_end_that_cannot_be_asked_is_no_difference(
    end: str, error: Exception, kind: str
) -> None:
    lab = Bench()
    lab.store(end).fail("manifest_head", lambda: error)

    found = lab.validated()

    assert (found.status, found.kind) == (Status.FAILED, kind)


def test_validation_of_a_source_that_is_gone_is_not_found() -> None:
    lab = Bench()
    lab.source.repositories[REPOSITORY].tags.clear()

    found = lab.validated()

    assert (found.kind, found.reason) == ("not-found", f"{LINE}: not found at the source")


def test_validation_does_not_believe_what_is_remembered() -> None:
    lab = Bench()
    old = lab.destination.index(lab.destination.image(AMD64, "old"), name="there")
    entry = entry_of()
    key = str(entry.source), str(entry.destination), lab.options.state_key
    lab.memory.known[key] = Remembered(lab.top.digest, old.digest)

    assert lab.validated().status is Status.FAILED


def test_validation_of_an_image_that_the_far_side_has_passes() -> None:
    class FarSide:
        def unchanged(self, *_what: object) -> Digest:
            return Digest.of(b"there")

    lab = Bench()

    assert lab.validated(base=FarSide()) == lab.passed(
        Digest.of(b"there"), digest_preserved=False, change=Change.FILTERED
    )


# Both indexes.


def test_validation_of_a_selection_passes_and_tells_the_platforms() -> None:
    lab = Bench(AMD64, ARM64, S390X)
    there = lab.filtered()

    assert lab.validated() == lab.passed(
        there.digest, digest_preserved=False, change=Change.FILTERED, platforms=(AMD64, ARM64)
    )


def test_validation_of_an_old_platform_that_was_not_chosen_passes_with_a_warning() -> None:
    lab = Bench()
    old = lab.destination.image(S390X)
    there = lab.filtered(old)

    found = lab.validated()

    assert found == lab.passed(
        there.digest,
        digest_preserved=False,
        change=Change.FILTERED,
        platforms=(AMD64, ARM64),
        kept=(Kept(platform=S390X, digest=str(old.digest)),),
        warnings=found.warnings,
    )
    assert [str(old.digest) in warning for warning in found.warnings] == [True]


def test_validation_of_a_single_image_in_a_list_of_one_passes() -> None:
    lab = Bench()
    lab.single(lab.entries[0])
    there = lab.destination.index(lab.destination.image(AMD64), name="there")

    assert lab.validated() == lab.passed(
        there.digest, digest_preserved=False, change=Change.LIST_OF_ONE, platforms=(AMD64,)
    )


def test_validation_of_schema1_passes_with_any_list_of_its_platform() -> None:
    lab = Bench()
    lab.top = lab.source.add(schema1(), "old", TAG)
    there = lab.destination.index(lab.destination.image(AMD64, "converted"), name="there")

    assert lab.validated() == lab.passed(
        there.digest, digest_preserved=False, change=Change.CONVERTED, platforms=(AMD64,)
    )


@pytest.mark.parametrize("deep", [False, True])
def test_validation_of_a_tag_that_is_gone_is_different(deep: bool) -> None:
    lab = Bench()

    found = lab.validated(Depth.TREE if deep else Depth.DIGEST)

    assert found.status is Status.FAILED
    assert found.reason == f"[{PLACE}]: destination manifest does not exists"
    assert (COPY_AGAIN in found.advice, found.behind) == (True, deep)


def test_validation_of_another_image_is_different() -> None:
    lab = Bench()
    other = lab.destination.image(ARM64, "other")
    lab.destination.index(lab.destination.image(AMD64), other, name="there")

    found = lab.validated()

    assert (found.status, found.kind, found.behind) == (Status.FAILED, "different", False)
    assert found.reason == f'source manifest "{LINE}" != dest "{DESTINATION}/team/app", tag "{TAG}"'


def test_validation_of_a_platform_too_much_is_different_where_the_tag_is_to_be_replaced() -> None:
    lab = Bench()
    lab.filtered(lab.destination.image(S390X))

    found = lab.validated(asked=replace(CHOSEN, overwrite=True))

    assert (found.status, found.kind) == (Status.FAILED, "different")
    assert "which was not chosen, and --overwrite is given" in found.reason


@pytest.mark.parametrize("harm", ["schema 1", "damaged", "nested lost"])
def test_validation_of_a_destination_that_cannot_be_read_is_different(harm: str) -> None:
    lab = Bench()
    if harm == "schema 1":
        lab.destination.add(schema1(), "old", TAG)
    else:
        inner = lab.destination.index(lab.destination.image(AMD64), tag=None, name="inner")
        there = lab.destination.index(inner.descriptor, name="there")
        if harm == "damaged":
            wrong = RawManifest(there.media_type, b"other bytes")
            lab.destination.repositories[REPOSITORY].manifests[there.digest] = wrong
        else:
            lab.destination.lose(inner.digest)

    found = lab.validated()

    assert (found.status, found.kind, found.behind) == (Status.FAILED, "different", True)
    assert (found.advice == REPLACE) == (harm != "schema 1")


# Wanted platforms.


def test_validation_of_an_image_without_wanted_platforms_is_skipped() -> None:
    lab = Bench(S390X)
    reason = f"{LINE}: none of the wanted platforms; the source has: {S390X}"

    assert lab.validated() == outcome(Status.SKIPPED, raw=LINE, reason=reason)


@pytest.mark.parametrize(
    ("platforms", "asked"),
    [((S390X,), {"missing_platform_fails": True}), ((AMD64,), {"require_platforms": True})],
    ids=["none is there", "one is missing"],
)
def test_validation_of_missing_platforms_fails_where_it_has_to(
    platforms: tuple[str, ...], asked: dict[str, Any]
) -> None:
    lab = Bench(*platforms)
    lab.copied()

    assert lab.validated(asked=replace(CHOSEN, **asked)).kind == "platform-missing"


# Behind the index.


def test_validation_by_digest_does_not_look_behind_the_index() -> None:
    lab = Bench(AMD64, ARM64, S390X)
    lab.filtered()
    lab.destination.lose(lab.entries[0].digest)

    assert lab.validated().status is Status.PASSED


@pytest.mark.parametrize("depth", [Depth.TREE, Depth.CONTENT])
@pytest.mark.parametrize("harm", ["manifest", "blob"])
def test_validation_of_the_tree_sees_what_is_lost(depth: Depth, harm: str) -> None:
    lab = Bench()
    lab.copied()
    if harm == "manifest":
        lab.destination.lose(lab.entries[0].digest)
    else:
        del lab.destination.repositories[REPOSITORY].blobs[Digest.of(AMD64.encode())]

    found = lab.validated(depth)

    assert (found.status, found.kind) == (Status.FAILED, "different")
    assert (found.advice, found.behind) == (LOST, True)


@pytest.mark.parametrize(
    ("depth", "sample", "sees"),
    [(Depth.TREE, 1.0, False), (Depth.CONTENT, 1.0, True), (Depth.CONTENT, 0.0, False)],
    ids=["tree", "content", "no sample"],
)
def test_validation_of_the_content_sees_what_is_damaged(
    depth: Depth, sample: float, sees: bool
) -> None:
    lab = Bench()
    lab.copied()
    layer = Digest.of(AMD64.encode())
    lab.destination.repositories[REPOSITORY].blobs[layer] = AMD64.encode()[::-1]

    found = lab.validated(depth, sample=sample)

    assert found.status is (Status.FAILED if sees else Status.PASSED)
    assert found.advice == (KEPT if sees else "")


def test_validation_of_the_tree_of_a_whole_image_passes_and_reads_no_layer() -> None:
    lab = Bench()
    lab.copied()

    assert lab.validated(Depth.TREE).status is Status.PASSED
    assert lab.destination.count("blob") == 0


# Archives.


@pytest.mark.parametrize(
    ("source", "destination", "command"),
    [(False, False, "mirror"), (True, False, "load"), (False, True, "save")],
)
def test_validation_names_the_command_that_copies_between_these_ends(
    source: bool, destination: bool, command: str
) -> None:
    lab = Bench()
    lab.copied()
    lab.destination.lose(lab.entries[0].digest)
    if source:
        lab.source.abilities = Abilities(archive=FakeArchive())
    if destination:
        lab.destination.abilities = Abilities(archive=FakeArchive())

    found = lab.validated(Depth.TREE)

    assert found.advice == LOST.replace("mirror", command)


@pytest.mark.parametrize(
    ("saved", "passes"),
    [
        (Chosen(None, None, None), False),
        (Chosen(frozenset({"amd64"}), None, None), True),
        (None, True),
    ],
    ids=["all was chosen", "amd64 was chosen", "unknown"],
)
def test_validation_of_an_archive_demands_what_was_chosen_when_it_was_saved(
    saved: Chosen | None, passes: bool
) -> None:
    lab = Bench(AMD64)
    lab.source.abilities = Abilities(archive=FakeArchive(saved=saved))
    lab.filtered(lab.destination.image(S390X))

    found = lab.validated(asked=Demand(names_platforms=False))

    assert (found.status is Status.PASSED) == passes

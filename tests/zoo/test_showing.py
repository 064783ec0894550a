"""Absence, refusals, heads and parts: what a registry does not tell is asked in another way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from image_tools.errors import ImageToolsError, NotFound
from image_tools.oci.digest import Digest
from image_tools.stores.remote.registry import Remote
from image_tools.stores.store import ManifestHead
from tests.helpers import images
from tests.helpers.content import digest_of
from tests.helpers.fault_types import ALWAYS, Fault, Reply, Stage
from tests.helpers.signatures import sign, tag_of
from tests.zoo.behaviour import Behaviour, Call, page
from tests.zoo.listing import TagsRefused
from tests.zoo.reading import (
    CVE_WORDS,
    AbsentTagForbidden,
    HeadRefused,
    HeadWithoutDigest,
    HeadWithoutLength,
    HeadWithoutType,
    NotFoundPage,
    PolicyRefuses,
    RangeRefused,
    WebPage,
)
from tests.zoo.refusing import ReadOnly
from tests.zoo.registry import ZooRegistry
from tests.zoo.sample import sample
from tests.zoo.tokens import DENIED
from tests.zoo.trip import CHANGED, NAME, SMALL, TAG, Trip, ask, filled, receive

TOP = Digest.parse(SMALL.top.digest)
HEAD = ManifestHead(TOP, SMALL.top.media_type, len(SMALL.top.data))
BLOB = max((blob.data for blob in SMALL.blobs), key=len)
BOUGHT = digest_of(BLOB)


async def head(store: Remote) -> ManifestHead | None:
    return await store.manifest_head(NAME, TAG)


# --- absent


def test_new_tag_where_absence_is_forbidden_is_written(tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(AbsentTagForbidden()) as destination:
        trip = Trip(source=filled(source), destination=destination, folder=tmp_path)
        ran = trip.mirror()
        again = trip.mirror()

    assert (ran.statuses, again.statuses) == (["copied"], ["unchanged"]), ran.stderr
    assert trip.digests() == {NAME: {TAG: SMALL.top.digest}}


@pytest.mark.parametrize(("lists", "kind"), [(True, "not-found"), (False, "access-denied")])
def test_absent_tag_of_a_source_that_forbids_is_no_success(
    lists: bool, kind: str, tmp_path: Path
) -> None:
    """The list of tags tells, where there is one."""
    with ZooRegistry(AbsentTagForbidden()) as source, ZooRegistry() as destination:
        if not lists:
            source.add(Fault(Stage.TAGS, 403, ALWAYS))
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror()

    assert (ran.code, ran.only()["kind"]) == (1, kind)


def test_new_signature_tag_where_absence_is_forbidden_and_tags_are_not_listed_is_written(
    tmp_path: Path,
) -> None:
    """S3 without the right to list: pushes tell what may be written, for signatures as well."""
    habits = AbsentTagForbidden(), TagsRefused()
    with ZooRegistry() as source, ZooRegistry(*habits) as destination:
        sign(filled(source).endpoint, NAME, SMALL.top.digest, 1)
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran = trip.mirror("--arch", "all", "--os", "all")

    assert ran.statuses == ["copied"], ran.stderr
    assert set(trip.digests()[NAME]) == {TAG, tag_of(SMALL.top.digest)}


def test_new_tag_where_pushes_are_forbidden_too_is_refused(tmp_path: Path) -> None:
    habits = AbsentTagForbidden(), ReadOnly(403, DENIED)
    with ZooRegistry() as source, ZooRegistry(*habits) as destination:
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror()

    assert (ran.code, ran.only()["kind"]) == (1, "access-denied")
    assert destination.put_blobs() == 0


@pytest.mark.parametrize("words", [(), ("--no-ahead",)], ids=["placed", "by-skopeo"])
def test_new_image_where_all_that_is_absent_is_forbidden_is_written(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    """S3 without the right to list: blobs and manifests by digest, too (ggcr#1691)."""
    with ZooRegistry() as source, ZooRegistry(AbsentTagForbidden(blobs=True)) as destination:
        source.load(NAME, TAG, images.docker_list(1))
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran = trip.mirror(*words)

    assert ran.statuses == ["copied"], ran.stderr


@pytest.mark.parametrize("status", [405, 403])
def test_absent_tags_of_a_registry_without_head_are_absent_one_after_the_other(
    status: int,
) -> None:
    async def both(store: Remote) -> list[object]:
        return [await store.manifest_head(NAME, tag) for tag in (TAG, "a", "b")]

    with ZooRegistry(HeadRefused(status), AbsentTagForbidden()) as registry:
        found = ask(filled(registry), both)

    assert found[1:] == [None, None]


class LosesTags(Behaviour):
    """A registry that says it has taken a tag, and has not."""

    def before(self, call: Call) -> Reply | None:
        """Answer as if the tag were stored."""
        if not call.asks("PUT", "manifests") or not call.names_tag:
            return None
        return Reply(201, b"", {"Docker-Content-Digest": digest_of(call.body)})


@pytest.mark.parametrize("words", [(), ("--overwrite",)])
def test_tag_that_was_lost_and_is_forbidden_is_not_copied(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    with ZooRegistry() as source, ZooRegistry(LosesTags(), AbsentTagForbidden()) as destination:
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror(*words)

    assert ran.only()["status"] == "failed", ran.stderr


@pytest.mark.parametrize("words", [(), ("--overwrite",)])
def test_page_in_place_of_a_destinations_tag_is_no_registry(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    class SignIn(Behaviour):
        """A portal in front of the manifests."""

        def before(self, call: Call) -> Reply | None:
            """Ask people to sign in."""
            return page(403, "Sign in to the network") if call.asked.what == "manifests" else None

    with ZooRegistry() as source, ZooRegistry(SignIn()) as destination:
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror(*words)

    assert ran.only()["kind"] == "unavailable", ran.stderr
    assert "this is not a registry" in ran.only()["reason"]
    assert "--overwrite" not in ran.only()["advice"]


def test_new_tag_behind_pages_for_what_is_missing_is_written(tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(NotFoundPage()) as destination:
        trip = Trip(source=filled(source), destination=destination, folder=tmp_path)
        ran = trip.mirror()

    assert ran.statuses == ["copied"], ran.stderr
    assert trip.digests() == {NAME: {TAG: SMALL.top.digest}}


def test_manifest_head_answered_with_a_page_of_404_is_absence_without_a_get() -> None:
    with ZooRegistry(NotFoundPage()) as registry:
        found = ask(registry, head)

    assert (found, len(registry.asked("GET", "manifests"))) == (None, 0)


def test_manifest_answered_with_a_page_of_404_is_not_found() -> None:
    with ZooRegistry(NotFoundPage()) as registry, pytest.raises(NotFound):
        ask(registry, lambda store: store.manifest(NAME, TAG))


@pytest.mark.parametrize("status", [200, 403])
def test_page_in_place_of_a_manifest_is_no_registry(status: int) -> None:
    with (
        ZooRegistry(WebPage(status)) as registry,
        pytest.raises(ImageToolsError, match=r"not a registry|no registry") as caught,
    ):
        ask(filled(registry), lambda store: store.manifest(NAME, TAG))

    assert caught.value.kind != "access-denied"


# --- refused


@pytest.mark.parametrize("status", [412, 451, 403, 400])
def test_manifest_that_a_policy_blocks_is_refused_with_the_policys_words(
    status: int, tmp_path: Path
) -> None:
    with ZooRegistry(PolicyRefuses(status)) as source, ZooRegistry() as destination:
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror()

    assert ran.code == 1
    assert "due to configured policy" in ran.only()["reason"], ran.only()
    assert len(source.asked("GET", "manifests")) == 1


@pytest.mark.parametrize("status", [412, 403])
def test_head_that_a_policy_refuses_is_asked_for_its_words_once(status: int) -> None:
    with ZooRegistry(PolicyRefuses(status)) as registry:
        with pytest.raises(ImageToolsError, match=re.escape(CVE_WORDS[:40])):
            ask(filled(registry), head)

        asked = [(s.method, s.status) for s in registry.requests if "/manifests/" in s.path]

    assert asked == [("HEAD", status), ("GET", status)]


@pytest.mark.parametrize("status", [412, 451, 403])
def test_old_tag_that_is_not_shown_is_replaced_with_overwrite(status: int, tmp_path: Path) -> None:
    policy = PolicyRefuses(status, {SMALL.top.digest})
    with ZooRegistry() as source, ZooRegistry(policy) as destination:
        trip = Trip(source=filled(source, CHANGED), destination=destination, folder=tmp_path)
        filled(destination, SMALL)
        without = trip.mirror()
        with_it = trip.mirror("--overwrite", "--force")

    assert without.code == 1
    assert "--overwrite" in f"{without.only()['reason']} {without.only()['advice']}"
    assert with_it.statuses == ["copied"], with_it.stderr
    assert trip.digests() == {NAME: {TAG: CHANGED.top.digest}}


# --- not told


HABITS = [
    *(pytest.param(HeadRefused(status), id=f"head-{status}") for status in (405, 501, 400)),
    pytest.param(HeadRefused(403), id="head-403"),
    pytest.param(HeadRefused(500), id="head-500"),
    pytest.param(HeadWithoutType(None), id="no-type"),
    pytest.param(HeadWithoutType(), id="octet-stream"),
    pytest.param(HeadWithoutType("text/plain; charset=utf-8"), id="text"),
    pytest.param(HeadWithoutType("application/json"), id="json"),
    pytest.param(HeadWithoutDigest("HEAD"), id="no-digest"),
    pytest.param(HeadWithoutDigest(), id="no-digest-at-all"),
    pytest.param(HeadWithoutLength(), id="no-length"),
]


@pytest.mark.parametrize("behaviour", sample(HABITS, "head-400", "octet-stream", "no-digest"))
def test_head_that_does_not_tell_all_is_no_obstacle_to_a_copy(
    behaviour: Behaviour, tmp_path: Path
) -> None:
    """Both ends have the habit, and the second run finds that nothing changed."""
    with ZooRegistry(behaviour) as source, ZooRegistry(behaviour) as destination:
        trip = Trip(source=filled(source), destination=destination, folder=tmp_path)
        ran = trip.mirror()
        again = trip.mirror()
        checked = trip.validate("content")

    assert ran.statuses == ["copied"], ran.stderr
    assert again.statuses == ["unchanged"], again.stderr
    assert checked.statuses == ["passed"], checked.stderr


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(HeadRefused(400), id="head-400"),
        pytest.param(HeadRefused(405), id="head-405"),
        pytest.param(HeadWithoutDigest(), id="no-digest"),
    ],
)
def test_manifest_head_is_told_by_the_content(behaviour: Behaviour) -> None:
    with ZooRegistry(behaviour) as registry:
        found = ask(filled(registry), head)

    assert found is not None
    assert (found.digest, found.media_type) == (HEAD.digest, HEAD.media_type)


@pytest.mark.parametrize("status", [405, 501, 400, 403, 406, 410, 415, 422, 500])
def test_blob_head_that_is_refused_is_told_by_its_first_byte(status: int) -> None:
    with ZooRegistry(HeadRefused(status, ("blobs",))) as registry:
        size = ask(filled(registry), lambda store: store.blob_size(NAME, Digest.parse(BOUGHT)))

    assert size == len(BLOB)


@pytest.mark.parametrize("what", ["manifests", "blobs"])
@pytest.mark.parametrize("status", [405, 501, 406, 410, 415, 422])
def test_head_that_a_registry_does_not_know_is_asked_for_once(status: int, what: str) -> None:
    async def twice(store: Remote) -> None:
        for number in range(2):
            if what == "manifests":
                await store.manifest_head(NAME, f"{number}.0")
            else:
                await store.blob_size(NAME, Digest.parse(SMALL.blobs[number].digest))

    with ZooRegistry(HeadRefused(status, (what,))) as registry:
        filled(registry).load(NAME, "0.0", CHANGED)
        ask(registry, twice)
        heads = len({seen.path for seen in registry.asked("HEAD", what)})

    assert heads == 1


def test_blob_head_without_length_is_told_by_its_first_byte() -> None:
    with ZooRegistry(HeadWithoutLength()) as registry:
        size = ask(filled(registry), lambda store: store.blob_size(NAME, Digest.parse(BOUGHT)))

    assert size == len(BLOB)


@pytest.mark.parametrize("status", [416, 400, 403, 501, 200])
def test_part_of_a_blob_where_no_range_is_taken_comes_from_the_whole(status: int) -> None:
    with ZooRegistry(RangeRefused(status)) as registry:
        part = ask(filled(registry), lambda store: receive(store, BOUGHT, first=100, last=199))

    assert part == BLOB[100:200]


@pytest.mark.parametrize("status", [416, 400, 403, 501, 200])
def test_blob_size_where_neither_head_nor_range_is_taken_is_found(status: int) -> None:
    habits = RangeRefused(status), HeadRefused(405, ("blobs",))
    with ZooRegistry(*habits) as registry:
        size = ask(filled(registry), lambda store: store.blob_size(NAME, Digest.parse(BOUGHT)))

    assert size == len(BLOB)


def test_range_that_was_refused_is_not_asked_for_again() -> None:
    async def twice(store: Remote) -> None:
        for first in (1, 2):
            await receive(store, BOUGHT, first=first, last=10)

    with ZooRegistry(RangeRefused(400)) as registry:
        ask(filled(registry), twice)
        tries = [seen for seen in registry.requests if "Range" in seen.headers]

    assert len(tries) == 1

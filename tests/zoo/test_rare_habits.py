"""Rare habits of registries, found by trying to break the program: each test has failed once."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from image_tools.errors import ImageToolsError
from image_tools.stores.remote.registry import Remote
from tests.helpers import images
from tests.helpers.fault_types import Reply, error_reply
from tests.helpers.signatures import refer
from tests.zoo.behaviour import UPLOADS, Behaviour, Call, with_headers
from tests.zoo.listing import ReferrersRefused
from tests.zoo.reading import AbsentTagForbidden
from tests.zoo.refusing import QuotaExceeded
from tests.zoo.registry import ZooRegistry
from tests.zoo.tokens import AsksForTokens
from tests.zoo.trip import NAME, SMALL, TAG, Trip, ask, filled, log_in, send, single

FOUR = tuple(f"team/app{number}" for number in range(4))


def tagged(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{name}:{TAG}" for name in names)


# --- 401 for a repository that does not exist yet


@dataclass(slots=True)
class PullOfNewRepositoryUnauthorized(Behaviour):
    """Quay: no right to pull what does not exist; a token with push creates it (helm#31567)."""

    created: set[str] = field(default_factory=set)

    def before(self, call: Call) -> Reply | None:
        """Grant no scope of a repository that is not there."""
        if call.asked.what != "token":
            return None
        granted = []
        for scope in call.scopes:
            name, _, actions = scope.removeprefix("repository:").rpartition(":")
            if "push" in actions.split(","):
                self.created.add(name)
            if name in self.created or call.registry.store.has_repository(name):
                granted.append(scope)
        call.granted = tuple(granted)
        return None


def test_new_repository_that_nobody_may_read_yet_is_created_by_the_push(
    tmp_path: Path, clean_environment: Path
) -> None:
    guards = PullOfNewRepositoryUnauthorized(), AsksForTokens()
    with ZooRegistry() as source, ZooRegistry(*guards) as destination:
        for number, name in enumerate(FOUR):
            source.load(name, TAG, images.helm_chart(number + 1))
        destination.load(FOUR[0], TAG, images.helm_chart(9))
        log_in(clean_environment, destination)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror(
            "--overwrite", images=tagged(FOUR)
        )

    assert ran.statuses == ["copied"] * 4, ran.stderr


# --- referrers that get lost without a word


@pytest.mark.parametrize("answer", [401, 403, 500])
def test_referrers_that_are_refused_and_listed_nowhere_are_a_warning(
    answer: int | str, tmp_path: Path
) -> None:
    with ZooRegistry(ReferrersRefused(answer)) as source, ZooRegistry() as destination:
        refer(filled(source).plain.endpoint, NAME, SMALL.top.digest)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror()

    assert len(ran.only()["warnings"]) == 1, ran.stderr


@dataclass(slots=True)
class ReferrersFailFor(Behaviour):
    """One subject's list fails: 500, or an index with an entry that is none."""

    entries: bool = False
    digests: set[str] = field(default_factory=set)

    def before(self, call: Call) -> Reply | None:
        """Fail for these subjects."""
        if not call.asks("GET", "referrers") or call.reference not in self.digests:
            return None
        body = b'{"schemaVersion":2,"manifests":[{"digest":5}]}'
        kind = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
        return Reply(200, body, kind) if self.entries else error_reply(500, "UNKNOWN", "unknown")


@pytest.mark.parametrize("entries", [False, True], ids=["500", "entries"])
def test_failing_list_of_one_subject_loses_no_referrers_of_others_silently(
    entries: bool, tmp_path: Path
) -> None:
    failing = ReferrersFailFor(entries)
    with ZooRegistry(failing) as source, ZooRegistry() as destination:
        for number, name in enumerate(FOUR):
            image = images.helm_chart(number + 1)
            source.load(name, TAG, image)
            refer(source.plain.endpoint, name, image.top.digest)
            if number == 0:
                failing.digests.add(image.top.digest)
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran = trip.mirror("-j", "1", images=tagged(FOUR))
        held = [len(destination.store.manifests[name]) for name in FOUR]

    said = [bool(outcome["warnings"]) for outcome in ran.outcomes]
    assert [manifests == 2 or warned for manifests, warned in zip(held, said, strict=True)] == [
        True
    ] * 4, (held, ran.stderr)


# --- success without reading back


@dataclass(slots=True)
class PutForgets(Behaviour):
    """201 for a tag that is not stored."""

    def before(self, call: Call) -> Reply | None:
        """Say that the tag is stored."""
        return Reply(201) if call.asks("PUT", "manifests") and call.names_tag else None


@pytest.mark.parametrize("status", [403, 412])
def test_tag_that_is_neither_shown_nor_listed_after_its_push_is_no_success(
    status: int, tmp_path: Path
) -> None:
    habits = AbsentTagForbidden(status), PutForgets()
    with ZooRegistry() as source, ZooRegistry(*habits) as destination:
        filled(source)
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran = trip.mirror("--overwrite", "--retry-times", "1")

    assert (ran.code, trip.digests()) == (1, {}), ran.stderr


# --- what a refusal closes


@dataclass(slots=True)
class ArtifactRefused405(Behaviour):
    """ECR: 405 UNSUPPORTED for a manifest it does not like (containers-roadmap#2783)."""

    def before(self, call: Call) -> Reply | None:
        """Refuse helm charts."""
        if not call.asks("PUT", "manifests") or b"helm" not in call.body:
            return None
        words = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON"
        return error_reply(405, "UNSUPPORTED", f"{words} syntax'")


def test_manifest_refused_with_405_is_no_read_only_repository(tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(ArtifactRefused405()) as destination:
        source.load(NAME, "chart", SMALL)
        for number, tag in enumerate("abcdef"):
            source.load(NAME, tag, images.oci_index(number + 1))
        wanted = tuple(f"{NAME}:{tag}" for tag in ("chart", *"abcdef"))
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror(
            "-j", "1", images=wanted
        )

    assert ran.statuses == ["failed", *["copied"] * 6], ran.stderr
    assert ran.outcomes[0]["kind"] != "read-only"


# --- a 403 at the end of an upload is not about the token that began it


def test_quota_behind_a_wide_opaque_token_is_told_and_costs_one_upload(
    tmp_path: Path, clean_environment: Path
) -> None:
    names = tuple(f"team{number}/app" for number in range(3))
    guards = AsksForTokens(), QuotaExceeded()
    with ZooRegistry() as source, ZooRegistry(*guards) as destination:
        for number, name in enumerate(names):
            source.load(name, TAG, images.helm_chart(number + 1))
        log_in(clean_environment, destination)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror(
            "--retry-times", "0", images=tagged(names)
        )
        asked = destination.asked("PUT", UPLOADS)

    assert [outcome["kind"] for outcome in ran.outcomes] == ["quota-exceeded"] * 3, ran.stderr
    assert len(asked) <= 2 * len(names)


# --- optional steps that decide


@dataclass(slots=True)
class AbsentBlobForbidden(Behaviour):
    """S3 without the right to list: 403 for a blob that does not exist (cosign#2973)."""

    status: int = 403

    def after(self, call: Call, reply: Reply) -> Reply:
        """Forbid what is not there."""
        is_absent = call.asks("GET HEAD", "blobs") and reply.status == 404
        return error_reply(self.status, "DENIED", "Access Denied") if is_absent else reply


@pytest.mark.parametrize("status", [400, 401, 403])
def test_blob_whose_absence_is_forbidden_is_sent(status: int, tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(AbsentBlobForbidden(status)) as destination:
        filled(source)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror()

    assert ran.statuses == ["copied"], ran.stderr


@dataclass(slots=True)
class LargePutRefused(Behaviour):
    """413 for large bodies; PATCH is not implemented."""

    most: int = 1000

    def before(self, call: Call) -> Reply | None:
        """Refuse both."""
        if call.asks("PUT", UPLOADS) and len(call.body) > self.most:
            return error_reply(413, "SIZE_INVALID", "too large")
        refusal = error_reply(405, "UNSUPPORTED", "The operation is unsupported.")
        return refusal if call.asks("PATCH", UPLOADS) else None


def test_blob_that_is_too_large_keeps_no_small_one_from_its_single_put() -> None:
    async def sent(store: Remote) -> list[bool]:
        stored = []
        for size in (100, 5000, 101, 102):
            try:
                await send(store, os.urandom(size))
            except ImageToolsError:
                stored.append(False)
            else:
                stored.append(True)
        return stored

    with ZooRegistry(LargePutRefused()) as registry:
        assert ask(registry, sent) == [True, False, True, True]


@dataclass(slots=True)
class BothChallenges(Behaviour):
    """Basic works; the token server that a Bearer challenge names is not there."""

    order: Callable[[list[str]], list[str]] = list

    def before(self, call: Call) -> Reply | None:
        """Ask for one of both."""
        if call.asked.what == "token":
            return error_reply(404, "UNKNOWN", "not found")
        if call.basic is not None:
            return None
        bearer = f'Bearer realm="{call.registry.endpoint.url}/token",service="zoo"'
        both = self.order([bearer, 'Basic realm="zoo"'])
        return error_reply(401, "UNAUTHORIZED", "login", {"WWW-Authenticate": ", ".join(both)})


@pytest.mark.parametrize("order", [list, sorted], ids=["bearer-first", "basic-first"])
def test_basic_is_used_where_the_token_server_beside_it_is_not_there(
    order: Callable[[list[str]], list[str]], clean_environment: Path
) -> None:
    with ZooRegistry(BothChallenges(order)) as registry:
        log_in(clean_environment, filled(registry))
        ran = single("inspect", registry)

    assert ran.code == 0, ran.stderr


# --- lists without an end


@dataclass(slots=True)
class PagesInACircle(Behaviour):
    """Two pages that name each other."""

    what: str

    def after(self, call: Call, reply: Reply) -> Reply:
        """Name the other page."""
        if not call.asks("GET", self.what) or reply.status != 200:
            return reply
        other = 2 if "p=1" in call.asked.query_text else 1
        return with_headers(reply, Link=f'<{call.asked.path}?p={other}>; rel="next"')


def test_tags_in_a_circle_are_given_up_at_once() -> None:
    with ZooRegistry(PagesInACircle("tags")) as registry:
        ran = single("list-tags", filled(registry), NAME)
        asked = registry.asked("GET", "tags")

    assert ran.code == 1, ran.stderr
    assert len(asked) < 5


def test_referrers_in_a_circle_are_copied(tmp_path: Path) -> None:
    with ZooRegistry(PagesInACircle("referrers")) as source, ZooRegistry() as destination:
        digest = refer(filled(source).plain.endpoint, NAME, SMALL.top.digest)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror()
        asked = source.asked("GET", "referrers")

    assert ran.statuses == ["copied"], ran.stderr
    assert digest in destination.manifests[NAME]
    assert len(asked) < 20


# --- deleting in part


@dataclass(slots=True)
class OneTagCannotBeDeleted(Behaviour):
    """Harbor: 412 for the digest of an immutable tag, and for that tag."""

    tag: str = "zz"

    def before(self, call: Call) -> Reply | None:
        """Refuse, or delete a tag."""
        if not call.asks("DELETE", "manifests"):
            return None
        tags = call.registry.store.tags[call.repository]
        if self.tag in {call.reference} or tags[self.tag] == call.reference:
            words = f"the tag {self.tag} configured as immutable, cannot be deleted"
            return error_reply(412, "PRECONDITION", words)
        tags.pop(call.reference, None)
        return Reply(202)


def test_delete_that_stops_halfway_says_which_tags_are_gone() -> None:
    with ZooRegistry(OneTagCannotBeDeleted()) as registry:
        for tag in ("dev", "mid", "zz"):
            registry.load(NAME, tag, SMALL)
        ran = single("delete", registry, f"{NAME}:dev", "-y")
        left = set(registry.store.tags[NAME])

    assert ran.code == 1
    assert all(tag in left or tag in ran.stderr for tag in ("dev", "mid", "zz")), ran.stderr

"""What registries hide, limit and refuse in rare ways: each test has failed once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.fault_types import Reply, error_reply
from tests.helpers.signatures import refer
from tests.zoo.behaviour import Behaviour, Call
from tests.zoo.listing import ReferrersRefused
from tests.zoo.reading import AbsentTagForbidden, HeadRefused
from tests.zoo.refusing import harbor_immutable
from tests.zoo.registry import ZooRegistry
from tests.zoo.tokens import AsksForTokens
from tests.zoo.trip import NAME, SMALL, TAG, Trip, filled, log_in, single

FOUR = tuple(f"team/app{number}" for number in range(4))


def tagged(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{name}:{TAG}" for name in names)


# --- what a destination hides


@dataclass(slots=True)
class PushOnly(Behaviour):
    """An account that may push and not pull: a missing right is 401 (RFC 6750, section 3.1)."""

    def before(self, call: Call) -> Reply | None:
        """Ask for the right to pull."""
        if not call.asks("GET HEAD", "manifests"):
            return None
        realm = f'Bearer realm="{call.registry.endpoint.url}/token",service="zoo"'
        scope = f'{realm},scope="repository:{call.repository}:pull"'
        return error_reply(401, "UNAUTHORIZED", "no pull", {"WWW-Authenticate": scope})


def test_tag_that_is_hidden_by_a_401_is_not_replaced(
    tmp_path: Path, clean_environment: Path
) -> None:
    old = images.oci_index(77)
    with ZooRegistry() as source, ZooRegistry(PushOnly(), AsksForTokens()) as destination:
        filled(source)
        destination.load(NAME, TAG, old)
        log_in(clean_environment, destination)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror()
        left = destination.store.tags[NAME][TAG]

    assert (ran.code, left) == (1, old.top.digest)


def test_dry_run_where_absent_blobs_are_forbidden_foresees_the_copy(tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(AbsentTagForbidden(blobs=True)) as destination:
        source.load(NAME, TAG, images.oci_index(5))
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        foreseen = trip.mirror("--dry-run")
        ran = trip.mirror()

    assert (foreseen.code, ran.code) == (0, 0), foreseen.stdout


@pytest.mark.parametrize("status", [401, 403])
def test_deleted_digest_whose_absence_is_forbidden_is_deleted(status: int) -> None:
    with ZooRegistry(AbsentTagForbidden(status, blobs=True)) as registry:
        filled(registry)
        registry.store.tags[NAME].clear()
        ran = single("delete", registry, f"{NAME}@{SMALL.top.digest}", "-y")

    assert ran.code == 0, ran.stderr
    assert SMALL.top.digest not in registry.store.manifests[NAME]


# --- limits


@pytest.mark.parametrize("status", [405, 500])
def test_images_beyond_the_pull_budget_of_a_registry_without_head_are_deferred(
    status: int, tmp_path: Path
) -> None:
    names = tuple(f"team/app{number}" for number in range(12))
    with ZooRegistry(HeadRefused(status)) as source, ZooRegistry() as destination:
        for number, name in enumerate(names):
            source.load(name, TAG, images.helm_chart(number + 1))
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror(
            *("--retry-times", "0", "--pull-budget", "6", "--remove-signatures"),
            images=tagged(names),
        )

    assert (ran.code, set(ran.statuses) <= {"copied", "deferred"}) == (5, True), ran.stderr


# --- what speaks about an image, and rights


@dataclass(slots=True)
class FallbackImmutable(Behaviour):
    """A rule for immutable tags that covers the tags of referrers (harbor#9427)."""

    def before(self, call: Call) -> Reply | None:
        """Refuse to change them."""
        is_list = call.asks("PUT", "manifests") and call.reference.startswith("sha256-")
        return harbor_immutable(call) if is_list else None


def test_immutable_list_of_referrers_closes_no_other_tag(tmp_path: Path) -> None:
    guards = ReferrersRefused(404), FallbackImmutable()
    with ZooRegistry() as source, ZooRegistry(*guards) as destination:
        refer(filled(source).plain.endpoint, NAME, SMALL.top.digest)
        for tag, seed in (("2.0", 2), ("3.0", 3)):
            source.load(NAME, tag, images.helm_chart(seed))
        for number, tag in enumerate((TAG, "2.0", "3.0")):
            destination.load(NAME, tag, images.helm_chart(31 + number))
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror(
            *("--overwrite", "-j", "1", "--retry-times", "0"),
            images=tuple(f"{NAME}:{tag}" for tag in (TAG, "2.0", "3.0")),
        )

    assert ran.statuses == ["failed", "copied", "copied"], ran.stderr
    assert "list of what refers to" in ran.outcomes[0]["reason"]


@dataclass(slots=True)
class WideRefusedFor(Behaviour):
    """A token for many that is refused for one repository, with no word of why (docker_auth#67)."""

    repository: str
    wide: set[str] = field(default_factory=set)

    def after(self, call: Call, reply: Reply) -> Reply:
        """Refuse the tokens for several scopes."""
        if call.asked.what == "token" and reply.status == 200 and len(call.scopes) > 1:
            self.wide.add(json.loads(reply.body)["token"])
        is_meant = call.repository == self.repository and call.bearer in self.wide
        return error_reply(401, "UNAUTHORIZED", "no") if is_meant else reply


def test_wide_token_refused_with_a_bare_401_leads_to_the_images_own(
    tmp_path: Path, clean_environment: Path
) -> None:
    guards = WideRefusedFor(FOUR[2]), AsksForTokens()
    with ZooRegistry() as source, ZooRegistry(*guards) as destination:
        for number, name in enumerate(FOUR):
            source.load(name, TAG, images.helm_chart(number + 1))
        log_in(clean_environment, destination)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror(
            images=tagged(FOUR)
        )

    assert ran.statuses == ["copied"] * 4, ran.stderr

"""Known reasons are reported as what they are, and nothing is sent in vain after them."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import trustme

from tests.helpers import images
from tests.helpers.certificates import Certificates
from tests.helpers.faults import FaultOptions
from tests.helpers.registry import free_port
from tests.helpers.running import Ran, mirror
from tests.zoo.behaviour import UPLOADS, Behaviour
from tests.zoo.pushing import LimitsUploads
from tests.zoo.refusing import (
    IMMUTABLE,
    ImmutableTags,
    QuotaExceeded,
    ReadOnly,
    RepositoryMissing,
    read_only_405,
)
from tests.zoo.registry import ZooRegistry
from tests.zoo.sample import sample
from tests.zoo.trip import CHANGED, NAME, ONE, SMALL, TAG, Trip, filled

MANY = 40


def text_of(ran: Ran) -> str:
    """Return reason and advice of the one outcome."""
    found = ran.only()
    return f"{found['reason']} {found['advice']}"


def many(source: ZooRegistry) -> tuple[str, ...]:
    """Fill in images of one project, each with blobs of its own; return their names."""
    for number in range(MANY):
        source.load(f"team/app{number}", TAG, images.helm_chart(number))
    return tuple(f"team/app{number}:{TAG}" for number in range(MANY))


# --- quota and read-only


QUOTAS = [
    pytest.param(QuotaExceeded(status, at), id=f"{status}-{at}")
    for status in (403, 412)
    for at in (UPLOADS, "manifests")
]
READ_ONLY = [pytest.param(ReadOnly(), id="403"), pytest.param(read_only_405(), id="405")]


@pytest.mark.parametrize("behaviour", QUOTAS)
def test_quota_that_is_exceeded_is_named(behaviour: Behaviour, tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(behaviour) as destination:
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror()

    assert (ran.code, ran.only()["kind"]) == (1, "quota-exceeded"), ran.only()
    assert "will exceed the configured upper limit" in ran.only()["reason"]
    assert "quota" in ran.only()["advice"]


@pytest.mark.parametrize("behaviour", READ_ONLY)
def test_destination_that_is_read_only_is_named(behaviour: Behaviour, tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(behaviour) as destination:
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror()
        sent = destination.put_blobs()

    assert (ran.code, ran.only()["kind"]) == (1, "read-only"), ran.only()
    assert "read-only" in text_of(ran).lower().replace("read only", "read-only")
    assert sent == 0


@pytest.mark.parametrize("behaviour", sample(QUOTAS, "403-blobs/uploads"))
def test_nothing_more_is_sent_to_a_project_whose_quota_is_exceeded(
    behaviour: Behaviour, tmp_path: Path
) -> None:
    with ZooRegistry() as source, ZooRegistry(behaviour) as destination:
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran = trip.mirror("-j", "1", images=many(source))
        refused = [seen for seen in destination.requests if seen.status in (403, 412)]

    assert {outcome["kind"] for outcome in ran.outcomes} == {"quota-exceeded"}
    # Some were on their way when the first answer came; unbounded, all of them would be asked.
    assert len(refused) <= MANY / 2


@pytest.mark.parametrize("behaviour", sample(READ_ONLY, "403"))
def test_read_only_project_is_sent_nothing(behaviour: Behaviour, tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(behaviour) as destination:
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran = trip.mirror("-j", "1", images=many(source))
        uploads = len(destination.asked("POST", UPLOADS))

    assert {outcome["kind"] for outcome in ran.outcomes} == {"read-only"}
    assert uploads <= MANY
    assert destination.put_blobs() == 0


# --- immutable tags


@pytest.mark.parametrize("style", IMMUTABLE)
def test_immutable_tag_that_would_change_is_named(style: str, tmp_path: Path) -> None:
    immutable = ImmutableTags(IMMUTABLE[style])
    with ZooRegistry() as source, ZooRegistry(immutable) as destination:
        filled(destination, SMALL)
        trip = Trip(source=filled(source, CHANGED), destination=destination, folder=tmp_path)
        ran = trip.mirror()
        puts = len(destination.asked("PUT", "manifests", TAG))

    assert (ran.code, ran.only()["kind"]) == (1, "tag-immutable"), ran.only()
    assert puts == 1
    assert trip.digests() == {NAME: {TAG: SMALL.top.digest}}


@pytest.mark.parametrize("style", IMMUTABLE)
def test_new_tag_and_unchanged_tag_of_immutable_tags_are_no_failure(
    style: str, tmp_path: Path
) -> None:
    with ZooRegistry() as source, ZooRegistry(ImmutableTags(IMMUTABLE[style])) as destination:
        trip = Trip(source=filled(source), destination=destination, folder=tmp_path)
        ran = trip.mirror()
        again = trip.mirror("--no-state")

    assert (ran.statuses, again.statuses) == (["copied"], ["unchanged"]), ran.stderr


@pytest.mark.parametrize("style", IMMUTABLE)
def test_nothing_is_sent_for_the_second_immutable_tag_of_a_repository(
    style: str, tmp_path: Path
) -> None:
    tags = tuple(f"{NAME}:{number}.0" for number in range(3))
    with ZooRegistry() as source, ZooRegistry(ImmutableTags(IMMUTABLE[style])) as destination:
        for number in range(3):
            source.load(NAME, f"{number}.0", images.helm_chart(number + 10))
            destination.load(NAME, f"{number}.0", images.helm_chart(number))
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran = trip.mirror("-j", "1", images=tags)
        refused = [s for s in destination.asked("PUT", "manifests") if s.status >= 400]

    assert {outcome["kind"] for outcome in ran.outcomes} == {"tag-immutable"}
    assert len(refused) == 1


# --- repositories, limits


def test_repository_that_must_be_created_first_is_named(tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(RepositoryMissing()) as destination:
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror()

    assert (ran.code, ran.only()["kind"]) == (1, "repository-missing"), ran.only()
    assert "create" in ran.only()["advice"]
    assert "spelling" not in ran.only()["advice"]


def test_limit_on_uploads_is_the_destinations(tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(LimitsUploads(1000)) as destination:
        trip = Trip(source=filled(source), destination=destination, folder=tmp_path)
        ran = trip.mirror("--retry-times", "1")

    assert (ran.code, ran.only()["kind"]) == (1, "rate-limited"), ran.only()
    assert "log in to the source" not in ran.only()["advice"]


# --- connections


def test_refused_connection_is_named(tmp_path: Path) -> None:
    with ZooRegistry() as destination:
        lines = f"127.0.0.1:{free_port()}/{ONE}\n"
        ran = mirror(tmp_path, lines, "-d", destination.address, "--retry-times", "0")

    assert (ran.code, ran.only()["kind"]) == (1, "connection-refused"), ran.only()
    assert "Connect call failed" not in ran.only()["reason"]


def test_unknown_name_is_named(tmp_path: Path) -> None:
    with ZooRegistry() as destination:
        lines = f"no-such-host.invalid/{ONE}\n"
        ran = mirror(tmp_path, lines, "-d", destination.address, "--retry-times", "0")

    assert (ran.code, ran.only()["kind"]) == (1, "name-unknown"), ran.only()
    assert "no-such-host.invalid" in ran.only()["reason"]


def test_expired_certificate_is_named_with_its_date(tmp_path: Path) -> None:
    end = datetime.datetime(2024, 5, 17, tzinfo=datetime.timezone.utc)
    certificates = expired(tmp_path / "tls", end)
    options = FaultOptions(certificates=certificates, referrers=True)
    with ZooRegistry(options=options) as source, ZooRegistry() as destination:
        trip = Trip(source=filled(source), destination=destination, folder=tmp_path)
        ran = trip.mirror("--ca-file", str(certificates.authority), "--retry-times", "0")

    assert (ran.code, ran.only()["kind"]) == (1, "certificate-expired"), ran.only()
    assert "2024-05-17" in text_of(ran)
    assert "--ca-file" not in ran.only()["advice"]


def expired(folder: Path, end: datetime.datetime) -> Certificates:
    """Return an authority whose server certificate ended at `end`."""
    folder.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    start = end - datetime.timedelta(days=90)
    leaf = authority.issue_cert("127.0.0.1", not_before=start, not_after=end)
    (folder / "server.crt").write_bytes(b"".join(one.bytes() for one in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(folder / "server.key")
    pair = folder / "server.crt", folder / "server.key"
    return Certificates(folder / "ca.crt", *pair, *pair)

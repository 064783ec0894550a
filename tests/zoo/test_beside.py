"""Signatures, referrers and lists of tags: what is found in one way is not lost with another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_tools.oci.digest import Digest
from image_tools.stores.remote.registry import Remote
from tests.helpers import images
from tests.helpers.client import Client, push_manifest
from tests.helpers.content import OCI_INDEX, Manifest, compact
from tests.helpers.signatures import entry_of, refer, sign, tag_of
from tests.zoo.behaviour import Behaviour
from tests.zoo.listing import (
    FORMS,
    REFERRERS_ANSWERS,
    Pagination,
    ReferrersRefused,
    TagsKeyMissing,
    TagsNull,
    TagsRefused,
)
from tests.zoo.reading import (
    HeadRefused,
    HeadWithoutDigest,
    HeadWithoutType,
    SubjectUnderFallbackTag,
)
from tests.zoo.registry import ZooRegistry
from tests.zoo.sample import sample
from tests.zoo.trip import NAME, SMALL, TAG, Trip, ask, filled, single

INDEX = images.oci_index(3)
ALL = ("--arch", "all", "--os", "all")
TAGS = [f"v{number}" for number in range(7)]


def signed(source: ZooRegistry) -> str:
    """Fill in a signed image; return the tag of the signature."""
    filled(source)
    sign(source.plain.endpoint, NAME, SMALL.top.digest, 1)
    return tag_of(SMALL.top.digest)


def referred(source: ZooRegistry) -> str:
    """Fill in an image with a referrer under the fallback tag; return the referrer's digest."""
    filled(source)
    target, subject = source.plain.endpoint, SMALL.top.digest
    digest = refer(target, NAME, subject)
    lines = [entry_of(target, NAME, digest)]
    value = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": lines}
    with Client(target) as client:
        tag = tag_of(subject, "")
        push_manifest(client, NAME, tag, Manifest.of(compact(value), OCI_INDEX))
    return digest


# --- referrers


@pytest.mark.parametrize("answer", sample(REFERRERS_ANSWERS, 403, 303, "page"))
def test_signature_tag_where_referrers_are_refused_is_copied(
    answer: int | str, tmp_path: Path
) -> None:
    with ZooRegistry(ReferrersRefused(answer)) as source, ZooRegistry() as destination:
        tag = signed(source)
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran = trip.mirror(*ALL)

    assert ran.statuses == ["copied"], ran.stderr
    assert set(trip.digests()[NAME]) == {TAG, tag}


@pytest.mark.parametrize("answer", REFERRERS_ANSWERS)
def test_referrers_that_are_refused_are_asked_for_once(answer: int | str) -> None:
    """400 and 404 with NAME_UNKNOWN may be about one repository: all others are about the API."""

    async def twice(store: Remote) -> None:
        for subject in INDEX.manifests[:3]:
            await store.referrers(NAME, Digest.parse(subject.digest))

    with ZooRegistry(ReferrersRefused(answer)) as registry:
        ask(filled(registry, INDEX), twice)
        asked = registry.asked("GET", "referrers")

    assert len({seen.path for seen in asked}) == 1, [(s.path, s.status) for s in asked]


@pytest.mark.parametrize("answer", sample(REFERRERS_ANSWERS, 404, 500, "errors"))
def test_referrer_under_the_fallback_tag_is_found_where_the_api_is_refused(
    answer: int | str, tmp_path: Path
) -> None:
    with ZooRegistry(ReferrersRefused(answer)) as source, ZooRegistry() as destination:
        digest = referred(source)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror(*ALL)

    assert ran.statuses == ["copied"], ran.stderr
    assert digest in destination.manifests[NAME]


@pytest.mark.parametrize(
    "behaviour",
    [
        *(
            pytest.param(HeadWithoutType(kind), id=str(kind))
            for kind in (None, "application/octet-stream", "text/plain", "application/json")
        ),
        *(
            pytest.param(HeadWithoutType(kind), id=str(kind))
            for kind in ("binary/octet-stream", "application/xml")
        ),
        pytest.param(HeadWithoutDigest(), id="no-digest"),
        pytest.param(HeadRefused(405), id="no-head"),
        pytest.param(HeadRefused(400), id="head-400"),
    ],
)
def test_fallback_tag_whose_head_does_not_tell_its_type_is_read(
    behaviour: Behaviour, tmp_path: Path
) -> None:
    with ZooRegistry(behaviour, ReferrersRefused(404)) as source, ZooRegistry() as destination:
        digest = referred(source)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror(*ALL)

    assert ran.statuses == ["copied"], ran.stderr
    assert digest in destination.manifests[NAME]


@pytest.mark.parametrize("words", [(), ALL], ids=["some", "whole"])
def test_subject_that_answers_for_its_fallback_tag_has_no_referrers(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    habits = SubjectUnderFallbackTag(), ReferrersRefused(404)
    with ZooRegistry(*habits) as source, ZooRegistry(*habits) as destination:
        filled(source, INDEX)
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran = trip.mirror(*words)
        index = json.loads(destination.manifests[NAME][trip.digests()[NAME][TAG]].data)

    assert ran.statuses == ["copied"], ran.stderr
    assert set(trip.digests()[NAME]) == {TAG}
    wanted = {line["digest"] for line in index["manifests"]} | {trip.digests()[NAME][TAG]}
    assert set(destination.manifests[NAME]) == wanted
    assert ran.only()["warnings"] == []


@pytest.mark.parametrize("status", sample([401, 403, 404, 405, 500], 403))
def test_signature_where_tags_are_not_listed_is_copied(status: int, tmp_path: Path) -> None:
    with ZooRegistry(TagsRefused(status)) as source, ZooRegistry() as destination:
        tag = signed(source)
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran = trip.mirror(*ALL)

    assert ran.statuses == ["copied"], ran.stderr
    assert set(trip.digests()[NAME]) == {TAG, tag}


# --- tags


@pytest.mark.parametrize("behaviour", [TagsKeyMissing, TagsNull])
def test_list_of_no_tags_is_empty(behaviour: type[Behaviour]) -> None:
    with ZooRegistry(behaviour()) as registry:
        filled(registry)
        tags = ask(registry, lambda store: store.tags(NAME))
        ran = single("list-tags", registry, NAME)

    assert (tags, ran.code, ran.stdout) == ((), 0, ""), ran.stderr


@pytest.mark.parametrize("behaviour", [TagsKeyMissing, TagsNull])
def test_image_of_a_repository_that_lists_no_tags_is_copied(
    behaviour: type[Behaviour], tmp_path: Path
) -> None:
    with ZooRegistry(behaviour()) as source, ZooRegistry(behaviour()) as destination:
        ran = Trip(source=filled(source), destination=destination, folder=tmp_path).mirror()

    assert ran.statuses == ["copied"], ran.stderr


@pytest.mark.parametrize("gap", [False, True], ids=["full", "gap"])
@pytest.mark.parametrize("form", FORMS)
def test_tags_of_all_pages_are_listed(form: str, gap: bool) -> None:
    with ZooRegistry(Pagination(FORMS[form], gap=gap)) as registry:
        for tag in TAGS:
            registry.load(NAME, tag, SMALL)

        assert ask(registry, lambda store: store.tags(NAME)) == tuple(TAGS)

"""The core of the zoo itself, and the order in which behaviours meet a request."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.client import Client, push
from tests.helpers.documents import ROOT
from tests.helpers.fault_types import Reply
from tests.zoo.behaviour import Behaviour, Call, page, with_headers
from tests.zoo.listing import FORMS, Pagination
from tests.zoo.pushing import MountRefused
from tests.zoo.reading import AbsentTagForbidden, HeadWithoutLength, NotFoundPage
from tests.zoo.registry import ZooRegistry
from tests.zoo.tokens import AsksForLogin, AsksForTokens
from tests.zoo.trip import NAME, ONE, SMALL, TAG, Trip, filled, log_in

TOP = SMALL.top.digest


def test_core_takes_a_whole_image_and_logs_every_request() -> None:
    with ZooRegistry() as registry:
        push(registry.endpoint, NAME, TAG, SMALL)
        logged = [(seen.method, seen.status, seen.authorization) for seen in registry.requests]

    assert registry.tags[NAME] == {TAG: TOP}
    one_blob = [("HEAD", 404, None), ("POST", 202, None), ("PUT", 201, None)]
    assert logged == [*one_blob, *one_blob, ("PUT", 201, None)]
    assert registry.put_blobs() == len(SMALL.blobs)


def test_core_lists_tags_in_pages() -> None:
    with ZooRegistry() as registry:
        for number in range(5):
            registry.load(NAME, f"v{number}", SMALL)
        with Client(registry.endpoint) as client:
            answer = client.ask("GET", f"/v2/{NAME}/tags/list?n=2&last=v0")

    assert json.loads(answer.body)["tags"] == ["v1", "v2"]
    assert answer.headers["link"] == f'</v2/{NAME}/tags/list?n=2&last=v2>; rel="next"'


def test_core_deletes_tags_manifests_and_blobs() -> None:
    blob = SMALL.blobs[0].digest
    with ZooRegistry() as registry, Client(filled(registry).endpoint) as client:
        asked = [f"manifests/{TAG}", f"manifests/{TAG}", f"manifests/{TOP}", f"blobs/{blob}"]
        answers = [client.ask("DELETE", f"/v2/{NAME}/{rest}").status for rest in asked]

    assert answers == [202, 404, 202, 202]
    assert (registry.tags[NAME], registry.manifests[NAME]) == ({}, {})
    assert blob not in registry.blobs[NAME]


class _Marks(Behaviour):
    def __init__(self, name: str) -> None:
        self.name = name

    def after(self, call: Call, reply: Reply) -> Reply:
        return with_headers(reply, X_Marks=f"{reply.headers.get('X-Marks', '')}{self.name}")


def test_first_behaviour_is_the_outermost() -> None:
    class Answers(Behaviour):
        def before(self, call: Call) -> Reply | None:
            return page(503, "down")

    habits = _Marks("a"), _Marks("b"), Answers(), _Marks("c")
    with ZooRegistry(*habits) as registry, Client(registry.endpoint) as client:
        answer = client.ask("GET", "/v2/")

    assert (answer.status, answer.headers["x-marks"]) == (503, "ba")


def test_behaviours_combine() -> None:
    """The tag is forbidden, the blob is not: a page is shown for it."""
    habits = NotFoundPage(), AbsentTagForbidden()
    with ZooRegistry(*habits) as registry, Client(registry.endpoint) as client:
        tag = client.ask("GET", f"/v2/{NAME}/manifests/{TAG}")
        blob = client.ask("GET", f"/v2/{NAME}/blobs/{TOP}")

    assert (tag.status, tag.headers["content-type"]) == (403, "application/json")
    assert (blob.status, blob.headers["content-type"]) == (404, "text/html")


def test_field_is_sent_several_times_or_not_at_all() -> None:
    habits = HeadWithoutLength(), Pagination(FORMS["several-fields"], size=1)
    with ZooRegistry(*habits) as registry:
        for tag in ("1", "2"):
            registry.load(NAME, tag, SMALL)
        line = http.client.HTTPConnection(registry.address, timeout=5)
        line.request("GET", f"/v2/{NAME}/tags/list")
        answer = line.getresponse()
        answer.read()
        links = answer.headers.get_all("Link")
        line.request("HEAD", f"/v2/{NAME}/manifests/1")
        length = line.getresponse().headers["Content-Length"]
        line.close()

    assert links == [
        f'</v2/{NAME}/tags/list?page=0>; rel="first"',
        f'</v2/{NAME}/tags/list?page=1>; rel="next"',
    ]
    assert length is None


@pytest.mark.parametrize("guard", [AsksForLogin, AsksForTokens])
def test_back_door_asks_for_nothing(guard: type[Behaviour]) -> None:
    with ZooRegistry(guard(), MountRefused()) as registry:
        push(registry.plain.endpoint, NAME, TAG, SMALL)

    assert registry.tags[NAME] == {TAG: TOP}
    assert registry.requests == []


def test_registry_is_reached_by_a_program_of_its_own(
    tmp_path: Path, clean_environment: Path
) -> None:
    with ZooRegistry() as source, ZooRegistry(AsksForTokens()) as destination:
        log_in(clean_environment, destination)
        trip = Trip(source=filled(source), destination=destination, folder=tmp_path)
        (tmp_path / "list.txt").write_text(trip.lines((ONE,)))
        words = ["mirror", "-f", "list.txt", "-d", destination.address, "--no-state"]
        done = subprocess.run(
            [sys.executable, "-m", "image_tools", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert trip.digests() == {NAME: {TAG: TOP}}
    assert destination.actions == {"pull", "push"}

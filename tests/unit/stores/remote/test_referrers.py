"""What refers to a manifest, as a registry lists it or as its tag does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from yarl import URL

from image_tools.errors import InvalidManifest, NotFound, Unavailable
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.stores.remote.questions import Answer, Question
from image_tools.stores.remote.referrers import referrers
from image_tools.stores.store import ManifestHead

SUBJECT = Digest.of(b"subject")


def listing(*names: str) -> bytes:
    entries = [{"mediaType": "x", "digest": str(Digest.of(n.encode())), "size": 1} for n in names]
    return json.dumps({"schemaVersion": 2, "manifests": entries}).encode()


class Registry:
    """Answers page after page; `tags` holds what lies under tags."""

    name = "reg:5000"

    def __init__(self, *answers: tuple[int, bytes], tags: dict[str, bytes] | None = None) -> None:
        self._answers, self._tags = list(answers), tags or {}
        self.asked: list[str] = []
        self.lists_referrers = True

    async def ask(self, question: Question) -> Answer:
        self.asked.append(str(question.url or question.path))
        status, body = self._answers.pop(0)
        return Answer(status, {}, body, URL(f"http://reg/{len(self.asked)}"))

    def following(self, answer: Answer, reference: str) -> URL | None:
        return URL(f"http://reg/page-{len(self.asked)}") if self._answers else None

    async def manifest_head(self, repository: str, reference: Any) -> ManifestHead | None:
        self.asked.append(str(reference))
        content = self._tags.get(reference)
        return content and ManifestHead(Digest.of(content), media.OCI_INDEX, len(content))

    async def manifest(self, repository: str, reference: Any) -> RawManifest:
        self.asked.append(str(reference))
        for content in self._tags.values():
            if Digest.of(content) == reference:
                return RawManifest(media.OCI_INDEX, content)
        raise NotFound("no")


def found_by(registry: Registry) -> list[Digest]:
    return [entry.digest for entry in asyncio.run(referrers(registry, "x/y", SUBJECT))]


def digests(*names: str) -> list[Digest]:
    return [Digest.of(name.encode()) for name in names]


def test_referrers_all_pages_of_the_registry() -> None:
    registry = Registry((200, listing("a")), (200, listing("b", "c")))

    assert found_by(registry) == digests("a", "b", "c")
    assert registry.asked == [f"x/y/referrers/{SUBJECT}", "http://reg/page-1"]


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_referrers_registry_without_list_has_a_tag(status: int) -> None:
    registry = Registry((status, b""), tags={f"sha256-{SUBJECT.hex}": listing("a")})

    assert found_by(registry) == digests("a")


def test_referrers_nobody_knows_any() -> None:
    registry = Registry((404, b""))

    assert found_by(registry) == []
    assert registry.asked == [f"x/y/referrers/{SUBJECT}", SUBJECT.as_tag]


@pytest.mark.parametrize(
    ("status", "body", "asked_again"),
    [
        (404, b"404 page not found", False),
        (405, b"", False),
        (404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}', True),
        (400, b"", True),
    ],
)
def test_referrers_registry_that_knows_no_such_question_is_not_asked_again(
    status: int, body: bytes, asked_again: bool
) -> None:
    registry = Registry((status, body), (200, listing("a")))
    found_by(registry)

    assert found_by(registry) == (digests("a") if asked_again else [])


def test_referrers_unreadable_list_is_named() -> None:
    with pytest.raises(InvalidManifest, match=r"reg:5000/x/y@sha256:\w+: the list of its referr"):
        found_by(Registry((200, b"no JSON")))


def test_referrers_without_end_is_given_up() -> None:
    with pytest.raises(Unavailable, match="does not end"):
        found_by(Registry(*[(200, listing("a"))] * 200))

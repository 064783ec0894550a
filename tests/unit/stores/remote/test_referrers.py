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
from image_tools.stores.remote.api import ApiAnswer, ApiRequest
from image_tools.stores.remote.capabilities import Capabilities
from image_tools.stores.remote.failures import failure
from image_tools.stores.remote.referrers import referrers
from image_tools.stores.store import ManifestHead

SUBJECT = Digest.of(b"subject")


def listing(*names: str) -> bytes:
    entries = [{"mediaType": "x", "digest": str(Digest.of(n.encode())), "size": 1} for n in names]
    return json.dumps({"schemaVersion": 2, "manifests": entries}).encode()


class Registry:
    """Answers page after page; `tags` holds what lies under tags."""

    name = registry = "reg:5000"

    def __init__(
        self,
        *answers: tuple[int, bytes],
        tags: dict[str, bytes] | None = None,
        media_type: str = media.OCI_INDEX,
    ) -> None:
        self._answers, self._tags = list(answers), tags or {}
        self._media_type = media_type
        self.asked: list[str] = []
        self.capabilities = Capabilities()

    async def ask(self, request: ApiRequest) -> ApiAnswer:
        return await self.once(request)

    async def once(self, request: ApiRequest) -> ApiAnswer:
        self.asked.append(str(request.url or request.path))
        status, body = self._answers.pop(0)
        answer = ApiAnswer(status, {}, body, URL(f"http://reg/{len(self.asked)}"))
        if not request.accepts(answer):
            raise failure(answer, request.reference)
        return answer

    def following(self, answer: ApiAnswer, reference: str) -> URL | None:
        return URL(f"http://reg/page-{len(self.asked)}") if self._answers else None

    async def manifest_head(self, repository: str, reference: Any) -> ManifestHead | None:
        self.asked.append(str(reference))
        content = self._tags.get(reference)
        return content and ManifestHead(Digest.of(content), self._media_type, len(content))

    async def manifest(self, repository: str, reference: Any) -> RawManifest:
        self.asked.append(str(reference))
        for content in self._tags.values():
            if Digest.of(content) == reference:
                return RawManifest(media.OCI_INDEX, content)
        raise NotFound("no")


def found_by(registry: Registry) -> list[Digest]:
    return [entry.digest for entry in asyncio.run(referrers(registry, registry, "x/y", SUBJECT))]


def digests(*names: str) -> list[Digest]:
    return [Digest.of(name.encode()) for name in names]


def test_referrers_all_pages_of_the_registry() -> None:
    registry = Registry((200, listing("a")), (200, listing("b", "c")))

    assert found_by(registry) == digests("a", "b", "c")
    assert registry.asked == [f"x/y/referrers/{SUBJECT}", "http://reg/page-1"]


# harbor#18305, ggcr#1962 and others.
REFUSALS = {
    **{str(status): (status, b"") for status in (303, 400, 401, 403, 404, 405, 406, 410, 422)},
    **{str(status): (status, b"") for status in (500, 501)},
    "page": (200, b"<!DOCTYPE html><title>Registry</title>"),
    "errors": (200, b'{"errors":[]}'),
    "empty": (200, b""),
    "other-bytes": (400, b'{"errors":[{"code":"DIGEST_INVALID"}]}'),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_referrers_registry_without_list_has_a_tag(refusal: tuple[int, bytes]) -> None:
    registry = Registry(refusal, tags={SUBJECT.as_tag: listing("a")})

    assert found_by(registry) == digests("a")
    assert found_by(registry) == digests("a")
    assert registry.asked.count(f"x/y/referrers/{SUBJECT}") == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_referrers_registry_out_of_order_has_a_tag_all_the_same(status: int) -> None:
    registry = Registry((status, b""), (status, b""), tags={SUBJECT.as_tag: listing("a")})

    assert found_by(registry) == digests("a")
    assert registry.capabilities.referrers


def test_referrers_registry_out_of_order_without_a_tag_is_a_failure() -> None:
    with pytest.raises(Unavailable, match="503"):
        found_by(Registry((503, b""), (503, b"")))


def test_referrers_tag_that_leads_to_the_subject_lists_nothing() -> None:
    """At GitLab sha256-HEX is another name of the manifest (oras-go#1396)."""
    index = listing("amd64", "arm64")
    subject = Digest.of(index)
    registry = Registry((404, b""), tags={subject.as_tag: index})

    assert asyncio.run(referrers(registry, registry, "x/y", subject)) == ()


@pytest.mark.parametrize("media_type", ["", media.OCI_INDEX])
def test_referrers_tag_without_a_media_type_is_read(media_type: str) -> None:
    registry = Registry((404, b""), tags={SUBJECT.as_tag: listing("a")}, media_type=media_type)

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
        (403, b"", True),
    ],
)
def test_referrers_refusal_counts_for_the_repository_or_for_the_registry(
    status: int, body: bytes, asked_again: bool
) -> None:
    registry = Registry((status, body), (200, listing("a")))
    found_by(registry)
    elsewhere = asyncio.run(referrers(registry, registry, "x/z", SUBJECT))

    assert [entry.digest for entry in elsewhere] == (digests("a") if asked_again else [])


def test_referrers_unreadable_tag_is_named() -> None:
    registry = Registry((404, b""), tags={SUBJECT.as_tag: b"no JSON"})

    with pytest.raises(InvalidManifest, match=r"reg:5000/x/y:sha256-\w+: the list of its referr"):
        found_by(registry)


def test_referrers_without_end_is_given_up() -> None:
    with pytest.raises(Unavailable, match="does not end"):
        found_by(Registry(*[(200, listing("a"))] * 200))

"""A manifest is deleted with its tags, and looked for afterwards."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from image_tools.errors import AccessDenied, ImageToolsError
from image_tools.oci.digest import Digest
from image_tools.stores.remote.api import ApiAnswer, ApiRequest
from image_tools.stores.remote.failures import failure
from image_tools.stores.remote.registry import Deletion
from image_tools.stores.store import ManifestHead

DIGEST = Digest.of(b"manifest")
DANGLING = b'{"errors":[{"code":"GOOGLE_MANIFEST_DANGLING_TAG"}]}'


class Registry:
    """A client and its store: `answers` come to DELETEs in turn; nothing is left afterwards."""

    name = "r.example"

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.deleted: list[str] = []
        self.looked_at: list[str] = []

    async def ask(self, request: ApiRequest) -> ApiAnswer:
        assert request.method == "DELETE"
        self.deleted.append(request.path.rpartition("/")[2])
        status, body = self.answers.pop(0)
        return ApiAnswer(status, {}, body)

    def refusal(self, answer: ApiAnswer, request: ApiRequest) -> ImageToolsError:
        return failure(answer, request.reference)

    async def manifest_head(self, _repository: str, reference: Any) -> ManifestHead | None:
        self.looked_at.append(str(reference))
        return None


def delete(registry: Registry, *tags: str) -> bool:
    fake = cast(Any, registry)
    return asyncio.run(Deletion(fake, fake, "team/app", DIGEST, tags).run())


@pytest.mark.parametrize(
    ("answers", "tags", "deleted", "known"),
    [
        ([(202, b"")], (), [str(DIGEST)], True),
        ([(404, b"")], (), [str(DIGEST)], False),
        ([(202, b"")], ("1", "2"), [str(DIGEST)], True),
        (
            [(400, DANGLING), (202, b""), (404, b""), (202, b"")],
            ("1", "2"),
            [str(DIGEST), "1", "2", str(DIGEST)],
            True,
        ),
        ([(404, b""), (202, b"")], ("1",), [str(DIGEST), "1"], False),
    ],
    ids=["plain", "unknown", "with-tags", "tags-first", "tags-outlive"],
)
def test_delete_manifest_and_its_tags(
    answers: list[tuple[int, bytes]], tags: tuple[str, ...], deleted: list[str], known: bool
) -> None:
    registry = Registry(*answers)

    assert delete(registry, *tags) is known
    assert registry.deleted == deleted
    assert registry.looked_at == list(tags or [str(DIGEST)])


def test_delete_refused_for_other_reasons_touches_no_tag() -> None:
    registry = Registry((403, b""))

    with pytest.raises(AccessDenied):
        delete(registry, "1")
    assert registry.deleted == [str(DIGEST)]


def test_delete_refused_after_its_tags_says_which_are_gone() -> None:
    registry = Registry((400, DANGLING), (202, b""), (403, b""))

    with pytest.raises(AccessDenied, match=r"deleted before that: the tags 1$"):
        delete(registry, "1")

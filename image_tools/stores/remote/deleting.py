"""Deleting a manifest (distribution spec, "Deleting Manifests"), and looking at what is left."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from loguru import logger

from image_tools.errors import CopyFailed, ImageToolsError, IntegrityError
from image_tools.oci.digest import Digest
from image_tools.stores.remote.questions import Answer, Question
from image_tools.stores.store import ManifestHead
from image_tools.web.address import named

_GONE = frozenset({200, 202, 204})
_UNKNOWN = 404
# GCR refuses a digest that tags lead to (reg#136).
_DANGLING = "GOOGLE_MANIFEST_DANGLING_TAG"
_ABOUT_TAGS = re.compile(
    r"\b(?:referenced by|used by|still has|dangling)(?: \w+)? tags?\b", re.IGNORECASE
)
_MAY_BE_ABOUT_TAGS = frozenset({400, 409, 412, 422})
_HIDDEN = frozenset({401, 403})
_PATIENCE = 1.0


class DeletingRegistry(Protocol):
    """The part of a registry that is needed here."""

    @property
    def name(self) -> str: ...
    async def ask(self, question: Question) -> Answer: ...
    def refusal(self, answer: Answer, question: Question) -> ImageToolsError: ...
    async def manifest_head(
        self, repository: str, reference: str | Digest
    ) -> ManifestHead | None: ...


@dataclass(frozen=True, slots=True)
class Deletion:
    """One manifest of `repository`, to be deleted with the `tags` that lead to it."""

    registry: DeletingRegistry
    repository: str
    digest: Digest
    tags: Sequence[str] = ()

    async def run(self) -> bool:
        """Delete it; False when the registry did not know it by its digest any more.

        AccessDenied when the registry does not allow deleting at all, IntegrityError when a tag
        still leads to it afterwards.
        """
        question = self._question(str(self.digest))
        answer = await self.registry.ask(question)
        if self.tags and _wants_tags_first(answer):
            await self._delete_tags(self.registry.refusal(answer, question))
            answer = await self.registry.ask(question)
            if answer.status not in _GONE | {_UNKNOWN}:
                raise self._after_tags(self.registry.refusal(answer, question), self.tags)
        elif self.tags and answer.status == _UNKNOWN:
            # Its tags have outlived it, in this registry they are kept apart.
            await self._delete_tags(self.registry.refusal(answer, question))
        if answer.status not in _GONE | {_UNKNOWN}:
            raise self.registry.refusal(answer, question)
        await self._look_again()
        return answer.status in _GONE

    async def _delete_tags(self, refusal: ImageToolsError) -> None:
        """Delete the tags themselves; it raises `refusal` when the first one cannot be."""
        for number, tag in enumerate(self.tags):
            question = self._question(tag)
            answer = await self.registry.ask(question)
            if answer.status in _GONE | {_UNKNOWN}:
                logger.debug("{}: the tag is deleted", question.reference)
            elif number == 0:
                raise refusal
            else:
                error = self.registry.refusal(answer, question)
                raise self._after_tags(error, self.tags[:number])

    def _after_tags(self, error: ImageToolsError, tags: Sequence[str]) -> ImageToolsError:
        """`error` with the tags that are gone all the same."""
        error.message = f"{error.message}; deleted before that: the tags {', '.join(tags)}"
        error.args = (error.message,)
        return error

    async def _look_again(self) -> None:
        left = await self._left()
        if left:
            await asyncio.sleep(_PATIENCE)  # A registry of several servers has to agree.
            left = await self._left()
        if left:
            shown = ", ".join(named(self.registry.name, self.repository, one) for one in left)
            raise IntegrityError(
                f"{shown}: still there after the registry accepted the deletion of {self.digest}",
                advice="run again to delete the tag itself, or delete it with the registry's own"
                " tools",
            )

    async def _left(self) -> list[str | Digest]:
        """The tags that still lead to the manifest; without tags, the manifest itself."""
        looked_at: list[str | Digest] = [*self.tags] or [self.digest]
        heads = [await self._head(one) for one in looked_at]
        return [
            one
            for one, head in zip(looked_at, heads, strict=True)
            if head is not None and head.digest == self.digest
        ]

    async def _head(self, reference: str | Digest) -> ManifestHead | None:
        """What is shown after the deletion; some forbid what does not exist (ggcr#1691)."""
        try:
            return await self.registry.manifest_head(self.repository, reference)
        except CopyFailed as error:
            if error.temporary or not error.answered or error.status not in _HIDDEN:
                raise
            logger.debug("{}; taken for gone, the deletion was accepted", error)
            return None

    def _question(self, reference: str) -> Question:
        is_tag = reference != str(self.digest)
        question = Question(
            method="DELETE",
            repository=self.repository,
            reference=named(
                self.registry.name, self.repository, reference if is_tag else self.digest
            ),
            path=f"{self.repository}/manifests/{reference}",
            expected=_GONE | _MAY_BE_ABOUT_TAGS | {_UNKNOWN},
            doing="deleting",
            push=True,
        )
        return replace(question, doing="deleting the tag") if is_tag else question


def _wants_tags_first(answer: Answer) -> bool:
    """Whether the refusal says so in its words: a status alone would cost tags for nothing."""
    is_named = answer.code == _DANGLING or _ABOUT_TAGS.search(answer.everything) is not None
    return answer.status in _MAY_BE_ABOUT_TAGS and is_named

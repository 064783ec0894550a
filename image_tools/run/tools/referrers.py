"""Copying signatures, attestations and other referrers of an image to its destination."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from loguru import logger

from image_tools.errors import ImageToolsError, NotFound, TagImmutable
from image_tools.machine.concurrency import together
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, Manifest, RawManifest, parse
from image_tools.oci.tree import Fault, Parsed
from image_tools.plan.inputs import ChildManifest
from image_tools.plan.referrers import Referrer, holds_all, listed
from image_tools.run.job import Job
from image_tools.run.reader import Reader
from image_tools.run.tools.assembler import Assembler
from image_tools.run.tools.copier import Copier

_ADVICE = "--remove-signatures copies the image without its signatures and other referrers"


@dataclass(slots=True, eq=False)
class ReferrerCopier:
    """Copies what speaks about an image; with `overwrite` it replaces what is there."""

    reader: Reader
    copier: Copier
    assembler: Assembler
    overwrite: bool = False
    _carried: set[tuple[str, Digest]] = field(default_factory=set)
    _carrying: WeakValueDictionary[tuple[str, Digest], asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )
    _locks: WeakValueDictionary[tuple[str, Digest], asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )

    async def bring(self, job: Job, referrers: Sequence[Referrer]) -> tuple[str, ...]:
        """Copy `referrers` to where their subjects are going; return warnings about them.

        Raise what prevented it: an image without its signatures is not what was asked for.
        """
        subjects = dict.fromkeys(referrer.subject for referrer in referrers)
        said = await together(
            self._bring_for(job, subject, [one for one in referrers if one.subject == subject])
            for subject in subjects
        )
        return tuple(warning for one in said for warning in one)

    async def _bring_for(
        self, job: Job, subject: Digest, referrers: Sequence[Referrer]
    ) -> tuple[str, ...]:
        # Two lines of a list may bring one subject to one repository at once.
        key = (job.entry.destination.name, subject)
        async with self._locks.setdefault(key, asyncio.Lock()):
            tagged = [one for one in referrers if one.tag]
            said = await together(self._bring_tagged(job, one) for one in tagged)
            referring = [one for one in referrers if not one.tag]
            if referring:
                said += await self._bring_referring(job, subject, referring)
        return tuple(filter(None, said))

    async def _bring_tagged(self, job: Job, referrer: Referrer) -> str:
        head = await job.destination.store.manifest_head(job.destination.name, referrer.tag)
        digest = referrer.descriptor.digest
        if head is not None and head.digest == digest:
            return ""
        if head is not None and not self.overwrite:
            there = parse(await self.reader.manifest(job.destination, head.digest))
            ours = parse(await self.reader.manifest(job.source, digest))
            if isinstance(there, Manifest) and isinstance(ours, Manifest):
                if holds_all(there, ours):
                    return ""
                if not holds_all(ours, there):
                    return _kept(job, referrer)
        await self._carry_named(job, referrer)
        return ""

    async def _bring_referring(
        self, job: Job, subject: Digest, referrers: Sequence[Referrer]
    ) -> list[str]:
        present = await self._present(job, subject)
        # A list may name one manifest many times.
        each = {one.descriptor.digest: one for one in referrers}
        missing = [one for digest, one in each.items() if digest not in present]
        said = await together(self._bring_referrer(job, one) for one in missing)
        brought = [one for one, words in zip(missing, said, strict=True) if not words]
        if brought:
            await self._list(job, subject, [one.descriptor for one in brought])
        return said

    async def _bring_referrer(self, job: Job, referrer: Referrer) -> str:
        try:
            await self.reader.manifest(job.source, referrer.descriptor.digest)
        except NotFound as error:
            return f"a {referrer.kind} is listed at the source and is not there: {error}"
        await self._carry_named(job, referrer)
        return ""

    async def _list(self, job: Job, subject: Digest, brought: Sequence[Descriptor]) -> None:
        """Write the tag that lists referrers, unless the registry itself lists `brought`.

        Distribution spec, "Referrers Tag Schema": the client that pushes maintains the tag.
        """
        present = await self._present(job, subject)
        if all(one.digest in present for one in brought):
            return
        try:
            await self.assembler.publish(job, listed(present.values(), brought), (), subject.as_tag)
        except ImageToolsError as error:
            raise _named(error, job, f"list of what refers to {subject}") from error

    async def _present(self, job: Job, subject: Digest) -> dict[Digest, Descriptor]:
        entries = await job.destination.store.referrers(job.destination.name, subject)
        return {entry.digest: entry for entry in entries}

    async def _carry_named(self, job: Job, referrer: Referrer) -> None:
        logger.info("{}: copying its {}", job.entry.source, referrer.kind)
        try:
            await self._carry(job, referrer.descriptor, referrer.tag)
        except ImageToolsError as error:
            raise _named(error, job, f"{referrer.kind} about {referrer.subject}") from error

    async def _carry(self, job: Job, descriptor: Descriptor, tag: str = "") -> None:
        """Copy a manifest; of an index first the images and indexes in it, each once."""
        raw = await self.reader.manifest(job.source, descriptor.digest)
        found = parse(raw)
        if isinstance(found, Manifest):
            await self._copy(job, raw, found, tag)
        if not isinstance(found, Index):
            return
        images: list[Digest] = []

        def look(entry: Descriptor, _raw: RawManifest, found: Parsed) -> None:
            if isinstance(found, Manifest):
                images.append(entry.digest)

        tree = await self.reader.tree_once(job.source, raw, look)
        nested = tree.checked(Fault.MISSTATED).nested
        await together(self._copy_image(job, digest) for digest in images)
        for inner in nested:
            await self._once(job, inner.digest, partial(self.assembler.exactly, job, inner, None))
        await self.assembler.exactly(job, raw, tag or None)

    async def _once(
        self, job: Job, digest: Digest, work: Callable[[], Coroutine[Any, Any, object]]
    ) -> None:
        """Copy `digest`, which many indexes may lead to, once in a run."""
        key = (f"{job.destination.store.name}/{job.destination.name}", digest)
        async with self._carrying.setdefault(key, asyncio.Lock()):
            if key not in self._carried:
                await work()
                self._carried.add(key)

    async def _copy_image(self, job: Job, digest: Digest) -> None:
        await self._once(job, digest, partial(self._copy_inner, job, digest))

    async def _copy_inner(self, job: Job, digest: Digest) -> None:
        raw = await self.reader.manifest(job.source, digest)
        found = parse(raw)
        assert isinstance(found, Manifest)
        await self._copy(job, raw, found)

    async def _copy(self, job: Job, raw: RawManifest, found: Manifest, tag: str = "") -> None:
        ending = f":{tag}" if tag else f"@{raw.digest}"
        await self.copier.copy(
            job, ChildManifest(raw.descriptor, raw, found), ending, is_referrer=True
        )


def _kept(job: Job, referrer: Referrer) -> str:
    return (
        f"{job.entry.destination.with_tag(referrer.tag)} holds what the source's {referrer.kind}"
        " does not: it is left as it is (--overwrite replaces it)"
    )


def _named(error: ImageToolsError, job: Job, what: str) -> ImageToolsError:
    """Return the failure with what could not be copied in front."""
    own = error.copied(
        f"{job.entry.source}: its {what} could not be copied: {error}",
        advice="; ".join(filter(None, (error.advice, _ADVICE))),
    )
    if isinstance(own, TagImmutable):
        # The refusal is about the tag of the signature: tags of images may still be changed.
        own.closes = "nothing"
    return own

"""Finding what speaks about an image at its source: signatures, attestations, other referrers."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from image_tools.errors import Deferred, ImageToolsError
from image_tools.machine.concurrency import together
from image_tools.oci.digest import Digest
from image_tools.plan.referrers import FoundReferrers, Referrer, cosign_tags, kind_of
from image_tools.run.job import Job
from image_tools.run.reader import Reader, Repository

DEEPEST = 3


@dataclass(slots=True, eq=False)
class ReferrerFinder:
    """Looks for cosign's tags and for referrers, up to `deepest` of them on top of each other."""

    reader: Reader
    deepest: int = DEEPEST

    async def find(self, job: Job, subjects: Iterable[Digest]) -> FoundReferrers:
        """Return what speaks about `subjects` at the source; a failure to look is a warning.

        Raise Deferred where a pull limit does not let us look.
        """
        return FoundReferrers.joined(
            await together(self._about(job, subject) for subject in subjects)
        )

    async def _about(self, job: Job, subject: Digest) -> FoundReferrers:
        try:
            place = await _holder(job.source, subject)
        except Deferred:
            raise
        except ImageToolsError as error:
            return _not_looked_for(error)
        ways = [self._tagged(place, subject, kind, tag) for kind, tag in cosign_tags(subject)]
        found = await together(
            _as_far_as_possible(way) for way in (*ways, self._referring(place, subject))
        )
        return FoundReferrers.joined(found)

    async def _tagged(
        self, place: Repository, subject: Digest, kind: str, tag: str
    ) -> FoundReferrers:
        head = await place.store.manifest_head(place.name, tag)
        if head is None or head.digest == subject:
            # Some registries resolve a digest with anything behind it (GitLab, oras-go#1396).
            return FoundReferrers()
        raw = await self.reader.manifest(place, head.digest)
        tagged = Referrer(subject=subject, descriptor=raw.descriptor, kind=kind, tag=tag)
        return FoundReferrers((tagged,))

    async def _referring(self, place: Repository, subject: Digest) -> FoundReferrers:
        """Return what refers to `subject`, and what refers to that: an SBOM may be signed itself.

        Each subject is asked about once, however often what is found names the same one.
        """
        direct = await self._referrers(place, subject)
        if not direct.referrers and (reason := _doubt(place)):
            return _not_looked_for(reason)
        looked, asked, newest = [direct], {subject}, [direct]
        for _ in range(self.deepest - 1):
            named = (one.descriptor.digest for found in newest for one in found.referrers)
            subjects = [digest for digest in dict.fromkeys(named) if digest not in asked]
            asked.update(subjects)
            newest = await together(
                _as_far_as_possible(self._referrers(place, one)) for one in subjects
            )
            looked += newest
        return FoundReferrers.joined(looked)

    async def _referrers(self, place: Repository, subject: Digest) -> FoundReferrers:
        entries = await place.store.referrers(place.name, subject)
        return FoundReferrers(
            tuple(Referrer(subject=subject, descriptor=e, kind=kind_of(e)) for e in entries)
        )


async def _as_far_as_possible(way: Coroutine[Any, Any, FoundReferrers]) -> FoundReferrers:
    """Return what one way of looking gives; where it fails the others keep what they found."""
    try:
        return await way
    except Deferred:
        raise
    except ImageToolsError as error:
        return _not_looked_for(error)


def _doubt(place: Repository) -> str:
    """Return why it is unknown whether a manifest has referrers; empty if it is known."""
    doubting = place.store.abilities.referrers_doubt
    return doubting.doubts_referrers(place.name) if doubting is not None else ""


def _not_looked_for(error: ImageToolsError | str) -> FoundReferrers:
    return FoundReferrers(warnings=(f"cannot look up signatures: {error}",))


async def _holder(source: Repository, subject: Digest) -> Repository:
    """Return where to look: behind mirrors only the place that has the image."""
    mirrors = source.store.abilities.mirrors
    if mirrors is None:
        return source
    return Repository(*await mirrors.holder(source.name, subject))

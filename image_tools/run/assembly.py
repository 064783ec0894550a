"""Publishing what a tag holds in the end: by buildx, or byte for byte by skopeo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger

from image_tools.errors import IntegrityError, UnknownFailure
from image_tools.exchange.sessions import Session
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Manifest, RawManifest, index_bytes, parse
from image_tools.plan.plan import FinalIndex
from image_tools.retry import RetryPolicy, repeat_async
from image_tools.run.executor import Slots
from image_tools.run.failure import cause_of
from image_tools.run.job import Job
from image_tools.run.reading import Reader
from image_tools.run.toolbox import Toolbox
from image_tools.tools.buildx import can_express, create_argv, descriptor_file
from image_tools.tools.skopeo import index_only_argv, write_index_folder

_Argv = Callable[[str], tuple[str, ...]]
BUILDX = "buildx"
INDEX_ONLY = "index-only"


@dataclass(frozen=True, slots=True)
class Published:
    """The digest a tag got, and which tool wrote it."""

    digest: Digest
    path: str


@dataclass(slots=True, eq=False)
class Assembler:
    """Writes indexes whose children lie in the destination repository already."""

    toolbox: Toolbox
    reader: Reader
    slots: Slots
    retry: RetryPolicy

    async def publish(
        self,
        job: Job,
        final: FinalIndex,
        nested: tuple[RawManifest, ...],
        *,
        tagged: bool = True,
    ) -> Published:
        """Write `final` under the job's tag, after the indexes it contains.

        A tool that would write anything else is stopped before the tag changes. Not `tagged` it
        is stored by its digest alone.
        """
        for inner in nested:
            await self.exactly(job, inner, f"@{inner.digest}")
        if final.exact is not None:
            logger.debug("the source's own bytes are kept: skopeo copies the index alone")
            return await self.exactly(job, final.exact, _ending(job, final.exact, tagged))
        reason = can_express(final.index)
        if reason is None:
            published = await repeat_async(self.retry, lambda: self._composed(job, final, tagged))
            if published is not None:
                return published
            reason = "it would have written something else"
        logger.debug("buildx cannot write this index ({}): skopeo copies it alone", reason)
        raw = RawManifest(final.media_type, index_bytes(final.index))
        return await self.exactly(job, raw, _ending(job, raw, tagged))

    async def exactly(self, job: Job, raw: RawManifest, ending: str) -> Published:
        """Write the bytes of `raw`, an index, as `ending`: `@digest` or `:tag`."""
        folder = self.toolbox.new_folder("index")
        write_index_folder(folder, raw)

        def check(pushed: RawManifest) -> str | None:
            return None if pushed.digest == raw.digest else "skopeo changed the bytes of the index"

        async def attempt() -> Published:
            tools = await self.toolbox.tools()
            session = await self._run(
                job,
                {"check": check},
                lambda name: index_only_argv(tools.setting, folder, name),
                ending,
            )
            return Published(_digest(job, session), INDEX_ONLY)

        return await repeat_async(self.retry, attempt)

    async def _composed(self, job: Job, final: FinalIndex, tagged: bool) -> Published | None:
        """None when buildx was stopped from writing something else than `final`."""
        tools = await self.toolbox.tools()
        files = _descriptor_files(self.toolbox.new_folder("entries"), final)
        try:
            session = await self._run(
                job,
                {
                    "check": final.difference,
                    "tags_become_digests": not tagged,
                    **self._memory(final),
                },
                lambda name: create_argv(tools.buildx, name, files),
                f":{job.tag}",
            )
        except _Refused as refusal:
            logger.debug("buildx: {}", refusal)
            return None
        return Published(_digest(job, session), BUILDX)

    def _memory(self, final: FinalIndex) -> dict[str, Any]:
        """What buildx asks about the children, as far as the run has read them.

        buildx 0.29 reads every child and looks for each of its blobs: 34 requests for 4 platforms.
        """
        known = {entry.digest: self.reader.known(entry.digest) for entry in final.entries}
        manifests = {digest: raw for digest, raw in known.items() if raw is not None}
        found = (parse(raw) for raw in manifests.values())
        blobs = (blob for child in found if isinstance(child, Manifest) for blob in child.blobs)
        return {"manifests": manifests, "sizes": {blob.digest: blob.size for blob in blobs}}

    async def _run(self, job: Job, more: dict[str, Any], argv: _Argv, ending: str) -> Session:
        exchange = self.toolbox.exchange
        async with self.slots.slot(job.entry.number, job.lane):
            session = exchange.open_destination(
                job.end.book, job.destination.name, job.account, hides_tags=True, **more
            )
            try:
                completed = await self.toolbox.run(argv(exchange.reference(session, ending)))
            finally:
                await exchange.close(session)
        if session.refusal is not None:
            raise _Refused(f"{job.entry.destination}: {session.refusal}")
        if (cause := cause_of(completed, job.entry.destination, session)) is not None:
            raise cause
        return session


class _Refused(IntegrityError):
    """A tool pushed something else than what was asked of it."""


def _descriptor_files(folder: Path, final: FinalIndex) -> tuple[Path, ...]:
    files = []
    for number, entry in enumerate(final.entries):
        files.append(folder / f"{number:04}.json")
        files[-1].write_bytes(descriptor_file(entry))
    return tuple(files)


def _ending(job: Job, raw: RawManifest, tagged: bool) -> str:
    return f":{job.tag}" if tagged else f"@{raw.digest}"


def _digest(job: Job, session: Session) -> Digest:
    if not session.pushed:
        raise UnknownFailure(f"{job.entry.destination}: the tool ended well and wrote nothing")
    return session.pushed[-1].digest

"""Write indexes: by buildx, byte for byte by skopeo, or by our own client."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger

from image_tools.errors import (
    IntegrityError,
    InvalidManifest,
    ManifestUnsupported,
    NotFound,
    UnknownFailure,
)
from image_tools.exchange.sessions import ToolSession
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import (
    Index,
    Manifest,
    RawManifest,
    index_bytes,
    parse,
)
from image_tools.oci.tree import EntryProblem, Fault, Parsed, everything
from image_tools.plan.plan import FinalIndex
from image_tools.retry import RetryPolicy, repeat_async
from image_tools.run.job import Job
from image_tools.run.reader import Reader
from image_tools.run.scheduler import Scheduler
from image_tools.run.tools.own_client import OWN_CLIENT, OwnClient
from image_tools.run.tools.toolbox import Toolbox, cause_of
from image_tools.tools.buildx import can_express, create_argv, descriptor_file
from image_tools.tools.skopeo import cannot_keep, index_only_argv, write_index_folder
from image_tools.tools.unreadable import buildx_cannot_pass_on, leaves_the_exchange

_Argv = Callable[[str], tuple[str, ...]]
BUILDX = "buildx"
INDEX_ONLY = "index-only"
MOST_LEAVES = 1000  # buildx follows an index each time it is named, some hundred a second


@dataclass(frozen=True, slots=True)
class WrittenIndex:
    """The digest a tag got, and which tool wrote it."""

    digest: Digest
    path: str


@dataclass(slots=True, eq=False)
class Assembler:
    """Writes indexes whose children lie in the destination repository already."""

    toolbox: Toolbox
    reader: Reader
    scheduler: Scheduler
    retry: RetryPolicy
    own: OwnClient

    async def publish(
        self,
        job: Job,
        final: FinalIndex,
        nested: tuple[RawManifest, ...],
        tag: str | None,
    ) -> WrittenIndex:
        """Write `final` under `tag`, after the indexes it contains; None: by its digest alone.

        A tool that would write anything else is stopped before the tag changes.
        """
        for inner in nested:
            await self.exactly(job, inner, None)
        if final.exact is not None:
            logger.debug("the source's own bytes are kept: skopeo copies the index alone")
            return await self.exactly(job, final.exact, tag)
        raw = RawManifest(final.media_type, index_bytes(final.index))
        reason = can_express(final.index) or await self._leaves_the_exchange(job, raw)
        if reason is None:
            published = await repeat_async(self.retry, lambda: self._composed(job, final, tag))
            if published is not None:
                return published
            reason = "it would have written something else, or cannot parse a manifest"
        logger.debug("buildx cannot write this index ({}): skopeo copies it alone", reason)
        return await self.exactly(job, raw, tag)

    async def exactly(self, job: Job, raw: RawManifest, tag: str | None) -> WrittenIndex:
        """Write the bytes of `raw`, an index, under `tag`; None: by its digest alone."""
        try:
            return await repeat_async(self.retry, lambda: self._alone(job, raw, tag))
        except (UnknownFailure, ManifestUnsupported) as error:
            if not (isinstance(error, ManifestUnsupported) or cannot_keep(str(error))):
                raise
        reason = await self._must_not_pass(job, raw)
        if reason is None:
            logger.debug("this skopeo would change the bytes of the index: buildx passes it on")
            try:
                return await repeat_async(self.retry, lambda: self._passed_on(job, raw, tag))
            except ManifestUnsupported:
                reason = "a manifest in it cannot be parsed"
        reason = f"skopeo cannot keep the bytes of this index, and buildx must not get it: {reason}"
        await self.own.write(job, raw, _ending(raw, tag), reason)
        return WrittenIndex(raw.digest, OWN_CLIENT)

    async def _must_not_pass(self, job: Job, raw: RawManifest) -> str | None:
        """Return why buildx must not push `raw` as it is; None if it may."""
        found = parse(raw)
        reason = buildx_cannot_pass_on(found) if isinstance(found, Index) else None
        return reason or await self._leaves_the_exchange(job, raw)

    async def _leaves_the_exchange(self, job: Job, raw: RawManifest) -> str | None:
        """Return why buildx would send requests for `raw` to other addresses, else None."""
        reasons: list[str | None] = []

        def look(_entry: Descriptor, _raw: RawManifest, found: Parsed) -> None:
            reasons.append(leaves_the_exchange(found))

        try:
            if reason := leaves_the_exchange(parse(raw)):
                return reason
            tree = await self.reader.tree(job.destination, raw, wants=everything, on_manifest=look)
        except InvalidManifest as error:
            return _unknown(error)
        if tree.nested and len(tree.leaves) > MOST_LEAVES:
            reasons.append(f"its indexes lead to {len(tree.leaves)} manifests")
        return next(filter(None, (*reasons, *map(_unseen, tree.problems))), None)

    async def _alone(self, job: Job, raw: RawManifest, tag: str | None) -> WrittenIndex:
        tools = await self.toolbox.tools()
        folder = self.toolbox.new_folder("index")
        write_index_folder(folder, raw)
        session = await self._run(
            job,
            {"check": _same_as(raw)},
            lambda name: index_only_argv(tools.setting, folder, name),
            _ending(raw, tag),
        )
        return WrittenIndex(_digest(job, session), INDEX_ONLY)

    async def _passed_on(self, job: Job, raw: RawManifest, tag: str | None) -> WrittenIndex:
        """Write `raw` by buildx: 0.13 and 0.29 keep the bytes of an index that is given alone."""
        tools = await self.toolbox.tools()
        path = self.toolbox.new_folder("index") / "descriptor.json"
        path.write_bytes(descriptor_file(raw.descriptor))
        found = parse(raw)
        memory = self._memory(found.entries if isinstance(found, Index) else ())
        memory["manifests"][raw.digest] = raw
        session = await self._run(
            job,
            {"check": _same_as(raw), "tags_become_digests": tag is None, **memory},
            lambda name: create_argv(tools.buildx, name, (path,)),
            f":{tag or job.tag}",
        )
        return WrittenIndex(_digest(job, session), BUILDX)

    async def _composed(self, job: Job, final: FinalIndex, tag: str | None) -> WrittenIndex | None:
        """Write `final` by buildx; return None if it cannot read it or wrote something else."""
        tools = await self.toolbox.tools()
        files = _descriptor_files(self.toolbox.new_folder("entries"), final)
        try:
            session = await self._run(
                job,
                {
                    "check": final.difference,
                    "tags_become_digests": tag is None,
                    **self._memory(final.entries),
                },
                lambda name: create_argv(tools.buildx, name, files),
                f":{tag or job.tag}",
            )
        except (_Refused, ManifestUnsupported) as refusal:
            logger.debug("buildx: {}", refusal)
            return None
        return WrittenIndex(_digest(job, session), BUILDX)

    def _memory(self, entries: Iterable[Descriptor]) -> dict[str, Any]:
        """Return what buildx asks about the children, as far as the run has read them.

        buildx 0.29 reads every child and looks for each of its blobs: 34 requests for 4 platforms.
        """
        known = {entry.digest: self.reader.known(entry.digest) for entry in entries}
        manifests = {digest: raw for digest, raw in known.items() if raw is not None}
        found = (parse(raw) for raw in manifests.values())
        blobs = (blob for child in found if isinstance(child, Manifest) for blob in child.blobs)
        return {"manifests": manifests, "sizes": {blob.digest: blob.size for blob in blobs}}

    async def _run(self, job: Job, more: dict[str, Any], argv: _Argv, ending: str) -> ToolSession:
        exchange = self.toolbox.exchange
        async with self.scheduler.tool(job.entry.number, job.lane):
            session = exchange.open_destination(
                job.end.tracked, job.destination.name, job.traffic, hides_tags=True, **more
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


def _same_as(raw: RawManifest) -> Callable[[RawManifest], str | None]:
    def check(pushed: RawManifest) -> str | None:
        return None if pushed.digest == raw.digest else "the tool changed the bytes of the index"

    return check


def _unknown(error: InvalidManifest) -> str:
    return f"a manifest in it is unknown to us: {error}"


def _unseen(problem: EntryProblem) -> str | None:
    """Return why buildx must not get an index with this problem: its content is unknown."""
    if problem.fault is Fault.MISSTATED or isinstance(problem.error, NotFound):
        return None  # buildx does not find missing content either, and says so.
    if not isinstance(problem.error, InvalidManifest):
        raise problem.error
    return _unknown(problem.error)


def _ending(raw: RawManifest, tag: str | None) -> str:
    return f"@{raw.digest}" if tag is None else f":{tag}"


def _digest(job: Job, session: ToolSession) -> Digest:
    if not session.pushed:
        raise UnknownFailure(f"{job.entry.destination}: the tool ended well and wrote nothing")
    return session.pushed[-1].digest

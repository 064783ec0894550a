"""What is published beside one image: its companions, its source's own index, new signatures."""

from __future__ import annotations

from dataclasses import dataclass, field

from loguru import logger

from image_tools.errors import AccessDenied, InvalidManifest, NotFound, UnknownFailure
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, parse
from image_tools.oci.tree import Fault
from image_tools.plan.plan import Plan
from image_tools.plan.referrers import Referrer, apart, subjects, uncovered
from image_tools.run.context import RunContext
from image_tools.run.line.job import Job

_REFUSALS = (AccessDenied, InvalidManifest, NotFound, UnknownFailure)


@dataclass(slots=True, eq=False)
class Beside:
    """What lies beside the image of `job`, in the order: `look`, `publish`, `conclude`.

    `warnings` are what has to be said about it.
    """

    gear: RunContext
    job: Job
    source_digest: Digest
    decided: Plan
    warnings: list[str] = field(default_factory=list)
    _companions: tuple[Referrer, ...] = ()
    _is_there: bool = False

    @property
    def is_something(self) -> bool:
        """Whether anything is to be published beside it."""
        return bool(self._companions) or self.gear.signer is not None

    @property
    def comes_first(self) -> bool:
        """Whether the image must be there by its digest, before what speaks about that digest."""
        if self.gear.signer is not None:
            return True
        about, _ = apart(self._companions, self.source_digest)
        return bool(about) and self._is_preserved

    async def look(self) -> None:
        """Find out what is to be published."""
        if self.gear.companions is None:
            return
        asked = subjects(self.source_digest, self.decided)
        found = await self.gear.companions.find(self.job, asked)
        self._companions = found.companions
        self._warn(*found.warnings)

    async def publish(self, digest: Digest | None) -> None:
        """Publish it all; `digest` is that of the image, where it is there already."""
        kept = await self._keep()
        platforms = {entry.digest for entry in self.decided.wanted}
        self._is_there = kept or self._is_preserved or self.source_digest in platforms
        await self._bring()
        if self.gear.signer is not None:
            signed = [e.digest for e in self.decided.wanted if not e.is_attestation]
            await self.gear.signer.sign(self.job, [*signed, *([digest] if digest else [])])

    def conclude(self, published: Digest) -> None:
        """Say what the source's signatures are worth, now that the tag leads to `published`."""
        if published == self.source_digest or self.gear.signer is not None:
            return
        about, _ = apart(self._companions, self.source_digest)
        asked = self.gear.options.keep_digest
        self._warn(uncovered(about, published, kept=self._is_there, asked=asked))

    @property
    def _is_preserved(self) -> bool:
        final = self.decided.final
        exact = final.exact if final is not None else None
        return exact is not None and exact.digest == self.source_digest

    async def _bring(self) -> None:
        if self.gear.companions is None or not self._companions:
            return
        going = self._companions
        if not self._is_there:
            _, going = apart(self._companions, self.source_digest)
        self._warn(*await self.gear.companions.bring(self.job, going))

    async def _keep(self) -> bool:
        """Whether the source's own index is there by its digest, as `--keep-digest` asks for."""
        if not self.gear.options.keep_digest or self._is_preserved:
            return False
        try:
            return await self._keep_index(self.source_digest)
        except _REFUSALS as error:
            self._warn(
                f"the registry does not take the source's {self.source_digest} beside the tag:"
                f" {error}. Most want every platform of an index; copy all of them"
                " (--arch all --os all), or give up on that digest"
            )
            return False

    async def _keep_index(self, digest: Digest) -> bool:
        """Push an index as its source has it, without any tag; False when it is none."""
        raw = await self.gear.reader.manifest(self.job.source, digest)
        if not isinstance(parse(raw), Index):
            return False
        tree = (await self.gear.reader.tree(self.job.source, raw)).checked(Fault.MISSTATED)
        for index in (*tree.nested, raw):
            await self.gear.assembler.exactly(self.job, index, None)
        return True

    def _warn(self, *texts: str) -> None:
        for text in filter(None, texts):
            logger.warning("{}: {}", self.job.entry.destination, text)
            self.warnings.append(text)

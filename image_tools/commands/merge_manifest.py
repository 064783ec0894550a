"""`merge-manifest`: one index out of several images of registries."""

from __future__ import annotations

from dataclasses import dataclass

from image_tools.commands.list_run import ListRun
from image_tools.imagelist.entry import Entry, ImageList
from image_tools.oci.reference import Reference
from image_tools.run.context import RunContext, TransferContext
from image_tools.run.merge_manifest import Merged, merge_images


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRequest:
    """Which images become one, under which tag; `overwrite` lets later ones replace platforms."""

    destination: Reference
    sources: tuple[Reference, ...]
    overwrite: bool = False
    dry_run: bool = False


class MergeManifestRun(ListRun):
    """One run of `merge-manifest`: its sources are a list with one destination."""

    command = "merge-manifest"

    def merge(self, request: MergeRequest) -> Merged:
        """The index that was published, or would be. Raises what prevented it; Interrupted."""
        context = self._opened_context(_as_list(request))
        return self._result_of(_merged(context, self._local_transfers.context, request))


def _as_list(request: MergeRequest) -> ImageList:
    entries = (
        Entry(
            number=number,
            line=number,
            raw=str(source),
            source=source,
            destination=request.destination,
        )
        for number, source in enumerate(request.sources, start=1)
    )
    return ImageList(name=MergeManifestRun.command, entries=tuple(entries))


async def _merged(context: RunContext, transfers: TransferContext, request: MergeRequest) -> Merged:
    context.endpoints.expect(request.sources, [request.destination])
    jobs = [context.job(entry) for entry in _as_list(request).entries]
    return await merge_images(
        context, transfers, jobs, overwrite=request.overwrite, dry_run=request.dry_run
    )

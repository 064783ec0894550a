"""`merge-manifest`: one index out of several images of registries."""

from __future__ import annotations

from dataclasses import dataclass

from image_tools.commands.list_run import ListRun
from image_tools.imagelist.entry import Entry, ImageList
from image_tools.oci.reference import Reference
from image_tools.run.context import RunContext
from image_tools.run.merge_manifest import Merged, merge_images

COMMAND = "merge-manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRequest:
    """The images that become one, and its tag; `overwrite` lets later ones replace platforms."""

    destination: Reference
    sources: tuple[Reference, ...]
    overwrite: bool = False
    dry_run: bool = False

    @property
    def images(self) -> ImageList:
        """Return the sources as a list with one destination."""
        entries = (
            Entry(
                number=number,
                line=number,
                raw=str(source),
                source=source,
                destination=self.destination,
            )
            for number, source in enumerate(self.sources, start=1)
        )
        return ImageList(name=COMMAND, entries=tuple(entries))


def merge(request: MergeRequest, run: ListRun) -> Merged:
    """Publish the index, or with `dry_run` only plan it, and return it.

    Raise what prevented it; raise Interrupted when a signal came.
    """
    return run.result(request.images, lambda context: _merged(context, request))


async def _merged(context: RunContext, request: MergeRequest) -> Merged:
    context.endpoints.expect(request.sources, [request.destination])
    jobs = [context.job(entry) for entry in request.images.entries]
    return await merge_images(context, jobs, overwrite=request.overwrite, dry_run=request.dry_run)

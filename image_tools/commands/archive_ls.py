"""`archive ls`: list the images of an archive from its tables, without reading layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_tools.oci.platform import Platform
from image_tools.oci.reference import Reference
from image_tools.plan.referrers import is_referrer_tag
from image_tools.report import json_of
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.image_contents import ImageContents, contents, contents_at
from image_tools.stores.archive.opening import read_archive
from image_tools.stores.archive.others.cache import Foreign
from image_tools.stores.archive.others.image_names import unnamed

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedImage:
    """One tag, or an image without a name, whose `reference` is None.

    `size` is in bytes; what several platforms share counts once. `source` is where the image came
    from, `problem` names the parts that are missing.
    """

    reference: Reference | None
    digest: str
    platforms: tuple[Platform, ...]
    size: int
    source: str = ""
    problem: str = ""

    @property
    def name(self) -> str:
        """Return its reference, else its digest."""
        return self.digest if self.reference is None else str(self.reference)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that scripts rely on."""
        return {**json_of(self), "reference": str(self.reference or "")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All images of an archive; `blobs` and `size` count everything in it once."""

    archive: Path
    images: tuple[ArchivedImage, ...]
    blobs: int
    size: int

    @property
    def exit_code(self) -> int:
        """Return 1 when a part of an image is missing."""
        return int(any(image.problem for image in self.images))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that scripts rely on."""
        images = [image.to_json() for image in self.images]
        return {"schema": SCHEMA, "command": "archive ls", **json_of(self), "images": images}


def archive_ls(path: Path, foreign: Foreign) -> Listing:
    """Return the images of the archive at `path`.

    Raise ArchiveDamaged or UsageError when it is none. Layers are read only in archives of other
    programs, which are opened as `foreign` says. Referrers under tags of their own are counted, but
    not listed.
    """
    archive = read_archive(path, foreign=foreign)
    try:
        found = [one for one in contents(archive) if not is_referrer_tag(one.reference)]
        found += [contents_at(archive, one.digest) for one in unnamed(archive)]
        sizes = [size for _, size in archive.content.digests()]
        return Listing(
            archive=path,
            images=tuple(_image(archive, one) for one in found),
            blobs=len(sizes),
            size=sum(sizes),
        )
    finally:
        archive.close()


def _image(archive: Archive, found: ImageContents) -> ArchivedImage:
    origin = archive.origin(found.reference) if found.is_named else None
    problems = [f"{digest}: {problem}" for digest, problem in found.problems.items()]
    return ArchivedImage(
        reference=found.reference if found.is_named else None,
        digest=str(found.digest),
        platforms=tuple(found.platforms),
        size=sum(found.sizes.values()),
        source="" if origin is None else origin.source,
        problem="; ".join(problems),
    )

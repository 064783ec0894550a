"""`archive verify`: hash every byte of an archive, in one pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from image_tools.oci.digest import Digest
from image_tools.report import json_of
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.image_contents import ImageContents, contents, contents_at
from image_tools.stores.archive.opening import lost_volumes, read_archive
from image_tools.stores.archive.others.cache import Foreign
from image_tools.stores.archive.others.image_names import unnamed
from image_tools.stores.archive.verify import verify

SCHEMA = 1
OnBytes = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One damaged or missing blob or manifest, and the images that need it."""

    digest: Digest
    problem: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A foreign layer that is not in the archive, its addresses, and the images that need it."""

    digest: Digest
    urls: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The size of the archive and its damage; `lost` has a line for every lost volume.

    `foreign` layers may be absent: the source did not have them when the archive was saved.
    """

    archive: Path
    images: int
    blobs: int
    size: int
    damaged: tuple[Damage, ...]
    lost: tuple[str, ...] = ()
    foreign: tuple[Absent, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that scripts rely on."""
        return {"schema": SCHEMA, "command": "archive verify", **json_of(self)}


def archive_verify(
    path: Path, foreign: Foreign, on_bytes: OnBytes = lambda _done, _total: None
) -> Verification:
    """Return the damage of the archive at `path`: blobs with wrong bytes, images with lost parts.

    `on_bytes` gets the number of bytes read so far and of all. `foreign` is how an archive of
    other programs is opened. Raise ArchiveDamaged when it cannot be opened.
    """
    archive = read_archive(path, whole=False, foreign=foreign)
    try:
        return _verified(archive, path, on_bytes)
    finally:
        archive.close()


def _verified(archive: Archive, path: Path, on_bytes: OnBytes) -> Verification:
    sizes = dict(archive.content.digests())
    total, done, problems = sum(sizes.values()), 0, dict[Digest, str]()
    for digest, problem in verify(archive.content):
        if problem is not None:
            problems[digest] = problem
        done += sizes.get(digest, 0)
        on_bytes(done, total)
    needed: dict[Digest, list[str]] = {digest: [] for digest in problems}
    images, absent = 0, dict[Digest, Absent]()
    nameless = (contents_at(archive, one.digest) for one in unnamed(archive))
    for image in (*contents(archive), *nameless):
        images += 1
        _add_absent(absent, image)
        for digest, problem in image.problems.items():
            problems.setdefault(digest, problem)
        for digest in {*image.sizes, *image.problems} & problems.keys():
            needed.setdefault(digest, []).append(image.name)
    return Verification(
        archive=path,
        images=images,
        blobs=len(sizes),
        size=total,
        lost=lost_volumes(archive),
        foreign=tuple(absent.values()),
        damaged=tuple(
            Damage(digest=digest, problem=problem, images=tuple(needed.get(digest, ())))
            for digest, problem in problems.items()
        ),
    )


def _add_absent(absent: dict[Digest, Absent], image: ImageContents) -> None:
    for digest, urls in image.foreign.items():
        known = absent.get(digest, Absent(digest=digest, urls=urls))
        absent[digest] = replace(known, images=(*known.images, image.name))

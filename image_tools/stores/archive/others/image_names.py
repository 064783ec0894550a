"""Names for images that have no whole name in their archive.

Docker, podman, containerd, skopeo, oras and crane write images without a tag, a repository, or
both. A stated repository is kept; an image without one gets a name from the user, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from loguru import logger

from image_tools.errors import ImageToolsError, UsageError
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, parse
from image_tools.oci.reference import Reference
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.catalogue import Catalogue, repository_of, subject_of, tag_of
from image_tools.stores.archive.others.cache import Foreign

_MOST_SHOWN = 5


class NameAsked(UsageError):
    """An image has no name, or not enough of one, to be published."""


@dataclass(frozen=True, slots=True)
class _Image:
    """An image without a whole name: its entry, and as much of a name as that states."""

    entry: Descriptor
    name: Reference | None
    tag: str | None

    @property
    def digest(self) -> Digest:
        return self.entry.digest


def whole_names(archive: Archive, choice: Foreign) -> Catalogue:
    """Return the catalogue of `archive` with a whole name for every image.

    Raise NameAsked when an image needs a name, unless `choice` is lenient, and UsageError when it
    is unclear which image `choice.names` are for.
    """
    waiting = [*unnamed(archive)]
    given = _given(archive, choice.names, waiting)
    _refuse_taken(archive, given)
    catalogue, nameless = archive.catalogue, list[_Image]()
    for image in waiting:
        name = given.get(image.entry)
        is_own = name is None
        if is_own and image.name is not None:
            name = _own_name(catalogue, waiting, image)
        known = catalogue.tags.get(name) if name is not None else None
        if name is None or (known is not None and known.descriptor.digest != image.digest):
            nameless.append(image)
        elif known is not None:
            catalogue = catalogue.without(image.entry)
        else:
            catalogue = catalogue.named(image.entry, name)
            if is_own and image.tag is None:
                _say(archive.name, image, name)
    if nameless and not choice.lenient:
        raise _asked(archive.name, nameless)
    for image in nameless:
        logger.warning("{}: {} has no name (--name)", archive.name, image.digest)
    return catalogue


def unnamed(archive: Archive) -> Iterator[_Image]:
    """Yield the images without a whole name; entries that belong to another image are none."""
    candidates = dict[Descriptor, bool]()
    inner = set[Digest]()
    for entry in archive.catalogue.nameless:
        try:
            raw = archive.manifest(entry.digest)
            found, speaks = parse(raw), subject_of(raw) is not None
        except ImageToolsError:
            # Missing, or no manifest: with a tag it needs a name, so that its loss is reported.
            candidates[entry] = False
            continue
        candidates[entry] = not speaks and not entry.is_attestation
        if isinstance(found, Index):
            inner |= {child.digest for child in found.entries}
    for entry, is_image in candidates.items():
        name, tag = repository_of(entry), tag_of(entry)
        if name is not None or tag is not None or (is_image and entry.digest not in inner):
            yield _Image(entry, name, tag)


def _given(
    archive: Archive, names: Iterable[Reference], waiting: list[_Image]
) -> dict[Descriptor, Reference]:
    """Return the names that the user gives, by the entry of each image."""
    found = dict[Descriptor, Reference]()
    common = list[Reference]()
    for name in names:
        meant = _meant(name, waiting)
        if meant:
            given = {image.entry: _with_tag(name, image) for image in meant}
            _refuse_second(archive.name, found, given)
            found.update(given)
        elif name.digest is not None:
            raise _refused(archive.name, name)
        else:
            common.append(name)
    left = [image for image in waiting if image.entry not in found]
    # The name is for images that state none; only without such, for those that state one.
    left = [image for image in left if image.name is None] or left
    if not common:
        return found
    if not left:
        raise _refused(archive.name, common[0])
    if len(common) > 1 or (common[0].tag and len({image.digest for image in left}) > 1):
        raise _unclear(archive.name, left, "it is not clear which image --name means")
    called = {image.entry: _with_tag(common[0], image) for image in left}
    if len({*called.values()}) < len({image.digest for image in left}):
        raise _unclear(archive.name, left, f"two images would be called {common[0].name}")
    return found | called


def _refuse_second(
    where: str, found: dict[Descriptor, Reference], given: dict[Descriptor, Reference]
) -> None:
    """Raise UsageError where `given` calls an image otherwise than `found` does."""
    for entry, name in given.items():
        if found.get(entry, name) != name:
            raise UsageError(
                f"{where}: --name gives {entry.digest} two names: {found[entry]} and {name}",
                advice="give each image one name",
            )


def _refuse_taken(archive: Archive, given: dict[Descriptor, Reference]) -> None:
    """Raise UsageError where a given name is that of another image, too."""
    called = {name: one.descriptor.digest for name, one in archive.catalogue.tags.items()}
    for entry, name in given.items():
        if called.setdefault(name, entry.digest) != entry.digest:
            raise UsageError(
                f"{archive.name}: two images would be called {name}: {called[name]} and"
                f" {entry.digest}",
                advice="give the last one another name",
            )


def _meant(name: Reference, waiting: list[_Image]) -> list[_Image]:
    """Return the images that `name` is for by its digest, or by the repository they state."""
    if name.digest is not None:
        return [image for image in waiting if image.digest == name.digest]
    same = [image for image in waiting if image.name and image.name.name == name.name]
    return same if len({image.digest for image in same}) == 1 else []


def _with_tag(name: Reference, image: _Image) -> Reference:
    return name.with_tag(name.tag or image.tag or "latest")


def _own_name(catalogue: Catalogue, waiting: list[_Image], image: _Image) -> Reference | None:
    """Return the repository that an image states, with a tag; None when that is ambiguous.

    An image stated with a digest becomes `latest` only as the only one of its repository, one
    stated without a digest only if no other is stated so.
    """
    assert image.name is not None
    if image.tag is not None:
        return image.name.with_tag(image.tag)
    rivals = {one.digest for one in _of_one_repository(waiting, image) if one.tag is None}
    if image.name.digest is not None:
        tags = catalogue.tags.items()
        there = {tag: one.descriptor.digest for tag, one in tags if tag.name == image.name.name}
        if image.digest in there.values():
            return next(tag for tag, digest in there.items() if digest == image.digest)
        rivals |= {*there.values(), *(one.digest for one in _of_one_repository(waiting, image))}
    return None if rivals - {image.digest} else image.name.with_tag("latest")


def _of_one_repository(waiting: list[_Image], image: _Image) -> Iterator[_Image]:
    assert image.name is not None
    return (one for one in waiting if one.name and one.name.name == image.name.name)


def _say(where: str, image: _Image, name: Reference) -> None:
    assert image.name is not None
    logger.warning(
        "{}: {} states no tag ({}): it is called {} (--name gives another)",
        where,
        image.name.name,
        image.digest,
        name,
    )


def _refused(where: str, name: Reference) -> UsageError:
    return UsageError(
        f"{where}: no image without a name is left for --name {name}",
        advice="leave it out; archive ls shows what the images are called",
    )


def _unclear(where: str, images: list[_Image], why: str) -> UsageError:
    return UsageError(
        f"{where} holds images without a name: {_shown(images)}; {why}",
        advice="name each of them: --name REPOSITORY:TAG@DIGEST",
    )


def _asked(where: str, images: list[_Image]) -> NameAsked:
    """Return the error of images for which a name is missing."""
    if len({image.digest for image in images}) == 1:
        only = images[0]
        lacks = f"a tag for {only.name.name}" if only.name else "a name"
        wanted = f"{only.name.name}:TAG" if only.name else "REPOSITORY"
        wanted += "" if only.name else "[:TAG]" if only.tag else ":TAG"
        return NameAsked(
            f"{where} holds an image without {lacks}: {only.digest}",
            advice=f"name the image: --name {wanted}@{only.digest}",
        )
    stated = sorted({image.name.name for image in images if image.name})
    lacks = f"a tag ({', '.join(stated[:_MOST_SHOWN])}) or a name" if stated else "a name"
    return NameAsked(
        f"{where} holds images without {lacks}: {_shown(images)}",
        advice="name each of them: --name REPOSITORY:TAG@DIGEST",
    )


def _shown(images: list[_Image]) -> str:
    digests = sorted({str(image.digest) for image in images})
    return ", ".join(digests[:_MOST_SHOWN]) + (", …" if len(digests) > _MOST_SHOWN else "")

"""The memory of earlier runs, for registries and for images in archives."""

from __future__ import annotations

from typing import Protocol

from loguru import logger

from image_tools.errors import ImageToolsError
from image_tools.imagelist.entry import Entry
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference
from image_tools.state import Remembered, State
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.catalogue import Origin
from image_tools.stores.archive.inventory import Inventory
from image_tools.stores.store import ManifestHead


class Memory(Protocol):
    """The images that earlier runs finished, by source, destination and the key of the options."""

    def recall(self, source: str, destination: str, selection: str) -> Remembered | None:
        """Return the digests of both ends when this image was last finished, None if unknown."""

    def remember(
        self, source: str, destination: str, selection: str, remembered: Remembered
    ) -> Remembered:
        """Note durably what both ends hold now, and return it as it is remembered."""


class OriginMemory:
    """The memory of an archive that is written, kept in the archive itself."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def recall(self, source: str, destination: str, selection: str) -> Remembered | None:
        """Return what the entry says of where its image came from; None for another selection."""
        reference = Reference.parse(destination)
        origin, entry = self._archive.origin(reference), self._archive.tagged(reference)
        if origin is None or entry is None:
            return None
        if (origin.source, origin.selection) != (source, selection):
            return None
        return Remembered(origin.digest, entry.digest, kept=origin.kept)

    def remember(
        self, source: str, destination: str, selection: str, remembered: Remembered
    ) -> Remembered:
        """Note it in the entry; what cannot be noted, or has no entry, only costs requests."""
        if remembered.destination_digest is None:
            return remembered
        origin = Origin(source, remembered.source_digest, selection, remembered.kept)
        try:
            self._archive.add_origin(Reference.parse(destination), origin)
        except ImageToolsError as error:
            logger.debug("{}", error)
        return remembered


class RepairMemory(OriginMemory):
    """The same while an archive is repaired: the origins of its images were known before."""

    def __init__(self, archive: Archive) -> None:
        super().__init__(archive)
        self._before = {one: (archive.tagged(one), archive.origin(one)) for one in archive.images}

    def recall(self, source: str, destination: str, selection: str) -> Remembered | None:
        """Return None: what is remembered is what was lost."""

    def remember(
        self, source: str, destination: str, selection: str, remembered: Remembered
    ) -> Remembered:
        """Note what was known; of an image that has become another one, what it is now."""
        if remembered.destination_digest is None:
            return remembered
        reference = Reference.parse(destination)
        entry, origin = self._before.get(reference, (None, None))
        if origin is not None and entry == self._archive.tagged(reference):
            self._archive.add_origin(reference, origin)
        else:
            known = source if origin is None else origin.source
            super().remember(known, destination, selection, remembered)
        return remembered


class FromArchive:
    """The memory of images that come out of an archive: kept apart from those of registries.

    The selection that an archive was saved with is part of the key: two archives may differ in it.
    """

    def __init__(self, state: State, archive: Archive) -> None:
        self._state, self._archive = state, archive

    def recall(self, source: str, destination: str, selection: str) -> Remembered | None:
        """See `Memory`."""
        wish = self._wish(source, selection)
        return self._state.recall(f"archive:{source}", destination, wish)

    def remember(
        self, source: str, destination: str, selection: str, remembered: Remembered
    ) -> Remembered:
        """See `Memory`."""
        wish = self._wish(source, selection)
        return self._state.remember(f"archive:{source}", destination, wish, remembered)

    def _wish(self, source: str, selection: str) -> str:
        origin = self._archive.origin(Reference.parse(source))
        saved = "" if origin is None else origin.selection.partition("+")[0]
        return f"{selection}+saved-{saved}"


class PassedOn:
    """The origins of an archive's images, recorded in the archive that receives them."""

    def __init__(self, source: Archive, destination: Archive) -> None:
        self._source, self._destination = source, destination

    def recall(self, source: str, destination: str, selection: str) -> Remembered | None:
        """Return None: both ends are archives, and are compared."""

    def remember(
        self, source: str, destination: str, selection: str, remembered: Remembered
    ) -> Remembered:
        """Note what the source says of the image, unless it was changed on its way."""
        origin = self._source.origin(Reference.parse(source))
        if origin is None or remembered.source_digest != remembered.destination_digest:
            logger.debug("{}: origin unknown, as {}", destination, selection)
            return remembered
        try:
            self._destination.add_origin(Reference.parse(destination), origin)
        except ImageToolsError as error:
            logger.debug("{}", error)
        return remembered


class Base:
    """The images that the destination site has already, according to its inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory

    def unchanged(self, entry: Entry, source: ManifestHead, selection: str) -> Digest | None:
        """Return the digest of an image that the base has as it is wanted; None otherwise."""
        held = self.inventory.images.get(entry.destination)
        if held is None:
            return None
        wanted = Origin(str(entry.source), source.digest, selection)
        same = held.digest == source.digest and source.media_type in media.INDEXES
        return held.digest if same or held.origin == wanted else None

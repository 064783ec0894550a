"""The places a run writes to: what is read must not be what is written."""

from __future__ import annotations

from dataclasses import dataclass, field

from loguru import logger

from image_tools.errors import UsageError
from image_tools.oci.place import PlaceKey, key_of, place_key
from image_tools.oci.reference import Reference
from image_tools.stores.remote.registries_conf import PullSource, RegistriesConf


@dataclass(slots=True, eq=False)
class WrittenPlaces:
    """Knows the destination repositories of a run, by the place that is really asked.

    They become known line by line. Belongs to the event loop.
    """

    conf: RegistriesConf
    _keys: dict[PlaceKey, str] = field(default_factory=dict)
    _told: set[PlaceKey] = field(default_factory=set)

    def add(self, destination: Reference) -> None:
        """Note a repository that is written to, or compared."""
        self._keys.setdefault(key_of(destination), "a destination")

    def add_base(self, place: Reference) -> None:
        """Note a repository of which it is known what it has: the source is compared with that."""
        self._keys.setdefault(key_of(place), "the base")

    def leaves_out(self, mirror: PullSource) -> bool:
        """Return whether nothing is read from `mirror`, since it is a destination, or the base."""
        key = place_key(mirror.registry, mirror.repository)
        if key not in self._keys:
            return False
        if key not in self._told:
            self._told.add(key)
            logger.info(
                "{}/{} is a mirror in registries.conf and {} of this run: not read",
                mirror.registry,
                mirror.repository,
                self._keys[key],
            )
        return True

    def places(self, source: Reference) -> tuple[PullSource, ...]:
        """Return where `source` is read: the mirrors that are no destination, then its location."""
        *mirrors, own = self.conf.sources(source.registry, source.repository)
        return (*(one for one in mirrors if not self.leaves_out(one)), own)

    def check_apart(self, source: Reference, destination: Reference) -> None:
        """Raise UsageError where both are one tag of one repository, however they are written."""
        own = self.conf.sources(source.registry, source.repository)[-1]
        if place_key(own.registry, own.repository) != key_of(destination):
            return
        if source.target == (destination.tag or "latest"):
            raise UsageError(
                f"source and destination are the same place: {source} is {destination}",
                advice="give the line another source or destination; registries.conf may give a"
                " place other names",
            )

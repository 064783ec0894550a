"""The stores of both ends of a run, opened when first needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from loguru import logger

from image_tools.errors import UsageError
from image_tools.exchange.ledger import Ledger
from image_tools.exchange.placing import Placer
from image_tools.exchange.sessions import TrackedStore
from image_tools.logins.credentials import Credentials, Keyring
from image_tools.oci.digest import Digest
from image_tools.oci.place import PlaceKey, key_of, place_key, registry_key
from image_tools.oci.reference import DOCKER_HUB, Reference
from image_tools.retry import RetryPolicy
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.store import ArchiveStore
from image_tools.stores.harbor import Harbor, HarborSetting
from image_tools.stores.mirrored import Mirrored
from image_tools.stores.remote.limits.meter import Meters
from image_tools.stores.remote.registries_conf import PullSource, RegistriesConf
from image_tools.stores.remote.registry import Remote, RemoteOptions
from image_tools.stores.store import Store
from image_tools.web.tls import TlsChoice

OnSecret = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEnd:
    """The registries at one end of the copies.

    `registry` is the one that the options or the environment chose, None where the list decides.
    `login` is for that registry alone. With `harbor` every destination registry is a Harbor.
    """

    registry: str | None = None
    login: Credentials | None = None
    tls: TlsChoice = TlsChoice()
    harbor: HarborSetting | None = None

    def among(self, registries: Collection[str]) -> RegistryEnd:
        """Return this end with its login for the only one of `registries`, if none was chosen.

        A login is never shown to more than one registry.
        """
        only = next(iter(registries)) if len(registries) == 1 else None
        return replace(self, registry=self.registry or only)

    def login_for(self, registry: str) -> Credentials | None:
        """Return the given login if it is meant for `registry`."""
        return self.login if registry == self.registry else None


@dataclass(frozen=True, slots=True)
class Destination:
    """One destination registry: its store, its ledger, and who brings blobs there."""

    tracked: TrackedStore
    placer: Placer

    @property
    def store(self) -> Store:
        """Return the store itself."""
        return self.tracked.store

    @property
    def ledger(self) -> Ledger:
        """Return what is known of the store's blobs."""
        return self.tracked.ledger


@dataclass(slots=True, kw_only=True)
class Endpoints:
    """Opens one store per registry and end, and closes them all. Belongs to the event loop.

    With an archive as an end there is no registry there: whatever registry a reference names, it
    is one of that archive. Its opener closes it. Blobs of its base are read from `base_blobs`.
    `meters` count what sources bill.
    """

    source: RegistryEnd
    destination: RegistryEnd
    retry: RetryPolicy
    flights: int
    environ: Mapping[str, str]
    conf: RegistriesConf
    on_secret: OnSecret
    source_archive: Archive | None = None
    destination_archive: Archive | None = None
    base_blobs: dict[Digest, tuple[Store, str]] = field(default_factory=dict)
    meters: Meters = field(default_factory=Meters)
    written: WrittenPlaces = field(init=False)
    _sources: dict[tuple[str, bool], Remote] = field(default_factory=dict)
    _registries: dict[str, Remote] = field(default_factory=dict)
    _stores: dict[str, Store] = field(default_factory=dict)
    _destinations: dict[str, Destination] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.written = WrittenPlaces(self.conf)

    def source_store(self, registry: str) -> Store:
        """Return the store to read `registry` from, through the mirrors of registries.conf."""
        if registry not in self._stores:
            self._stores[registry] = self._source(registry)
        return self._stores[registry]

    def destination_end(self, registry: str) -> Destination:
        """Return the store to write to on `registry`, with its ledger."""
        if registry not in self._destinations:
            store = self._destination(registry)
            tracked = TrackedStore(store, self._ledger())
            placer = Placer(store, tracked.ledger, self.retry, self.flights)
            self._destinations[registry] = Destination(tracked, placer)
        return self._destinations[registry]

    def expect(self, sources: Iterable[Reference], destinations: Iterable[Reference]) -> None:
        """Announce what the run will look at, so that one token serves many repositories.

        Where something will be written, the right to push is announced by then: some registries
        make a repository of every request for it (Quay, endpoints/v2/v2auth.py).
        """
        for registry, names in _by_registry(sources).items():
            _announce(self.source_store(registry), names)
        destinations = tuple(destinations)
        for reference in destinations:
            self.note_destination(reference)
        for registry, names in _by_registry(destinations).items():
            _announce(self.destination_end(registry).store, names)

    def registry(self, name: str) -> Remote:
        """Return the destination registry `name` itself, for what only a registry can do."""
        if name not in self._registries:
            self._registries[name] = self._open(name)
        return self._registries[name]

    def note_destination(self, destination: Reference) -> None:
        """Take note that the run writes there, or compares what is there: no source is read so."""
        if self.destination_archive is None:
            self.written.add(destination)

    def note_base(self, places: Iterable[Reference]) -> None:
        """Take note that what `places` have is left out: no source is read there."""
        for place in places:
            self.written.add_base(place)

    def mount_place(self, source: Reference, destination: Reference) -> str | None:
        """Return the repository of the destination registry that has the source's blobs, else None.

        The place that is really asked counts, not the name in the list.
        """
        if not self._are_registries:
            return None
        *mirrors, own = self.written.places(source)
        if registry_key(own.registry) != registry_key(destination.registry):
            return None
        if mirrors and own.repository == destination.repository:
            # The content may come from a mirror: that it is here already has to be seen.
            return None
        return own.repository

    def check_apart(self, source: Reference, destination: Reference) -> None:
        """Raise UsageError where what is read is what is written, however both are called."""
        if self._are_registries:
            self.written.check_apart(source, destination)

    def use_login(self, registry: str, credentials: Credentials) -> None:
        """Show `credentials` to `registry` from now on, on whichever end it stands."""
        stores = [remote for (name, _), remote in self._sources.items() if name == registry]
        destination = self.destination_end(registry).store
        for store in (*stores, destination):
            if (admission := store.abilities.admission) is not None:
                admission.use(credentials)

    async def source_credentials(self, registry: str, repository: str) -> Credentials | None:
        """Return the login for a source or for one of its mirrors, for a skopeo that reads by
        itself.
        """
        return await self._keyring(registry, self.source).find(registry, repository)

    def source_places(self, source: Reference) -> tuple[PullSource, ...]:
        """Return where `source` is looked for: its mirrors in order, then its own location."""
        return self.written.places(source)

    def leaves_out_mirrors(self, source: Reference) -> bool:
        """Return whether registries.conf names mirrors of `source` that are destinations of this
        run.
        """
        return self.written.places(source) != self.conf.sources(source.registry, source.repository)

    async def close(self) -> None:
        """Give back all connections."""
        stores = [*self._sources.values(), *self._registries.values()]
        for store in stores:
            await store.close()

    @property
    def _are_registries(self) -> bool:
        return self.source_archive is None and self.destination_archive is None

    def _remote(self, registry: str, insecure: bool) -> Remote:
        if (registry, insecure) not in self._sources:
            tls = self.source.tls
            if insecure and tls.verify is None:
                tls = TlsChoice(verify=False, ca_file=tls.ca_file)
            options = replace(self._options(tls), meter=self.meters.of(registry))
            keyring = self._keyring(registry, self.source)
            self._sources[registry, insecure] = Remote(registry, keyring, options, self.environ)
        return self._sources[registry, insecure]

    def _source(self, registry: str) -> Store:
        if self.source_archive is not None:
            return ArchiveStore(self.source_archive, registry, self.base_blobs)
        if self.conf.concerns(registry):
            return Mirrored(registry, self.conf, self._remote, self.written.leaves_out)
        return self._remote(registry, False)

    def _ledger(self) -> Ledger:
        """Return a new ledger; an archive has one for all repositories, which share its blobs."""
        if self.destination_archive is not None and self._destinations:
            return next(iter(self._destinations.values())).ledger
        return Ledger()

    def _destination(self, registry: str) -> Store:
        if self.destination_archive is not None:
            return ArchiveStore(self.destination_archive, registry)
        return self.registry(registry)

    def _open(self, registry: str) -> Remote:
        access = self.destination
        keyring, options = self._keyring(registry, access), self._options(access.tls)
        if access.harbor is None or registry == DOCKER_HUB:
            return Remote(registry, keyring, options, self.environ)
        return Harbor(registry, keyring, options, self.environ, access.harbor)

    def _options(self, tls: TlsChoice) -> RemoteOptions:
        return RemoteOptions(tls=tls, policy=self.retry)

    def _keyring(self, registry: str, end: RegistryEnd) -> Keyring:
        return Keyring(self.environ, end.login_for(registry), on_secret=self.on_secret)


def certificates_folder(ca_file: Path | None, others: Iterable[Path], folder: Path) -> Path:
    """Return `folder`, filled as containers-certs.d(5) wants it.

    It trusts the authority of `ca_file` and holds everything in `others`, which are folders of that
    kind; folders that do not exist are skipped.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if ca_file is not None:
        (folder / "ca-file.crt").symlink_to(ca_file.absolute())
    for number, other in enumerate(filter(Path.is_dir, others)):
        for path in other.iterdir():
            # A certificate and its key keep one name between them.
            (folder / f"{number}-{path.name}").symlink_to(path.absolute())
    return folder


def _announce(store: Store, repositories: Iterable[str]) -> None:
    if (announcing := store.abilities.announcing) is not None:
        announcing.expect(repositories, push=False)


def _by_registry(references: Iterable[Reference]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for reference in references:
        found.setdefault(reference.registry, {})[reference.repository] = None
    return {registry: list(names) for registry, names in found.items()}


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

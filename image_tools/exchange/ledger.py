"""What one destination has, what is on its way there, and what was copied; no I/O."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum

from image_tools.errors import CopyFailed, ImageToolsError, Scope
from image_tools.oci.digest import Digest

REFUSALS_UNTIL_NO_MOUNT = 3
_EVERYWHERE = ""
_SCOPES: tuple[Scope, ...] = ("tags", "repository", "project", "registry")


class Step(Enum):
    """What the one who asked for a blob does next."""

    HAVE = "have"
    WAIT = "wait"
    MOUNT = "mount"
    SEND = "send"


@dataclass(slots=True, eq=False)
class Flight:
    """One blob on its way into one repository; `landed` is set when it has ended, well or not.

    `moved` grows with every sign of life: the bytes that move, and each new attempt. `doubted`:
    the store once said that it has the blob, and then had it not; `short`: it has another size,
    or fails on it.
    """

    repository: str
    digest: Digest
    origin: str | None = None
    doubted: bool = False
    short: bool = False
    moved: int = 0
    landed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Instruction:
    """A step, and the flight to wait for or to fly; none when the blob is there."""

    step: Step
    flight: Flight | None = None


class Ledger:
    """The book of one destination store.

    At most one flight exists for one repository and blob, and while a blob is being sent into
    one repository nobody sends it into another of the same store: they wait, then mount.
    `closed` are the places that take no more.
    Not safe under threads: it belongs to the event loop.
    """

    def __init__(self) -> None:
        self.closed = ClosedPlaces()
        self._sizes: dict[Digest, int] = {}
        self._places: dict[Digest, dict[str, None]] = {}
        self._flights: dict[tuple[str, Digest], Flight] = {}
        self._doubted: set[tuple[str, Digest]] = set()
        self._supposed: set[Digest] = set()
        self._refusals = 0
        self._mounts = 0

    def size(self, repository: str, digest: Digest) -> int | None:
        """The size in bytes of a blob known to be in `repository`, else None."""
        return self._sizes.get(digest) if repository in self._places.get(digest, {}) else None

    def note(self, repository: str, digest: Digest, size: int) -> None:
        """Remember that `repository` holds a blob of `size` bytes."""
        self._sizes[digest] = size
        self._supposed.discard(digest)
        self._places.setdefault(digest, {})[repository] = None

    def suppose(self, repository: str, digest: Digest, size: int) -> None:
        """Remember the same where only a manifest of that repository says so."""
        if digest not in self._sizes:
            self._supposed.add(digest)
        self._sizes.setdefault(digest, size)
        self._places.setdefault(digest, {})[repository] = None

    def is_supposed(self, digest: Digest) -> bool:
        """Whether nobody has seen the size of a blob at this store yet."""
        return digest in self._supposed

    def forget(self, repository: str, digest: Digest) -> None:
        """Take back what `note` said: the store turned out not to hold the blob."""
        self._places.get(digest, {}).pop(repository, None)
        self._doubted.add((repository, digest))

    def is_doubted(self, repository: str, digest: Digest) -> bool:
        """Whether the store once turned out not to hold what it should."""
        return (repository, digest) in self._doubted

    def ask(
        self, repository: str, digest: Digest, size: int | None = None, *, patient: bool = True
    ) -> Instruction:
        """The next step for whoever needs a blob of `size` bytes in `repository`; None: of any.

        MOUNT and SEND open a flight that the caller must end with `land` or `crash`; WAIT names
        the flight after whose end the caller asks again. Who is not `patient` does not wait for a
        blob on its way into another repository. What is known in another size counts for nothing.
        """
        is_right = size is None or self._sizes.get(digest) == size
        places = self._places.get(digest, {}) if is_right else {}
        if repository in places:
            return Instruction(Step.HAVE)
        if under_way := self._flights.get((repository, digest)):
            return Instruction(Step.WAIT, under_way)
        if not self.mounts_work:
            return Instruction(Step.SEND, self._open(repository, digest, None))
        if origin := next(iter(places), None):
            return Instruction(Step.MOUNT, self._open(repository, digest, origin))
        if patient and (elsewhere := self._sending(digest)):
            return Instruction(Step.WAIT, elsewhere)
        return Instruction(Step.SEND, self._open(repository, digest, None))

    def land(self, flight: Flight, size: int) -> None:
        """The blob has arrived: everybody who waits may go on."""
        if flight.origin is not None:
            self._mounts += 1
        self.note(flight.repository, flight.digest, size)
        self._close(flight)

    def crash(self, flight: Flight) -> None:
        """The flight has failed or was given up: the next one who asks takes over."""
        self._close(flight)

    def refuse_mount(self, flight: Flight) -> None:
        """The store began an upload instead of mounting: the flight goes on as a sending."""
        flight.origin = None
        self._refusals += 1

    @property
    def mounts_work(self) -> bool:
        """False once the store has refused three mounts and granted none."""
        return self._mounts > 0 or self._refusals < REFUSALS_UNTIL_NO_MOUNT

    @property
    def flights(self) -> tuple[Flight, ...]:
        """All open flights."""
        return tuple(self._flights.values())

    def _open(self, repository: str, digest: Digest, origin: str | None) -> Flight:
        flight = Flight(repository, digest, origin, self.is_doubted(repository, digest))
        self._flights[repository, digest] = flight
        return flight

    def _close(self, flight: Flight) -> None:
        if self._flights.get((flight.repository, flight.digest)) is flight:
            del self._flights[flight.repository, flight.digest]
        flight.landed.set()

    def _sending(self, digest: Digest) -> Flight | None:
        return next((f for (_, d), f in self._flights.items() if d == digest), None)


class ClosedPlaces:
    """The places of one destination store that have refused a push for good.

    A quota closes the project (the first component of a repository, the owner at registries
    without projects), a read-only mode what it is said of, an immutable tag those tags of its
    repository that exist already. Belongs to the event loop.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[Scope, str], CopyFailed] = {}

    def note(self, repository: str, error: ImageToolsError) -> None:
        """Remember what `error`, the end of a push to `repository`, closes: the first counts."""
        if isinstance(error, CopyFailed) and error.closes != "nothing":
            self._places.setdefault((error.closes, _key(error.closes, repository)), error)

    def refusal(self, repository: str, *, changes_tag: bool = False) -> CopyFailed | None:
        """Return why nothing more is pushed to `repository`, None where pushes are welcome.

        `changes_tag`: the push would change a tag that exists.
        """
        if not self._places:
            return None
        for scope in _SCOPES:
            if scope == "tags" and not changes_tag:
                continue
            known = self._places.get((scope, _key(scope, repository)))
            if known is not None:
                return known
        return None

    def check(self, place: str, repository: str, *, changes_tag: bool = False) -> None:
        """Raise the failure of `place`, which is in `repository`, where that is closed.

        It is of the kind of the first refusal, and says that this one was not tried.
        """
        known = self.refusal(repository, changes_tag=changes_tag)
        if known is not None:
            own = known.copied(f"{place}: not tried, an earlier push was refused: {known.message}")
            own.closes = "nothing"
            raise own


def _key(scope: Scope, repository: str) -> str:
    if scope == "registry":
        return _EVERYWHERE
    return repository.partition("/")[0] if scope == "project" else repository


@dataclass(slots=True)
class Traffic:
    """The book of one image: bytes read from its source, bytes written to its destination.

    `parent` is the run's own account, which adds up all images.
    """

    parent: Traffic | None = None
    bytes_read: int = 0
    bytes_written: int = 0

    def read(self, count: int) -> None:
        """Add `count` bytes that came from a source."""
        self.bytes_read += count
        if self.parent is not None:
            self.parent.read(count)

    def wrote(self, count: int) -> None:
        """Add `count` bytes that went to a destination."""
        self.bytes_written += count
        if self.parent is not None:
            self.parent.wrote(count)

    async def reading(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks, counted as read."""
        async for chunk in chunks:
            self.read(len(chunk))
            yield chunk

    async def writing(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks, counted as written when they are handed on.

        Not behind that: nobody asks for a next chunk once the server has answered to the last.
        """
        async for chunk in chunks:
            self.wrote(len(chunk))
            yield chunk

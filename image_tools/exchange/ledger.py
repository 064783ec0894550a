"""The blobs that one destination has, that are on their way there, and that were copied; no I/O."""

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
    """The next action of a caller that needs a blob."""

    HAVE = "have"
    WAIT = "wait"
    MOUNT = "mount"
    SEND = "send"


@dataclass(slots=True, eq=False)
class Flight:
    """One blob on its way into one repository; `landed` is set when it has ended, well or not.

    `moved` grows with each sign of progress: bytes that move, and new attempts. `doubted`: the
    store once said that it has the blob and had not; `short`: it has another size, or fails on it.
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
    """A step, and the flight to wait for or to carry out; none when the blob is there."""

    step: Step
    flight: Flight | None = None


class Ledger:
    """The known state of the blobs of one destination store.

    There is at most one flight for one repository and blob (as in Go's singleflight). While a blob
    is being sent into one repository, it is not sent into another one of the same store: callers
    wait, then mount. `closed` are the places that refuse pushes. Belongs to the event loop.
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
        """Return the size in bytes of a blob known to be in `repository`, else None."""
        return self._sizes.get(digest) if repository in self._places.get(digest, {}) else None

    def note(self, repository: str, digest: Digest, size: int) -> None:
        """Remember that `repository` has a blob of `size` bytes."""
        self._sizes[digest] = size
        self._supposed.discard(digest)
        self._places.setdefault(digest, {})[repository] = None

    def suppose(self, repository: str, digest: Digest, size: int) -> None:
        """Remember the same, known only from a manifest in that repository."""
        if digest not in self._sizes:
            self._supposed.add(digest)
        self._sizes.setdefault(digest, size)
        self._places.setdefault(digest, {})[repository] = None

    def is_supposed(self, digest: Digest) -> bool:
        """Return whether the size of a blob is known from manifests only."""
        return digest in self._supposed

    def forget(self, repository: str, digest: Digest) -> None:
        """Take back `note`: the store turned out not to have the blob."""
        self._places.get(digest, {}).pop(repository, None)
        self._doubted.add((repository, digest))

    def is_doubted(self, repository: str, digest: Digest) -> bool:
        """Return whether the store once turned out not to have what it should."""
        return (repository, digest) in self._doubted

    def ask(
        self, repository: str, digest: Digest, size: int | None = None, *, patient: bool = True
    ) -> Instruction:
        """Return the next step to get a blob of `size` bytes into `repository`; None: of any size.

        MOUNT and SEND open a flight that the caller must end with `land` or `crash`; after the
        flight of WAIT has ended, the caller asks again. A caller that is not `patient` does not
        wait for a blob on its way into another repository. A blob known in another size counts as
        unknown.
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
        """End a flight well: the blob has arrived, and waiting callers continue."""
        if flight.origin is not None:
            self._mounts += 1
        self.note(flight.repository, flight.digest, size)
        self._close(flight)

    def crash(self, flight: Flight) -> None:
        """End a flight that failed or was given up: the next caller takes over."""
        self._close(flight)

    def refuse_mount(self, flight: Flight) -> None:
        """Remember that the store began an upload instead: the flight sends the blob."""
        flight.origin = None
        self._refusals += 1

    @property
    def mounts_work(self) -> bool:
        """Return False once the store has refused three mounts and granted none."""
        return self._mounts > 0 or self._refusals < REFUSALS_UNTIL_NO_MOUNT

    @property
    def flights(self) -> tuple[Flight, ...]:
        """Return all open flights."""
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
    """The places of one destination store that refuse pushes for the rest of the run.

    A quota closes the project (the first component of a repository, the owner at registries without
    projects), read-only mode what it is said of, an immutable tag those tags of its repository that
    exist already. Belongs to the event loop.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[Scope, str], CopyFailed] = {}

    def note(self, repository: str, error: ImageToolsError) -> None:
        """Remember what `error`, the end of a push to `repository`, closes; the first counts."""
        if isinstance(error, CopyFailed) and error.closes != "nothing":
            self._places.setdefault((error.closes, _key(error.closes, repository)), error)

    def refusal(self, repository: str, *, changes_tag: bool = False) -> CopyFailed | None:
        """Return why nothing more is pushed to `repository`, None where pushes are possible.

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
        """Raise an error for `place`, which is in `repository`, where that is closed.

        It has the type of the first refusal, and says that this push was not tried.
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
    """Bytes read from the source and written to the destination of one image.

    `parent` adds up all images of the run.
    """

    parent: Traffic | None = None
    bytes_read: int = 0
    bytes_written: int = 0

    def read(self, count: int) -> None:
        """Count bytes that came from a source."""
        self.bytes_read += count
        if self.parent is not None:
            self.parent.read(count)

    def wrote(self, count: int) -> None:
        """Count bytes that went to a destination."""
        self.bytes_written += count
        if self.parent is not None:
            self.parent.wrote(count)

    async def reading(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the same chunks, counted as read."""
        async for chunk in chunks:
            self.read(len(chunk))
            yield chunk

    async def writing(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the same chunks, counted as written before each is handed on.

        The last chunk is never followed by another request once the server has answered.
        """
        async for chunk in chunks:
            self.wrote(len(chunk))
            yield chunk

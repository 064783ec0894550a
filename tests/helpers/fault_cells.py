"""The cells of the fault lab: what goes wrong, where, on which side and how often."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from tests.helpers.fault_types import ALWAYS, STATUS_FAULTS, Kind, Stage


class Side(Enum):
    """Which registry fails."""

    SOURCE = "source"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail: its ``name`` in the table, and what the double does.

    ``retry_after`` is the header of a 429 in seconds.
    """

    name: str
    kind: Kind | int
    retry_after: int | None = None


class Step(Enum):
    """One step of the way of an image: its side, the stage of its requests, what it is about."""

    SOURCE_PING = (Side.SOURCE, Stage.PING, "greeting (`GET /v2/`)")
    SOURCE_TOKEN = (Side.SOURCE, Stage.TOKEN, "token")
    SOURCE_HEAD = (Side.SOURCE, Stage.HEAD_MANIFEST, "HEAD of the tag")
    SOURCE_INDEX = (Side.SOURCE, Stage.MANIFEST, "GET of the index")
    SOURCE_CHILD = (Side.SOURCE, Stage.CHILD, "GET of a child manifest")
    SOURCE_CONFIG = (Side.SOURCE, Stage.CONFIG, "GET of a config")
    SOURCE_BLOB_HEAD = (Side.SOURCE, Stage.HEAD_BLOB, "HEAD of a blob (schema 1)")
    SOURCE_BLOB = (Side.SOURCE, Stage.BLOB, "GET of a blob")
    SOURCE_TAGS = (Side.SOURCE, Stage.TAGS, "tags (`list-tags`)")
    PING = (Side.DESTINATION, Stage.PING, "greeting (`GET /v2/`)")
    TOKEN = (Side.DESTINATION, Stage.TOKEN, "token")
    HEAD = (Side.DESTINATION, Stage.HEAD_MANIFEST, "HEAD of the tag")
    CHILD_HEAD = (Side.DESTINATION, Stage.HEAD_MANIFEST, "HEAD of a child manifest")
    INDEX = (Side.DESTINATION, Stage.MANIFEST, "GET of the old index")
    CHILD = (Side.DESTINATION, Stage.CHILD, "GET of an old child manifest")
    CONFIG = (Side.DESTINATION, Stage.CONFIG, "GET of an old config")
    BLOB_HEAD = (Side.DESTINATION, Stage.HEAD_BLOB, "HEAD of a blob that is there")
    POST = (Side.DESTINATION, Stage.POST_UPLOAD, "POST of an upload")
    PATCH = (Side.DESTINATION, Stage.PATCH_UPLOAD, "PATCH of an upload (`--no-ahead`)")
    PUT = (Side.DESTINATION, Stage.PUT_BLOB, "PUT of a blob")
    CHILD_PUT = (Side.DESTINATION, Stage.PUT_MANIFEST, "PUT of a child manifest")
    TAG_PUT = (Side.DESTINATION, Stage.PUT_MANIFEST, "PUT of the tag")
    READ_BACK = (Side.DESTINATION, Stage.HEAD_MANIFEST, "HEAD of the tag, to read it back")

    @property
    def side(self) -> Side:
        """Give the side that fails."""
        return self.value[0]

    @property
    def stage(self) -> Stage:
        """Give the stage of the requests that fail."""
        return self.value[1]

    @property
    def words(self) -> str:
        """Give what people read in the table."""
        return self.value[2]

    @property
    def is_write(self) -> bool:
        """Tell whether its requests have a body and change the registry."""
        return self.stage in WRITES

    @property
    def is_head(self) -> bool:
        """Tell whether its answers have no body."""
        return self.stage in (Stage.HEAD_MANIFEST, Stage.HEAD_BLOB)


WRITES = (Stage.POST_UPLOAD, Stage.PATCH_UPLOAD, Stage.PUT_BLOB, Stage.PUT_MANIFEST)
RETRY_AFTER = Fault("429 with Retry-After", 429, 1)
FAULTS = (
    RETRY_AFTER,
    *(Fault(str(status), status) for status in STATUS_FAULTS),
    *(Fault(kind.value, kind) for kind in Kind),
)
TIMES: tuple[int | None, ...] = (1, ALWAYS)


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to go wrong, the first time (``times`` 1) or every time (None)."""

    step: Step
    fault: Fault
    times: int | None

    def __str__(self) -> str:
        """Give a name for messages."""
        often = "always" if self.times is ALWAYS else "once"
        return f"{self.step.side.value}, {self.step.words}: {self.fault.name}, {often}"

    @property
    def number(self) -> int:
        """Give a number of its own: no two cells have one byte of content in common."""
        return CELLS.index(self)

    @property
    def needs_tokens(self) -> bool:
        """Tell whether the registry that fails must want tokens."""
        return self.step.stage is Stage.TOKEN or self.fault.kind is Kind.EXPIRED_TOKEN


def exists(step: Step, kind: Kind | int) -> bool:
    """Tell whether a fault means anything at a step.

    An answer without a body cannot have another one; nothing is read of the body of a greeting,
    or of the answer to a write, where the digest a registry tells of a finished one is a header.
    """
    if kind is Kind.EXPIRED_TOKEN:
        return step.stage not in (Stage.PING, Stage.TOKEN)
    if kind is Kind.RESET_AFTER:
        return step.is_write
    if kind is Kind.SLOW_BODY:
        return not (step.is_write or step.is_head or step.stage is Stage.PING)
    if kind is Kind.WRONG_LENGTH:
        return not (step.is_write or step.stage is Stage.PING)
    if kind is Kind.WRONG_BYTES:
        silent = (Stage.PING, Stage.HEAD_BLOB, Stage.POST_UPLOAD, Stage.PATCH_UPLOAD)
        return step.stage not in silent
    return True


def _cells() -> Iterator[Cell]:
    for step in Step:
        for fault in FAULTS:
            if exists(step, fault.kind):
                yield from (Cell(step, fault, times) for times in TIMES)


CELLS = tuple(_cells())


def cells_of(step: Step) -> tuple[Cell, ...]:
    """Give the cells of one step."""
    return tuple(cell for cell in CELLS if cell.step is step)


def _sample() -> Iterator[Cell]:
    """Give three cells of each step: the faults that came least so far."""
    taken: Counter[tuple[Fault, int | None]] = Counter()
    for number, step in enumerate(Step):
        cells = deque(cells_of(step))
        cells.rotate(-5 * number)
        for cell in sorted(cells, key=lambda one: taken[one.fault, one.times])[:3]:
            taken[cell.fault, cell.times] += 1
            yield cell


SAMPLE = tuple(_sample())

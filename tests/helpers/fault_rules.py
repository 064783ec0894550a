"""What is declared of every cell of the fault lab: rules, the first that fits counts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tests.helpers.fault_cells import Cell, Step
from tests.helpers.fault_types import ALWAYS, Kind

REPEATS = 2
ASKED = REPEATS + 1
# Twice the policy: the connection may have been an idle one that the registry had closed.
BROKEN = 2 * ASKED
ODD = 2
COPIED = "copied"

Kinds = Collection[Kind | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What cells of these steps and faults come to; no ``steps`` mean all of them.

    ``once`` and ``always`` are the ends: ``copied``, or the word of the failure, or empty where
    they are as elsewhere; ``attempts`` how
    often one thing is asked for at the most when it always fails. ``tag`` is what the tag of a
    failed image holds, ``merges`` whether the old platforms are kept. ``why`` is for people.
    """

    steps: Collection[Step] = ()
    kinds: Kinds
    once: str = COPIED
    always: str
    attempts: int
    tag: str = "old"
    merges: bool = True
    why: str

    def fits(self, cell: Cell) -> bool:
        """Tell whether the rule speaks about a cell."""
        in_steps = not self.steps or cell.step in self.steps
        return in_steps and cell.fault.kind in self.kinds

    def end(self, cell: Cell) -> str:
        """Give how a cell that it fits ends."""
        end = self.always if cell.times is ALWAYS else self.once
        return end or next(rule for rule in GENERAL if rule.fits(cell)).end(cell)


FAILING = (500, 502, 503, 504)
BREAKS = (Kind.RESET, Kind.RESET_IN_BODY, Kind.CUT_BODY)
ANSWER_LOST = (Kind.RESET_AFTER, Kind.CUT_BODY)
NO_REGISTRY = (Kind.HTML, Kind.REDIRECT_NOWHERE)
WRONG = (Kind.WRONG_BYTES, Kind.WRONG_LENGTH)

PASSING = (429, *FAILING, *BREAKS, Kind.RESET_AFTER, Kind.HANG, *NO_REGISTRY)
PINGS = (Step.SOURCE_PING, Step.PING)
TOKENS = (Step.SOURCE_TOKEN, Step.TOKEN)
OLD = (Step.INDEX, Step.CHILD, Step.CONFIG)
HEADS = (
    *(Step.SOURCE_HEAD, Step.SOURCE_BLOB_HEAD, Step.HEAD),
    *(Step.CHILD_HEAD, Step.BLOB_HEAD, Step.READ_BACK),
)
BLOBS = 4
# The blobs of the lab are small: half of what is left arrives each time, down to nothing.
HALVES = 20


def _alike(kinds: Kinds, end: str, attempts: int, why: str, *steps: Step) -> Rule:
    """Give a rule of an end that comes the first time already."""
    return Rule(steps=steps, kinds=kinds, once=end, always=end, attempts=attempts, why=why)


def _oftener(kinds: Kinds, attempts: int, why: str, *steps: Step) -> Rule:
    """Give a rule that differs from what holds elsewhere by its number of attempts alone."""
    return Rule(steps=steps, kinds=kinds, once="", always="", attempts=attempts, why=why)


EXCEPTIONS = (
    _alike((403, 404), COPIED, 1, "a registry may keep its greeting to itself", *PINGS),
    _alike(
        (401, 403),
        "unauthorized",
        5,
        "the preflight looks whether it is about the login",
        Step.TOKEN,
    ),
    _alike((403,), "unauthorized", 1, "what is refused is a token", Step.SOURCE_TOKEN),
    _alike((404,), "unknown-failure", 1, "no registry spoke", *TOKENS),
    Rule(
        steps=(*TOKENS, Step.SOURCE_TAGS),
        kinds=WRONG,
        always="unavailable",
        attempts=ASKED,
        why="no digest tells, but it cannot be read",
    ),
    _alike(
        (Kind.WRONG_BYTES,), "not-found", 1, "there is nothing of that digest", Step.SOURCE_HEAD
    ),
    _alike(
        (Kind.WRONG_LENGTH,),
        COPIED,
        2,
        "the digest counts",
        *(Step.SOURCE_HEAD, Step.HEAD, Step.CHILD_HEAD, Step.READ_BACK),
    ),
    Rule(
        steps=(Step.SOURCE_CONFIG, Step.SOURCE_BLOB, Step.CONFIG),
        kinds=(Kind.RESET_IN_BODY, Kind.CUT_BODY),
        always="unavailable",
        attempts=HALVES,
        why="continued where it was cut: as long as anything arrives, the tries begin anew",
    ),
    _alike(
        (Kind.WRONG_LENGTH,),
        "invalid-manifest",
        2,
        "a blob of another size than announced is not passed on; its size is asked for, too",
        Step.SOURCE_BLOB_HEAD,
    ),
    Rule(
        steps=(Step.HEAD,),
        kinds=(404,),
        always="integrity-error",
        attempts=1 + ASKED,
        tag="new",
        merges=False,
        why="the registry's word that there is no such tag: nothing to merge with; "
        "and the read-back finds nothing",
    ),
    _alike((403,), COPIED, 1, "a HEAD has no words, so what it is about is asked for", *HEADS),
    Rule(
        steps=HEADS,
        kinds=(*FAILING, Kind.HTML),
        always=COPIED,
        attempts=2 * ASKED,
        why="what fails on a HEAD is asked for by GET",
    ),
    _oftener((401,), 2, "the preflight looks whether it is about the login", Step.HEAD),
    _oftener(
        (Kind.EXPIRED_TOKEN,), 4, "the preflight looks whether it is about the login", Step.HEAD
    ),
    _alike(
        (Kind.WRONG_BYTES,),
        "invalid-manifest",
        1,
        "what lies there cannot be read, so it is not overwritten",
        Step.HEAD,
    ),
    _alike(
        (404,),
        "invalid-manifest",
        1,
        "what lies there cannot be read, so it is not overwritten",
        *OLD,
    ),
    Rule(
        steps=OLD,
        kinds=WRONG,
        always="invalid-manifest",
        attempts=ODD,
        why="what lies there cannot be read, so it is not overwritten",
    ),
    _alike((404,), "repository-missing", 1, "a push does not create the repository", Step.POST),
    _alike((404,), COPIED, 1, "what is not there is brought", Step.CHILD_HEAD, Step.BLOB_HEAD),
    _alike(
        (401, Kind.EXPIRED_TOKEN),
        COPIED,
        ASKED,
        "a registry that does not say whether it has a blob gets it",
        Step.BLOB_HEAD,
    ),
    Rule(
        steps=(Step.BLOB_HEAD,),
        kinds=(Kind.WRONG_LENGTH,),
        always="digest-mismatch",
        attempts=2 * ODD,
        why="it is sent anew, and looked at again",
    ),
    Rule(
        steps=(Step.PATCH, Step.PUT),
        kinds=(Kind.REDIRECT_NOWHERE,),
        always="unavailable",
        attempts=BLOBS * 2 * ASKED,
        why="a streamed body cannot be resent to another path",
    ),
    Rule(
        steps=(Step.CHILD_PUT, Step.TAG_PUT),
        kinds=(404,),
        always="not-found",
        attempts=2,
        why="what was stored a moment ago may be unknown for that long",
    ),
    _oftener(
        PASSING,
        (BLOBS + 1) * ASKED,
        "each of four blobs has an upload of its own, and so has the preflight",
        Step.POST,
    ),
    Rule(
        steps=(Step.PATCH, Step.PUT),
        kinds=(404,),
        always="unavailable",
        attempts=BLOBS * ASKED,
        why="the upload is lost, not the image: another is begun",
    ),
    Rule(
        steps=(Step.PATCH, Step.PUT),
        kinds=(Kind.EXPIRED_TOKEN,),
        always="unauthorized",
        attempts=BLOBS * ASKED,
        why="the body has gone: the upload is begun anew with another token",
    ),
    _alike(
        (*ANSWER_LOST, Kind.WRONG_BYTES), COPIED, 1, "the blob is looked for, and there", Step.PUT
    ),
    _oftener((401, 403, 507), BLOBS, "each of four blobs has an upload of its own", Step.PATCH),
    _oftener(PASSING, BLOBS * ASKED, "each of four blobs has an upload of its own", Step.PATCH),
    Rule(
        steps=(Step.TAG_PUT,),
        kinds=ANSWER_LOST,
        always="unavailable",
        attempts=BROKEN,
        tag="new",
        why="the tag was written; without an answer it does not count as copied",
    ),
    Rule(
        steps=(Step.TAG_PUT,),
        kinds=(Kind.WRONG_BYTES,),
        always="digest-mismatch",
        attempts=ODD,
        tag="new",
        why="the registry says that it has written something else",
    ),
    Rule(
        steps=(Step.READ_BACK,),
        kinds=(404, Kind.WRONG_BYTES),
        always="integrity-error",
        attempts=ASKED,
        why="a registry may show a new tag late; then the tag does not show what was written",
    ),
)

GENERAL = (
    Rule(
        kinds=(401,),
        once="unauthorized",
        always="unauthorized",
        attempts=1,
        why="a refusal is believed the first time",
    ),
    Rule(
        kinds=(403,),
        once="access-denied",
        always="access-denied",
        attempts=1,
        why="a refusal is believed the first time",
    ),
    Rule(
        kinds=(404,),
        once="not-found",
        always="not-found",
        attempts=1,
        why="what the registry calls unknown is not there",
    ),
    Rule(
        kinds=(507,),
        once="disk-full",
        always="disk-full",
        attempts=1,
        why="room does not come by asking again",
    ),
    Rule(
        kinds=(429,),
        always="rate-limited",
        attempts=ASKED,
        why="one rest for all requests to the registry, as long as it asks for",
    ),
    Rule(kinds=FAILING, always="unavailable", attempts=ASKED, why="may pass"),
    Rule(
        kinds=(*BREAKS, Kind.RESET_AFTER),
        always="unavailable",
        attempts=BROKEN,
        why="may pass; a connection that broke before any answer may have been an idle one, so "
        "each try counts twice",
    ),
    Rule(
        kinds=WRONG,
        always="digest-mismatch",
        attempts=ODD,
        why="nothing wrong gets further; it is asked for once more, no oftener",
    ),
    Rule(
        kinds=(Kind.SLOW_BODY,),
        always=COPIED,
        attempts=ASKED,
        why="slow is not silent",
    ),
    Rule(
        kinds=(Kind.HANG,),
        always="timed-out",
        attempts=ASKED,
        why="a silent connection is given up after a minute",
    ),
    Rule(
        kinds=(Kind.REDIRECT_NOWHERE,),
        always="connection-refused",
        attempts=ASKED,
        why="nothing listens at the target; may pass",
    ),
    Rule(
        kinds=(Kind.HTML,),
        always="unavailable",
        attempts=ASKED,
        why="no registry spoke, so nothing is known",
    ),
    Rule(
        kinds=(Kind.EXPIRED_TOKEN,),
        always="unauthorized",
        attempts=2,
        why="another token is fetched, once",
    ),
)

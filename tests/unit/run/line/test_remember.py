"""What is noted of an image that has ended, and under which key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from image_tools.oci.digest import Digest
from image_tools.report import Change, Kept, Outcome, Status
from image_tools.run.context import RunContext
from image_tools.run.job import Job
from image_tools.run.line.remember import remember, remember_copied
from image_tools.state import Remembered
from tests.helpers.run_lab import S390X, SINCE, Lab, entry_of, outcome

SOURCE, THERE, OTHER = (Digest.of(name) for name in (b"source", b"there", b"other"))
KEPT = Kept(platform=S390X, digest=str(OTHER))
ENDED = Remembered(SOURCE, THERE, kept=(KEPT,))
COPIED = outcome(
    Status.COPIED,
    digest=str(THERE),
    source_digest=str(SOURCE),
    digest_preserved=False,
    change=Change.FILTERED,
    kept=(KEPT,),
    warnings=("first",),
)


def made(lab: Lab, **more: Any) -> tuple[RunContext, Job]:
    context = lab.new_run(**more)
    return context, context.line_job(entry_of())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"overwrite": True},
        {"arch_tags": True},
        {"names_platforms": False},
        {"require_platforms": True},
        {"keep_single": True},
        {"keep_digest": True},
        {"key_id": "abc"},
    ],
    ids=lambda options: next(iter(options), "plain"),
)
def test_remember_notes_an_ending_under_the_wishes_it_was_for(options: dict[str, Any]) -> None:
    lab = Lab(**options)

    found = remember(*made(lab), ENDED)

    entry = entry_of()
    dated = Remembered(SOURCE, THERE, kept=(replace(KEPT, since=SINCE),))
    assert (found.kept, found) == (dated.kept, dated)
    assert [*lab.memory.known] == [
        (str(entry.source), str(entry.destination), lab.options.state_key)
    ]


def test_remember_wishes_that_differ_have_keys_that_differ() -> None:
    wishes: list[dict[str, Any]] = [
        {},
        {"overwrite": True},
        {"arch_tags": True},
        {"names_platforms": False},
        {"require_platforms": True},
        {"keep_single": True},
        {"keep_digest": True},
        {"key_id": "abc"},
        {"key_id": "def"},
    ]

    assert len({Lab(**wish).options.state_key for wish in wishes}) == len(wishes)


@pytest.mark.parametrize("reason", ["dry run", "no memory"])
def test_remember_writes_nothing(reason: str) -> None:
    lab = Lab(dry_run=reason == "dry run")
    more = {"state": None} if reason == "no memory" else {}

    assert remember(*made(lab, **more), ENDED).kept == (KEPT,)
    assert lab.memory.known == {}


def test_remember_copied_dates_what_the_tag_keeps_and_warns_of_it() -> None:
    lab = Lab()

    found: Outcome = remember_copied(*made(lab), COPIED)

    dated = replace(KEPT, since=SINCE)
    assert found == replace(COPIED, kept=(dated,), warnings=("first", found.warnings[-1]))
    assert str(OTHER) in found.warnings[-1]
    assert [*lab.memory.known.values()] == [Remembered(SOURCE, THERE)]


def test_remember_copied_that_keeps_nothing_unasked_is_as_it_was() -> None:
    plain = replace(COPIED, kept=())

    assert remember_copied(*made(Lab()), plain) == plain

"""Outcomes and rows of a plan, made from entries and from what ended them."""

from __future__ import annotations

from typing import Any

import pytest

from image_tools.errors import DigestMismatch, ImageToolsError, NotFound, RateLimited
from image_tools.imagelist.entry import Entry, Problem
from image_tools.oci.reference import Reference
from image_tools.report import Outcome, PlanAction, PlanRow, Status
from image_tools.run import outcomes
from tests.helpers.descriptors import attestation, entry

RAW = "nginx:1\r\n"
ENTRY = Entry(
    number=3,
    line=7,
    raw=RAW,
    source=Reference.parse("docker.io/library/nginx:1"),
    destination=Reference.parse("reg:5000/team/web:1"),
)
PROBLEM = Problem(number=4, line=9, raw=" a b ", reason="2 words")
NAMES: dict[str, Any] = {
    "source": "docker.io/library/nginx:1",
    "destination": "reg:5000/team/web:1",
}


def outcome(status: Status, **more: Any) -> Outcome:
    return Outcome(number=3, line=7, raw=RAW, status=status, **NAMES, **more)


def test_outcome_of_an_entry_says_which_line_it_was() -> None:
    assert outcomes.outcome_of(ENTRY, Status.UNCHANGED) == outcome(Status.UNCHANGED)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotFound("docker.io/library/nginx:1: manifest unknown"), None),
        (RateLimited("reg:5000/team/web: slow down"), None),
        (DigestMismatch("wrong bytes"), "docker.io/library/nginx:1: wrong bytes"),
        (ImageToolsError("", advice="x"), "docker.io/library/nginx:1: "),
    ],
)
def test_failed_names_the_image_its_reason_its_kind_and_what_to_do(
    error: ImageToolsError, reason: str | None
) -> None:
    assert outcomes.failed(ENTRY, error) == outcome(
        Status.FAILED,
        reason=str(error) if reason is None else reason,
        kind=error.kind,
        advice=error.advice,
    )


@pytest.mark.parametrize(
    ("started", "status", "reason"),
    [
        (True, Status.FAILED, "interrupted while it was copied"),
        (False, Status.UNSTARTED, "not started"),
    ],
)
def test_interrupted_tells_begun_from_unstarted(started: bool, status: Status, reason: str) -> None:
    found = outcomes.interrupted(ENTRY, started=started)

    assert found == outcome(status, reason=reason, kind="interrupted")


def test_invalid_line_keeps_its_words() -> None:
    assert outcomes.invalid(PROBLEM) == Outcome(
        number=4,
        line=9,
        raw=" a b ",
        source="",
        destination="",
        status=Status.INVALID,
        reason="2 words",
        kind="invalid-line",
    )


def test_rows_of_a_plan_name_both_ends_or_the_bad_line() -> None:
    assert outcomes.plan_row(ENTRY, PlanAction.FAIL) == PlanRow(
        number=3, action=PlanAction.FAIL, **NAMES
    )
    assert outcomes.invalid_row(PROBLEM) == PlanRow(
        number=4, source="a b", destination="", action=PlanAction.INVALID, reason="2 words"
    )


def test_platforms_are_named_once_each_in_order_without_attestations() -> None:
    entries = (entry("a", "linux/arm64"), attestation("a"), entry("b"), entry("c"))

    assert outcomes.platforms_of(entries) == ("linux/arm64", "linux/amd64")
    assert outcomes.platforms_of(()) == ()

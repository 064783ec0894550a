"""Tables and sentences made of reports and plans."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.cli import results
from image_tools.cli.text import cells
from image_tools.report import (
    Change,
    DryRunPlan,
    Kept,
    Outcome,
    PlanAction,
    PlanRow,
    Pulls,
    Report,
    Status,
)

COPIED = Outcome(
    number=1,
    line=1,
    raw="nginx:1.25",
    source="docker.io/library/nginx:1.25",
    destination="reg:5000/library/nginx:1.25",
    status=Status.COPIED,
    digest="sha256:" + "0123456789abcdef" * 4,
    platforms=("linux/amd64", "windows/amd64"),
    bytes_moved=12_300_000,
    seconds=2.5,
    digest_preserved=False,
    change=Change.FILTERED,
)
UNCHANGED = replace(
    COPIED,
    number=2,
    line=3,
    status=Status.UNCHANGED,
    bytes_moved=0,
    seconds=0.0,
    digest_preserved=True,
    change=Change.SAME_DIGEST,
    kept=(Kept(platform="linux/s390x", digest="sha256:0"),),
)
FAILED = Outcome(
    number=3,
    line=4,
    raw="etcd",
    source="docker.io/library/etcd:latest",
    destination="reg:5000/library/etcd:latest",
    status=Status.FAILED,
    reason="manifest unknown\nsecond line",
    advice="check the spelling",
)
INVALID = Outcome(
    number=4,
    line=7,
    raw="  a \x1b[31mb",
    source="",
    destination="",
    status=Status.INVALID,
    reason="2 words",
)
UNSTARTED = replace(FAILED, number=5, line=9, status=Status.UNSTARTED)
OUTCOMES = (COPIED, UNCHANGED, FAILED, INVALID, UNSTARTED)
REPORT = Report(command="mirror", outcomes=OUTCOMES, seconds=63)


def test_result_table_shows_every_outcome_in_order() -> None:
    assert results.result_table(REPORT, None).splitlines() == [
        "STATUS     IMAGE                         PLATFORMS                          "
        "DIGEST                       SIZE  TIME",
        "copied     reg:5000/library/nginx:1.25   amd64,windows/amd64                "
        "0123456789ab filtered     12.3 MB  2.5s",
        "unchanged  reg:5000/library/nginx:1.25   amd64,windows/amd64 (kept: s390x)  "
        "0123456789ab same digest",
        "failed     reg:5000/library/etcd:latest",
        "invalid    a b",
        "unstarted  reg:5000/library/etcd:latest",
    ]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100])
def test_result_table_narrow_screen_keeps_status_and_image(width: int) -> None:
    lines = results.result_table(REPORT, width).splitlines()

    assert all(line.startswith((*(s.value for s in Status), "STATUS")) for line in lines)
    assert all(cells(line) <= max(width, 35) for line in lines)


@pytest.mark.parametrize(
    ("count", "all_rows", "lines", "last"),
    [
        (50, False, 51, "unchanged  reg:5000/library/nginx:1.25"),
        (51, False, 1, "51 unchanged (--all-rows shows them)"),
        (51, True, 52, "unchanged  reg:5000/library/nginx:1.25"),
    ],
)
def test_result_table_many_unchanged_are_one_line(
    count: int, all_rows: bool, lines: int, last: str
) -> None:
    report = Report(command="mirror", outcomes=(UNCHANGED,) * count)

    found = results.result_table(report, None, all_rows=all_rows).splitlines()

    assert len(found) == lines
    assert found[-1].startswith(last)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (
            COPIED,
            "copied  reg:5000/library/nginx:1.25  amd64,windows/amd64  0123456789ab filtered"
            "  12.3 MB  2.5s",
        ),
        (FAILED, "failed  reg:5000/library/etcd:latest: manifest unknown second line"),
        (INVALID, "invalid  a b: 2 words"),
    ],
)
def test_result_line_is_one_outcome(outcome: Outcome, expected: str) -> None:
    assert results.result_line(outcome) == expected


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (
            REPORT,
            "5 images: 1 copied, 1 unchanged, 1 failed, 1 invalid, 1 unstarted; 12.3 MB in 1m03s",
        ),
        (Report(command="mirror", outcomes=(COPIED,)), "1 image: 1 copied; 12.3 MB in 0.0s"),
        (Report(command="mirror", outcomes=()), "nothing to do: no images"),
    ],
)
def test_summary_counts_what_occurred(report: Report, expected: str) -> None:
    assert results.summary(report) == expected


def test_failures_tell_line_image_reason_and_advice() -> None:
    assert results.failures(REPORT).splitlines() == [
        "line 4: failed: docker.io/library/etcd:latest -> reg:5000/library/etcd:latest",
        "    manifest unknown",
        "    second line",
        "    check the spelling",
        "line 7: invalid: a b",
        "    2 words",
    ]


def test_failures_nothing_wrong_is_nothing() -> None:
    assert results.failures(Report(command="mirror", outcomes=(COPIED, UNCHANGED))) == ""


ROWS = (
    PlanRow(
        number=1,
        source="docker.io/library/nginx:1",
        destination="reg/library/nginx:1",
        action=PlanAction.COPY,
        platforms=("linux/amd64",),
        bytes_to_move=5_000_000,
        manifest_gets=2,
    ),
    PlanRow(
        number=2,
        source="docker.io/library/x:1",
        destination="reg/library/x:1",
        action=PlanAction.FAIL,
        reason="not found",
    ),
)


def test_plan_table_shows_actions_and_totals() -> None:
    assert results.plan_table(DryRunPlan(ROWS), None).splitlines() == [
        "ACTION  IMAGE                PLATFORMS    SIZE  READS  REASON",
        "copy    reg/library/nginx:1  amd64      5.0 MB      2",
        "fail    reg/library/x:1                                not found",
        "",
        "Dry run: 1 copy, 1 fail; 5.0 MB to move, 2 manifests to read. Nothing was written.",
    ]


def test_plan_table_registry_that_counts_pulls_is_told_with_what_the_plan_cost() -> None:
    deferred = replace(ROWS[0], action=PlanAction.DEFER, bytes_to_move=None, reason="needs 2 pulls")
    pulls = Pulls(registry="docker.io", spent=3, left=1, limit=100, window=21600)
    assert results.plan_table(DryRunPlan((deferred,), (pulls,)), None).splitlines() == [
        "ACTION  IMAGE                PLATFORMS  READS  REASON",
        "defer   reg/library/nginx:1  amd64          2  needs 2 pulls",
        "",
        "Dry run: 1 defer; 0 B or more to move, 2 manifests to read. Nothing was written.",
        "docker.io counts manifests as pulls: 3 spent on this dry run, 1 of 100 left.",
    ]


def test_failures_of_a_pull_limit_are_one_line_each_and_twenty_at_most() -> None:
    late = replace(COPIED, status=Status.DEFERRED, line=7, reason="needs 2 pulls", advice="wait")
    lines = results.failures(Report(command="mirror", outcomes=(late,) * 22)).splitlines()
    assert lines == ["line 7: deferred: needs 2 pulls"] * 20 + ["and 2 more deferred", "    wait"]


def test_plan_table_without_rows_is_the_totals() -> None:
    assert results.plan_table(DryRunPlan(()), 80) == (
        "Dry run: no images; 0 B to move, 0 manifests to read. Nothing was written."
    )


@given(
    image=st.text(max_size=60),
    reason=st.text(max_size=60),
    width=st.integers(60, 120),
)
def test_tables_outside_text_never_controls_the_terminal(
    image: str, reason: str, width: int
) -> None:
    outcome = replace(FAILED, destination=image, raw=image, reason=reason)
    report = Report(command="mirror", outcomes=(outcome,))

    table = results.result_table(report, width).splitlines()
    shown = "".join((*table, results.result_line(outcome), results.failures(report)))

    assert not {"\x1b", "\x07", "\r", "\x9b", "\u202e"} & set(shown)
    assert all(cells(line) <= width for line in table)

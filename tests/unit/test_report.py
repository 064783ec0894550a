"""The views of a report that scripts rely on: exit code, failed lines, JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from image_tools.imagelist.line import asks_to_look_behind
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
    joined,
)

C, U, P, S = Status.COPIED, Status.UNCHANGED, Status.PASSED, Status.SKIPPED
F, V, D, N = Status.FAILED, Status.INVALID, Status.DEFERRED, Status.UNSTARTED


def outcome(status: Status, number: int = 1, reason: str = "") -> Outcome:
    return Outcome(
        number=number,
        line=number + 10,
        raw=f"raw {number}",
        source="docker.io/library/a:1",
        destination="reg:5000/library/a:1",
        status=status,
        reason=reason,
        bytes_moved=number,
    )


def report(*statuses: Status, interrupted_by: int | None = None) -> Report:
    outcomes = tuple(outcome(status, number) for number, status in enumerate(statuses, start=1))
    return Report(command="mirror", outcomes=outcomes, interrupted_by=interrupted_by)


EXIT_CODES = {
    "nothing": (report(), 0),
    "all-well": (report(C, U, S), 0),
    "failed": (report(C, F), 1),
    "invalid": (report(C, V), 1),
    "unstarted": (report(C, N), 1),
    "deferred": (report(C, D), 5),
    "failed-and-deferred": (report(D, F), 1),
    "invalid-and-deferred": (report(V, D), 1),
    "interrupted": (report(C, interrupted_by=2), 130),
    "terminated": (report(F, D, N, interrupted_by=15), 143),
}


@pytest.mark.parametrize(("made", "expected"), EXIT_CODES.values(), ids=EXIT_CODES)
def test_exit_code_of_a_report(made, expected) -> None:
    assert made.exit_code == expected
    assert made.to_json()["exit_code"] == expected


def test_exit_code_of_a_run_that_could_not_write_its_failed_list_is_never_0() -> None:
    codes = [replace(report(*ends), unwritten=True).exit_code for ends in ((C,), (D,), (F,), ())]

    assert codes == [1, 5, 1, 1]


def test_joined_report_has_the_failed_list_of_its_last_run() -> None:
    first = replace(report(F), unwritten=True)
    last = replace(report(C), failed_list="f.txt")

    both = joined("mirror", [first, last, report()])

    assert (both.failed_list, both.unwritten) == ("f.txt", False)


@pytest.mark.parametrize(
    ("ends", "code"), [((S,), 1), ((S, S), 1), ((S, C), 0), ((S, U), 0), ((S, D), 5), ((), 0)]
)
def test_exit_code_when_every_image_is_skipped_is_1(ends, code) -> None:
    assert report(*ends).exit_code == code


def test_remark_of_a_difference_says_what_to_do_with_the_line() -> None:
    plain = replace(outcome(F, reason="gone"), kind="unavailable", advice="try again")

    assert plain.remark == "gone"
    assert replace(plain, kind="different").remark == "gone; try again"
    assert outcome(N).remark == "unstarted"


def test_failed_lines_are_those_to_feed_in_again_in_list_order() -> None:
    outcomes = [outcome(status, n) for n, status in enumerate([N, C, F, U, V, S, D], start=1)]
    outcomes[2] = outcome(F, 3, reason="not found")

    failed = Report(command="mirror", outcomes=tuple(outcomes)).failed

    assert failed == (
        ("raw 1", "unstarted"),
        ("raw 3", "not found"),
        ("raw 5", "invalid"),
        ("raw 7", "deferred"),
    )


def test_counts_name_every_status_in_order() -> None:
    counted = report(F, C, C).counts

    assert list(counted.items()) == [(C, 2), (U, 0), (P, 0), (S, 0), (F, 1), (V, 0), (D, 0), (N, 0)]


FULL = Outcome(
    number=3,
    line=7,
    raw="nginx web 1",
    source="docker.io/library/nginx:1",
    destination="reg:5000/library/web:1",
    status=C,
    digest="sha256:d",
    source_digest="sha256:s",
    platforms=("linux/amd64", "linux/arm64"),
    bytes_moved=42,
    seconds=1.23456,
    digest_preserved=False,
    path="buildx",
    warnings=("the signature is lost",),
    change=Change.FILTERED,
    kept=(
        Kept(platform="linux/s390x", digest="sha256:k", since="2026-01-02"),
        Kept(platform="unknown", digest="sha256:u"),
    ),
)


def test_report_as_json_has_this_shape() -> None:
    made = Report(command="mirror", outcomes=(FULL, outcome(F, 4, "no")), seconds=2.00049)

    document = made.to_json()

    assert json.loads(json.dumps(document)) == {
        "schema": 1,
        "command": "mirror",
        "exit_code": 1,
        "interrupted_by": None,
        "seconds": 2.0,
        "bytes_moved": 46,
        "failed_list": None,
        "counts": {
            "copied": 1,
            "unchanged": 0,
            "passed": 0,
            "skipped": 0,
            "failed": 1,
            "invalid": 0,
            "deferred": 0,
            "unstarted": 0,
        },
        "outcomes": [
            {
                "number": 3,
                "line": 7,
                "raw": "nginx web 1",
                "source": "docker.io/library/nginx:1",
                "destination": "reg:5000/library/web:1",
                "status": "copied",
                "digest": "sha256:d",
                "source_digest": "sha256:s",
                "digest_preserved": False,
                "change": "filtered",
                "platforms": ["linux/amd64", "linux/arm64"],
                "kept": [
                    {"platform": "linux/s390x", "digest": "sha256:k", "since": "2026-01-02"},
                    {"platform": "unknown", "digest": "sha256:u", "since": None},
                ],
                "bytes_moved": 42,
                "seconds": 1.235,
                "path": "buildx",
                "reason": "",
                "kind": "",
                "advice": "",
                "warnings": ["the signature is lost"],
            },
            {
                "number": 4,
                "line": 14,
                "raw": "raw 4",
                "source": "docker.io/library/a:1",
                "destination": "reg:5000/library/a:1",
                "status": "failed",
                "digest": "",
                "source_digest": "",
                "digest_preserved": None,
                "change": "",
                "platforms": [],
                "kept": [],
                "bytes_moved": 4,
                "seconds": 0.0,
                "path": "",
                "reason": "no",
                "kind": "",
                "advice": "",
                "warnings": [],
            },
        ],
    }


def test_joined_reports_keep_order_time_and_the_first_signal() -> None:
    first = Report(command="mirror", outcomes=(FULL,), seconds=1.5)
    second = Report(command="mirror", outcomes=(outcome(F),), seconds=2.0, interrupted_by=2)

    assert joined("mirror", [first, second]) == Report(
        command="mirror", outcomes=(FULL, outcome(F)), seconds=3.5, interrupted_by=2
    )
    assert joined("mirror", []) == Report(command="mirror", outcomes=())


def row(action: PlanAction, number: int = 1) -> PlanRow:
    return PlanRow(
        number=number,
        source="a",
        destination="b",
        action=action,
        platforms=("linux/amd64",),
        bytes_to_move=5,
        manifest_gets=2,
    )


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (PlanAction.COPY, 0),
        (PlanAction.UNCHANGED, 0),
        (PlanAction.SKIP, 0),
        (PlanAction.DEFER, 5),
        (PlanAction.FAIL, 1),
        (PlanAction.INVALID, 1),
    ],
)
def test_plan_exit_code_tells_of_lines_that_fail_or_are_put_off(action, expected) -> None:
    assert DryRunPlan((row(PlanAction.COPY), row(action))).exit_code == expected


def test_plan_as_json_has_this_shape() -> None:
    unknown = replace(row(PlanAction.DEFER, 3), bytes_to_move=None)
    pulls = Pulls(registry="docker.io", spent=1, left=9, limit=10, window=21600)
    rows = (row(PlanAction.COPY), row(PlanAction.SKIP, 2), unknown)
    document = DryRunPlan(rows, (pulls,)).to_json("mirror")

    shared: dict[str, object] = {
        "source": "a",
        "destination": "b",
        "platforms": ["linux/amd64"],
        "reason": "",
    }
    shared["kept"] = list[object]()
    costs = {"bytes_to_move": 5, "manifest_gets": 2}
    assert json.loads(json.dumps(document)) == {
        "schema": 1,
        "command": "mirror",
        "dry_run": True,
        "exit_code": 5,
        "bytes_to_move": 10,
        "manifest_gets": 6,
        "pulls": [{"registry": "docker.io", "spent": 1, "left": 9, "limit": 10, "window": 21600}],
        "rows": [
            {"number": 1, "action": "copy", **shared, **costs},
            {"number": 2, "action": "skip", **shared, **costs},
            {"number": 3, "action": "defer", **shared, **costs, "bytes_to_move": None},
        ],
    }


def test_line_to_feed_in_again_asks_to_look_behind_where_something_is_lost_there() -> None:
    lost = replace(outcome(F, 1), behind=True)
    asked = replace(lost, raw="nginx  # depth=tree")

    made = Report(command="mirror-validate", outcomes=(outcome(F, 2), lost, asked))

    lines = [line for line, _ in made.failed]
    assert lines == ["raw 2", "raw 1  # depth=tree", "nginx  # depth=tree"]
    assert [asks_to_look_behind(line) for line in lines] == [False, True, True]

"""`image-tools mirror -f …` from its words to its exit code; the run itself is a fake."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.fake_run import FakeRun
from tests.helpers.faked_mirror import LIST, faked_mirror, run, untimed
from tests.helpers.report_schema import check_document

TABLE = """\
STATUS     IMAGE                  PLATFORMS    DIGEST                       SIZE  TIME
copied     reg:5000/t/nginx:1.25  amd64,arm64  abababababab same digest  12.3 MB  1.5s
unchanged  reg:5000/t/x/same:1
failed     reg:5000/t/failing:2
invalid    a b
"""


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with faked_mirror(tmp_path, monkeypatch):
        yield


def test_mirror_list_shows_table_failures_and_where_to_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("-f list.txt -d reg:5000/t -j 4") == 1

    out, err = capsys.readouterr()
    assert out == TABLE
    assert (
        untimed(err)
        == """\
[ERRO] list.txt:5: 2 words: write SOURCE DESTINATION TAG, or one REFERENCE alone
[INFO] list.txt: lines that repeat an earlier one: 1
[INFO] list.txt: 3 images, 4 at a time, to reg:5000/t

line 4: failed: docker.io/library/failing:2 -> reg:5000/t/failing:2
    manifest unknown
    check the spelling
line 5: invalid: a b
    2 words: write SOURCE DESTINATION TAG, or one REFERENCE alone

4 images: 1 copied, 1 unchanged, 1 failed, 1 invalid; 12.3 MB in 1.5s
What is left to do is in mirror-failed.txt: run again with -f mirror-failed.txt
"""
    )


def test_mirror_failed_list_fed_back_is_read_before_it_is_replaced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mirror-failed.txt").write_text("nginx\n")

    assert run("-f mirror-failed.txt -d reg:5000") == 0
    assert not Path("mirror-failed.txt").exists()


def test_mirror_invalid_lines_skipped_are_warnings_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("list.txt").write_text("nginx\na b\n")

    assert run("-f list.txt -d reg:5000 --skip-invalid") == 0

    out, err = capsys.readouterr()
    assert "[WARN] list.txt:2: 2 words" in err
    assert "invalid" not in out + err
    assert [images.problems for images in FakeRun.made[0].lists] == [()]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        pytest.param("-q", False, id="quiet"),
        pytest.param("-q --format json", True, id="quiet-json"),
    ],
)
def test_mirror_quiet_shows_warnings_and_failures_alone(
    options: str, shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"-f list.txt -d reg:5000 {options}") == 1

    out, err = capsys.readouterr()
    assert (bool(out), "[INFO]" in err) == (shown, False)
    assert "line 4: failed:" in err


def test_mirror_quiet_and_well_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.txt").write_text("nginx\n")

    assert run("-f list.txt -d reg:5000 -quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_mirror_json_and_report_file_are_the_same_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("-f list.txt -d reg:5000 --format=json --report report.json") == 1

    document = json.loads(capsys.readouterr().out)
    check_document(document)
    assert json.loads(Path("report.json").read_text()) == document
    assert [outcome["status"] for outcome in document["outcomes"]] == [
        "copied",
        "unchanged",
        "failed",
        "invalid",
    ]


def test_mirror_list_from_standard_input_is_one_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LIST)))

    assert run("-f - -d reg:5000/t") == 1

    out, err = capsys.readouterr()
    assert out == TABLE
    assert "[ERRO] standard input:5: 2 words" in err


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.txt", "No such file or directory"),
        (".", "Is a directory"),
        ("list.txt/x", "Not a directory"),
    ],
)
def test_mirror_unreadable_list_is_a_usage_error(
    name: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"-f {name} -d reg:5000") == 2
    assert f"[ERRO] the list {name} cannot be read: {reason}\n" in capsys.readouterr().err
    assert FakeRun.made == []


def test_mirror_conflicting_lines_start_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.txt").write_text("a/x reg/x 1\nb/x reg/x 1\n")

    assert run("-f list.txt -d reg:5000") == 2
    assert "[ERRO] list.txt: lines 1 and 2 write different sources" in capsys.readouterr().err
    assert FakeRun.made == []


def test_mirror_typed_line_that_is_skipped_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"skipped:1\n")))

    assert run("-d reg:5000") == 1
    assert "[WARN] every image was skipped" in capsys.readouterr().err


def test_mirror_dry_run_shows_the_plan_and_writes_no_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("list.txt").write_text("nginx:1\nfailing:2\n")

    assert run("-f list.txt -d reg:5000 --dry-run --report plan.json") == 1

    assert (
        capsys.readouterr().out
        == """\
ACTION  IMAGE                       PLATFORMS    SIZE  READS
copy    reg:5000/library/nginx:1    amd64      5.0 MB      2
fail    reg:5000/library/failing:2  amd64                  2

Dry run: 1 copy, 1 fail; 10.0 MB to move, 4 manifests to read. Nothing was written.
"""
    )
    document = json.loads(Path("plan.json").read_text())
    check_document(document)
    assert document["dry_run"] is True
    assert not Path("mirror-failed.txt").exists()


def test_mirror_dry_run_json_is_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.txt").write_text("nginx:1\n")

    assert run("-f list.txt -d reg:5000 --dry-run --format json") == 0
    assert json.loads(capsys.readouterr().out)["bytes_to_move"] == 5_000_000


def test_mirror_dry_run_without_list_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-d reg:5000 --dry-run") == 2
    assert "[ERRO] --dry-run needs a whole list" in capsys.readouterr().err


@pytest.mark.parametrize(("wished", "used"), [("0", 1), ("100", 20)])
def test_mirror_jobs_out_of_range_are_corrected_with_a_warning(
    wished: str, used: int, capsys: pytest.CaptureFixture[str]
) -> None:
    run("-f list.txt -d reg:5000", IMAGE_TOOLS_JOBS=wished)

    err = capsys.readouterr().err
    assert f"[WARN] --jobs {wished} is out of range, {used} is used\n" in err
    assert FakeRun.made[0].request.options.jobs == used


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("toolless", 3, "[ERRO] skopeo is not installed\n    advice: install it\n"),
        ("bug", 70, "This is a bug in image-tools: RuntimeError: a list ended too early"),
    ],
)
def test_mirror_run_that_cannot_go_on_has_its_exit_code(
    name: str, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.txt").write_text(name)

    assert run("-f list.txt -d reg:5000", DOCKER_USERNAME="u", DOCKER_PASSWORD="hunter22") == code

    out, err = capsys.readouterr()
    assert (out, message in err, "hunter22" in err) == ("", True, False)


def test_mirror_report_that_cannot_be_written_at_the_end_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, document: object) -> None:
        raise OSError(28, "No space left on device")

    Path("list.txt").write_text("nginx")
    monkeypatch.setattr("image_tools.cli.render.write_report", refuse)

    assert run("-f list.txt -d reg:5000 --report r.json") == 1
    assert "[ERRO] the report r.json cannot be written: No space" in capsys.readouterr().err


def test_mirror_piped_lines_are_mirrored_one_by_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LIST)))

    assert run("-d reg:5000/t -j 4") == 1

    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "copied  reg:5000/t/nginx:1.25  amd64,arm64  abababababab same digest  12.3 MB  1.5s",
        "unchanged  reg:5000/t/x/same:1",
        "failed  reg:5000/t/failing:2: manifest unknown",
        "copied  reg:5000/t/nginx:1.25  amd64,arm64  abababababab same digest  12.3 MB  1.5s",
    ]
    assert untimed(err).startswith(
        "[WARN] lines that come one by one are worked on one by one: 1 job is used, not 4\n"
        "[ERRO] standard input:5: 2 words"
    )
    assert "5 images: 2 copied, 1 unchanged, 1 failed, 1 invalid" in err
    assert ">>> " not in out + err
    assert [len(images.entries) for images in FakeRun.made[0].lists] == [1, 1, 1, 0, 1]
    assert Path("mirror-failed.txt").read_text() == "\tfailing:2\na b\n"


def test_mirror_piped_json_is_one_document_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"nginx\na b\nredis")))

    assert run("-d reg:5000 --format json --skip-invalid") == 0

    document = json.loads(capsys.readouterr().out)
    assert [(o["line"], o["status"]) for o in document["outcomes"]] == [
        (1, "copied"),
        (3, "copied"),
    ]


def test_mirror_piped_lines_before_a_missing_tool_are_summed_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"nginx\ntoolless\nredis\n")))

    assert run("-d reg:5000") == 3

    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "1 image: 1 copied" in err
    assert "[ERRO] skopeo is not installed" in err

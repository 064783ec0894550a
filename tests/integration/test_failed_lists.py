"""The failed list on real disks, and whose it is: runs that fail at once, since nobody listens."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from image_tools.run.failed_list import FailedList
from tests.helpers.running import Ran, image_tools
from tests.helpers.said import listened

NOBODY = "127.0.0.1:9"
LINES = "team/a:1\nteam/b:2\n"
QUICK = ("--skip-login", "--no-state", "--retry-times", "0", "--no-download")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text(LINES)


def failing(*words: str | Path, listed: str = "list.txt", to: str = "127.0.0.1:7") -> Ran:
    """Mirror a list whose source and destination nobody answers for."""
    ran = image_tools("mirror", "-f", listed, "-s", NOBODY, "-d", to, *QUICK, *words)
    assert ran.code == 1, ran.stderr
    return ran


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def said_lines(ran: Ran) -> list[str]:
    """The lines in what a run said, as they could be fed back."""
    told = ran.stderr.partition("the lines that are left:")[2].splitlines()
    return [line.strip() for line in told if line.startswith("    ") and "#" not in line][:2]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a small disk")
@pytest.mark.parametrize("name", ["failed.txt", "list.txt"])
def test_failed_list_on_a_full_disk_goes_to_standard_error(name: str) -> None:
    disk = Path("disk")
    with small_disk(disk, "size=64k"):
        (disk / "list.txt").write_text(LINES)
        with pytest.raises(OSError, match="No space left"):
            (disk / "rest").write_bytes(b"x" * (1 << 20))

        ran = failing("-o", disk / name, listed=str(disk / "list.txt"))

        assert sorted(path.name for path in disk.iterdir()) == ["list.txt", "rest"]
        assert (disk / "list.txt").read_text() == LINES
    assert f"{name}: cannot be written: No space left on device" in ran.stderr
    assert said_lines(ran) == LINES.split()
    assert "What is left to do" not in ran.stderr


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a small disk")
@pytest.mark.parametrize("rows", [[("team/a:1", "no")], []], ids=["lines-left", "all-done"])
def test_failed_list_whose_disk_becomes_read_only_is_told(rows: list[tuple[str, str]]) -> None:
    disk = Path("disk")
    with small_disk(disk, "size=64k"):
        failed = FailedList(disk / "failed.txt", "list.txt")
        failed.add("team/a:1", "no")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with listened() as said:
            assert not failed.finish(rows)

    assert "failed.txt: cannot be written: Read-only file system" in said[0]
    assert ("# no\nteam/a:1" in said[0]) is bool(rows)


def test_failed_list_whose_folder_vanishes_goes_to_standard_error() -> None:
    Path("folder").mkdir()
    failed = FailedList(Path("folder/failed.txt"), "list.txt")
    failed.add("team/a:1", "no")
    shutil.rmtree("folder")

    with listened() as said:
        assert not failed.finish([("team/a:1", "no")])

    assert "cannot be written: No such file" in said[0]
    assert "# no\nteam/a:1" in said[0]


def test_failed_list_that_vanishes_is_written_again() -> None:
    failed = FailedList(Path("failed.txt"), "list.txt")
    failed.add("team/a:1", "no")
    Path("failed.txt").unlink()

    assert failed.finish([("team/a:1", "no")])
    assert Path("failed.txt").read_text().endswith("# no\nteam/a:1\n")


@pytest.mark.parametrize("most", [0, 40, 300])
def test_failed_list_that_may_not_grow_goes_to_standard_error(most: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        ran = failing("-o", "failed.txt", "--report", "report.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert said_lines(ran) == LINES.split()
    assert "What is left to do" not in ran.stderr
    assert "the report report.json cannot be written" in ran.stderr
    # What fitted in is whole, and not called as if it were all.
    assert not Path("failed.txt").exists()
    some = Path("failed.txt.incomplete")
    left = some.read_text() if some.exists() else "none\n"
    assert left.endswith("\n")
    assert some.exists() is (most > 200)
    assert left.splitlines()[-1] in ("none", *LINES.split())
    assert not Path("report.json").exists()


def test_failed_list_into_a_full_device_goes_to_standard_error() -> None:
    ran = failing("-o", "/dev/full")

    assert said_lines(ran) == LINES.split()


def header(listed: Path, to: str) -> str:
    return (
        f"# failed lines of {listed.name}, ready to be fed in again\n"
        f"# list: {listed.absolute()}\n# destination: {to}\n"
    )


def test_failed_list_states_list_and_destination() -> None:
    ran = failing("--format", "json", to="127.0.0.1:7/team")

    written = Path("mirror-failed.txt").read_text()
    assert written.startswith(header(Path("list.txt"), "127.0.0.1:7/team"))
    assert json.loads(ran.stdout)["failed_list"] == "mirror-failed.txt"


def test_failed_list_of_another_list_or_destination_stays() -> None:
    failing()
    first = Path("mirror-failed.txt").read_text()

    ran = failing("--format", "json", to="127.0.0.1:6")

    assert Path("mirror-failed.txt").read_text() == first
    assert (
        Path("mirror-failed-2.txt").read_text().startswith(header(Path("list.txt"), "127.0.0.1:6"))
    )
    assert "mirror-failed.txt is kept: it belongs to another list or destination" in ran.stderr
    assert "What is left to do is in mirror-failed-2.txt" in ran.stderr
    assert ran.report["failed_list"] == "mirror-failed-2.txt"

    Path("other.txt").write_text(LINES)
    failing(listed="other.txt")

    assert (
        Path("mirror-failed-3.txt").read_text().startswith(header(Path("other.txt"), "127.0.0.1:7"))
    )

    failing(to="127.0.0.1:6")

    assert sorted(path.name for path in Path.cwd().glob("mirror*")) == [
        "mirror-failed-2.txt",
        "mirror-failed-3.txt",
        "mirror-failed.txt",
    ]


def test_failed_list_fed_back_stays_that_of_its_list() -> None:
    failing()
    failing(listed="mirror-failed.txt")

    assert Path("mirror-failed.txt").read_text().startswith(header(Path("list.txt"), "127.0.0.1:7"))

    failing()

    assert [path.name for path in Path.cwd().glob("mirror*")] == ["mirror-failed.txt"]


def test_failed_list_fed_to_another_destination_is_kept() -> None:
    failing()
    first = Path("mirror-failed.txt").read_text()

    failing(listed="mirror-failed.txt", to="127.0.0.1:6")

    assert Path("mirror-failed.txt").read_text() == first
    assert Path("mirror-failed-2.txt").is_file()


def test_failed_list_of_a_validation_fed_to_mirror_is_that_of_its_list() -> None:
    failing()
    words = ("-f", "list.txt", "-s", NOBODY, "-d", "127.0.0.1:7", *QUICK)
    assert image_tools("mirror-validate", *words).code == 1

    failing(listed="mirror-validate-failed.txt")

    names = ["mirror-failed.txt", "mirror-validate-failed.txt"]
    assert sorted(path.name for path in Path.cwd().glob("mirror*")) == names


def test_file_that_is_no_failed_list_stays() -> None:
    Path("notes.txt").write_text("nginx\n")

    ran = failing("-o", "notes.txt")

    assert Path("notes.txt").read_text() == "nginx\n"
    assert "What is left to do is in notes-2.txt" in ran.stderr


def test_failed_list_of_an_archive_states_its_path() -> None:
    ran = image_tools("save", "-f", "list.txt", "-s", NOBODY, "-d", "images.tar.gz", *QUICK[2:])

    assert ran.code == 1
    written = Path("save-failed.txt").read_text()
    assert written.startswith(header(Path("list.txt"), str(Path("images.tar.gz").absolute())))

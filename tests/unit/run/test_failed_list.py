"""The failed list: what is in it at any moment, and what it never destroys."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from image_tools.errors import UsageError
from image_tools.imagelist.origin import ListOrigin
from image_tools.imagelist.reader import read_list
from image_tools.imagelist.registries import Registries
from image_tools.run.failed_list import FailedList, lines_of, origin_of
from tests.helpers.said import listened

HEADER = "# failed lines of list.txt, ready to be fed in again\n"
ROWS = [("nginx:1  # the web", "not found"), ("a b c", "try\n again   later")]
FINISHED = f"{HEADER}# not found\nnginx:1  # the web\n# try again later\na b c\n"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("nginx:1  # the web\na b c\n")
    return tmp_path / "mirror-failed.txt"


def names(path: Path) -> set[str]:
    return {one.name for one in path.parent.iterdir()}


def full(*_words: object, **_named: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_failed_list_while_it_runs_holds_failures_as_they_came(path: Path) -> None:
    path.write_text(FINISHED)
    failed = FailedList(path, "list.txt")
    assert not path.exists()

    for raw, reason in reversed(ROWS):
        failed.add(raw, reason)

    lines = "# try again later\na b c\n# not found\nnginx:1  # the web\n"
    assert path.read_text() == HEADER + lines


def test_failed_list_finished_is_in_list_order_and_readable_by_all(path: Path) -> None:
    failed = FailedList(path, "list.txt")
    failed.add(*ROWS[1])

    failed.finish(ROWS)

    assert (path.read_text(), path.stat().st_mode & 0o777) == (FINISHED, 0o644)
    assert names(path) == {"list.txt", "mirror-failed.txt"}


def test_failed_list_reason_commands_no_terminal(path: Path) -> None:
    FailedList(path, "list.txt").finish([("nginx:1", "\x1b]0;t\x07 \x9b2J no\u202e")])

    assert path.read_text() == f"{HEADER}# ]0;t 2J no\nnginx:1\n"


def test_failed_list_finished_more_than_once_holds_the_last(path: Path) -> None:
    failed = FailedList(path, "list.txt")
    failed.finish(ROWS[:1])
    failed.add(*ROWS[1])

    failed.finish(ROWS)

    assert path.read_text() == FINISHED


def test_failed_list_without_failures_is_no_file(path: Path) -> None:
    path.write_text(FINISHED)
    failed = FailedList(path, "list.txt")
    failed.add("nginx", "failed once, done later")

    failed.finish(())

    assert names(path) == {"list.txt"}


@pytest.mark.parametrize("name", ["mirror-failed.txt", "./mirror-failed.txt", "link.txt", "hard"])
def test_failed_list_that_is_the_input_is_whole_until_the_end(path: Path, name: str) -> None:
    path.write_text("one\ntwo\nthree\n")
    (path.parent / "link.txt").symlink_to(path)
    (path.parent / "hard").hardlink_to(path)
    growing = path.with_name("mirror-failed.txt.running")
    growing.write_text("of a killed run\n")
    failed = FailedList(path, name)

    failed.add("two", "denied")

    header = HEADER.replace("list.txt", name)
    assert (path.read_text(), growing.read_text()) == (
        "one\ntwo\nthree\n",
        f"{header}# denied\ntwo\n",
    )
    failed.finish([("two", "denied")])
    assert path.read_text().endswith("again\n# denied\ntwo\n")
    assert not growing.exists()


def test_failed_list_that_is_the_input_and_all_done_is_removed(path: Path) -> None:
    path.write_text("one\n")

    FailedList(path, path.name).finish(())

    assert names(path) == {"list.txt"}


OURS = ListOrigin(name="list.txt", place="/w/list.txt", destination="reg:5000")
THEIRS = ListOrigin(name="list.txt", place="/w/list.txt", destination="other:5000")
# name of a file -> what it holds; which file is taken for the lines of OURS
PLACES: dict[str, tuple[dict[str, str], str]] = {
    "nothing there": ({}, "mirror-failed.txt"),
    "empty": ({"mirror-failed.txt": ""}, "mirror-failed.txt"),
    "ours": ({"mirror-failed.txt": OURS.header}, "mirror-failed.txt"),
    "of an earlier release": ({"mirror-failed.txt": HEADER}, "mirror-failed.txt"),
    "theirs": ({"mirror-failed.txt": THEIRS.header}, "mirror-failed-2.txt"),
    "no failed list": ({"mirror-failed.txt": "nginx\n"}, "mirror-failed-2.txt"),
    "two of others": (
        {"mirror-failed.txt": THEIRS.header, "mirror-failed-2.txt": "nginx\n"},
        "mirror-failed-3.txt",
    ),
    "ours behind a gap": (
        {"mirror-failed.txt": THEIRS.header, "mirror-failed-7.txt": OURS.header},
        "mirror-failed-7.txt",
    ),
    "ours beside a free name": ({"mirror-failed-2.txt": OURS.header}, "mirror-failed-2.txt"),
    "two of ours": (
        {"mirror-failed.txt": OURS.header, "mirror-failed-2.txt": OURS.header},
        "mirror-failed.txt",
    ),
    "a name like it": (
        {"mirror-failed.txt": THEIRS.header, "mirror-failed-old.txt": OURS.header},
        "mirror-failed-2.txt",
    ),
}


@pytest.mark.parametrize(("there", "taken"), PLACES.values(), ids=PLACES)
def test_failed_list_replaces_none_of_another_list_or_destination(
    path: Path, there: dict[str, str], taken: str
) -> None:
    for name, content in there.items():
        (path.parent / name).write_text(content)
    with listened() as said:
        failed = FailedList(path, "list.txt", OURS)

    left = {name for name in there if name != taken}
    assert names(path) == {"list.txt", *left}  # Nothing is made before there is a line.
    assert bool(said) is (taken != path.name)

    assert failed.finish(ROWS)

    assert failed.place == str(path.with_name(taken))
    assert (path.parent / taken).read_text().startswith(OURS.header)
    assert all((path.parent / name).read_text() == there[name] for name in left)

    failed.finish(())

    assert names(path) == {"list.txt", *left}


def test_failed_list_whose_place_is_taken_meanwhile_goes_beside_it(path: Path) -> None:
    failed = FailedList(path, "list.txt", OURS)
    path.write_text(THEIRS.header)

    failed.add(*ROWS[0])
    failed.finish(ROWS[:1])

    assert path.read_text() == THEIRS.header
    assert path.with_name("mirror-failed-2.txt").read_text().startswith(OURS.header)
    failed.finish(())
    assert names(path) == {"list.txt", path.name}


def test_failed_list_without_failures_leaves_what_came_meanwhile(path: Path) -> None:
    failed = FailedList(path, "list.txt", OURS)
    path.write_text(THEIRS.header)

    assert failed.finish(())
    assert path.read_text() == THEIRS.header


def test_failed_list_that_is_the_input_of_another_destination_stays(path: Path) -> None:
    path.write_text(f"{THEIRS.header}nginx:1\n")
    images = read_list(path.read_bytes(), path.name, Registries(destination="reg:5000"))

    failed = FailedList(path, path.name, origin_of(images, "reg:5000"))
    failed.finish(())

    assert path.read_text() == f"{THEIRS.header}nginx:1\n"


def test_origin_of_a_list_is_its_whole_path_and_of_a_failed_list_that_of_its_list(
    path: Path,
) -> None:
    def of(name: str, content: str = "nginx\n") -> ListOrigin:
        images = read_list(content.encode(), name, Registries(destination="reg:5000"))
        return origin_of(images, "reg:5000")

    assert of("x/../list.txt").place == str(path.with_name("list.txt"))
    assert of("standard input").place == "standard input"
    assert of("mirror-failed.txt", THEIRS.header) == OURS
    assert of("mirror-failed.txt", HEADER) == ListOrigin(name="list.txt", destination="reg:5000")


PARTS = {
    "a part of a failed list": ("part.txt", f"{OURS.header}nginx:1\n"),
    "another list at standard input": ("standard input", "nginx:1\n"),
    "another list in a pipe": (os.devnull, "nginx:1\n"),
}


@pytest.mark.parametrize(("name", "content"), PARTS.values(), ids=PARTS)
def test_failed_list_with_lines_that_a_run_has_not_stays(
    path: Path, name: str, content: str
) -> None:
    def begun(lines: str) -> FailedList:
        images = read_list(lines.encode(), name, Registries(destination="reg:5000"))
        return FailedList(path, name, origin_of(images, "reg:5000"), lines_of(images))

    begun(f"{content}quay.io/a:1\n").finish([("quay.io/a:1", "not found")])
    left = path.read_text()

    with listened() as said:
        failed = begun(content)
    failed.finish(())

    assert path.read_text() == left
    assert "mirror-failed-2.txt" in said[0]

    begun(f"{content}quay.io/a:1  # again\n").finish(())

    assert names(path) == {"list.txt"}


def test_failed_list_of_a_whole_list_is_replaced_though_lines_left_the_list(path: Path) -> None:
    images = read_list(b"nginx:1\n", "list.txt", Registries(destination="reg:5000"))
    origin = origin_of(images, "reg:5000")
    path.write_text(f"{origin.header}gone:1\n")

    FailedList(path, "list.txt", origin, lines_of(images)).finish(())

    assert names(path) == {"list.txt"}


def test_failed_list_of_typed_lines_on_a_full_disk_tells_each_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = FailedList(path, "standard input")
    monkeypatch.setattr(os, "open", full)

    with listened() as said:
        failed.finish(ROWS[:1])
        failed.finish(ROWS)

    assert [line.count("nginx:1") for line in said] == [1, 0]
    assert "a b c" in said[1]


def test_failed_list_behind_a_link_replaces_the_file_and_keeps_the_link(path: Path) -> None:
    real = path.parent / "real.txt"
    real.write_text(FINISHED)
    path.symlink_to(real)

    FailedList(path, "list.txt").finish(ROWS)

    assert (path.is_symlink(), real.read_text()) == (True, FINISHED)


def test_failed_list_into_a_device_leaves_the_device(path: Path) -> None:
    failed = FailedList(Path(os.devnull), "list.txt")

    failed.add(*ROWS[0])
    failed.finish(ROWS)
    failed.finish(())

    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}"])
def test_failed_list_into_an_open_pipe_gets_all_at_the_end(path: Path, name: str) -> None:
    reading, writing = os.pipe()
    failed = FailedList(Path(name.format(writing)), "list.txt")
    failed.add(*ROWS[1])

    failed.finish(ROWS)

    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == FINISHED


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/stderr"])
def test_failed_list_into_a_redirected_output_stands_between_what_others_write(
    path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    number = 1 if name == "/dev/stdout" else 2
    os.write(number, b"before\n")
    FailedList(Path(name), "list.txt").finish(ROWS)
    os.write(number, b"after\n")

    assert capfd.readouterr()[number - 1] == f"before\n{FINISHED}after\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", "--failed: {0} is a folder"),
        ("missing/failed.txt", "--failed: the folder {0}/missing does not exist"),
        ("list.txt/failed.txt", "--failed: the folder {0}/list.txt does not exist"),
    ],
)
def test_failed_list_in_an_impossible_place_is_refused(path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        FailedList(path.parent / name, "list.txt")

    assert str(raised.value) == message.format(path.parent)


@pytest.mark.parametrize("locked", ["mirror-failed.txt", "."])
def test_failed_list_that_may_not_be_written_is_refused_and_kept(
    path: Path, locked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("stale\n")
    closed = path.parent / locked
    monkeypatch.setattr(os, "access", lambda one, _mode: Path(one) != closed)

    with pytest.raises(UsageError, match=r"mirror-failed.txt cannot be written: Permission denied"):
        FailedList(path, "list.txt")

    assert path.read_text() == "stale\n"


def test_failed_list_that_may_not_be_removed_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_words: object, **_named: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "unlink", refuse)

    with pytest.raises(UsageError, match="cannot be written: Operation not permitted"):
        FailedList(path, "list.txt")


def test_failed_list_on_a_full_disk_says_so_once_and_keeps_what_it_has(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = FailedList(path, "list.txt")
    failed.add(*ROWS[1])
    before = path.read_text()
    with listened() as said, monkeypatch.context() as broken:
        broken.setattr(os, "open", full)
        broken.setattr(os, "fsync", full)
        failed.add(*ROWS[0])
        failed.finish(ROWS)

    problem = f"ERROR {path}: cannot be written: No space left on device"
    incomplete = path.with_name("mirror-failed.txt.incomplete")
    assert said == [
        problem,
        f"{problem}; the lines that are left:\n{FINISHED.rstrip()}",
        f"WARNING {incomplete} holds only some of these lines",
    ]
    assert incomplete.read_text() == before
    assert names(path) == {"list.txt", incomplete.name}


def test_failed_list_that_is_the_input_on_a_full_disk_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("one\ntwo\n")
    failed = FailedList(path, path.name)
    failed.add("two", "denied")
    monkeypatch.setattr(os, "fsync", full)

    failed.finish([("two", "denied")])

    assert path.read_text() == "one\ntwo\n"
    assert path.with_name("mirror-failed.txt.running").read_text().endswith("# denied\ntwo\n")


def test_failed_list_with_what_is_no_utf_8_is_still_written(path: Path) -> None:
    failed = FailedList(path, "list.txt")

    failed.add("caf\udce9 grün", "Fehler: ü\udcff")

    assert path.read_text(encoding="utf-8") == f"{HEADER}# Fehler: ü\ncaf? grün\n"


def test_failed_list_fed_by_many_threads_keeps_line_and_reason_together(path: Path) -> None:
    failed = FailedList(path, "list.txt")

    def work(number: int) -> None:
        for turn in range(5):
            failed.add(f"image/{number}:{turn}", f"reason {number} {turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    _, *lines = path.read_text().splitlines()
    assert set(zip(lines[::2], lines[1::2], strict=True)) == {
        (f"# reason {n} {turn}", f"image/{n}:{turn}") for n in range(8) for turn in range(5)
    }


def test_failed_list_lines_that_never_started_wait_for_no_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronised: list[int] = []
    monkeypatch.setattr(os, "fsync", synchronised.append)
    failed = FailedList(path, "list.txt")

    failed.add("nginx:1", "not started", durably=False)

    assert (path.read_text(), synchronised) == (f"{HEADER}# not started\nnginx:1\n", [])

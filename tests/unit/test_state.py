"""The memory of earlier runs: what it keeps, and what becomes of a file that is no good."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from image_tools.errors import EnvironmentProblem
from image_tools.oci.digest import Digest
from image_tools.report import Kept
from image_tools.state import VERSION, Remembered, State, default_state_path
from tests.helpers.said import listened

IMAGE = ("docker.io/library/nginx:1", "reg:5000/library/nginx:1", "amd64,arm64")
ONE, TWO = (Remembered(Digest.of(name), Digest.of(name + b"!")) for name in (b"one", b"two"))
FULL = "database or disk is full"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "state.db"


@pytest.fixture
def state(path: Path) -> Iterator[State]:
    with closing(State.open(path)) as opened:
        yield opened


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def fill(path: Path, count: int) -> None:
    """Write `count` images straight into the file: one commit, many pages."""
    State.open(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = [(f"{n}", *IMAGE[1:], str(ONE.source_digest), "") for n in range(count)]
        connection.executemany("INSERT INTO finished VALUES (?, ?, ?, ?, ?)", rows)


def test_recall_skipped_image_gives_what_its_source_offered(state: State) -> None:
    skipped = Remembered(ONE.source_digest, None, ("linux/s390x", "windows/amd64"))
    state.remember(*IMAGE, skipped)

    assert state.recall(*IMAGE) == skipped


def test_recall_skipped_image_that_was_copied_later_gives_both_ends(state: State) -> None:
    state.remember(*IMAGE, Remembered(ONE.source_digest, None))
    state.remember(*IMAGE, ONE)

    assert state.recall(*IMAGE) == ONE


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/home/me"}, "/home/me/.local/state/image-tools/state.db"),
        ({"HOME": "/home/me", "XDG_STATE_HOME": "/var/s"}, "/var/s/image-tools/state.db"),
        ({"HOME": "/h", "XDG_STATE_HOME": ""}, "/h/.local/state/image-tools/state.db"),
        ({"HOME": "/h", "XDG_STATE_HOME": "relative"}, "/h/.local/state/image-tools/state.db"),
        ({}, f"{Path.home()}/.local/state/image-tools/state.db"),
        ({"HOME": ""}, f"{Path.home()}/.local/state/image-tools/state.db"),
    ],
)
def test_default_path_follows_xdg_then_home(environ: dict[str, str], expected: str) -> None:
    assert default_state_path(environ) == Path(expected)


def test_state_new_is_empty_and_private(state: State, path: Path) -> None:
    assert state.recall(*IMAGE) is None
    assert {name.name: mode(name) for name in (path.parent, *path.parent.iterdir())} == {
        "new": 0o700,
        "state.db": 0o600,
        "state.db-wal": 0o600,
        "state.db-shm": 0o600,
        "state.db.lock": 0o600,
    }


def test_state_remembers_the_last_of_each_image_and_selection(state: State, path: Path) -> None:
    other = (*IMAGE[:2], "all")
    for image, remembered in ((IMAGE, ONE), (other, ONE), (IMAGE, TWO)):
        state.remember(*image, remembered)
    state.close()

    with closing(State.open(path)) as again:
        assert (again.recall(*IMAGE), again.recall(*other)) == (TWO, ONE)
        assert again.recall("docker.io/library/nginx:2", *IMAGE[1:]) is None


@pytest.mark.parametrize("content", [b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_state_damaged_is_moved_aside_and_begun_anew(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.with_name("state.db.damaged-1").write_bytes(b"an older one")
    path.write_bytes(content)

    with listened() as said, closing(State.open(path)) as opened:
        opened.remember(*IMAGE, ONE)
        assert opened.recall(*IMAGE) == ONE

    assert path.with_name("state.db.damaged-1").read_bytes() == b"an older one"
    assert path.with_name("state.db.damaged-2").read_bytes() == content
    assert mode(path) == 0o600
    assert [text for text in said if text.startswith(f"WARNING {path}: damaged (")] == said != []


def test_state_damaged_in_a_page_far_behind_is_noticed_when_opened(path: Path) -> None:
    fill(path, 500)
    content = bytearray(path.read_bytes())
    content[5 * 4096 : 5 * 4096 + 200] = b"\xff" * 200
    path.write_bytes(content)

    with listened() as said:
        State.open(path).close()

    assert path.with_name("state.db.damaged-1").read_bytes() == content
    assert (len(said), "\n" in said[0]) == (1, False)


@pytest.mark.parametrize("size", [50, 2000, 4096, 9000])
def test_state_cut_short_is_moved_aside_and_begun_anew(path: Path, size: int) -> None:
    fill(path, 500)
    content = path.read_bytes()[:size]
    path.write_bytes(content)

    with listened() as said, closing(State.open(path)) as opened:
        opened.remember(*IMAGE, ONE)
        assert opened.recall(*IMAGE) == ONE

    assert path.with_name("state.db.damaged-1").read_bytes() == content
    assert len(said) == 1


def test_state_of_a_newer_program_is_left_alone(path: Path) -> None:
    State.open(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()

    with pytest.raises(EnvironmentProblem, match="newer version") as raised:
        State.open(path)

    assert "--no-state" in raised.value.advice
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "place", ["folder", "file/state.db", "/proc/none/state.db", "/", "folder/..", "."]
)
def test_state_where_no_file_can_be_is_a_problem_of_the_machine(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(EnvironmentProblem, match=r"the state file .* cannot be used") as raised:
        State.open(Path(place) if place == "." else tmp_path / place)

    assert "--state" in raised.value.advice


def test_state_that_cannot_be_written_says_so_once_and_goes_on(state: State) -> None:
    state.remember(*IMAGE, ONE)
    pages = state._connection.execute("PRAGMA page_count").fetchone()[0]
    state._connection.execute(f"PRAGMA max_page_count = {pages}")

    with listened() as said:
        for number in range(100):
            state.remember(f"{number}" * 100, *IMAGE[1:], TWO)

    assert [text for text in said if text.endswith(FULL)] == said
    assert len(said) == 1
    assert state.recall(*IMAGE) == ONE


def test_state_with_a_row_nobody_understands_does_not_know_the_image(path: Path) -> None:
    fill(path, 1)

    with closing(State.open(path)) as opened:
        assert opened.recall("0", *IMAGE[1:]) is None


def test_state_dates_what_was_kept_once_and_forgets_it_with_the_next_ending(state: State) -> None:
    old, new = (Kept(platform="linux/s390x", digest=f"sha256:{name}") for name in "ab")

    first = state.remember(*IMAGE, replace(ONE, kept=(old,)))
    second = state.remember(*IMAGE, replace(ONE, kept=(old, new)))

    assert first.kept[0].since.endswith("+00:00")
    assert second.kept[0] == first.kept[0]
    known = state.recall(*IMAGE)
    assert known is not None
    assert (known, known.kept) == (ONE, second.kept)
    state.remember(*IMAGE, TWO)
    known = state.recall(*IMAGE)
    assert known is not None
    assert known.kept == ()


def test_state_closed_remembers_nothing_and_raises_nothing(state: State) -> None:
    state.close()
    state.close()

    with listened() as said:
        state.remember(*IMAGE, ONE)

    assert (state.recall(*IMAGE), len(said)) == (None, 1)


def test_state_used_by_many_threads_loses_nothing(state: State) -> None:
    def work(number: int) -> None:
        for turn in range(20):
            state.remember(f"{number}/{turn}", *IMAGE[1:], ONE)
            state.recall(f"{number}/{turn - 1}", *IMAGE[1:])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = {state.recall(f"{n}/{turn}", *IMAGE[1:]) for n in range(8) for turn in range(20)}
    assert found == {ONE}

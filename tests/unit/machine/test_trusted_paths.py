"""What another user may have laid where all may write, and who must not choose our tools."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from image_tools.cli import render
from image_tools.errors import EnvironmentProblem, ImageToolsError, UsageError
from image_tools.logins.auth_file import Credentials
from image_tools.logins.auth_store import keep_login
from image_tools.machine.cancel import Cancel
from image_tools.machine.locks import RunLock
from image_tools.machine.trusted_paths import refuse_planted, trusted_search_path
from image_tools.run.failed_list import FailedList
from image_tools.state import State
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.file.archive_file import FileContent
from image_tools.stores.archive.file.journal import Journal

STRANGER = 4_000_000
SAID = "belongs to another user, in a folder where everybody may write"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder as /tmp: sticky, open to all, of root; we and the stranger are others."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    real = Path.lstat
    owners = {"planted": STRANGER}

    def lstat(path: Path) -> os.stat_result:
        found = real(path)
        owner = next((uid for mark, uid in owners.items() if path.name.startswith(mark)), None)
        return found if owner is None else os.stat_result((*found[:4], owner, *found[5:]))

    monkeypatch.setattr(Path, "lstat", lstat)
    return folder


def laid(folder: Path, name: str) -> Path:
    victim = folder.parent / "victim"
    victim.touch()
    (folder / name).symlink_to(victim)
    return victim


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("planted", "../victim"),
        ("planted", "nowhere"),
        ("planted/below/it", ".."),
        ("ours/file", "planted"),
        ("planted-file", None),
    ],
)
def test_what_a_stranger_laid_is_refused(shared: Path, place: str, target: str | None) -> None:
    first = shared / place.partition("/")[0]
    if target is None:
        first.write_text("theirs")
    else:
        first.symlink_to(target)
    if target == "planted":
        (shared / "planted").symlink_to("..")

    with pytest.raises(PermissionError, match=SAID) as caught:
        refuse_planted(shared / place)

    assert Path(caught.value.filename).name.startswith("planted")


def test_what_is_ours_or_in_a_folder_of_our_own_is_not_refused(shared: Path) -> None:
    (shared / "link").symlink_to(shared.parent / "target")
    (shared / "loop").symlink_to("loop")
    laid(shared.parent, "planted")
    (shared / "file").write_text("ours")

    for name in ("link", "loop", "file", "new", "new/below", "../planted"):
        refuse_planted(shared / name)


def fail(path: Path) -> None:
    failed = FailedList(path.with_name("new"), "list.txt")
    failed._growing = path  # Laid there after the start.
    failed.add("nginx:1", "not found")
    raise EnvironmentProblem("only said, the run goes on")


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "report": ("planted", lambda path: render.write_report(path, {})),
    "report-early": ("planted", lambda path: render.check_result_file("--report", path)),
    "failed-list": ("planted", lambda path: FailedList(path, "list.txt")),
    "failed-list-later": ("planted", fail),
    "lock": ("planted", lambda path: RunLock(path, "r").acquire(None, cancel=Cancel())),
    "state": ("planted", State.open),
    "state-log": ("planted-wal", lambda path: State.open(path.with_name("planted"))),
    "state-lock": ("planted.lock", lambda path: State.open(path.with_name("planted"))),
    "archive": (
        "planted.partial",
        lambda path: FileContent.create(path.with_name("planted"), Form.TAR),
    ),
    "journal": ("planted.journal", Journal.open),
    "login": (
        "planted.json",
        lambda path: keep_login("r", Credentials("u", "secret"), {"REGISTRY_AUTH_FILE": str(path)}),
    ),
}


@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
def test_writer_follows_no_link_a_stranger_laid(
    shared: Path, name: str, write: Callable[[Path], object]
) -> None:
    victim = laid(shared, name)

    with pytest.raises((PermissionError, ImageToolsError)):
        write(shared / name)

    assert victim.read_bytes() == b""
    assert sorted(path.name for path in shared.parent.iterdir()) == ["shared", "victim"]


def test_check_result_file_laid_by_a_stranger_says_whose_it_is(shared: Path) -> None:
    laid(shared, "planted")

    with pytest.raises(UsageError, match=rf"--report: .*planted: it {SAID}"):
        render.check_result_file("--report", shared / "planted")


@pytest.mark.parametrize(
    ("path", "trusted"),
    [
        ("/bin:.:/usr/bin", "/bin:/usr/bin"),
        (":/bin:", "/bin"),
        ("bin:./x:../y", ""),
        ("", ""),
        ("/bin", "/bin"),
    ],
)
def test_search_path_has_no_entry_in_the_working_folder(path: str, trusted: str) -> None:
    assert trusted_search_path({"PATH": path}) == trusted

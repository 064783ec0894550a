"""The program as a process of its own: signals, secrets, what it leaves behind."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.client import push
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.fault_types import ALWAYS, Fault, Kind, Stage
from tests.helpers.faults import FaultRegistry
from tests.helpers.registry import Registry
from tests.helpers.report_schema import check_document
from tests.helpers.started import started

PASSWORD = LAB_LOGIN.password


def _started(
    folder: Path, *words: str, **environ: str
) -> AbstractContextManager[subprocess.Popen[str]]:
    return started(folder, "mirror", *words, environ=environ)


def _children(pid: int) -> list[int]:
    found = []
    # Not with glob: it stumbles over a process that ends while it looks.
    for path in (one / "stat" for one in Path("/proc").iterdir() if one.name.isdigit()):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


def _until(condition: object, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited too long: {what}"
        time.sleep(0.01)


def _list(folder: Path, registry: str, count: int) -> str:
    lines = "".join(f"{registry}/team/app{number}:1.0\n" for number in range(count))
    (folder / "list.txt").write_text(lines)
    return lines


@pytest.fixture
def hanging(fault_registry: FaultRegistry) -> FaultRegistry:
    for number in range(4):
        fault_registry.load(f"team/app{number}", "1.0", images.docker_list(number))
    fault_registry.add(Fault(Stage.BLOB, Kind.HANG, ALWAYS))
    return fault_registry


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
@pytest.mark.parametrize("way", [(), ("--no-ahead",)], ids=["placing", "skopeo"])
def test_mirror_signalled_while_copying_ends_in_order(
    hanging: FaultRegistry,
    registry: Registry,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    way: tuple[str, ...],
) -> None:
    _list(tmp_path, hanging.address, 4)
    words = ("-f", "list.txt", "-d", registry.address, "-j", "2", "--report", "report.json")
    with _started(tmp_path, *words, *way) as process:
        _until(lambda: hanging.count(Stage.BLOB) > 0, "a layer is asked for")
        children = _children(process.pid)
        asked = time.monotonic()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
        took = time.monotonic() - asked
    hanging.release()
    failed = [x for x in (tmp_path / "mirror-failed.txt").read_text().splitlines() if x[0] != "#"]
    assert process.returncode == code, stderr
    assert took < 5
    assert failed == (tmp_path / "list.txt").read_text().splitlines()
    report = json.loads((tmp_path / "report.json").read_text())
    check_document(report)
    assert report["interrupted_by"] == number
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == []
    assert [pid for pid in children if _is_alive(pid)] == []


def test_mirror_signalled_twice_ends_at_once_and_leaves_nothing(
    hanging: FaultRegistry, registry: Registry, tmp_path: Path
) -> None:
    _list(tmp_path, hanging.address, 2)
    stubborn = tmp_path / "skopeo"
    stubborn.write_text(
        "#!/bin/sh\ncase $* in *--version*) exec skopeo --version;; esac\n"
        "trap '' TERM\nwhile :; do sleep 1; done\n"
    )
    stubborn.chmod(0o755)
    words = ("-f", "list.txt", "-d", registry.address, "--no-ahead")
    with _started(tmp_path, *words, IMAGE_TOOLS_SKOPEO=str(stubborn)) as process:
        _until(lambda: any(_is_stubborn(pid) for pid in _children(process.pid)), "skopeo runs")
        children = _children(process.pid)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=5)
    assert process.returncode == 130
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == []
    _until(lambda: not any(map(_is_alive, children)), "skopeo is gone")


def _is_alive(pid: int) -> bool:
    # An orphan that has ended stays a zombie where process 1 does not reap.
    return _read(pid, "stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"])


def _is_stubborn(pid: int) -> bool:
    try:
        return b"copy" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_mirror_while_it_runs_no_secret_is_to_be_seen(
    htpasswd_registry: Registry, source_registry: Registry, tmp_path: Path
) -> None:
    for number in range(3):
        image = images.docker_list(number)
        push(source_registry.endpoint, f"team/app{number}", "1.0", image)
    _list(tmp_path, source_registry.address, 3)
    login = {"DOCKER_USERNAME": LAB_LOGIN.username, "DOCKER_PASSWORD": PASSWORD}
    words = ("-f", "list.txt", "-d", htpasswd_registry.address, "-debug", "--no-ahead")
    seen: set[bytes] = set()
    open_files: set[str] = set()
    done = threading.Event()

    def watch(pid: int) -> None:
        while not done.is_set():
            for child in _children(pid):
                # Between fork and exec a child is still a copy of the program itself: asked for
                # in this order, the environment is never older than the command line.
                argv, environ = (_read(child, name) for name in ("cmdline", "environ"))
                if argv and b"image_tools" not in argv:
                    seen.update((environ, argv))
            # Folders go away while they are looked through.
            with suppress(OSError):
                for path in (tmp_path / "tmp").rglob("*"):
                    if (mode := _mode(path)) & 0o077:
                        open_files.add(f"{path} {mode:o}")

    with _started(tmp_path, *words, "--report", "report.json", **login) as process:
        watcher = threading.Thread(target=watch, args=(process.pid,))
        watcher.start()
        stdout, stderr = process.communicate(timeout=60)
        done.set()
        watcher.join()
    written = (stdout + stderr).encode() + (tmp_path / "report.json").read_bytes()
    assert process.returncode == 0, stderr
    assert any(b"copy" in content for content in seen)
    assert [text for text in (*seen, written) if PASSWORD.encode() in text] == []
    assert {name for name in open_files if "/auth" in name or "config.json" in name} == set()
    assert _mode(tmp_path / "tmp") & 0o777 != 0


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode & 0o777
    except OSError:
        return 0


def test_mirror_two_runs_at_once_the_second_says_so_and_exits_4(
    hanging: FaultRegistry, registry: Registry, tmp_path: Path
) -> None:
    _list(tmp_path, hanging.address, 1)
    words = ("-f", "list.txt", "-d", registry.address)
    with _started(tmp_path, *words) as first:
        _until(lambda: hanging.count(Stage.BLOB) > 0, "the first is under way")
        with _started(tmp_path, *words) as second:
            _, stderr = second.communicate(timeout=20)
        with _started(tmp_path, *words, "--wait-lock=300ms") as third:
            third.communicate(timeout=20)
        with _started(tmp_path, *words, "--wait-lock") as fourth:
            time.sleep(0.5)
            hanging.clear_faults()
            hanging.release()
            fourth.communicate(timeout=30)
        first.communicate(timeout=30)
    assert (second.returncode, third.returncode) == (4, 4)
    assert f"process {first.pid}" in stderr
    assert "--wait-lock" in stderr
    assert (first.returncode, fourth.returncode) == (0, 0)


def test_mirror_without_a_terminal_writes_no_escape_and_no_progress(
    source_registry: Registry, registry: Registry, tmp_path: Path
) -> None:
    push(source_registry.endpoint, "team/app0", "1.0", images.docker_list(1))
    _list(tmp_path, source_registry.address, 1)
    with _started(tmp_path, "-f", "list.txt", "-d", registry.address) as process:
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "copied" in stdout
    assert "\x1b" not in stdout + stderr
    assert "\r" not in stdout + stderr

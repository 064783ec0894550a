"""Typing lines at a real terminal, signals, and streams that are closed; the run is a fake."""

from __future__ import annotations

import os
import pty
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_tools.cli.redact import plain

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = (sys.executable, "-m", "tests.helpers.fake_run", "mirror", "-d", "reg:5000")
PATIENCE = 20.0
COPIED = "copied  reg:5000/library/nginx:latest  amd64,arm64  abababababab same digest"
SUMMARY = "1 image: 1 copied; 12.3 MB"


class Terminal:
    """The command line at a terminal of its own; `screen` is all it wrote there."""

    def __init__(self, folder: Path, *options: str, output: Path | None = None) -> None:
        self.screen = ""
        self._seen = 0
        self._master, slave = pty.openpty()
        with (output or Path(os.devnull)).open("wb") as file:
            self.process = subprocess.Popen(
                [*PROGRAM, *options],
                cwd=folder,
                env=environment(folder),
                stdin=slave,
                stdout=file if output else slave,
                stderr=slave,
                start_new_session=True,
            )
        os.close(slave)

    def see(self, text: str) -> None:
        """Wait until `text` is on the screen, behind what was seen before."""
        begun = time.monotonic()
        while (found := plain(self.screen).find(text, self._seen)) < 0:
            assert time.monotonic() - begun < PATIENCE, f"{text!r} is not in {self.screen!r}"
            self._read()
        self._seen = found + len(text)

    def rest(self) -> None:
        """Wait until the program waits for a key.

        A signal between prompt and waiting is seen with the next key only, as in Python itself.
        """
        begun, stat_file = time.monotonic(), Path(f"/proc/{self.process.pid}/stat")
        while stat_file.exists() and " S " not in stat_file.read_text():
            assert time.monotonic() - begun < PATIENCE
            time.sleep(0.01)
        time.sleep(0.1)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> int:
        """The exit code, once everything was read."""
        begun = time.monotonic()
        while self._read() and time.monotonic() - begun < PATIENCE:
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)

    def _read(self) -> bool:
        if select.select([self._master], [], [], 0.2)[0]:
            try:
                content = os.read(self._master, 65536)
            except OSError:  # Linux says EIO when nobody has the terminal open any more
                return False
            self.screen += content.decode(errors="replace")
            return bool(content)
        return True


def environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
    }


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path)
    yield opened
    opened.close()


def test_typed_lines_are_mirrored_one_by_one_until_ctrl_d(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.see(">>> ")
    terminal.type("# nothing\n")
    terminal.see(">>> ")
    terminal.type("a b\n")
    terminal.see("[ERRO] standard input:2: 2 words: write SOURCE DESTINATION TAG")
    terminal.see(">>> ")
    terminal.type("nginx\n")
    terminal.see(COPIED)
    terminal.see(">>> ")
    terminal.type("\x1b[A\n")  # the line before, from the history
    terminal.see(COPIED)
    terminal.see(">>> ")
    terminal.type("\x04")

    assert terminal.end() == 1
    assert "3 images: 2 copied, 1 invalid" in terminal.screen
    history = tmp_path / "state/image-tools/history"
    assert "nginx" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert (tmp_path / "mirror-failed.txt").read_text() == "a b\n"


def test_typed_ctrl_c_at_the_prompt_ends_with_the_summary(terminal: Terminal) -> None:
    terminal.see(">>> ")
    terminal.type("nginx\n")
    terminal.see(COPIED)
    terminal.see(">>> ")
    terminal.type("half a li")
    terminal.see("half a li")
    terminal.rest()
    terminal.type("\x03")

    assert terminal.end() == 0
    assert SUMMARY in terminal.screen
    assert "Traceback" not in terminal.screen


def test_typed_ctrl_c_while_copying_is_130(terminal: Terminal, tmp_path: Path) -> None:
    terminal.see(">>> ")
    terminal.type("slow:1\n")
    terminal.see("COPYING")
    terminal.type("\x03")

    assert terminal.end() == 130
    assert "Stopping: " in terminal.screen
    assert "1 image: 1 unstarted" in terminal.screen
    assert (tmp_path / "mirror-failed.txt").read_text() == "slow:1\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_typed_signal_at_the_prompt_ends_in_order(
    number: signal.Signals, terminal: Terminal
) -> None:
    terminal.see(">>> ")
    terminal.type("nginx\n")
    terminal.see(COPIED)
    terminal.see(">>> ")
    terminal.rest()
    terminal.process.send_signal(number)

    assert terminal.end() == 143
    assert SUMMARY in terminal.screen


def test_typed_results_in_a_file_prompts_stay_at_the_terminal(tmp_path: Path) -> None:
    results = tmp_path / "results.txt"
    terminal = Terminal(tmp_path, output=results)
    try:
        terminal.see(">>> ")
        terminal.type("nginy\x7fx\n")  # line editing, too
        terminal.see(">>> ")
        terminal.type("\x04")

        assert terminal.end() == 0
    finally:
        terminal.close()
    assert results.read_text() == f"{COPIED}  12.3 MB  1.5s\n"


def test_list_at_a_terminal_gives_the_screen_back(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("nginx\n")
    terminal = Terminal(tmp_path, "-f", "list.txt")
    try:
        assert terminal.end() == 0
    finally:
        terminal.close()

    assert terminal.screen.count("\x1b[?25l") == terminal.screen.count("\x1b[?25h") > 0
    assert SUMMARY in terminal.screen


def start(folder: Path, *options: str, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *options],
        cwd=folder,
        env={**environment(folder), **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    assert any(line.startswith(word) for line in process.stderr)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_list_first_signal_ends_the_run_with_its_results(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text("slow\nnginx\n")

    with start(tmp_path, "-f", "list.txt", "--report", "r.json") as process:
        until(process, "COPYING")
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, out.count("unstarted")) == (code, 2)
    assert err.startswith("Stopping: what runs is ended")
    assert (tmp_path / "mirror-failed.txt").read_text() == "slow\nnginx\n"
    assert f'"exit_code": {code}' in (tmp_path / "r.json").read_text()


def test_list_second_signal_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("slow\n")

    with start(tmp_path, "-f", "list.txt", IMAGE_TOOLS_TEST_STUBBORN="1") as process:
        until(process, "COPYING")
        process.send_signal(signal.SIGINT)
        until(process, "Stopping")
        process.send_signal(signal.SIGINT)

        assert process.wait(PATIENCE) == 130


@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        pytest.param(">&-", 0, id="stdout-closed"),
        pytest.param("2>&-", 0, id="stderr-closed"),
        pytest.param("<&- >&- 2>&-", 0, id="all-closed"),
        pytest.param(">/dev/full", 3, id="stdout-full"),
        pytest.param("2>/dev/full", 0, id="stderr-full"),
        pytest.param("| true", 0, id="reader-left"),
    ],
)
def test_list_lost_stream_is_no_crash(redirection: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("nginx\n")
    command = f'"$@" -f list.txt --report r.json {redirection}'

    done = subprocess.run(
        ["sh", "-c", command, "sh", *PROGRAM],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.returncode == code
    assert '"exit_code": 0' in (tmp_path / "r.json").read_text()
    assert not {"Traceback", "bug", "Exception"} & set(done.stderr.split())

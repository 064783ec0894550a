"""The program at a terminal of its own, with somebody who types."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

PATIENCE = 30.0


class Typist:
    """Context manager: runs a command line on a pty, types when it sees what it waits for."""

    def __init__(self, *words: str | Path, environ: Mapping[str, str] | None = None) -> None:
        """Prepare a command line; `environ` comes on top of this process's environment."""
        self.screen = ""
        self._words = [sys.executable, "-m", "image_tools", *map(str, words)]
        self._environ = {**os.environ, "TERM": "xterm", "COLUMNS": "200", **(environ or {})}
        self._seen = 0

    def __enter__(self) -> Typist:
        """Start the program."""
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            self._words,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=self._environ,
            start_new_session=True,
        )
        os.close(theirs)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the program if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def answer(self, prompt: str, text: str) -> None:
        """Type a line once a prompt is on the screen, behind what was seen before."""
        begun = time.monotonic()
        while (found := self.screen.find(prompt, self._seen)) < 0:
            assert time.monotonic() - begun < PATIENCE, self.screen
            assert self._read() or prompt in self.screen[self._seen :], self.screen
        self._seen = found + len(prompt)
        # A tool that hides what is typed throws away what came before.
        time.sleep(0.3)
        os.write(self._ours, f"{text}\n".encode())

    def log_in(self, username: str, password: str) -> None:
        """Answer both prompts of `skopeo login`."""
        self.answer("Username: ", username)
        self.answer("Password: ", password)

    def end(self) -> int:
        """Give the exit code, once everything was read."""
        begun = time.monotonic()
        while self._read():
            assert time.monotonic() - begun < PATIENCE, self.screen
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        """Read what is there; False once nothing more can come."""
        if not select.select([self._ours], [], [], 1.0)[0]:
            return True
        try:
            piece = os.read(self._ours, 65536)
        except OSError:
            return False
        self.screen += piece.decode(errors="replace")
        return bool(piece)

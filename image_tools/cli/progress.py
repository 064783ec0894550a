"""The moving part of the screen: only on a terminal, gone when the run ends."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from image_tools.cli import render
from image_tools.cli.redact import clean
from image_tools.cli.text import human_bytes, is_terminal
from image_tools.run.progress import Progress, Snapshot

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_FRAMES_PER_SECOND = 8
_BAR_WIDTH = 30
_SHOW_CURSOR = "\x1b[?25h"


def wanted(stream: TextIO, environ: Mapping[str, str], *, quiet: bool) -> bool:
    """Return whether `stream` is a terminal."""
    return (
        is_terminal(stream)
        and not quiet
        and environ.get("TERM", "dumb") != "dumb"
        and environ.get("CI", "").lower() in ("", "0", "false")
    )


class Display:
    """Shows a run's progress inside its `with` block, which may be entered again and again.

    Without `moving` it writes only what `write` is given.
    """

    def __init__(self, progress: Progress, stream: TextIO, *, moving: bool) -> None:
        self._progress = progress
        self._stream = stream
        self._moving = moving
        self._live: Live | None = None
        self._resumes = False

    def __enter__(self) -> Display:
        if self._moving:
            self._live = self._started()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._resumes = False
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, nothing moves: another program uses the terminal."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        self._resumes = live is not None
        try:
            yield
        finally:
            # The run may have ended meanwhile.
            if self._resumes:
                self._live = self._started()

    def write(self, text: str) -> None:
        """Write a finished log line, above the moving part where there is one."""
        live = self._live
        if live is None:
            self._write_plainly(text)
            return
        from rich.text import Text

        live.console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True)

    def call_out(self, text: str) -> None:
        """Write a line at once; for signal handlers: no lock is taken, nothing is buffered."""
        erase = "\r\x1b[2K" if self._live is not None else ""
        self._write_directly(f"{erase}{text}\n")

    def give_back(self) -> None:
        """Make the cursor visible again; called before a signal handler ends the process."""
        if self._live is not None:
            self._write_directly(f"{_SHOW_CURSOR}\n")

    def _write_plainly(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # There is no way to report this. The work goes on, and its result is written elsewhere.
            render.abandon(self._stream)

    def _write_directly(self, text: str) -> None:
        with suppress(OSError, ValueError):
            os.write(self._stream.fileno(), text.encode())

    def _started(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        live = Live(
            console=Console(file=self._stream, highlight=False),
            get_renderable=lambda: rendered(self._progress.snapshot()),
            refresh_per_second=_FRAMES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        live.start()
        return live


def rendered(snapshot: Snapshot) -> RenderableType:
    """Return the screen for `snapshot`: an overall line, then one line per running job."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    overall = Table.grid(padding=(0, 1))
    done, total = _done(snapshot)
    bar = ProgressBar(total=total, completed=done, width=_BAR_WIDTH)
    overall.add_row(bar, Text(overall_text(snapshot), no_wrap=True, overflow="ellipsis"))
    jobs = [Text(f"  {clean(text)}", no_wrap=True, overflow="ellipsis") for text in snapshot.active]
    return Group(overall, *jobs)


def _done(snapshot: Snapshot) -> tuple[float, float]:
    if snapshot.bytes_total:
        return min(snapshot.bytes_done, snapshot.bytes_total), snapshot.bytes_total
    return snapshot.images_done, max(1, snapshot.images_total)


def overall_text(snapshot: Snapshot) -> str:
    """Return the numbers of `snapshot` in words."""
    if not snapshot.images_total:
        return "starting"
    parts = [f"{snapshot.images_done}/{snapshot.images_total} images"]
    if snapshot.failed:
        parts.append(f"{snapshot.failed} failed")
    of_total = f" of {human_bytes(snapshot.bytes_total)}" if snapshot.bytes_total else ""
    parts.append(f"{human_bytes(snapshot.bytes_done)}{of_total}")
    if snapshot.rate:
        parts.append(f"{human_bytes(snapshot.rate)}/s")
    return ", ".join(parts)

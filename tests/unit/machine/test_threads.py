"""Work done in threads for an event loop."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from image_tools.machine.concurrency import in_thread


def test_in_thread_file_opened_for_a_cancelled_caller_is_closed(tmp_path: Path) -> None:
    """It stayed open, and Python complained about it much later, in somebody else's test."""
    (tmp_path / "blob").write_bytes(b"content")
    begun, may_open = threading.Event(), threading.Event()
    opened: list[BinaryIO] = []

    def work() -> BinaryIO:
        begun.set()
        may_open.wait(10)
        opened.append((tmp_path / "blob").open("rb"))
        return opened[0]

    async def cancelled_meanwhile() -> None:
        task = asyncio.ensure_future(in_thread(work, dispose=lambda file: file.close()))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.sleep(0)
        may_open.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled_meanwhile())

    assert [file.closed for file in opened] == [True]

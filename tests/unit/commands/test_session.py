"""What one run holds of this machine, and how a signal ends it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from image_tools.commands.session import RunSession
from image_tools.errors import Interrupted


def test_session_removes_its_folder_and_ends_its_loop(tmp_path: Path) -> None:
    with RunSession({"TMPDIR": str(tmp_path)}) as session:
        folder, loop = session.workspace.path, session.loop.loop
        assert folder.is_relative_to(tmp_path)
    assert not folder.exists()
    assert loop.is_closed()


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("early", [True, False])
def test_session_result_after_a_signal_is_interrupted(tmp_path: Path, early: bool) -> None:
    with RunSession({"TMPDIR": str(tmp_path)}) as session:
        if early:
            session.cancel(signal.SIGTERM)
        else:
            session.loop.loop.call_soon_threadsafe(session.cancel, signal.SIGTERM)
        with pytest.raises(Interrupted) as caught:
            session.result(forever())

    assert caught.value.signal_exit_code == 143


@pytest.mark.parametrize("early", [True, False])
def test_session_tells_who_wants_to_stop(tmp_path: Path, early: bool) -> None:
    heard: list[str] = []

    async def hear() -> list[str]:
        await asyncio.sleep(0)
        return heard

    with RunSession({"TMPDIR": str(tmp_path)}) as session:
        if early:
            session.cancel(signal.SIGINT)
        session.on_cancel(lambda: heard.append("engine"))
        if not early:
            session.cancel(signal.SIGINT)
        assert session.wait(hear()) == ["engine"]
        assert session.stopped.is_set()

"""The whole list: every line on its way at once, within the bounds of the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from loguru import logger

from image_tools.errors import ImageToolsError, TimedOut, UnknownFailure
from image_tools.imagelist.entry import Entry, ImageList
from image_tools.report import Outcome
from image_tools.run import outcomes
from image_tools.run.carrying import carry_out
from image_tools.run.gear import Gear
from image_tools.run.job import Job
from image_tools.run.preparing import Prepared, prepare
from image_tools.run.volume import Volume

PROBES = 64
IMAGES_IN_MEMORY = 1000
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Line:
    """How far one line of the list is; `seconds` is the time spent on it, waiting left out."""

    entry: Entry
    job: Job | None = None
    started: bool = False
    seconds: float = 0.0


class Engine:
    """Mirrors image lists with the shared `gear`; `on_outcome` hears of every end as it comes,
    and gives back what is reported of it.

    `fatal` is what made a run impossible to go on with: a missing tool, or a bug. Belongs to the
    event loop.
    """

    def __init__(self, gear: Gear, on_outcome: Callable[[Outcome], Outcome]) -> None:
        self.fatal: Exception | None = None
        self._gear = gear
        self._on_outcome = on_outcome
        self._probes = asyncio.Semaphore(PROBES)
        self._room = asyncio.Semaphore(IMAGES_IN_MEMORY)
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._unplanned = 0
        self._stopped = False
        self._volume = Volume(gear.progress)

    async def mirror(self, images: ImageList) -> tuple[Outcome, ...]:
        """The outcomes of all lines, in list order."""
        gear = self._gear
        gear.progress.expect(len(images.entries))
        gear.ends.expect(
            [entry.source for entry in images.entries],
            [entry.destination for entry in images.entries],
        )
        found = [self._ended(outcomes.invalid(problem)) for problem in images.problems]
        self._unplanned = len(images.entries)
        tasks = [await self._begin(entry) for entry in images.entries]
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for entry, end in zip(images.entries, ends, strict=True):
            # A task that was cancelled before its first step has no outcome of its own.
            never = outcomes.interrupted(entry, started=False)
            found.append(self._ended(never) if isinstance(end, BaseException) else end)
        return tuple(sorted(found, key=lambda outcome: outcome.number))

    def stop(self) -> None:
        """Start nothing new and end what is under way; `mirror` returns soon."""
        self._stopped = True
        for task in tuple(self._tasks):
            task.cancel()

    async def _begin(self, entry: Entry) -> asyncio.Task[Outcome]:
        await self._room.acquire()
        task = asyncio.ensure_future(self._outcome(_Line(entry)))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        if self._stopped:
            task.cancel()
        return task

    def _forget(self, task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        self._room.release()

    async def _outcome(self, line: _Line) -> Outcome:
        with logger.contextualize(m_id=line.entry.number):
            try:
                outcome = await self._way(line)
            except asyncio.CancelledError:
                outcome = outcomes.interrupted(line.entry, started=line.started)
            except ImageToolsError as error:
                outcome = self._failed(line, error)
            except Exception as error:
                outcome = self._failed(line, UnknownFailure(f"{line.entry.source}: a bug"))
                self._end_run(error)
            moved = line.job.account.bytes_written if line.job is not None else 0
            return self._ended(replace(outcome, seconds=line.seconds, bytes_moved=moved))

    def _failed(self, line: _Line, error: ImageToolsError) -> Outcome:
        outcome = outcomes.failed(line.entry, error)
        logger.error("{}", outcome.reason)
        return outcome

    def _end_run(self, error: Exception) -> None:
        self.fatal = self.fatal or error
        self.stop()

    async def _way(self, line: _Line) -> Outcome:
        try:
            job = line.job = self._gear.job(line.entry)
            async with self._probes:
                prepared = await self._timed(line, prepare(self._gear, job))
        finally:
            self._planned()
        if isinstance(prepared, Outcome):
            return prepared
        await self._tools()
        work = prepared.work(job)
        with self._volume.expected(job, work.blobs):
            async with self._gear.dispatch.turn(work):
                return await self._carry_out(line, job, prepared)

    async def _tools(self) -> None:
        """Nothing, once both tools are usable; without them the whole run ends."""
        try:
            await self._gear.toolbox.tools()
        except ImageToolsError as error:
            self._end_run(error)
            raise asyncio.CancelledError from error

    async def _carry_out(self, line: _Line, job: Job, prepared: Prepared) -> Outcome:
        line.started = True
        outcome = await self._timed(line, carry_out(self._gear, job, prepared))
        logger.info("{}: copied ({})", job.entry.destination, ", ".join(outcome.platforms))
        return outcome

    def _planned(self) -> None:
        self._unplanned -= 1
        if self._unplanned <= 0:
            self._gear.dispatch.all_planned()

    async def _timed(self, line: _Line, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, within what is left of the image's time."""
        limit = self._gear.options.timeout
        left = None if limit is None else max(0.0, limit - line.seconds)
        begun = time.monotonic()
        try:
            return await asyncio.wait_for(work, left)
        except asyncio.TimeoutError as error:
            raise TimedOut(
                f"{line.entry.source}: not finished within {limit:g} s, given up"
            ) from error
        finally:
            line.seconds += time.monotonic() - begun

    def _ended(self, outcome: Outcome) -> Outcome:
        self._gear.progress.image_done(outcome.status)
        return self._on_outcome(outcome)

"""The whole list: every line on its way at once, within the bounds of the run."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from loguru import logger

from image_tools.errors import (
    Deferred,
    DiskFull,
    ImageToolsError,
    RateLimited,
    TimedOut,
    UnknownFailure,
    refused_by_system,
)
from image_tools.imagelist.entry import Entry, ImageList
from image_tools.machine.concurrency import settled, together, within
from image_tools.plan.schedule import Lane
from image_tools.report import Outcome
from image_tools.run import outcomes
from image_tools.run.context import RunContext
from image_tools.run.line.job import Job
from image_tools.run.line.probe import Seen, look
from image_tools.run.line.read import Prepared, prepare
from image_tools.run.line.transfer import carry_out
from image_tools.run.volume import ExpectedBytes

PROBES = 64
IMAGES_IN_MEMORY = 1000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mode:
    """Decides about each line alone: by a `look` at heads, else by what it has to read."""

    look: Callable[[RunContext, Job], Coroutine[Any, Any, Seen | Outcome]]
    read: Callable[[RunContext, Job, Seen], Coroutine[Any, Any, Outcome]]


@dataclass(slots=True, eq=False)
class _Line:
    """How far one line of the list is; `seconds` is the time spent on it, waiting left out."""

    entry: Entry
    job: Job | None = None
    started: bool = False
    seconds: float = 0.0


@dataclass(slots=True, eq=False)
class _LaneLimits:
    """What one pair of registries may take at once: silent ones must not keep others waiting."""

    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IMAGES_IN_MEMORY))
    probes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PROBES))


class Engine:
    """Mirrors image lists with the shared `gear`; `on_outcome` hears of every end as it comes,
    and gives back what is reported of it.

    A `judge` decides about each line alone, without copying anything.
    `fatal` is what made a run impossible to go on with: a missing tool, or a bug. Belongs to the
    event loop.
    """

    def __init__(
        self, gear: RunContext, on_outcome: Callable[[Outcome], Outcome], judge: Mode | None = None
    ) -> None:
        self._judge = judge
        self.fatal: Exception | None = None
        self._gear = gear
        self._on_outcome = on_outcome
        self._doors: defaultdict[Lane, _LaneLimits] = defaultdict(_LaneLimits)
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._unplanned = 0
        self._stopped = False
        self._volume = ExpectedBytes(gear.progress)

    async def run(self, images: ImageList) -> tuple[Outcome, ...]:
        """The outcomes of all lines, in list order."""
        gear = self._gear
        gear.progress.expect(len(images.entries) + len(images.problems))
        gear.ends.expect(
            [entry.source for entry in images.entries],
            [entry.destination for entry in images.entries],
        )
        found = [self._ended(outcomes.invalid(problem)) for problem in images.problems]
        self._unplanned = len(images.entries)
        queues: defaultdict[Lane, list[Entry]] = defaultdict(list)
        for entry in images.entries:
            queues[_lane(entry)].append(entry)
            gear.dispatch.expect(_lane(entry))
        for ended in await together(map(self._queue, queues.values())):
            found += ended
        return tuple(sorted(found, key=lambda outcome: outcome.number))

    def stop(self) -> None:
        """Start nothing new and end what is under way; `run` returns soon."""
        self._stopped = True
        # A line that ends the run has its outcome: to cancel it too would lose that.
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    async def _queue(self, entries: Iterable[Entry]) -> list[Outcome]:
        """The outcomes of the entries of one lane."""
        tasks = {entry: await self._begin(entry) for entry in entries}
        await settled([*tasks.values()])
        # A task that was cancelled before its first step has no outcome of its own.
        return [
            self._ended(outcomes.interrupted(entry, started=False))
            if task.cancelled()
            else task.result()
            for entry, task in tasks.items()
        ]

    async def _begin(self, entry: Entry) -> asyncio.Task[Outcome]:
        lane = _lane(entry)
        await self._doors[lane].room.acquire()
        task = asyncio.ensure_future(self._outcome(_Line(entry)))
        self._tasks.add(task)
        task.add_done_callback(partial(self._forget, lane))
        if self._stopped:
            task.cancel()
        return task

    def _forget(self, lane: Lane, task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        self._doors[lane].room.release()
        self._gear.dispatch.ended(lane)

    async def _outcome(self, line: _Line) -> Outcome:
        with logger.contextualize(m_id=line.entry.number):
            try:
                outcome = await self._way(line)
            except asyncio.CancelledError:
                outcome = outcomes.interrupted(line.entry, started=line.started)
            except ImageToolsError as error:
                outcome = self._failed(line, error)
            except OSError as error:
                logger.opt(exception=error).debug("on this machine")
                outcome = self._failed(line, refused_by_system(error, str(line.entry.source)))
            except Exception as error:
                outcome = self._failed(line, UnknownFailure(f"{line.entry.source}: a bug"))
                self._end_run(error)
            moved = line.job.account.bytes_written if line.job is not None else 0
            looked = self._judge is None and self._gear.options.look_behind
            behind = outcome.behind or looked
            ended = replace(outcome, seconds=line.seconds, bytes_moved=moved, behind=behind)
            return self._ended(ended)

    def _failed(self, line: _Line, error: ImageToolsError) -> Outcome:
        if line.job is not None:
            line.job.closed_by(error)
        outcome = outcomes.failed(line.entry, error)
        if isinstance(error, Deferred):
            logger.info("deferred: {}", outcome.reason)
            return outcome
        logger.error("{}", outcome.reason)
        saves = self._gear.ends.destination_archive is not None
        if saves and isinstance(error, DiskFull) and error.status is None:
            # The next image would find no room either. With a status it is the source's disk.
            self._end_run(error)
        return outcome

    def _end_run(self, error: Exception) -> None:
        self.fatal = self.fatal or error
        self.stop()

    async def _way(self, line: _Line) -> Outcome:
        try:
            job = line.job = self._gear.line_job(line.entry)
            seen = await self._seen(line, job)
            prepared = seen if isinstance(seen, Outcome) else await self._read(line, job, seen)
        finally:
            self._planned()
        while not isinstance(prepared, Outcome):
            job.changes_tag = isinstance(seen, Seen) and prepared.changes(seen.destination)
            try:
                return await self._copied(line, job, prepared)
            except Deferred as error:
                # Of what lies beside an image not all is known before.
                await self._gear.quota.put_off(error)
            finally:
                job.spend_held()
            assert isinstance(seen, Seen)
            prepared = await self._read(line, job, seen)
        return prepared

    async def _copied(self, line: _Line, job: Job, prepared: Prepared) -> Outcome:
        await self._tools()
        work = prepared.work(job)
        with self._volume.expected(job, work.blobs):
            async with self._gear.dispatch.turn(work):
                return await self._carry_out(line, job, prepared)

    async def _seen(self, line: _Line, job: Job) -> Seen | Outcome:
        """What heads alone tell; waits, out of the image's time, where a registry wants that."""
        quota = self._gear.quota
        while True:
            try:
                with quota.looking(line.entry.source.registry):
                    async with self._doors[_lane(line.entry)].probes:
                        return await self._looked(line, job)
            except (Deferred, RateLimited) as error:
                await quota.put_off(error)

    async def _looked(self, line: _Line, job: Job) -> Seen | Outcome:
        gear = self._gear
        if self._judge is not None:
            return await self._timed(line, self._judge.look(gear, job))
        if gear.preflight is None:
            return await self._timed(line, look(gear, job))
        return await gear.preflight.prepared(job, lambda: self._timed(line, look(gear, job)))

    async def _read(self, line: _Line, job: Job, seen: Seen) -> Prepared | Outcome:
        """What has to be done, read within the image's share of what registries count."""
        quota = self._gear.quota
        if seen.is_news and self._judge is None and not self._gear.options.dry_run:
            self._gear.toolbox.hurry()
        wanted = seen.wanted(self._gear, job, tops_only=self._judge is not None)
        while True:
            async with quota.share(wanted):
                try:
                    async with self._doors[_lane(line.entry)].probes:
                        return await self._prepared(line, job, seen)
                except Deferred as error:
                    wanted = wanted.after(error)
                except RateLimited as error:
                    await quota.put_off(error)

    async def _prepared(self, line: _Line, job: Job, seen: Seen) -> Prepared | Outcome:
        """What has to be done; a destination that would not let us do it is known by then."""
        gear = self._gear
        if self._judge is not None:
            return await self._timed(line, self._judge.read(gear, job, seen))
        if gear.preflight is None:
            return await self._timed(line, prepare(gear, job, seen))
        return await gear.preflight.prepared(
            job, lambda: self._timed(line, prepare(gear, job, seen)), Prepared
        )

    async def _tools(self) -> None:
        """Nothing, once both tools are usable; without them the whole run ends."""
        try:
            await self._gear.toolbox.tools()
        except ImageToolsError as error:
            self._end_run(error)
            raise asyncio.CancelledError from error

    async def _carry_out(self, line: _Line, job: Job, prepared: Prepared) -> Outcome:
        job.check_open()
        line.started = True
        logger.info("Copying [{}] => [{}]", job.entry.source, job.entry.destination)
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
            result = await within(left, work)
        finally:
            line.seconds += time.monotonic() - begun
        if result is None:
            raise TimedOut(f"{line.entry.source}: not finished within {limit:g} s, given up")
        return result

    def _ended(self, outcome: Outcome) -> Outcome:
        self._gear.progress.image_done(outcome.status)
        return self._on_outcome(outcome)


def _lane(entry: Entry) -> Lane:
    return entry.source.registry, entry.destination.registry

"""The whole list: every line on its way at once, within the bounds of the run."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

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
from image_tools.imagelist.entry import Entry, ImageList, Problem
from image_tools.machine.concurrency import settled, together, within
from image_tools.plan.schedule import Lane
from image_tools.report import Status
from image_tools.run.context import RunContext
from image_tools.run.job import Job
from image_tools.run.line.probe import Probed
from image_tools.run.transfer_job import TransferJob

T = TypeVar("T")
ResultT = TypeVar("ResultT", bound="LineResult")


class LineResult(Protocol):
    """The result of a line: an outcome or a row of a plan; `number` is its place in the list."""

    @property
    def number(self) -> int: ...


@dataclass(slots=True, eq=False)
class _LineState:
    """How far one line of the list is; `seconds` is the time spent on it, waiting left out."""

    entry: Entry
    job: Job | None = None
    started: bool = False
    seconds: float = 0.0


class Mode(Protocol[ResultT]):
    """The actions of a run at each stage of a line; the engine decides when, and with which limits.

    `reads_indexes_only`: no child of an index is read. `writes`: something is copied, so that tools
    are needed, and destinations that refuse a login or a push are to be known before.
    """

    reads_indexes_only: bool
    writes: bool

    async def probe(self, job: Job) -> Probed | ResultT:
        """Return what two heads tell, or the result if that is enough."""

    async def read_and_plan(self, job: Job, probed: Probed) -> TransferJob | ResultT:
        """Return what has to be copied, or the result if nothing has."""

    async def finish(self, job: Job, task: TransferJob) -> ResultT:
        """Do what there is to do with `task`, and return the result."""

    def failed(self, entry: Entry, error: ImageToolsError) -> ResultT:
        """Return the result of a line that `error` ended or put off."""

    def interrupted(self, entry: Entry, *, started: bool) -> ResultT:
        """Return the result of a line that a signal ended, or kept from starting."""

    def invalid(self, problem: Problem) -> ResultT:
        """Return the result of a line that could not be read."""

    def completed(self, result: ResultT, *, seconds: float, moved: int) -> ResultT:
        """Return `result` with the seconds and the bytes that the line took."""

    def status(self, result: ResultT) -> Status:
        """Return what progress counts the line as."""


class Engine(Generic[ResultT]):
    """Takes image lists through the stages of `mode`.

    `on_end` gets every result as it comes, and returns what is reported of it. `fatal` is what
    ended a run: a missing tool, a full disk, or a bug. Belongs to the event loop.
    """

    def __init__(
        self, context: RunContext, mode: Mode[ResultT], on_end: Callable[[ResultT], ResultT]
    ) -> None:
        self.fatal: Exception | None = None
        self._context, self._mode, self._on_end = context, mode, on_end
        self._tasks: set[asyncio.Task[ResultT]] = set()
        self._unplanned = 0
        self._stopped = False

    async def run(self, images: ImageList) -> tuple[ResultT, ...]:
        """Return the results of all lines, in list order."""
        context = self._context
        context.progress.expect(len(images.entries) + len(images.problems))
        context.endpoints.expect(
            [entry.source for entry in images.entries],
            [entry.destination for entry in images.entries],
        )
        results = [self._ended(self._mode.invalid(problem)) for problem in images.problems]
        self._unplanned = len(images.entries)
        queues: defaultdict[Lane, list[Entry]] = defaultdict(list)
        for entry in images.entries:
            queues[_lane(entry)].append(entry)
            context.scheduler.expect(_lane(entry))
        for ended in await together(map(self._queue, queues.values())):
            results += ended
        return tuple(sorted(results, key=lambda result: result.number))

    def stop(self) -> None:
        """Start nothing new and end what is under way; `run` returns soon."""
        self._stopped = True
        # A line that ends the run has its result: to cancel it too would lose that.
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    async def _queue(self, entries: Iterable[Entry]) -> list[ResultT]:
        """Return the results of the entries of one lane."""
        tasks = {entry: await self._begin(entry) for entry in entries}
        await settled([*tasks.values()])
        # A task that was cancelled before its first step has no result of its own.
        return [
            self._ended(self._mode.interrupted(entry, started=False))
            if task.cancelled()
            else task.result()
            for entry, task in tasks.items()
        ]

    async def _begin(self, entry: Entry) -> asyncio.Task[ResultT]:
        lane = _lane(entry)
        await self._context.scheduler.admit(lane)
        task = asyncio.ensure_future(self._result(_LineState(entry)))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._forget(lane, done))
        if self._stopped:
            task.cancel()
        return task

    def _forget(self, lane: Lane, task: asyncio.Task[ResultT]) -> None:
        self._tasks.discard(task)
        self._context.scheduler.ended(lane)

    async def _result(self, line: _LineState) -> ResultT:
        with logger.contextualize(m_id=line.entry.number):
            try:
                result = await self._stages(line)
            except asyncio.CancelledError:
                result = self._mode.interrupted(line.entry, started=line.started)
            except ImageToolsError as error:
                result = self._failed(line, error)
            except OSError as error:
                logger.opt(exception=error).debug("on this machine")
                result = self._failed(line, refused_by_system(error, str(line.entry.source)))
            except Exception as error:
                result = self._failed(line, UnknownFailure(f"{line.entry.source}: a bug"))
                self._end_run(error)
            moved = line.job.traffic.bytes_written if line.job is not None else 0
            return self._ended(self._mode.completed(result, seconds=line.seconds, moved=moved))

    def _failed(self, line: _LineState, error: ImageToolsError) -> ResultT:
        if line.job is not None:
            line.job.closed_by(error)
        result = self._mode.failed(line.entry, error)
        saves = self._context.endpoints.destination_archive is not None
        if saves and isinstance(error, DiskFull) and error.status is None:
            # The next image would find no room either. With a status it is the source's disk.
            self._end_run(error)
        return result

    def _end_run(self, error: Exception) -> None:
        self.fatal = self.fatal or error
        self.stop()

    async def _stages(self, line: _LineState) -> ResultT:
        """Take one line through probe, read and plan, and what follows."""
        try:
            job = line.job = self._context.line_job(line.entry)
            probed = await self._probe(line, job)
            if not isinstance(probed, Probed):
                return probed
            planned = await self._read_and_plan(line, job, probed)
        finally:
            self._planned()
        while isinstance(planned, TransferJob):
            try:
                return await self._finish(line, job, planned)
            except Deferred as error:
                # A transfer may read referrers that the plan could not foresee.
                await self._context.quota.put_off(error)
            finally:
                job.spend_held()
            planned = await self._read_and_plan(line, job, probed)
        return planned

    async def _probe(self, line: _LineState, job: Job) -> Probed | ResultT:
        """Return what heads tell; wait, out of the image's time, where a registry wants that."""
        context, mode = self._context, self._mode
        while True:
            try:
                with context.quota.probing(line.entry.source.registry):
                    async with context.scheduler.probe(job.lane):
                        return await self._with_preflight(
                            job, lambda: self._timed(line, mode.probe(job))
                        )
            except (Deferred, RateLimited) as error:
                await context.quota.put_off(error)

    async def _read_and_plan(
        self, line: _LineState, job: Job, probed: Probed
    ) -> TransferJob | ResultT:
        """Return what has to be done, read within the image's share of what registries count."""
        context, mode = self._context, self._mode
        if probed.is_news and mode.writes:
            context.transfers.hurry()
        wanted = probed.wanted(context, job, tops_only=mode.reads_indexes_only)
        while True:
            async with context.quota.share(wanted):
                try:
                    async with context.scheduler.probe(job.lane):
                        return await self._with_preflight(
                            job,
                            lambda: self._timed(line, mode.read_and_plan(job, probed)),
                            TransferJob,
                        )
                except Deferred as error:
                    wanted = wanted.after(error)
                except RateLimited as error:
                    await context.quota.put_off(error)

    async def _with_preflight(
        self,
        job: Job,
        stage: Callable[[], Coroutine[Any, Any, T]],
        copies: type | None = None,
    ) -> T:
        """Return the result of `stage`, once the destination accepts the login and the push."""
        preflight = self._context.preflight
        if preflight is None or not self._mode.writes:
            return await stage()
        return await preflight.prepared(job, stage, copies)

    async def _finish(self, line: _LineState, job: Job, task: TransferJob) -> ResultT:
        context, mode = self._context, self._mode
        if not mode.writes:
            async with context.scheduler.probe(job.lane):
                return await self._timed(line, mode.finish(job, task))
        await self._tools()
        registry, traffic = task.entry.destination.registry, job.traffic
        with context.progress.expected(registry, task.blobs, lambda: traffic.bytes_written):
            async with context.scheduler.image(task.work):
                job.changes_tag = task.changes_tag
                job.check_open()
                line.started = True
                return await self._timed(line, mode.finish(job, task))

    async def _tools(self) -> None:
        """Return once both tools are usable; without them the whole run ends."""
        try:
            await self._context.transfers.ready()
        except ImageToolsError as error:
            self._end_run(error)
            raise asyncio.CancelledError from error

    def _planned(self) -> None:
        self._unplanned -= 1
        if self._unplanned <= 0:
            self._context.scheduler.all_planned()

    async def _timed(self, line: _LineState, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`; raise TimedOut behind what is left of the image's time."""
        limit = self._context.options.timeout
        left = None if limit is None else max(0.0, limit - line.seconds)
        begun = time.monotonic()
        try:
            result = await within(left, work)
        finally:
            line.seconds += time.monotonic() - begun
        if result is None:
            raise TimedOut(f"{line.entry.source}: not finished within {limit:g} s, given up")
        return result

    def _ended(self, result: ResultT) -> ResultT:
        self._context.progress.image_done(self._mode.status(result))
        return self._on_end(result)


def _lane(entry: Entry) -> Lane:
    return entry.source.registry, entry.destination.registry

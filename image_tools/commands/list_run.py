"""One run of a command over an image list, from its private folder to its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from loguru import logger

from image_tools.commands.archives import ArchiveSource, OpenDestination, archived_images
from image_tools.commands.request import ListRequest
from image_tools.commands.session import RunSession
from image_tools.commands.wiring import Surroundings, Wiring
from image_tools.errors import AlreadyRunning, Interrupted
from image_tools.imagelist.entry import ImageList
from image_tools.machine.locks import RunLock, lock_path, wait_for_lock
from image_tools.oci.reference import Reference
from image_tools.report import UNFINISHED, DryRunPlan, Outcome, Report, Status
from image_tools.run.context import RunContext
from image_tools.run.copying import CopyMode
from image_tools.run.dry_run import DryRunMode
from image_tools.run.endpoints import RegistryEnd
from image_tools.run.engine import Engine
from image_tools.run.failed_list import FailedList, lines_of, origin_of
from image_tools.run.options import Options
from image_tools.run.validation import ValidateMode
from image_tools.state import State
from image_tools.stores.archive.archive import Archive
from image_tools.validation.demand import Demand

T = TypeVar("T")


class ListRun:
    """One run of what `request` says, as a context that holds its folder, port and locks.

    `wiring` builds the context of the run.
    """

    def __init__(
        self,
        request: ListRequest,
        surroundings: Surroundings,
        *,
        wiring: type[Wiring] = Wiring,
    ) -> None:
        self.request = request
        self._surroundings, self._wiring = surroundings, wiring
        self._session = RunSession(surroundings.environ)
        self._stack = ExitStack()
        self._locked: set[str] = set()
        self._outcomes: list[Outcome] = []
        self._context: RunContext | None = None
        self._engine: Engine[Outcome] | None = None
        self._failed: FailedList | None = None
        self._lines_left, self._unwritten = "", False
        self._state: State | None = None
        self._source: Archive | None = None
        self._destination = OpenDestination()

    def __enter__(self) -> ListRun:
        with ExitStack() as stack:
            stack.enter_context(self._session)
            stack.callback(self._close)
            self._state = self._opened_state()
            if self._state is not None:
                stack.callback(self._state.close)
            if isinstance(self.request.source, ArchiveSource):
                self._source = self.request.source.open()
                stack.callback(self._source.close)
            self._destination = self._opened_destination()
            stack.callback(self._destination.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def images(self) -> tuple[Reference, ...]:
        """Return the images of the source archive, by name; none where it is registries."""
        return () if self._source is None else archived_images(self._source)

    def run(self, images: ImageList) -> Report:
        """Work on all lines of `images` and return the report; a failed image is no exception.

        Raise AlreadyRunning when another run works on one of the destinations; NotFound when
        a delta archive relies on what a destination lacks; ArchiveDamaged when a repair is
        not complete. ToolMissing and ToolTooOld are raised after the failed list is written.
        """
        images = self._destination.chosen(images)
        self._check_base(images)
        begun = time.monotonic()
        self._lock(images)
        engine = self._engine_for(images)
        if self._failed is None and self.request.failed is not None:
            origin = origin_of(images, self.request.goes_to)
            self._failed = FailedList(self.request.failed, images.name, origin, lines_of(images))
        outcomes = self._session.wait(engine.run(images))
        self._outcomes += outcomes
        if self._failed is not None:
            rows = self._report(self._outcomes, begun).failed
            self._unwritten = not self._failed.finish(rows)
            self._lines_left = self._failed.place if rows and not self._unwritten else ""
        if engine.fatal is not None:
            raise engine.fatal
        _warn_of_kept(outcomes)
        if self.request.writes:
            self._destination.publish(interrupted=self._session.signal is not None)
        report = self._report(outcomes, begun)
        self._destination.check(report)
        return report

    def plan(self, images: ImageList) -> DryRunPlan:
        """Return what `run` would do with `images`; raise Interrupted when a signal came."""
        mode = DryRunMode(self._context_for(images))
        engine = Engine(mode.context, mode, lambda row: row)
        self._session.on_cancel(engine.stop)
        rows = self._session.wait(engine.run(images))
        if engine.fatal is not None:
            raise engine.fatal
        if self._session.signal is not None:
            raise Interrupted(self._session.signal)
        return mode.outlook(rows)

    def result(self, images: ImageList, work: Callable[[RunContext], Coroutine[Any, Any, T]]) -> T:
        """Return the result of `work` with the run's context.

        Raise Interrupted when a signal came.
        """
        return self._session.result(work(self._context_for(images)))

    def cancel(self, signal_number: int) -> None:
        """End the run: nothing new starts, children end. Safe in a signal handler."""
        self._session.cancel(signal_number)

    def abandon(self, signal_number: int) -> NoReturn:
        """End the process at once: children are killed, the private folder is removed."""
        self._session.abandon(signal_number)

    def _opened_state(self) -> State | None:
        """Open the state, unless the run must not trust it, or the archive has its own."""
        path = self.request.state
        if self.request.validation is not None or not self._to_registries or path is None:
            return None
        # A dry run writes nothing, not even an empty state.
        return State.open(path) if self.request.writes or path.exists() else None

    def _opened_destination(self) -> OpenDestination:
        end = self.request.destination
        if isinstance(end, RegistryEnd):
            return OpenDestination()
        if self.request.validation is not None:
            return end.to_compare()
        if self.request.options.dry_run:
            return end.to_plan()
        return self._patiently(end.to_write)

    def _patiently(self, begin: Callable[[], OpenDestination]) -> OpenDestination:
        """Return what `begin` opens, once no other run writes it; waits as the request allows."""
        wait, session = self.request.wait_lock, self._session
        say = partial(logger.debug, "{}; waiting")
        try:
            return wait_for_lock(begin, wait, session.stopped, on_wait=say)
        except AlreadyRunning as error:
            if session.signal is not None:
                raise Interrupted(session.signal) from error
            error.advice = "wait for it with --wait-lock"
            raise

    @property
    def _to_registries(self) -> bool:
        return isinstance(self.request.destination, RegistryEnd)

    def _check_base(self, images: ImageList) -> None:
        source = self.request.source
        if self._source is None or not isinstance(source, ArchiveSource):
            return
        if self.request.writes and self._to_registries and self._source.base_sizes:
            endpoints = self._context_for(images).endpoints
            self._session.wait(source.check_base(self._source, endpoints, images.entries))

    def _lock(self, images: ImageList) -> None:
        """Lock each destination registry: two runs would overwrite each other's tags and state.

        An archive is locked while it is open.
        """
        state = self.request.state
        if state is None or self.request.validation is not None or not self._to_registries:
            return
        wanted = {entry.destination.registry for entry in images.entries} - self._locked
        for registry in sorted(wanted):
            lock = RunLock(lock_path(state, registry), registry)
            try:
                lock.acquire(self.request.wait_lock, cancel=self._session.stopped)
            except AlreadyRunning as error:
                if self._session.signal is not None:
                    raise Interrupted(self._session.signal) from error
                raise
            self._stack.callback(lock.release)
            self._locked.add(registry)

    def _context_for(self, images: ImageList) -> RunContext:
        if self._context is None:
            wiring = self._wiring(
                request=self.request,
                surroundings=self._surroundings,
                workspace=self._session.workspace,
                source=self._source,
                destination=self._destination,
                state=self._state,
            )
            self._context = self._session.wait(wiring.context(images))
        return self._context

    def _engine_for(self, images: ImageList) -> Engine[Outcome]:
        if self._engine is None:
            context, validation = self._context_for(images), self.request.validation
            mode = (
                CopyMode(context)
                if validation is None
                else ValidateMode(context, validation, demand_of(context.options))
            )
            self._engine = Engine(context, mode, self._ended)
            self._session.on_cancel(self._engine.stop)
        return self._engine

    def _ended(self, outcome: Outcome) -> Outcome:
        clean = self._surroundings.clean
        warnings = tuple(map(clean, outcome.warnings))
        cleaned = replace(outcome, reason=clean(outcome.reason), warnings=warnings)
        if self._failed is not None and cleaned.status in UNFINISHED:
            # After Ctrl-C thousands come at once, and the whole list is written in a moment.
            started = cleaned.status is not Status.UNSTARTED
            self._failed.add(cleaned.again, cleaned.remark, durably=started)
        return cleaned

    def _report(self, outcomes: Sequence[Outcome], begun: float) -> Report:
        return Report(
            command=self.request.command,
            outcomes=tuple(outcomes),
            seconds=time.monotonic() - begun,
            interrupted_by=self._session.signal,
            failed_list=self._lines_left,
            unwritten=self._unwritten,
        )

    def _close(self) -> None:
        if self._context is not None:
            self._session.wait(self._context.close())


def demand_of(options: Options) -> Demand:
    """Return what a validation asks of the destination, from the options of a copy."""
    chosen = options.selection
    return Demand(
        architectures=chosen.architectures,
        systems=chosen.systems,
        variants=chosen.variants,
        attestations=chosen.attestations,
        overwrite=options.overwrite,
        keep_single=options.keep_single,
        require_platforms=options.require_platforms,
        missing_platform_fails=options.missing_platform_fails,
        names_platforms=options.names_platforms,
    )


def _warn_of_kept(outcomes: Sequence[Outcome]) -> None:
    """Warn once of unchanged images that hold more than was chosen; copied ones warned already."""
    held = [one for one in outcomes if one.kept and one.status is Status.UNCHANGED]
    if held:
        first, more = held[0], len(held) - 1
        others = f" (and {more} more image{'s' * (more > 1)})" if more else ""
        where = ", ".join(one.platform for one in first.kept)
        logger.warning(
            "{}{}: the tag still holds {} of an earlier release or from another tool, which this"
            " run did not choose",
            first.destination,
            others,
            where,
        )

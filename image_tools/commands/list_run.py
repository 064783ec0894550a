"""What all commands over image lists share: one run, from its private folder to its report."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, ClassVar, NoReturn, TypeVar

from loguru import logger

from image_tools.commands.opening import access_to
from image_tools.commands.request import MirrorRequest
from image_tools.commands.run_options import options_of
from image_tools.commands.trust import key_of, policy_of
from image_tools.errors import AlreadyRunning, Interrupted
from image_tools.imagelist.entry import ImageList
from image_tools.machine.cancel import Cancel
from image_tools.machine.event_loop import LoopThread, result_of
from image_tools.machine.locks import RunLock, lock_path
from image_tools.machine.signals import die_now
from image_tools.machine.workspace import Workspace
from image_tools.report import UNFINISHED, Outcome, Report, Status
from image_tools.run.context import RunContext, TransferContext
from image_tools.run.endpoints import Endpoints, OnSecret
from image_tools.run.engine import Engine
from image_tools.run.failed_list import FailedList, lines_of, origin_of
from image_tools.run.line.reader import Reader
from image_tools.run.line.referrers import ReferrerFinder
from image_tools.run.local_transfers import LocalTransfers
from image_tools.run.memory import Base, Memory
from image_tools.run.options import Options
from image_tools.run.preflight import Preflight
from image_tools.run.progress import Progress
from image_tools.run.prompting import Ask
from image_tools.run.quota import Quota
from image_tools.run.scheduler import Scheduler
from image_tools.run.tools.assembler import Assembler
from image_tools.run.tools.copier import Copier
from image_tools.run.tools.direct import DirectWay
from image_tools.run.tools.referrers import ReferrerCopier
from image_tools.run.tools.signer import Signer
from image_tools.run.tools.toolbox import Toolbox
from image_tools.state import State
from image_tools.stores.archive.archive import Archive
from image_tools.stores.remote.limits.meter import Meters
from image_tools.stores.remote.registries_conf import load
from image_tools.tools.policy import SignaturePolicy

RunT = TypeVar("RunT", bound="ListRun")
T = TypeVar("T")


class ListRun:
    """One run over image lists, as a context: its private folder, port and locks go with it.

    `on_secret` is told every password that is found, with its user name, before it is used;
    `clean` takes such secrets out of the words of others. `ask`, where somebody sets it, asks the
    person at the terminal for a login that a destination lets in. A command that `writes` nothing
    needs no lock and makes no state file.
    """

    command: ClassVar[str]
    writes: ClassVar[bool] = True

    def __init__(
        self,
        request: MirrorRequest,
        progress: Progress,
        environ: Mapping[str, str],
        *,
        on_secret: OnSecret = lambda *_: None,
        clean: Callable[[str], str] = str,
    ) -> None:
        self._request, self._progress, self._environ = request, progress, environ
        self._on_secret, self._clean = on_secret, clean
        self.ask: Ask | None = None
        self._stack = ExitStack()
        self._locked: set[str] = set()
        self._outcomes: list[Outcome] = []
        self._signal: int | None = None
        self._waiting = Cancel()
        self._context: RunContext | None = None
        self._engine: Engine[Outcome] | None = None
        self._failed: FailedList | None = None
        self._lines_left, self._unwritten = "", False
        self._sole: Future[Any] | None = None
        self._source_archive: Archive | None = None
        self._destination_archive: Archive | None = None

    def __enter__(self: RunT) -> RunT:
        with ExitStack() as stack:
            self._workspace = stack.enter_context(Workspace.create(self._environ))
            self._loop = LoopThread()
            stack.callback(self._loop.stop)
            stack.callback(self._close)
            self._state = self._remembered()
            if self._state is not None:
                stack.callback(self._state.close)
            self._open_archive(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def run(self, images: ImageList) -> Report:
        """The report of all lines of `images`; a failed image is no exception.

        AlreadyRunning when another run works on one of the destinations. ToolMissing and
        ToolTooOld are raised when the failed list is written.
        """
        begun = time.monotonic()
        self._lock(images)
        engine = self._engine = self._engine or self._engine_over(self._opened_context(images))
        if self._signal is not None:
            # It came before there was an engine to hear of it.
            self._loop.loop.call_soon_threadsafe(engine.stop)
        if self._failed is None and self._request.failed is not None:
            origin = origin_of(images, self._request.goes_to)
            self._failed = FailedList(self._request.failed, images.name, origin, lines_of(images))
        outcomes = result_of(self._loop.submit(engine.run(images)))
        self._outcomes += outcomes
        if self._failed is not None:
            rows = self._report(self._outcomes, begun).failed
            self._unwritten = not self._failed.finish(rows)
            self._lines_left = self._failed.place if rows and not self._unwritten else ""
        if engine.fatal is not None:
            raise engine.fatal
        _warn_of_kept(outcomes)
        self._conclude()
        return self._report(outcomes, begun)

    def cancel(self, signal_number: int) -> None:
        """End the run: nothing new starts, children end. May be called in a signal handler."""
        self._signal = signal_number
        self._waiting.set()
        self._loop.loop.call_soon_threadsafe(self._stop)

    def abandon(self, signal_number: int) -> NoReturn:
        """End the program at once: children are killed, the private folder is removed."""
        die_now(self._workspace.path)(signal_number)
        raise AssertionError("unreachable")

    def _engine_over(self, context: RunContext) -> Engine[Outcome]:
        """The engine that does this command's work on every line."""
        raise NotImplementedError

    def _open_archive(self, stack: ExitStack) -> None:
        """Set the archive that is an end of this command, if one is; `stack` closes it."""

    def _conclude(self) -> None:
        """What is left to do at the end of a run, when images failed or a signal came, too."""

    def _memory(self) -> Memory | None:
        """What earlier runs finished."""
        return self._state

    def _base(self) -> Base | None:
        """What need not be at the destination, since the far side has it."""
        return None

    def _stop(self) -> None:
        if self._engine is not None:
            self._engine.stop()
        if self._sole is not None:
            self._sole.cancel()

    def _result_of(self, work: Coroutine[Any, Any, T]) -> T:
        """What the one `work` of this run comes to; Interrupted when the run is ended before."""
        future = self._loop.submit(work)
        self._sole = future
        if self._signal is not None:
            future.cancel()
        try:
            return result_of(future)
        except CancelledError:
            raise Interrupted(self._signal or signal.SIGINT) from None

    def _ended(self, outcome: Outcome) -> Outcome:
        warnings = tuple(map(self._clean, outcome.warnings))
        cleaned = replace(outcome, reason=self._clean(outcome.reason), warnings=warnings)
        if self._failed is not None and cleaned.status in UNFINISHED:
            # After Ctrl-C thousands come at once, and the whole list is written in a moment.
            started = cleaned.status is not Status.UNSTARTED
            self._failed.add(cleaned.again, cleaned.remark, durably=started)
        return cleaned

    def _report(self, outcomes: Sequence[Outcome], begun: float) -> Report:
        return Report(
            command=self.command,
            outcomes=tuple(outcomes),
            seconds=time.monotonic() - begun,
            interrupted_by=self._signal,
            failed_list=self._lines_left,
            unwritten=self._unwritten,
        )

    def _remembered(self) -> State | None:
        path = self._request.state
        # A dry run writes nothing, not even an empty state.
        writes = self.writes and not self._request.dry_run
        if path is None or not (writes or path.exists()):
            return None
        return State.open(path)

    def _lock(self, images: ImageList) -> None:
        """One lock per destination registry: two runs would fight over tags and state."""
        if self._request.state is None or not self.writes:
            return
        wanted = {entry.destination.registry for entry in images.entries} - self._locked
        for registry in sorted(wanted):
            lock = RunLock(lock_path(self._request.state, registry), registry)
            try:
                lock.acquire(self._request.wait_lock, cancel=self._waiting)
            except AlreadyRunning as error:
                if self._signal is not None:
                    raise Interrupted(self._signal) from error
                raise
            self._stack.callback(lock.release)
            self._locked.add(registry)

    def _opened_context(self, images: ImageList) -> RunContext:
        if self._context is None:
            self._context = self._loop.submit(self._assembled(images)).result()
        return self._context

    async def _assembled(self, images: ImageList) -> RunContext:
        options = options_of(self._request)
        endpoints = self._ends(images, options)
        if self._request.base is not None:
            endpoints.note_base(self._request.base.read_from)
        scheduler = Scheduler(options.dispatched, options.jobs)
        toolbox, reader = self._toolbox(options), Reader()
        # A policy speaks of registries: it was applied when an archive was saved.
        is_bound = self._source_archive is None
        policy = policy_of(self._request, self._environ) if is_bound else SignaturePolicy()
        direct = DirectWay(policy, options.direct, endpoints, toolbox)
        copier = Copier(toolbox, options, reader, scheduler, direct)
        assembler = Assembler(toolbox, reader, scheduler, options.retry, copier.own)
        finder, referrers, signer, key = None, None, None, self._request.signing_key
        if not self._request.remove_signatures:
            finder = ReferrerFinder(reader)
            referrers = ReferrerCopier(reader, copier, assembler, options.overwrite)
        if key is not None:
            trusted = key_of(key, self._workspace)
            signer = Signer(toolbox, reader, scheduler, options.retry, trusted)
        transfers = TransferContext(
            options=options,
            endpoints=endpoints,
            toolbox=toolbox,
            reader=reader,
            copier=copier,
            assembler=assembler,
            progress=self._progress,
            referrers=referrers,
            signer=signer,
        )
        self._local_transfers = LocalTransfers(transfers)
        context = RunContext(
            options=options,
            endpoints=endpoints,
            reader=reader,
            scheduler=scheduler,
            progress=self._progress,
            quota=Quota(endpoints.meters, self._progress, waits=options.waits_for_quota),
            transfers=self._local_transfers,
            reads_directly=direct.applies_to,
            state=self._memory(),
            preflight=None if self._request.skip_login else Preflight(endpoints, self.ask),
            referrers=finder,
            base=self._base(),
        )
        self._progress.bytes_source = lambda: context.account.bytes_written
        return context

    def _ends(self, images: ImageList, options: Options) -> Endpoints:
        sources = {entry.source.registry for entry in images.entries}
        destinations = {entry.destination.registry for entry in images.entries}
        return Endpoints(
            source=access_to(self._request.source, sources),
            destination=access_to(self._request.destination, destinations),
            retry=options.retry,
            flights=options.flights,
            environ=self._environ,
            conf=load(self._environ),
            on_secret=self._on_secret,
            harbor=self._request.harbor,
            source_archive=self._source_archive,
            destination_archive=self._destination_archive,
            meters=Meters(options.pull_budget),
        )

    def _toolbox(self, options: Options) -> Toolbox:
        return Toolbox(
            self._workspace,
            self._environ,
            threads=options.jobs + 1,
            download=self._request.download,
            on_download=self._show_download,
        )

    def _show_download(self, done: int, total: int | None) -> None:
        of_total = f" of {total / 1e6:.0f}" if total else ""
        text = f"downloading skopeo: {done / 1e6:.0f}{of_total} MB"
        self._progress.begin("skopeo", text)
        if done == total:
            self._progress.end("skopeo")

    def _close(self) -> None:
        if self._context is not None:
            result_of(self._loop.submit(self._context.close()))


def _warn_of_kept(outcomes: Sequence[Outcome]) -> None:
    """Warn once about unchanged images that hold more than was chosen; copied ones were told."""
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

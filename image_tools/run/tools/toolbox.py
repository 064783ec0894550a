"""The tools of a run: found and probed once, given the exchange to talk to, run in threads."""

from __future__ import annotations

import asyncio
import contextvars
import platform
import shlex
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from image_tools.errors import (
    CopyFailed,
    ImageToolsError,
    IntegrityError,
    ManifestUnsupported,
    ToolMissing,
)
from image_tools.exchange.sessions import ToolSession
from image_tools.logins.auth_file import Credentials, auth_document
from image_tools.machine import run as process
from image_tools.machine.cancel import Cancel
from image_tools.machine.concurrency import settled, together
from image_tools.machine.run import CompletedRun
from image_tools.machine.workspace import Workspace
from image_tools.oci.reference import Reference
from image_tools.tools import install
from image_tools.tools.diagnose import diagnose, last_line
from image_tools.tools.environment import (
    child_environment,
    direct_environment,
    prepare_folders,
)
from image_tools.tools.locate import downloaded_skopeo, find_buildx, find_skopeo
from image_tools.tools.skopeo import OPEN_POLICY, SkopeoSetting
from image_tools.tools.unreadable import cannot_parse
from image_tools.tools.versions import Version, probe

if TYPE_CHECKING:
    from image_tools.exchange.server import Exchange

Notice = Callable[[int, int | None], None]
_Found = tuple[Path, Version]


@dataclass(frozen=True, slots=True)
class Tools:
    """Both tools, usable: skopeo's setting for the exchange and its version, buildx's binary."""

    setting: SkopeoSetting
    skopeo: Version
    buildx: str


class Toolbox:
    """Runs skopeo and buildx against the exchange, which it starts with the first use.

    `download` allows a missing skopeo to be installed; `on_download` is told the bytes of that.
    Belongs to the event loop.
    """

    def __init__(
        self,
        workspace: Workspace,
        environ: Mapping[str, str],
        *,
        threads: int,
        download: bool = False,
        on_download: Notice | None = None,
    ) -> None:
        self.workspace = workspace
        self._environ = environ
        self._download, self._on_download = download, on_download
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tool")
        self._exchange: Exchange | None = None
        self._tools: asyncio.Task[Tools] | None = None
        self._numbers = iter(range(1, 1 << 62))

    @property
    def exchange(self) -> Exchange:
        """Return the registry that the tools talk to; it starts with the first use of a tool."""
        assert self._exchange is not None, "no tools yet"
        return self._exchange

    def hurry(self) -> None:
        """Begin to probe the tools; errors are raised to whoever awaits the tools later.

        A missing tool is downloaded only by `tools`.
        """
        with suppress(ToolMissing):
            find_skopeo(self._environ)
            self._begin()

    async def tools(self) -> Tools:
        """Return both tools, probed; raise ToolMissing or ToolTooOld."""
        begun = self._begin()
        try:
            return await asyncio.shield(begun)
        except ImageToolsError:
            if self._tools is begun:
                self._tools = None  # The next who asks may be luckier.
            raise

    async def run(self, argv: tuple[str, ...], *, direct: bool = False) -> CompletedRun:
        """Return what the tool printed and how it ended; cancelling ends its process group."""
        base = direct_environment if direct else child_environment
        environment = base(self.workspace.path, self._environ)
        cancel = Cancel()
        logger.debug("running {}", shlex.join(argv))
        work = partial(
            process.run,
            argv,
            environment=environment,
            timeout=None,
            cancel=cancel,
            on_line=lambda line: logger.debug("{}: {}", Path(argv[0]).name, line),
        )
        completed: CompletedRun = await self._in_thread(work, cancel)
        logger.debug("exit code {} after {:.2f} s", completed.returncode, completed.seconds)
        return completed

    def new_folder(self, name: str) -> Path:
        """Return a new private folder of this run."""
        folder = self.workspace.path / f"{name}-{next(self._numbers)}"
        folder.mkdir(mode=0o700)
        return folder

    async def close(self) -> None:
        """Close the port; tools have ended by now."""
        if self._tools is not None:
            self._tools.cancel()
            await settled([self._tools])
        if self._exchange is not None:
            await self._exchange.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _start_exchange(self) -> None:
        # A server is much to import for a run that finds nothing to copy.
        from image_tools.exchange.server import Exchange

        if self._exchange is None:
            exchange = Exchange()
            try:
                await exchange.start()
            except BaseException:
                await exchange.stop()
                raise
            self._exchange = exchange

    def _begin(self) -> asyncio.Task[Tools]:
        if self._tools is None:
            self._tools = asyncio.ensure_future(self._prepared())
        return self._tools

    async def _prepared(self) -> Tools:
        prepare_folders(self.workspace.path)
        skopeo, buildx, _ = await together(
            [self._found(self._skopeo), self._found(self._buildx), self._start_exchange()]
        )
        assert skopeo is not None
        assert buildx is not None
        return Tools(self._setting(str(skopeo[0])), skopeo[1], str(buildx[0]))

    async def _found(self, find: Callable[[Cancel], _Found]) -> _Found:
        cancel = Cancel()
        found: _Found = await self._in_thread(lambda: find(cancel), cancel)
        return found

    async def _in_thread(self, work: Callable[[], Any], cancel: Cancel | None = None) -> Any:
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        future = loop.run_in_executor(self._pool, partial(context.run, work))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if cancel is not None:
                cancel.set()
            await settled([future])
            raise

    def _setting(self, skopeo: str) -> SkopeoSetting:
        # buildx reads the login in docker's own place.
        self.workspace.write_private("docker/config.json", self._login())
        return SkopeoSetting(
            skopeo=skopeo,
            policy=self.workspace.write_private("policy.json", OPEN_POLICY),
            authfile=self.workspace.write_private("auth.json", self._login()),
            tmpdir=self.workspace.path / "tmp",
            registries_conf=self.workspace.write_private("registries.conf", b""),
            registries_d=self.new_folder("registries.d"),
        )

    def _login(self) -> bytes:
        return auth_document({self.exchange.address: Credentials(*self.exchange.login)})

    def _skopeo(self, cancel: Cancel) -> _Found:
        try:
            found = find_skopeo(self._environ)
        except ToolMissing:
            if not self._download or self._environ.get("IMAGE_TOOLS_SKOPEO"):
                raise
            found = self._installed(cancel)
        version = probe("skopeo", found, self._child_environment(), cancel=cancel)
        logger.debug("skopeo {} is {}", version, found)
        return found, version

    def _installed(self, cancel: Cancel) -> Path:
        download = install.download_for(platform.machine(), platform.system(), self._environ)
        target = downloaded_skopeo(self._environ)
        logger.info("skopeo is not installed: downloading it to {}", target)
        try:
            return install.install_skopeo(
                download,
                target,
                environ=self._environ,
                on_progress=self._on_download,
                cancel=cancel,
            )
        except (CopyFailed, IntegrityError) as error:
            raise ToolMissing(
                f"skopeo is not installed and could not be downloaded: {error}", advice=error.advice
            ) from error

    def _buildx(self, cancel: Cancel) -> _Found:
        found = find_buildx(self._environ)
        version = probe("buildx", found, self._child_environment(), cancel=cancel)
        logger.debug("docker buildx {} is {}", version, found)
        return found, version

    def _child_environment(self) -> dict[str, str]:
        return child_environment(self.workspace.path, self._environ)


def under_policy(setting: SkopeoSetting, policy: Path) -> SkopeoSetting:
    """Return `setting` for a source that skopeo reads by itself, with the machine's own mirrors."""
    return replace(setting, policy=policy, registries_conf=None, registries_d=None)


def cause_of(
    completed: CompletedRun, reference: Reference, *sessions: ToolSession
) -> ImageToolsError | None:
    """Return the failure of a tool run about `reference`, None if it succeeded.

    The first of `sessions` whose store failed names the cause; only without one the last words of
    the tool do. ManifestUnsupported is never a registry's answer: only a tool says that.
    """
    if completed.returncode == 0:
        return None
    for session in sessions:
        if session.cause is not None:
            return session.cause
    tool = Path(completed.argv[0]).name.removeprefix("docker-")
    error = diagnose(completed.stderr, str(reference), returncode=completed.returncode, tool=tool)
    if completed.returncode > 0 and cannot_parse(last_line(completed.stderr)) is not None:
        return ManifestUnsupported(error.message)
    return error

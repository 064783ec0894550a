"""Check before anything is moved that each destination accepts the login and pushes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from loguru import logger

from image_tools.errors import CopyFailed, Unauthorized
from image_tools.logins.auth_file import Credentials
from image_tools.run.endpoints import Endpoints
from image_tools.run.job import Job
from image_tools.stores.store import ChecksAdmission
from image_tools.web.tls import TlsChoice

TRIES = 3
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _RegistryAdmission:
    """One destination registry: `logins` counts those that were typed since it was opened.

    `readable`: some image of it could be looked at. `refused` and `refused_pushes` are why no
    image of it is looked at any more, or copied there.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    logins: int = 0
    readable: bool = False
    refused: Unauthorized | None = None
    refused_pushes: Unauthorized | None = None

    def closed(self, *, push: bool) -> Unauthorized | None:
        """Return why the registry refuses every image, to read or to `push`; else None."""
        return self.refused or (self.refused_pushes if push else None)

    def close(self, error: Unauthorized, *, push: bool) -> None:
        """Refuse every later image with `error`."""
        if push:
            self.refused_pushes = error
        else:
            self.refused = error


@dataclass(slots=True, eq=False)
class _Room:
    """One destination repository: whether it was tried, and why it takes no pushes."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    tried: bool = False
    refused: CopyFailed | None = None


class Preflight:
    """Asks each destination registry once for admission, each repository once for pushes.

    An unchanged image costs nothing more: the login is looked at when its own requests are
    refused, and only repositories that something is copied to are tried. `ask` asks the user at the
    terminal for another login, None without one. Belongs to the event loop.
    """

    def __init__(self, endpoints: Endpoints, ask: Ask | None = None) -> None:
        self._endpoints, self._ask = endpoints, ask
        self._doors: defaultdict[str, _RegistryAdmission] = defaultdict(_RegistryAdmission)
        self._rooms: defaultdict[tuple[str, str], _Room] = defaultdict(_Room)

    async def prepared(
        self, job: Job, prepare: Callable[[], Awaitable[T]], copies: type | None = None
    ) -> T:
        """Return the result of `prepare()`; if it is one of `copies`, the repository accepts
        pushes.

        Raise Unauthorized, without another request, for every image of a registry that refused the
        login; AccessDenied or another refusal for a repository that accepts no pushes.
        """
        admission = job.end.store.abilities.admission
        if admission is None:
            return await prepare()
        found = await self._through(job, admission, prepare, push=False)
        self._doors[job.end.store.name].readable = True
        if copies is not None and isinstance(found, copies):
            await self._through(job, admission, lambda: self.try_push(job, admission), push=True)
        return found

    async def _through(
        self, job: Job, admission: ChecksAdmission, ask: Callable[[], Awaitable[T]], *, push: bool
    ) -> T:
        door = self._doors[job.end.store.name]
        while True:
            refused = door.closed(push=push)
            if refused is not None:
                raise _about(refused, job)
            logins = door.logins
            try:
                return await ask()
            except Unauthorized as error:
                async with door.lock:
                    if door.logins == logins:
                        await self._open(job, admission, error, push=push)

    async def _open(
        self, job: Job, admission: ChecksAdmission, error: Unauthorized, *, push: bool
    ) -> None:
        """Return once the user has typed a login that is accepted; raise `error` otherwise."""
        registry = job.end.store.name
        door = self._doors[registry]
        if door.closed(push=push) is not None:
            raise error
        if not await self._is_about_login(job, admission, push=push):
            raise _about_rights(error) if push and not error.own_advice else error
        if not await self._typed(registry, admission, error):
            door.close(error, push=push)
            raise error

    async def _is_about_login(self, job: Job, admission: ChecksAdmission, *, push: bool) -> bool:
        """Return whether the destination lacks a login, or refuses the one there is.

        If it accepts the login, that has no right in this repository, or the source refused it.
        """
        name, store = job.destination.name, job.end.store
        try:
            if await admission.login(name) is not None:
                return False
            if not push and not self._doors[store.name].readable:
                await store.manifest_head(name, job.tag)
        except Unauthorized:
            return True
        except CopyFailed:
            return False
        return push

    async def _typed(self, registry: str, admission: ChecksAdmission, error: Unauthorized) -> bool:
        """Return whether the user typed a login that the registry accepts, within `TRIES` tries."""
        if self._ask is None:
            return False
        reason, is_plain = error.message, await admission.is_plain()
        for _ in range(TRIES):
            prompt = Prompt(
                registry=registry,
                tls=self._endpoints.destination.tls,
                is_plain=is_plain,
                reason=reason,
            )
            credentials = await asyncio.to_thread(self._ask, prompt)
            if credentials is not None:
                self._endpoints.use_login(registry, credentials)
                try:
                    await admission.login()
                except Unauthorized as refusal:
                    reason = refusal.message
                    continue
                self._doors[registry].logins += 1
                return True
        return False

    async def try_push(self, job: Job, admission: ChecksAdmission) -> None:
        """Raise the refusal unless the repository accepts pushes; it is asked once in a run."""
        room = self._rooms[job.end.store.name, job.destination.name]
        async with room.lock:
            if not room.tried:
                job.check_open()
                room.refused = await _refusal(job, admission)
                room.tried = True
        if room.refused is not None:
            job.closed_by(room.refused)
            raise room.refused.copied()


async def _refusal(job: Job, admission: ChecksAdmission) -> CopyFailed | None:
    """Return why no push is accepted, None if one is or if the failure may pass."""
    await job.ensure_project()
    try:
        await admission.try_push(job.destination.name)
    except Unauthorized:
        raise
    except CopyFailed as error:
        if error.temporary or error.exhausted:
            logger.debug("{}", error)
            return None
        return error
    return None


def _about_rights(error: Unauthorized) -> Unauthorized:
    """Return `error` with the hint that the login is accepted but has no right to push."""
    return error.copied(
        advice="the login is accepted and may not push here: ask for the right, or use another one"
    )


def _about(error: Unauthorized, job: Job) -> Unauthorized:
    """Return `error`, which another image met, as the failure of this one."""
    return error.copied(f"{job.entry.destination}: not tried: {error.message}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Which login is asked for; `is_plain`: the registry speaks plain HTTP. `reason`: why."""

    registry: str
    tls: TlsChoice = TlsChoice()
    is_plain: bool = False
    username: str = ""
    reason: str = ""


Ask = Callable[[Prompt], Credentials | None]

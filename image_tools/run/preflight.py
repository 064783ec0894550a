"""Before anything is moved: does each destination let us in, and does it take pushes?"""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from loguru import logger

from image_tools.errors import CopyFailed, Unauthorized
from image_tools.run.endpoints import Endpoints
from image_tools.run.line.job import Job
from image_tools.run.line.projects import ensure_project
from image_tools.run.prompting import Ask, Prompt
from image_tools.stores.remote.registry import Remote

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
        """Why nobody gets in, to read or to `push`."""
        return self.refused or (self.refused_pushes if push else None)

    def close(self, error: Unauthorized, *, push: bool) -> None:
        """Let nobody in any more."""
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
    refused, and only repositories that something is copied to are tried. `ask` asks the person at
    the terminal for another login, None where there is nobody. Belongs to the event loop.
    """

    def __init__(self, endpoints: Endpoints, ask: Ask | None = None) -> None:
        self._endpoints, self._ask = endpoints, ask
        self._doors: defaultdict[str, _RegistryAdmission] = defaultdict(_RegistryAdmission)
        self._rooms: defaultdict[tuple[str, str], _Room] = defaultdict(_Room)

    async def prepared(
        self, job: Job, prepare: Callable[[], Awaitable[T]], copies: type | None = None
    ) -> T:
        """What `prepare()` gives; where that is one of `copies`, the destination takes pushes.

        Unauthorized, without another question, for all images of a registry that refuses the
        login. AccessDenied or whatever else the registry says of a repository without pushes.
        """
        store = job.end.store
        if not isinstance(store, Remote):
            return await prepare()
        found = await self._through(job, store, prepare, push=False)
        self._doors[store.name].readable = True
        if copies is not None and isinstance(found, copies):
            await self._through(job, store, lambda: self.try_push(job, store), push=True)
        return found

    async def _through(
        self, job: Job, store: Remote, ask: Callable[[], Awaitable[T]], *, push: bool
    ) -> T:
        door = self._doors[store.name]
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
                        await self._open(job, store, error, push=push)

    async def _open(self, job: Job, store: Remote, error: Unauthorized, *, push: bool) -> None:
        """Nothing when somebody has typed a login that is let in; raises `error` otherwise."""
        door = self._doors[store.name]
        if door.closed(push=push) is not None:
            raise error
        if not await self._is_about_login(job, store, push=push):
            raise _about_rights(error) if push and not error.own_advice else error
        if not await self._typed(store, error):
            door.close(error, push=push)
            raise error

    async def _is_about_login(self, job: Job, store: Remote, *, push: bool) -> bool:
        """Whether the destination lacks a login, or refuses the one there is.

        What it lets in has no right in this repository; or it was the source that refused.
        """
        name, door = job.destination.name, self._doors[store.name]
        try:
            if await store.admission.login(name) is not None:
                return False
            if not push and not door.readable:
                await store.manifest_head(name, job.tag)
        except Unauthorized:
            return True
        except CopyFailed:
            return False
        return push

    async def _typed(self, store: Remote, error: Unauthorized) -> bool:
        """Whether somebody typed a login that the registry lets in; three tries."""
        if self._ask is None:
            return False
        reason, is_plain = error.message, await store.admission.is_plain()
        for _ in range(TRIES):
            prompt = Prompt(
                registry=store.name,
                tls=self._endpoints.destination.tls,
                is_plain=is_plain,
                reason=reason,
            )
            credentials = await asyncio.to_thread(self._ask, prompt)
            if credentials is not None:
                self._endpoints.use_login(store.name, credentials)
                try:
                    await store.admission.login()
                except Unauthorized as refusal:
                    reason = refusal.message
                    continue
                self._doors[store.name].logins += 1
                return True
        return False

    async def try_push(self, job: Job, store: Remote) -> None:
        """Nothing when the repository takes pushes; raises why it does not."""
        room = self._rooms[store.name, job.destination.name]
        async with room.lock:
            if not room.tried:
                job.check_open()
                room.refused = await _refusal(job, store)
                room.tried = True
        if room.refused is not None:
            job.closed_by(room.refused)
            raise copy.copy(room.refused)


async def _refusal(job: Job, store: Remote) -> CopyFailed | None:
    """Why no push is taken. What may pass is no refusal: the copy will see."""
    await ensure_project(job)
    store.expect((job.destination.name,), push=True)
    try:
        await store.admission.try_push(job.destination.name)
    except Unauthorized:
        raise
    except CopyFailed as error:
        if error.temporary or error.exhausted:
            logger.debug("{}", error)
            return None
        return error
    return None


def _about_rights(error: Unauthorized) -> Unauthorized:
    """`error`, which another login may not have: this one is accepted."""
    own = copy.copy(error)
    own.advice = (
        "the login is accepted and may not push here: ask for the right, or use another one"
    )
    return own


def _about(error: Unauthorized, job: Job) -> Unauthorized:
    """`error`, which came for another image, for this one."""
    own = copy.copy(error)
    own.message = f"{job.entry.destination}: not tried: {error.message}"
    own.args = (own.message,)
    return own

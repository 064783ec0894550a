"""Harbor: a registry whose repositories are in projects, which must exist before a push.

Source: Harbor 2's API (`api/v2.0/swagger.yaml`, projects) and the answers of its core: any request
about a repository in a missing project is refused with 401.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from loguru import logger
from yarl import URL

from image_tools.errors import (
    AccessDenied,
    CopyFailed,
    ImageToolsError,
    InvalidReference,
    NotFound,
    UnknownFailure,
)
from image_tools.logins.credentials import Keyring
from image_tools.oci.digest import Digest
from image_tools.stores.remote.api import ApiAnswer, ApiRequest
from image_tools.stores.remote.failures import permanent
from image_tools.stores.remote.registry import Remote, RemoteOptions
from image_tools.stores.remote.tokens.realm import basic_header
from image_tools.stores.store import Abilities, ManifestHead
from image_tools.web.address import root_url

PROJECTS = "/api/v2.0/projects"
_CREATED, _MOVED, _EXISTS = 201, frozenset({301, 302, 303, 307, 308}), 409
_REFUSALS = frozenset({400, 401, 403})
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class HarborSetting:
    """How Harbor's API is reached, and whether projects created there are public.

    With `https` the API is reached like the registry itself: by TLS, unless plain HTTP is allowed.
    Without it, the API is reached over plain HTTP.
    """

    https: bool = True
    public: bool = False


@dataclass(slots=True, eq=False)
class _Project:
    """The known state of a project; `failed` is why it could not be created, and when."""

    exists: bool = False
    missing: bool = False
    created: bool = False
    failed: tuple[ImageToolsError, float] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Harbor(Remote):
    """The Harbor `registry`, a Store; content of a missing project is missing, not refused."""

    def __init__(
        self,
        registry: str,
        keyring: Keyring,
        options: RemoteOptions,
        environ: Mapping[str, str],
        setting: HarborSetting,
    ) -> None:
        super().__init__(registry, keyring, options, environ)
        self._keyring, self._setting = keyring, setting
        self._projects: defaultdict[str, _Project] = defaultdict(_Project)

    @property
    def abilities(self) -> Abilities:
        """Return what a registry can do, and that this one creates projects."""
        return replace(super().abilities, projects=self)

    async def manifest_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        """Return the head as Remote does; None where the whole project is missing."""
        head = super().manifest_head
        return await self._unless_missing(repository, lambda: head(repository, reference))

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        """Return the size as Remote does; None where the whole project is missing."""
        size = super().blob_size
        return await self._unless_missing(repository, lambda: size(repository, digest))

    async def ensure_project(self, repository: str) -> bool:
        """Create the project of `repository` unless it exists; return whether it was created.

        The API is asked once in a run; concurrent callers for one project share the answer. Raises
        why there is no project, with advice on how to create it by hand.
        """
        name, slash, _ = repository.partition("/")
        if not slash:
            raise InvalidReference(
                f"{self.name}/{repository}: a Harbor keeps repositories in projects only:"
                f" write {self.name}/PROJECT/{repository}, or give --default-project"
            )
        project, begun = self._projects[name], time.monotonic()
        async with project.lock:
            if project.exists:
                return False
            _raise_known(project, begun)
            try:
                project.created = await self._create(name, repository)
            except ImageToolsError as error:
                error.advice = error.own_advice or _advice(error, self.name, name)
                project.failed = error.copied(), time.monotonic()
                raise
            if project.created or project.missing:
                # Tokens from before the project existed allow nothing in it.
                self._client.authorizer.forget(name)
            project.exists, project.missing = True, False
            return project.created

    async def _unless_missing(
        self, repository: str, ask: Callable[[], Awaitable[T | None]]
    ) -> T | None:
        name = repository.partition("/")[0]
        project = self._projects[name]
        if project.missing:
            return None
        try:
            found = await ask()
        except CopyFailed as error:
            if error.status not in _REFUSALS:
                raise
            if await self._is_missing(name, repository):
                return None
            if not project.created:
                raise
            # It was created in the meantime.
            return await ask()
        project.exists = project.exists or found is not None
        return found

    async def _is_missing(self, name: str, repository: str) -> bool:
        """Return whether a project seems to be missing, looked up once after a refusal."""
        project = self._projects[name]
        async with project.lock:
            if not (project.exists or project.missing):
                status = await self._look_up(name, repository)
                if isinstance(status, CopyFailed):
                    raise status
                # Some versions answer 403 even to an administrator: creating it decides.
                project.exists, project.missing = status == 200, status in (403, 404)
            return project.missing

    async def _look_up(self, name: str, repository: str) -> int | CopyFailed:
        """Return the status of a look-up of the project, or the failure to get an answer."""
        try:
            return (await self._ask("HEAD", name, repository, {200, 403, 404})).status
        except CopyFailed as error:
            logger.debug("{}", error)
            return error if error.status is None or error.temporary else error.status

    async def _create(self, name: str, repository: str) -> bool:
        """Create a project; return False when it exists already."""
        # 403 may be about creating only: a robot account may push to existing projects.
        expected = {_CREATED, _EXISTS, 403, *_MOVED}
        answer = await self._ask("POST", name, repository, expected)
        place = f"{self.name}/{name}: creating the project"
        if answer.status in _MOVED:
            said = f"{place}: the API is elsewhere ({answer.words})"
            raise permanent(UnknownFailure(said, status=answer.status))
        if answer.status == 403 and await self._look_up(name, repository) != 200:
            raise AccessDenied(f"{place}: access denied ({answer.words})", status=403)
        return answer.status == _CREATED

    async def _ask(self, method: str, name: str, repository: str, expected: set[int]) -> ApiAnswer:
        credentials = await self._keyring.find(self.name, repository)

        async def once() -> ApiAnswer:
            request = self._request(method, name, await self._root(), frozenset(expected))
            # A login that was not accepted yet is tried here alone.
            async with self._client.authorizer.tried_logins.login(credentials):
                return await self._client.ask_other_api(request, basic_header(credentials))

        return await self._client.repeat(once)

    async def _root(self) -> URL:
        if self._setting.https:
            return await self._client.root()
        return root_url(self.name, "http")

    def _request(self, method: str, name: str, root: URL, expected: frozenset[int]) -> ApiRequest:
        creates = method == "POST"
        metadata = {"public": "true" if self._setting.public else "false"}
        body = json.dumps({"project_name": name, "metadata": metadata}).encode()
        query = "" if creates else f"?project_name={name}"
        return ApiRequest(
            method=method,
            repository="",
            reference=f"{self.name}/{name}",
            url=URL(f"{root}{PROJECTS}{query}", encoded=True),
            headers={"Content-Type": "application/json"} if creates else {},
            body=body if creates else None,
            expected=expected,
            doing="creating the project" if creates else "looking for the project",
        )


def _raise_known(project: _Project, begun: float) -> None:
    """Raise a failure that is permanent, or that happened while the caller waited."""
    if project.failed is not None:
        error, moment = project.failed
        if moment >= begun or not error.temporary:
            raise error.copied()


def _advice(error: ImageToolsError, registry: str, name: str) -> str:
    by_hand = f"create the project {name} at {registry} by hand (Projects, New Project)"
    if isinstance(error, NotFound):
        return f"leave --repo-type out if {registry} is no Harbor 2, else {by_hand}"
    if isinstance(error, AccessDenied):
        return f"{by_hand}, or log in with an account that may create projects"
    if error.temporary:
        return f"run again with the failed list, or {by_hand}"
    if isinstance(error, CopyFailed) and error.status in _MOVED:
        return f"leave --harbor-https=false out, or {by_hand}"
    return f"{by_hand}, or log in to {registry} again"

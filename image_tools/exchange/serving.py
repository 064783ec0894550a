"""An archive as a read-only registry."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import secrets
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import bcrypt
from aiohttp import web
from loguru import logger

from image_tools.errors import EnvironmentProblem, ImageToolsError, NotFound, UsageError
from image_tools.exchange import blobs, manifests
from image_tools.exchange.api import (
    Endpoint,
    Route,
    answer,
    error_answer,
    failure,
    public_route,
    unauthorized,
)
from image_tools.exchange.ledger import Traffic
from image_tools.exchange.sessions import ToolSession
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.manifest import Index, index_bytes
from image_tools.oci.reference import DOCKER_HUB
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.store import ArchiveStore

_READS = {
    Endpoint.MANIFEST_GET: manifests.read,
    Endpoint.MANIFEST_HEAD: manifests.read,
    Endpoint.BLOB_HEAD: blobs.head,
    Endpoint.BLOB_GET: blobs.get,
}
_JSON = {"Content-Type": "application/json"}
SHUTDOWN_SECONDS = 2.0
_BCRYPT = ("$2a$", "$2b$", "$2y$")
_NOBODY = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(4))


class ArchiveServer:
    """Answers requests for all repositories of `archive`, to `users` or to anyone.

    A repository is requested as `registry/repository` or, as the mirror of a registry, by its name
    with containerd's `?ns=registry`; the bare name is enough where only one registry has it, or
    docker.io has. `traffic` adds up what was read. Belongs to the event loop.
    """

    def __init__(self, archive: Archive, users: HtpasswdUsers | None) -> None:
        self.traffic = Traffic()
        self._archive, self._users = archive, users
        self._runner: web.ServerRunner | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Listen, and return the port, which the system chooses for 0.

        Raise EnvironmentProblem when that fails.
        """
        server = web.Server(self._handle, access_log=None, auto_decompress=False)
        runner = self._runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls, reuse_address=True).start()
        except OSError as error:
            await runner.cleanup()
            raise EnvironmentProblem(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                advice="name another address with --listen HOST:PORT",
            ) from error
        chosen: int = runner.addresses[0][1]
        return chosen

    async def stop(self) -> None:
        """Close the port and open connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        authorization = request.headers.get("Authorization", "")
        if self._users is not None and not await self._users.accepts(authorization):
            return unauthorized()
        asked = public_route(request.method, request.rel_url.path)
        try:
            answered = await self._answered(asked, request)
        except ImageToolsError as error:
            logger.warning("{} {}: {}", request.method, request.rel_url.path, error)
            return _failed(error, asked.endpoint)
        except (aiohttp.ClientError, ConnectionError):
            logger.debug("{} {}: the client hung up", request.method, request.rel_url.path)
            return answer(400)
        except OSError as error:
            logger.error("{}: {}", self._archive.name, error)
            return error_answer(500, "UNKNOWN", "the archive cannot be read")
        logger.debug("{} {} {}", request.method, request.rel_url.path, answered.status)
        return answered

    async def _answered(self, asked: Route, request: web.BaseRequest) -> web.StreamResponse:
        if asked.endpoint is Endpoint.PING:
            return answer(200, _JSON, b"{}")
        if asked.endpoint is Endpoint.CATALOG:
            return _page("repositories", self._names, request, "/v2/_catalog")
        if asked.endpoint is Endpoint.UNKNOWN:
            return error_answer(404, "NAME_UNKNOWN", "no such repository")
        if asked.endpoint is Endpoint.UNSUPPORTED or asked.endpoint.writes:
            return error_answer(405, "UNSUPPORTED", "this registry can only be read")
        session = self._session(asked.repository, request.query.get("ns", ""))
        if asked.endpoint is Endpoint.TAGS:
            tags = await session.store.tags(session.repository)
            path = f"/v2/{asked.repository}/tags/list"
            return _page("tags", tags, request, path, name=asked.repository)
        if asked.endpoint is Endpoint.REFERRERS:
            digest = blobs.blob_digest(asked.subject)
            found = await session.store.referrers(session.repository, digest)
            return _referrers(found, request.query.get("artifactType", ""))
        return await _READS[asked.endpoint](session, asked, request)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(f"{i.registry}/{i.repository}" for i in self._archive.images))

    def _session(self, path: str, namespace: str) -> ToolSession:
        registry, repository = self._place(path, namespace)
        store = ArchiveStore(self._archive, registry)
        return ToolSession(key="", store=store, repository=repository, traffic=self.traffic)

    def _place(self, path: str, namespace: str) -> tuple[str, str]:
        """Return registry and repository that `path` means; raise NotFound when there is none."""
        first, _, rest = path.partition("/")
        images = self._archive.images
        wanted = [(namespace, path)] if namespace else [(first, rest), (DOCKER_HUB, path)]
        places = {(image.registry, image.repository) for image in images}
        if found := next((place for place in wanted if place in places), None):
            return found
        same = sorted(place for place in places if place[1] == path and not namespace)
        if len(same) == 1:
            return same[0]
        said = f"; {path} is of {' and '.join(registry for registry, _ in same)}" if same else ""
        raise NotFound(f"{self._archive.name}: repository {path} is not in it{said}")


def _failed(error: ImageToolsError, endpoint: Endpoint) -> web.Response:
    found = failure(error, endpoint)
    # 500 and not 403: a client may ask again when the archive is readable.
    return error_answer(500, "UNKNOWN", str(error)) if found.status == 403 else found


def _page(
    key: str, names: Iterable[str], request: web.BaseRequest, path: str, **more: str
) -> web.Response:
    """Return a page of names, in order: `n` of them after `last` (distribution spec, end-8b)."""
    last, wished = request.query.get("last", ""), request.query.get("n", "")
    rest = [name for name in sorted(names) if name > last]
    count = int(wished) if wished.isascii() and wished.isdigit() else len(rest)
    page, headers = rest[:count], dict(_JSON)
    if page and count < len(rest):
        query = urlencode({"n": count, "last": page[-1]})
        headers["Link"] = f'<{path}?{query}>; rel="next"'
    return answer(200, headers, json.dumps({**more, key: page}).encode())


def _referrers(found: tuple[Descriptor, ...], artifact_type: str) -> web.Response:
    headers = {"Content-Type": media.OCI_INDEX}
    if artifact_type:
        found = tuple(one for one in found if one.artifact_type == artifact_type)
        headers["OCI-Filters-Applied"] = "artifactType"
    return answer(200, headers, index_bytes(Index(media.OCI_INDEX, found)))


class HtpasswdUsers:
    """Accepts the passwords of users; an accepted login is recognized quickly later."""

    def __init__(self, users: Mapping[str, bytes]) -> None:
        self._users = users
        self._salt = secrets.token_bytes(32)
        self._known: set[bytes] = set()

    async def accepts(self, authorization: str) -> bool:
        """Return whether an `authorization` header is a valid login (RFC 7617)."""
        given = authorization.encode(errors="surrogateescape")
        mark = hashlib.blake2b(given, key=self._salt).digest()
        if mark in self._known:
            return True
        login = _login(given)
        if login is None or not await asyncio.to_thread(self._is_right, *login):
            return False
        self._known.add(mark)
        return True

    def _is_right(self, user: str, password: bytes) -> bool:
        # An unknown user name takes as much time as a known one.
        expected = self._users.get(user, _NOBODY)
        try:
            return bcrypt.checkpw(password[:72], expected) and user in self._users
        except ValueError:
            return False


def read_htpasswd(path: Path) -> HtpasswdUsers:
    """Return the users of an htpasswd file with bcrypt passwords (`htpasswd -B`).

    Raise UsageError with the line that is invalid, EnvironmentProblem when it cannot be read.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentProblem(f"{path}: cannot be read: {error}") from error
    users: dict[str, bytes] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, password = line.strip().partition(":")
        if not user or not password.startswith(_BCRYPT):
            raise UsageError(
                f"{path}:{number}: no user with a bcrypt password",
                advice="write the line with: htpasswd -nB USER",
            )
        users[user] = password.encode()
    if not users:
        raise UsageError(f"{path} names no user")
    return HtpasswdUsers(users)


def _login(given: bytes) -> tuple[str, bytes] | None:
    scheme, _, encoded = given.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return user.decode(), password
    except (binascii.Error, UnicodeDecodeError):
        return None

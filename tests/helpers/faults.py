"""A registry double that fails exactly where and how a test wants it."""

from __future__ import annotations

import base64
import itertools
import json
import secrets
import threading
import time
from dataclasses import dataclass, replace

from tests.helpers.certificates import Certificates
from tests.helpers.content import Image, Manifest
from tests.helpers.endpoint import Endpoint, Login
from tests.helpers.fault_routes import Asked, Routes, stage_of, take_apart
from tests.helpers.fault_server import FaultHandler
from tests.helpers.fault_store import RegistryContent
from tests.helpers.fault_types import Fault, Reply, Seen, Stage, error_reply
from tests.helpers.threaded_server import ThreadedServer

COUNTED = frozenset({Stage.MANIFEST, Stage.CHILD})


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOptions:
    """How the double is to be.

    ``tokens`` demands bearer tokens of its own ``/token`` (of ``login`` when given, else of
    anybody); a ``login`` without ``tokens`` is basic authentication. ``limit_manifest_gets``
    answers 429 after that many manifest GETs in the ``limit_window`` seconds before, as Docker Hub
    does, ``limit_retry_after`` with that header; ``delay`` is waited before every answer.
    ``ranges`` and ``mounts`` False leave those features out. ``referrers`` answers the list of
    referrers, ``partial_indexes`` takes indexes whose children are not
    there, ``partial_images`` images whose blobs are not.
    """

    certificates: Certificates | None = None
    login: Login | None = None
    tokens: bool = False
    token_lifetime: int = 300
    limit_manifest_gets: int | None = None
    limit_retry_after: int | None = None
    limit_window: int = 21600
    delay: float = 0.0
    ranges: bool = True
    mounts: bool = True
    referrers: bool = False
    partial_indexes: bool = False
    partial_images: bool = False


class FaultRegistry:
    """Context manager of the double; content, faults and requests are open to the test."""

    def __init__(self, options: FaultOptions | None = None) -> None:
        """Listen on a random loopback port; answers come inside the context."""
        self.options = options or FaultOptions()
        self.store = RegistryContent()
        self.routes = Routes(self.store)
        self.routes.ranges, self.routes.mounts = self.options.ranges, self.options.mounts
        self.routes.referrers = self.options.referrers
        self.store.partial_indexes = self.options.partial_indexes
        self.store.partial_images = self.options.partial_images
        self.requests: list[Seen] = []
        self.tokens: dict[str, float] = {}
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._numbers = itertools.count(1)
        self._pulls: list[float] = []
        certificates = self.options.certificates
        self._server = ThreadedServer(
            type("BoundFaultHandler", (FaultHandler,), {"lab": self}),
            certificates.server_context() if certificates else None,
        )

    def __enter__(self) -> FaultRegistry:
        """Start to answer."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Release what hangs, end all connections, free the port."""
        self.release()
        self._server.stop()

    @property
    def address(self) -> str:
        """Give ``127.0.0.1:PORT``."""
        return self._server.address

    @property
    def endpoint(self) -> Endpoint:
        """Give what the lab's own client needs."""
        certificates = self.options.certificates
        tls = certificates.client_context() if certificates else None
        return Endpoint(address=self.address, tls=tls, login=self.options.login)

    @property
    def blobs(self) -> dict[str, dict[str, bytes]]:
        """Give the stored blobs, by repository and digest."""
        return self.store.blobs

    @property
    def manifests(self) -> dict[str, dict[str, Manifest]]:
        """Give the stored manifests, by repository and digest."""
        return self.store.manifests

    @property
    def tags(self) -> dict[str, dict[str, str]]:
        """Give the digests of tags, by repository and tag."""
        return self.store.tags

    @property
    def connections(self) -> int:
        """Give how many TCP connections were accepted."""
        return self._server.connections

    def at(self, host: str) -> str:
        """Give ``host:port`` for another name of the loopback address."""
        return f"{host}:{self._server.server_port}"

    def load(self, repository: str, tag: str, image: Image) -> None:
        """Fill a whole image in, without any request."""
        self.store.load(repository, tag, image)

    def add(self, *faults: Fault) -> None:
        """Let these things go wrong from now on; the first that matches a request counts."""
        with self._lock:
            self._faults.extend(faults)

    def clear_faults(self) -> None:
        """Let nothing more go wrong."""
        with self._lock:
            self._faults.clear()

    def clear_log(self) -> None:
        """Forget the requests seen until now."""
        with self._lock:
            self.requests.clear()

    def count(self, stage: Stage) -> int:
        """Give how many requests of a stage came in."""
        return sum(seen.stage is stage for seen in list(self.requests))

    def release(self) -> None:
        """End every hang, slow body and delay, now and later."""
        self._released.set()

    def expire_tokens(self) -> None:
        """Make every token given until now worthless."""
        self.tokens.clear()

    def next_connection(self) -> int:
        """Give the number of a connection that begins."""
        return next(self._numbers)

    def wait_for_release(self, seconds: float) -> None:
        """Wait, at most until `release`."""
        self._released.wait(seconds)

    def pause(self) -> None:
        """Wait the delay of every answer."""
        if self.options.delay:
            self.wait_for_release(self.options.delay)

    def ended(self, seen: Seen) -> None:
        """Note that an answer was sent."""
        seen.ended = time.monotonic()

    def arrived(self, asked: Asked, connection: int) -> tuple[Seen, Fault | None]:
        """Note a request and give the fault that awaits it."""
        stage = stage_of(asked, self.store)
        scheme = asked.headers.get("Authorization", "").partition(" ")[0].lower() or None
        seen = Seen(
            stage=stage,
            method=asked.method,
            path=asked.path,
            query=asked.query_text,
            repository=asked.repository,
            reference=asked.rest or None,
            headers=asked.headers,
            authorization=scheme,
            connection=connection,
            started=time.monotonic(),
        )
        with self._lock:
            fault = self._take(seen)
            seen.fault = fault.kind if fault else None
            self.requests.append(seen)
        return seen, fault

    def answer(self, asked: Asked, body: bytes) -> Reply:
        """Give the reply of a registry in good health: token, challenge, limit, then content."""
        if asked.what == "token":
            return self._give_token(asked, body)
        if not self._is_allowed(asked):
            return self._challenge(asked)
        return self._limited(asked) or self._with_limit(asked, self.routes.answer(asked, body))

    def _take(self, seen: Seen) -> Fault | None:
        """Give the first fault that matches, one use of it less; caller holds the lock."""
        for at, fault in enumerate(self._faults):
            if not _matches(fault, seen):
                continue
            if fault.after:
                self._faults[at] = replace(fault, after=fault.after - 1)
                continue
            if fault.times is None:
                return fault
            if fault.times > 0:
                self._faults[at] = replace(fault, times=fault.times - 1)
                return fault
        return None

    def _basic(self) -> str | None:
        login = self.options.login
        if login is None:
            return None
        coded = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
        return f"Basic {coded}"

    def _is_allowed(self, asked: Asked) -> bool:
        shown = asked.headers.get("Authorization", "")
        if self.options.tokens:
            return self.tokens.get(shown.removeprefix("Bearer "), 0.0) > time.monotonic()
        return self.options.login is None or shown == self._basic()

    def _challenge(self, asked: Asked) -> Reply:
        value = 'Basic realm="lab"'
        if self.options.tokens:
            actions = "pull" if asked.method in {"GET", "HEAD"} else "pull,push"
            scope = f',scope="repository:{asked.repository}:{actions}"' if asked.repository else ""
            shown = asked.headers.get("Authorization", "").startswith("Bearer ")
            # RFC 6750 section 3.1, as docker-registry says it of a token that has ended.
            ended = ',error="invalid_token"' if shown else ""
            value = f'Bearer realm="{self.endpoint.url}/token",service="lab"{scope}{ended}'
        headers = {"WWW-Authenticate": value}
        return error_reply(401, "UNAUTHORIZED", "authentication required", headers)

    def _give_token(self, asked: Asked, body: bytes) -> Reply:
        form = take_apart("GET", f"/token?{body.decode()}", {}).query
        login = self.options.login
        by_form = login is not None and form.get("password") == login.password
        if login and asked.headers.get("Authorization") != self._basic() and not by_form:
            return error_reply(401, "UNAUTHORIZED", "incorrect username or password")
        token = secrets.token_hex(16)
        self.tokens[token] = time.monotonic() + self.options.token_lifetime
        value = {"token": token, "access_token": token, "expires_in": self.options.token_lifetime}
        return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _limited(self, asked: Asked) -> Reply | None:
        limit = self.options.limit_manifest_gets
        if limit is None or stage_of(asked, self.store) not in COUNTED:
            return None
        with self._lock:
            if self._left(limit):
                self._pulls.append(time.monotonic())
                return None
        headers = self._limit_headers(limit)
        if self.options.limit_retry_after is not None:
            headers["Retry-After"] = str(self.options.limit_retry_after)
        message = "You have reached your pull rate limit."
        return error_reply(429, "TOOMANYREQUESTS", message, headers)

    def _with_limit(self, asked: Asked, reply: Reply) -> Reply:
        limit = self.options.limit_manifest_gets
        if limit is None or asked.what != "manifests":
            return reply
        return replace(reply, headers={**reply.headers, **self._limit_headers(limit)})

    def pull_elsewhere(self, count: int) -> None:
        """Count so many pulls of another client behind the same address."""
        with self._lock:
            self._pulls += [time.monotonic()] * count

    def move_window(self) -> None:
        """Forget all pulls counted so far, as hours later."""
        with self._lock:
            self._pulls.clear()

    def _left(self, limit: int) -> int:
        since = time.monotonic() - self.options.limit_window
        return max(limit - sum(moment > since for moment in self._pulls), 0)

    def _limit_headers(self, limit: int) -> dict[str, str]:
        window = f"w={self.options.limit_window}"
        return {
            "ratelimit-limit": f"{limit};{window}",
            "ratelimit-remaining": f"{self._left(limit)};{window}",
            "docker-ratelimit-source": "127.0.0.1",
        }


def _matches(fault: Fault, seen: Seen) -> bool:
    return (
        fault.stage is seen.stage
        and fault.repository in {None, seen.repository}
        and fault.reference in {None, seen.reference}
    )

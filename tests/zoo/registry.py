"""The core of the zoo: a whole registry in memory, changed at its edge by a list of behaviours."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypeVar

from tests.helpers.fault_routes import Asked
from tests.helpers.fault_store import RegistryContent
from tests.helpers.fault_types import Reply, Seen
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.token_server import TokenRequest
from tests.zoo.behaviour import Behaviour, Call, page

Kind = TypeVar("Kind", bound="ZooRegistry")


class ZooRegistry(FaultRegistry):
    """Context manager of a registry on a random loopback port.

    The first behaviour is the outermost: it sees requests first and answers last. `requests` logs
    every request and `token_requests` every question to the token server; faults of the double
    below can be added as well.
    """

    def __init__(
        self,
        *behaviours: Behaviour,
        store: RegistryContent | None = None,
        options: FaultOptions | None = None,
    ) -> None:
        """Listen on a port; answers come inside the context, from `store` if one is given."""
        super().__init__(options or FaultOptions(referrers=True))
        if store is not None:
            self.store = self.routes.store = store
        self.behaviours = behaviours
        self.token_requests: list[TokenRequest] = []
        self._stack = ExitStack()
        self._plain: ZooRegistry | None = None

    def __enter__(self: Kind) -> Kind:
        """Start to answer, with every server that a behaviour needs."""
        super().__enter__()
        for behaviour in self.behaviours:
            behaviour.opened(self, self._stack)
        return self

    def __exit__(self, *words: object) -> None:
        """Stop all servers."""
        self._stack.close()
        super().__exit__(*words)

    @property
    def plain(self) -> ZooRegistry:
        """Return a registry without behaviours over the same content: the back door of tests."""
        if self._plain is None:
            self._plain = self._stack.enter_context(ZooRegistry(store=self.store))
        return self._plain

    def answer(self, asked: Asked, body: bytes) -> Reply:
        """Return the core's answer as the behaviours change it."""
        call = Call(asked, body, self)
        passed: list[Behaviour] = []
        reply: Reply | None = None
        for behaviour in self.behaviours:
            reply = behaviour.before(call)
            if reply is not None:
                break
            passed.append(behaviour)
        reply = reply or self._core(call)
        for behaviour in reversed(passed):
            reply = behaviour.after(call, reply)
        return reply

    def _core(self, call: Call) -> Reply:
        is_elsewhere = call.asked.what == "ping" and not call.asked.path.startswith("/v2")
        return page(200, "Sign in") if is_elsewhere else super().answer(call.asked, call.body)

    @property
    def scopes(self) -> set[str]:
        """Return every scope that its token server was asked for."""
        return {scope for asked in self.token_requests for scope in asked.scopes}

    @property
    def actions(self) -> set[str]:
        """Return every action that its token server was asked for: pull, push, delete."""
        return {one for scope in self.scopes for one in scope.rpartition(":")[2].split(",")}

    def asked(self, method: str, what: str, reference: str = "") -> list[Seen]:
        """Return the requests of `method` for `what` ("blobs/uploads"), of one reference or all."""
        part = f"/{what}/"
        return [
            seen
            for seen in list(self.requests)
            if seen.method == method and part in seen.path and seen.path.endswith(reference)
        ]

    def put_blobs(self) -> int:
        """Return how many requests carried the bytes of a blob here."""
        sent = [*self.asked("PUT", "blobs/uploads"), *self.asked("PATCH", "blobs/uploads")]
        return sum(int(seen.headers.get("Content-Length", "1")) > 0 for seen in sent)

    def credentials_seen(self) -> set[str | None]:
        """Return the schemes of Authorization that were shown; None stands for none at all."""
        return {seen.authorization for seen in list(self.requests)}

"""Behaviours of what stands between: proxies, gateways, and the storage behind a redirect."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.helpers.fault_types import Reply
from tests.zoo.behaviour import READS, UPLOADS, Behaviour, Call, page
from tests.zoo.registry import ZooRegistry

# Another name: Go's client shows a login to all ports of one host (net/http, Client.do).
ELSEWHERE = "localhost"
SIGNATURE = "X-Amz-Signature=zoo"
ALL = ("manifests", "blobs", UPLOADS, "tags", "referrers")


@dataclass(slots=True)
class RefusesCredentials(Behaviour):
    """A host that takes signed addresses and answers 400 when a login comes along, as S3 does.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
    """

    def before(self, call: Call) -> Reply | None:
        """Refuse every request with a login."""
        if "Authorization" not in call.asked.headers:
            return None
        return xml(400, "InvalidArgument", "Only one auth mechanism allowed")


@dataclass(slots=True)
class SignedForGet(Behaviour):
    """A storage whose addresses are signed for GET: another method is a wrong signature.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    """

    def before(self, call: Call) -> Reply | None:
        """Refuse everything but GET of what is signed."""
        if call.method == "GET" and SIGNATURE in call.asked.query_text:
            return None
        return xml(403, "SignatureDoesNotMatch", "The request signature does not match")


@dataclass(slots=True)
class BlobsRedirected(Behaviour):
    """Blobs lie at a storage host, whose addresses are signed for GET alone (pulp_container#579).

    `storage` is that host, with its own log. `methods` are those that are redirected: most
    registries answer HEAD themselves.
    """

    status: int = 307
    methods: str = "GET HEAD"
    storage: ZooRegistry = field(init=False)

    def opened(self, registry: ZooRegistry, stack: ExitStack) -> None:
        """Start the storage host."""
        self.storage = ZooRegistry(RefusesCredentials(), SignedForGet(), store=registry.store)
        stack.enter_context(self.storage)

    def before(self, call: Call) -> Reply | None:
        """Redirect to the storage."""
        held = call.registry.store.blob(call.repository, call.reference)
        if not call.asks(self.methods, "blobs") or held is None:
            return None
        place = f"http://{self.storage.at(ELSEWHERE)}{call.asked.path}?{SIGNATURE}"
        return Reply(self.status, b"", {"Location": place})


@dataclass(slots=True)
class RedirectsWrites(Behaviour):
    """A gateway that sends requests to another host, which must not see the login.

    distribution-spec#299, distribution-spec#607, containerd#11949. What `backend` answers names a
    Location relative to itself.
    """

    status: int = 307
    methods: Collection[str] = ("POST", "PATCH", "PUT")
    what: Collection[str] = (UPLOADS,)
    backend: ZooRegistry = field(init=False)

    def opened(self, registry: ZooRegistry, stack: ExitStack) -> None:
        """Start the host behind the gateway."""
        self.backend = ZooRegistry(RefusesCredentials(), store=registry.store)
        stack.enter_context(self.backend)

    def before(self, call: Call) -> Reply | None:
        """Redirect to that host."""
        if call.method not in self.methods or call.asked.what not in self.what:
            return None
        query = f"?{call.asked.query_text}" if call.asked.query_text else ""
        place = f"http://{self.backend.at(ELSEWHERE)}{call.asked.path}{query}"
        return Reply(self.status, b"", {"Location": place})


def redirects_manifests(status: int) -> RedirectsWrites:
    """Return a gateway that redirects reading and writing of manifests."""
    return RedirectsWrites(status, methods=("PUT", *READS), what=("manifests",))


@dataclass(slots=True)
class Proxy407(Behaviour):
    """A proxy in the way that requires a login of its own (RFC 9110 section 15.5.8)."""

    what: Collection[str] = ALL

    def before(self, call: Call) -> Reply | None:
        """Ask for the proxy's login."""
        if call.asked.what not in self.what:
            return None
        body = page(407, "Proxy Authentication Required")
        return Reply(407, body.body, {**body.headers, "Proxy-Authenticate": 'Basic realm="proxy"'})


@dataclass(slots=True)
class ProxyPage(Behaviour):
    """A filtering proxy that answers 403 with its own page (Squid's `ERR_ACCESS_DENIED`).

    https://wiki.squid-cache.org/Features/CustomErrors
    """

    what: Collection[str] = ALL

    def before(self, call: Call) -> Reply | None:
        """Answer with the page."""
        if call.asked.what not in self.what:
            return None
        blocked = page(403, "ERR_ACCESS_DENIED: the requested URL could not be retrieved")
        headers = {**blocked.headers, "Via": "1.1 proxy (squid/6.6)", "Server": "squid/6.6"}
        return Reply(403, blocked.body, {**headers, "X-Squid-Error": "ERR_ACCESS_DENIED 0"})


def xml(status: int, code: str, message: str) -> Reply:
    """Return an error in the words of S3."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Reply(status, body.encode(), {"Content-Type": "application/xml"})

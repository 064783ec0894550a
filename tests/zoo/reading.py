"""Behaviours of reading: how absence, refusals, heads and parts are answered."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from tests.helpers.fault_types import Reply, error_reply
from tests.zoo.behaviour import READS, Behaviour, Call, page, with_headers, without

CVE_WORDS = (
    "current image with 1 vulnerabilities cannot be pulled due to configured policy in 'Prevent"
    ' images with vulnerability severity of "Low" or higher from running.\' To continue with pull,'
    " please contact your project administrator to exempt matched vulnerabilities through"
    " configuring the CVE allowlist."
)


@dataclass(slots=True)
class AbsentTagForbidden(Behaviour):
    """Artifactory, and S3 without the right to list: 403 for what does not exist, tags at least.

    cosign#2973, ggcr#1691.
    """

    status: int = 403
    blobs: bool = False

    def after(self, call: Call, reply: Reply) -> Reply:
        """Forbid what is not there."""
        is_tag = call.asks("GET HEAD", "manifests") and (call.names_tag or self.blobs)
        is_meant = is_tag or (self.blobs and call.asks("GET HEAD", "blobs"))
        if not is_meant or reply.status != 404:
            return reply
        return error_reply(
            self.status, "DENIED", "The client does not have permission for manifest"
        )


@dataclass(slots=True)
class NotFoundPage(Behaviour):
    """nginx in front of a registry with an error page of its own for 404.

    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_intercept_errors
    """

    def after(self, call: Call, reply: Reply) -> Reply:
        """Put the page in place of the registry's 404 to a question."""
        is_absent = call.method in READS and reply.status == 404
        return page(404, "404 Not Found") if is_absent else reply


@dataclass(slots=True)
class WebPage(Behaviour):
    """Something else than a registry: a page with `status` for every manifest.

    A captive portal (RFC 8952 section 1), or a web server at the registry's address.
    """

    status: int = 200

    def before(self, call: Call) -> Reply | None:
        """Answer with the page."""
        is_read = call.asks("GET HEAD", "manifests")
        return page(self.status, "Sign in to the network") if is_read else None


@dataclass(slots=True)
class PolicyRefuses(Behaviour):
    """Harbor: 412 for manifests that a policy blocks; only a body can say which.

    harbor#15283, harbor#19408, containerd#8969. Others use 451 or 403. `digests` are blocked, and
    the tags that lead to them; every manifest if there are none.
    """

    status: int = 412
    digests: Collection[str] = ()
    words: str = CVE_WORDS

    def before(self, call: Call) -> Reply | None:
        """Refuse to show the manifest."""
        if not call.asks("GET HEAD", "manifests") or not self._blocks(call):
            return None
        return error_reply(self.status, "PROJECTPOLICYVIOLATION", self.words)

    def _blocks(self, call: Call) -> bool:
        found = call.registry.store.manifest(call.repository, call.reference)
        return found is not None and (not self.digests or found.digest in self.digests)


@dataclass(slots=True)
class HeadRefused(Behaviour):
    """A registry, or something in front of it, that answers no HEAD of `what`.

    distribution#1485 405, containerd#6684 403, crossplane#3223; crane and docker ask with GET then
    (go-containerregistry#971).
    """

    status: int = 405
    what: Collection[str] = ("manifests",)

    def before(self, call: Call) -> Reply | None:
        """Refuse HEAD."""
        if call.method != "HEAD" or call.asked.what not in self.what:
            return None
        return error_reply(self.status, "UNSUPPORTED", "method not allowed")


@dataclass(slots=True)
class HeadWithoutType(Behaviour):
    """A HEAD of a manifest with a digest, whose type says nothing; None: no type at all.

    harbor#13740, distribution#2384, containerd#7390.
    """

    kind: str | None = "application/octet-stream"

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the type."""
        if not call.asks("HEAD", "manifests") or reply.status != 200:
            return reply
        bare = without(reply, "Content-Type")
        return bare if self.kind is None else with_headers(bare, Content_Type=self.kind)


@dataclass(slots=True)
class HeadWithoutDigest(Behaviour):
    """No Docker-Content-Digest, by default with GET either (go-containerregistry#971)."""

    methods: str = "GET HEAD"

    def after(self, call: Call, reply: Reply) -> Reply:
        """Leave the digest out."""
        return without(reply, "Docker-Content-Digest") if call.method in self.methods else reply


@dataclass(slots=True)
class HeadWithoutLength(Behaviour):
    """No Content-Length with a HEAD, as behind proxies that compress (RFC 9110 section 8.6)."""

    what: Collection[str] = ("manifests", "blobs")

    def after(self, call: Call, reply: Reply) -> Reply:
        """Leave the length out."""
        if call.method != "HEAD" or call.asked.what not in self.what:
            return reply
        return with_headers(reply, Content_Length=())


@dataclass(slots=True)
class RangeRefused(Behaviour):
    """A registry that takes no Range: it refuses with `status`, or gives all of it (200).

    RFC 9110 section 14.2 lets a server ignore the field.
    """

    status: int = 416

    def before(self, call: Call) -> Reply | None:
        """Refuse the field, or overlook it."""
        if call.asked.what != "blobs" or "Range" not in call.asked.headers:
            return None
        if self.status == 200:
            call.without_header("Range")
            return None
        return error_reply(self.status, "UNSUPPORTED", "range requests are not supported")


@dataclass(slots=True)
class SubjectUnderFallbackTag(Behaviour):
    """GitLab: the tag `sha256-HEX` resolves to the subject itself (oras-go#1396)."""

    def before(self, call: Call) -> Reply | None:
        """Read the tag as the digest that it is made of."""
        kind, _, hexadecimal = call.reference.partition("-")
        if not call.asks("GET HEAD", "manifests") or kind != "sha256" or len(hexadecimal) != 64:
            return None
        if not call.has_tag:
            call.asked = replace(call.asked, rest=f"sha256:{hexadecimal}")
        return None


@dataclass(slots=True)
class EventuallyConsistent(Behaviour):
    """A tag can be read after it was asked for `times` times: caches and replicas lag behind.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
    """

    times: int = 1
    waits: dict[str, int] = field(default_factory=dict)

    def before(self, call: Call) -> Reply | None:
        """Say that a tag is unknown for a while."""
        left = self.waits.get(call.reference, 0)
        if not call.asks("GET HEAD", "manifests") or not left:
            return None
        self.waits[call.reference] = left - 1
        return error_reply(404, "MANIFEST_UNKNOWN", "manifest unknown")

    def after(self, call: Call, reply: Reply) -> Reply:
        """Begin the wait with a push."""
        if call.asks("PUT", "manifests") and reply.status == 201 and call.names_tag:
            self.waits[call.reference] = self.times
        return reply

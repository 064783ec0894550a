"""Behaviours of refusing for a reason: quotas, read-only modes, immutable tags, deletions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tests.helpers.fault_types import Reply, error_reply
from tests.zoo.behaviour import UPLOADS, Behaviour, Call, json_reply

QUOTA_WORDS = (
    "adding 30.5 MiB of storage resource, which when updated to current usage of 95.6 MiB will"
    " exceed the configured upper limit of 100.0 MiB."
)
READ_ONLY_WORDS = "The system is in read only mode. Any modification is prohibited."
UNSUPPORTED = "The operation is unsupported."


@dataclass(slots=True)
class QuotaExceeded(Behaviour):
    """Harbor: the quota of a project is used up, which the end of an upload or a manifest hears.

    harbor#11508 (403 DENIED), harbor#8802 and harbor#17390 (the words), harbor-cli#96. `at` is
    "blobs/uploads" or "manifests".
    """

    status: int = 403
    at: str = UPLOADS

    def before(self, call: Call) -> Reply | None:
        """Refuse to store."""
        if not call.asks("PUT", self.at):
            return None
        code = "DENIED" if self.status == 403 else "PRECONDITION"
        return error_reply(self.status, code, QUOTA_WORDS)


@dataclass(slots=True)
class ReadOnly(Behaviour):
    """A registry in read-only mode: every push is refused.

    Harbor 403 DENIED (harbor#4650, ovh/public-cloud-roadmap#242), distribution#1718 and
    quay/quay#2755 405.
    """

    status: int = 403
    words: str = READ_ONLY_WORDS

    def before(self, call: Call) -> Reply | None:
        """Refuse to write."""
        if not call.writes:
            return None
        code = "DENIED" if self.status == 403 else "UNSUPPORTED"
        return error_reply(self.status, code, self.words)


def proxy_project() -> ReadOnly:
    """Return a Harbor project that caches another registry.

    goharbor/harbor src/server/middleware/repoproxy/proxy.go.
    """
    return ReadOnly(403, "can not push artifact to a proxy project: team")


def read_only_405() -> ReadOnly:
    """Return a registry whose configuration says `readonly: enabled` (distribution#1718)."""
    return ReadOnly(405, UNSUPPORTED)


Refusal = Callable[[Call], Reply]


def harbor_immutable(call: Call) -> Reply:
    """Return Harbor's 412 (harbor#9427, goharbor/harbor src/server/middleware/immutable)."""
    name = f"{call.repository}:{call.reference}"
    words = f"Failed to process request due to '{name}' configured as immutable."
    return error_reply(412, "PRECONDITION", words)


def ecr_immutable(call: Call) -> Reply:
    """Return ECR's 400 TAG_INVALID for an ImageTagAlreadyExistsException (buildkit#3776)."""
    words = (
        f"The image tag '{call.reference}' already exists in the '{call.repository}' repository"
        " and cannot be overwritten because the repository is immutable."
    )
    return error_reply(400, "TAG_INVALID", words)


def quay_immutable(call: Call) -> Reply:
    """Return a 409, as others say it: kots#5940 (Quay), distr-sh/distr#1274."""
    words = f"Tag {call.reference} is immutable and cannot be overwritten"
    return error_reply(409, "TAG_IMMUTABLE", words)


def nexus_immutable(call: Call) -> Reply:
    """Return Nexus's 400 with "Disable redeploy", whose reason is a detail (jib#3057)."""
    detail = "Repository does not allow updating assets: zoo"
    line = {"code": "BLOB_UPLOAD_INVALID", "message": "blob upload invalid", "detail": detail}
    return json_reply({"errors": [line]}, 400)


IMMUTABLE: dict[str, Refusal] = {
    "harbor": harbor_immutable,
    "ecr": ecr_immutable,
    "quay": quay_immutable,
    "nexus": nexus_immutable,
}


@dataclass(slots=True)
class ImmutableTags(Behaviour):
    """A tag that exists cannot be written again, whatever its content (containers-roadmap#2380).

    `refusal` is how it is said, one of those above.
    """

    refusal: Refusal = harbor_immutable

    def before(self, call: Call) -> Reply | None:
        """Refuse a manifest for a tag that is there."""
        is_taken = call.asks("PUT", "manifests") and call.names_tag and call.has_tag
        return self.refusal(call) if is_taken else None


@dataclass(slots=True)
class RepositoryMissing(Behaviour):
    """ECR: a repository is created by hand; until then everything about it is 404 NAME_UNKNOWN.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/common-errors-docker.html
    `existing` are those that were created.
    """

    existing: Collection[str] = ()

    def before(self, call: Call) -> Reply | None:
        """Say that the repository is unknown."""
        name = call.repository
        if not name or name in self.existing or call.registry.store.has_repository(name):
            return None
        words = (
            f"The repository with name '{name}' does not exist in the registry with id"
            " '123456789012'"
        )
        return error_reply(404, "NAME_UNKNOWN", words)


@dataclass(slots=True)
class DeleteRefused(Behaviour):
    """Nothing is deleted by this API: Docker Hub (hub-feedback#2360), GHCR (skopeo#1880)."""

    status: int = 405
    words: str = UNSUPPORTED

    def before(self, call: Call) -> Reply | None:
        """Refuse to delete."""
        refusal = error_reply(self.status, "UNSUPPORTED", self.words)
        return refusal if call.asks("DELETE", "manifests") else None


@dataclass(slots=True)
class DeleteLeavesTags(Behaviour):
    """crane's registry: a digest is deleted with 202, its tags go on to resolve.

    reg#136, nora#658, ggcr pkg/registry/manifest.go.
    """

    gone: set[str] = field(default_factory=set)

    def before(self, call: Call) -> Reply | None:
        """Forget the digest, and nothing else."""
        if call.asked.what != "manifests" or ":" not in call.reference:
            return None
        if call.method == "PUT":
            self.gone.discard(call.reference)
            return None
        if call.reference in self.gone:
            return error_reply(404, "MANIFEST_UNKNOWN", "manifest unknown")
        if call.method != "DELETE" or call.reference not in manifests_of(call):
            return None
        self.gone.add(call.reference)
        return Reply(202)


@dataclass(slots=True)
class DeleteWantsTagsFirst(Behaviour):
    """GCR and Artifact Registry: a digest with tags cannot be deleted.

    reg#136, containers/image#1616, kube-image-keeper#636.
    """

    def before(self, call: Call) -> Reply | None:
        """Refuse to delete a digest that has tags."""
        tags = call.registry.store.tags.get(call.repository, {})
        left = [tag for tag, digest in tags.items() if digest == call.reference]
        if not call.asks("DELETE", "manifests") or not left:
            return None
        words = f"Manifest is still referenced by tag: {left[0]}"
        return error_reply(400, "GOOGLE_MANIFEST_DANGLING_TAG", words)


@dataclass(slots=True)
class DeleteByTagRefused(Behaviour):
    """A tag cannot be deleted by its name, as with docker-registry before 3.0.

    distribution v2 manifests.go answers 400 DIGEST_INVALID (ggcr#1578).
    """

    def before(self, call: Call) -> Reply | None:
        """Refuse to delete a tag."""
        if not call.asks("DELETE", "manifests") or not call.names_tag:
            return None
        return error_reply(400, "DIGEST_INVALID", "provided digest did not match uploaded content")


@dataclass(slots=True)
class RateLimited(Behaviour):
    """429 for every manifest GET behind the first `most`, as Docker Hub counts them.

    https://docs.docker.com/docker-hub/usage/pulls/
    """

    most: int = 100
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def before(self, call: Call) -> Reply | None:
        """Refuse what is too much."""
        if not call.asks("GET", "manifests") or next(self.numbers) < self.most:
            return None
        words = "You have reached your unauthenticated pull rate limit."
        return error_reply(429, "TOOMANYREQUESTS", words)


def manifests_of(call: Call) -> Collection[str]:
    """Return the digests of the manifests of the repository."""
    return call.registry.store.manifests.get(call.repository, {})

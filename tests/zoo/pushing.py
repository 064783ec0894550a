"""Behaviours of pushing: uploads, mounts, manifests and the ways they are refused for a while."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from tests.helpers.fault_types import Reply, error_reply
from tests.zoo.behaviour import UPLOADS, Behaviour, Call

PUT_CODES = {400: "DIGEST_INVALID", 404: "BLOB_UPLOAD_UNKNOWN", 413: "SIZE_INVALID"}


@dataclass(slots=True)
class MountRefused(Behaviour):
    """A mount is refused in place of an upload that begins (202).

    Harbor 500, jib#703 405, kaniko#1013 400; 401 and 403 where the origin cannot be read.
    """

    status: int = 405

    def before(self, call: Call) -> Reply | None:
        """Refuse the mount."""
        if not call.asks("POST", UPLOADS) or "mount" not in call.asked.query:
            return None
        return error_reply(self.status, "UNSUPPORTED", "cross repository mount is not supported")


@dataclass(slots=True)
class MountIgnored(Behaviour):
    """A mount begins an upload, 202 in place of 201 (distribution-spec, "Mounting a blob")."""

    def before(self, call: Call) -> Reply | None:
        """Take the mount for a plain POST."""
        if call.asks("POST", UPLOADS):
            call.asked = replace(call.asked, query={})
        return None


@dataclass(slots=True)
class SinglePutRefused(Behaviour):
    """A PUT that carries the whole blob is refused; POST, PATCH and PUT work.

    JFrog 400 DIGEST_INVALID (containerd#3533), pulp_container#1274 404, gateways 413.
    """

    status: int = 400

    def before(self, call: Call) -> Reply | None:
        """Refuse a PUT with a body behind which no PATCH came."""
        if not call.asks("PUT", UPLOADS) or not call.body:
            return None
        if call.registry.store.uploads.get(call.reference):
            return None
        code = PUT_CODES.get(self.status, "UNSUPPORTED")
        return error_reply(self.status, code, "provided digest did not match uploaded content")


@dataclass(slots=True)
class BlobUnknown(Behaviour):
    """The first manifests after a blob was stored are told that the blob is unknown.

    GHCR (konk#626), Nexus (manifest-tool#191). `times` refusals for each repository.
    """

    times: int = 1
    status: int = 404
    refused: Counter[str] = field(default_factory=Counter)

    def before(self, call: Call) -> Reply | None:
        """Refuse the first manifests of a repository."""
        if not call.asks("PUT", "manifests") or self.refused[call.repository] >= self.times:
            return None
        self.refused[call.repository] += 1
        return error_reply(self.status, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")


@dataclass(slots=True)
class ManifestPutAnswers(Behaviour):
    """A manifest is stored, and the answer is another success than 201.

    distribution-spec, "Pushing Manifests", names 201 alone.
    """

    status: int = 204

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the status."""
        is_stored = call.asks("PUT", "manifests") and reply.status == 201
        return replace(reply, status=self.status) if is_stored else reply


@dataclass(slots=True)
class MediaTypeRefused(Behaviour):
    """Manifests of some types are refused.

    zot answers 415 to Docker's types without `http.compat` (project-zot/zot
    examples/config-docker-compat.json), SWR 400 to OCI indexes (vllm-ascend#16117).
    """

    types: Collection[str]
    status: int = 415
    code: str = "MANIFEST_INVALID"
    words: str = "manifest invalid"

    def before(self, call: Call) -> Reply | None:
        """Refuse the types."""
        kind = call.asked.headers.get("Content-Type", "")
        if not call.asks("PUT", "manifests") or kind not in self.types:
            return None
        return error_reply(self.status, self.code, self.words)


@dataclass(slots=True)
class ForeignLayersFail(Behaviour):
    """docker-registry without `validation.manifests.urls.allow`: 500 for layers with `urls`.

    https://distribution.github.io/distribution/about/configuration/#validation
    """

    def before(self, call: Call) -> Reply | None:
        """Fail on manifests that name urls."""
        if not call.asks("PUT", "manifests"):
            return None
        layers = json.loads(call.body).get("layers", [])
        if not any(layer.get("urls") for layer in layers):
            return None
        return error_reply(500, "UNKNOWN", "unknown error")


@dataclass(slots=True)
class LimitsUploads(Behaviour):
    """429 for the first `times` uploads (RFC 6585 section 4)."""

    times: int = 1
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def before(self, call: Call) -> Reply | None:
        """Refuse the first uploads."""
        if not call.asks("POST", UPLOADS) or next(self.numbers) >= self.times:
            return None
        headers = {"Retry-After": "0"}
        return error_reply(429, "TOOMANYREQUESTS", "too many uploads", headers)


@dataclass(slots=True)
class AbortRefused(Behaviour):
    """DELETE of an upload is refused (distribution-spec has no such request)."""

    status: int = 405

    def before(self, call: Call) -> Reply | None:
        """Refuse to give an upload up."""
        refusal = error_reply(self.status, "UNSUPPORTED", "The operation is unsupported.")
        return refusal if call.asks("DELETE", UPLOADS) else None

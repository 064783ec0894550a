"""The routes of the registry double: from a request to a reply, without faults."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.helpers.content import INDEX_TYPES, OCI_INDEX
from tests.helpers.fault_store import RegistryContent
from tests.helpers.fault_types import Reply, Stage, error_reply, status_reply

_ROUTE = re.compile(
    r"^/v2/(?P<repository>.+?)/(?P<what>manifests|blobs/uploads|blobs|tags|referrers)/(?P<rest>.*)$"
)
_RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")
OCTETS = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request taken apart; ``rest`` is the last part of the path."""

    method: str
    path: str
    query: Mapping[str, str]
    query_text: str
    repository: str | None
    what: str
    rest: str
    headers: Mapping[str, str] = field(repr=False)


def take_apart(method: str, target: str, headers: Mapping[str, str]) -> Asked:
    """Give the parts of a request line."""
    parts = urlsplit(target)
    found = _ROUTE.match(parts.path)
    what = "token" if parts.path == "/token" else "ping"
    return Asked(
        method=method,
        path=parts.path,
        query={key: values[0] for key, values in parse_qs(parts.query).items()},
        query_text=parts.query,
        repository=found["repository"] if found else None,
        what=found["what"] if found else what,
        rest=found["rest"] if found else "",
        headers=headers,
    )


def stage_of(asked: Asked, store: RegistryContent) -> Stage:
    """Give the stage of a request."""
    fixed = {
        ("GET", "ping"): Stage.PING,
        ("GET", "token"): Stage.TOKEN,
        ("POST", "token"): Stage.TOKEN,
        ("HEAD", "manifests"): Stage.HEAD_MANIFEST,
        ("PUT", "manifests"): Stage.PUT_MANIFEST,
        ("HEAD", "blobs"): Stage.HEAD_BLOB,
        ("POST", "blobs/uploads"): Stage.POST_UPLOAD,
        ("PATCH", "blobs/uploads"): Stage.PATCH_UPLOAD,
        ("PUT", "blobs/uploads"): Stage.PUT_BLOB,
        ("GET", "tags"): Stage.TAGS,
    }
    repository = asked.repository or ""
    if (asked.method, asked.what) == ("GET", "manifests"):
        return Stage.CHILD if store.is_child(repository, asked.rest) else Stage.MANIFEST
    if (asked.method, asked.what) == ("GET", "blobs"):
        return Stage.CONFIG if store.is_config(repository, asked.rest) else Stage.BLOB
    return fixed.get((asked.method, asked.what), Stage.OTHER)


class Routes:
    """Answers of a well-behaved registry over a `RegistryContent`."""

    def __init__(self, store: RegistryContent) -> None:
        """Answer from this store; Range and mounting may be turned off, referrers on."""
        self.store = store
        self.ranges = True
        self.mounts = True
        self.referrers = False

    def answer(self, asked: Asked, body: bytes) -> Reply:
        """Give the reply to a request."""
        if asked.what == "ping":
            return Reply(200, b"{}", {"Content-Type": "application/json"})
        name = f"_{asked.method.lower().replace('head', 'get')}_{asked.what.replace('/', '_')}"
        route = getattr(self, name, None)
        if route is None:
            return error_reply(405, "UNSUPPORTED", f"no {asked.method} of {asked.what}")
        reply: Reply = route(asked, asked.repository or "", body)
        return reply

    def _get_manifests(self, asked: Asked, repository: str, _: bytes) -> Reply:
        found = self.store.manifest(repository, asked.rest)
        if found is None:
            return status_reply(Stage.MANIFEST, 404, "manifest unknown")
        headers = {"Content-Type": found.media_type, "Docker-Content-Digest": found.digest}
        return Reply(200, found.data, headers)

    def _put_manifests(self, asked: Asked, repository: str, body: bytes) -> Reply:
        media_type = asked.headers.get("Content-Type", "")
        try:
            problem, digest = self.store.put_manifest(repository, asked.rest, body, media_type)
        except (ValueError, LookupError, TypeError) as error:
            return error_reply(400, "MANIFEST_INVALID", repr(error))
        if problem:
            word = "manifest" if media_type in INDEX_TYPES else "blob"
            return error_reply(400, problem, f"{word} unknown to registry")
        place = f"/v2/{repository}/manifests/{digest}"
        return Reply(201, b"", {"Location": place, "Docker-Content-Digest": digest})

    def _delete_manifests(self, asked: Asked, repository: str, _: bytes) -> Reply:
        is_gone = self.store.delete(repository, asked.rest)
        return Reply(202) if is_gone else status_reply(Stage.MANIFEST, 404, "manifest unknown")

    def _delete_blobs(self, asked: Asked, repository: str, _: bytes) -> Reply:
        with self.store.lock:
            gone = self.store.blobs[repository].pop(asked.rest, None)
        return status_reply(Stage.BLOB, 404, "blob unknown") if gone is None else Reply(202)

    def _get_tags(self, asked: Asked, repository: str, _: bytes) -> Reply:
        if not self.store.has_repository(repository):
            return status_reply(Stage.TAGS, 404, "repository name not known to registry")
        last, most = asked.query.get("last", ""), int(asked.query.get("n", "0"))
        names = [name for name in sorted(self.store.tags.get(repository, {})) if name > last]
        page = names[:most] if most else names
        headers = {"Content-Type": "application/json"}
        if page != names and page:
            headers["Link"] = f'<{asked.path}?n={most}&last={page[-1]}>; rel="next"'
        return Reply(200, json.dumps({"name": repository, "tags": page}).encode(), headers)

    def _get_referrers(self, asked: Asked, repository: str, _: bytes) -> Reply:
        if not self.referrers:
            return error_reply(404, "NOT_FOUND", "no referrers here")
        found = self.store.referrers(repository, asked.rest)
        value = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        return Reply(200, json.dumps(value).encode(), {"Content-Type": OCI_INDEX})

    def _get_blobs(self, asked: Asked, repository: str, _: bytes) -> Reply:
        data = self.store.blob(repository, asked.rest)
        if data is None:
            return status_reply(Stage.BLOB, 404, "blob unknown to registry")
        headers = {**OCTETS, "Docker-Content-Digest": asked.rest}
        wanted = _RANGE.match(asked.headers.get("Range", ""))
        if not self.ranges:
            return Reply(200, data, headers)
        headers["Accept-Ranges"] = "bytes"
        return _part(data, wanted, headers) if wanted else Reply(200, data, headers)

    def _post_blobs_uploads(self, asked: Asked, repository: str, body: bytes) -> Reply:
        digest = asked.query.get("mount", "")
        if self.mounts and digest and self.store.mount(repository, digest, asked.query.get("from")):
            return _stored(repository, digest)
        if "digest" in asked.query:
            return self._finish(repository, asked.query["digest"], body)
        upload = secrets.token_hex(8)
        self.store.uploads[upload] = b""
        return _accepted(repository, upload, 0, 202)

    def _patch_blobs_uploads(self, asked: Asked, repository: str, body: bytes) -> Reply:
        if asked.rest not in self.store.uploads:
            return status_reply(Stage.PATCH_UPLOAD, 404, "upload unknown")
        start = asked.headers.get("Content-Range", "").partition("-")[0]
        if start and int(start) != len(self.store.uploads[asked.rest]):
            return _accepted(repository, asked.rest, len(self.store.uploads[asked.rest]), 416)
        self.store.uploads[asked.rest] += body
        return _accepted(repository, asked.rest, len(self.store.uploads[asked.rest]), 202)

    def _get_blobs_uploads(self, asked: Asked, repository: str, _: bytes) -> Reply:
        if asked.rest not in self.store.uploads:
            return status_reply(Stage.PATCH_UPLOAD, 404, "upload unknown")
        return _accepted(repository, asked.rest, len(self.store.uploads[asked.rest]), 204)

    def _put_blobs_uploads(self, asked: Asked, repository: str, body: bytes) -> Reply:
        begun = self.store.uploads.pop(asked.rest, None)
        if begun is None:
            return status_reply(Stage.PUT_BLOB, 404, "upload unknown")
        return self._finish(repository, asked.query.get("digest", ""), begun + body)

    def _delete_blobs_uploads(self, asked: Asked, *_: object) -> Reply:
        self.store.uploads.pop(asked.rest, None)
        return Reply(204)

    def _finish(self, repository: str, digest: str, data: bytes) -> Reply:
        if not self.store.put_blob(repository, digest, data):
            return error_reply(400, "DIGEST_INVALID", "provided digest did not match content")
        return _stored(repository, digest)


def _stored(repository: str, digest: str) -> Reply:
    place = f"/v2/{repository}/blobs/{digest}"
    return Reply(201, b"", {"Location": place, "Docker-Content-Digest": digest})


def _accepted(repository: str, upload: str, size: int, status: int) -> Reply:
    place = f"/v2/{repository}/blobs/uploads/{upload}"
    headers = {"Location": place, "Docker-Upload-UUID": upload, "Range": f"0-{max(size - 1, 0)}"}
    return Reply(status, b"", headers)


def _part(data: bytes, wanted: re.Match[str], headers: Mapping[str, str]) -> Reply:
    start, end = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
    if start > end:
        return Reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
    place = f"bytes {start}-{end}/{len(data)}"
    return Reply(206, data[start : end + 1], {**headers, "Content-Range": place})

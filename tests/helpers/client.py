"""A plain client of the distribution spec, independent of the program under test."""

from __future__ import annotations

import base64
import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from tests.helpers.content import ALL_MANIFEST_TYPES, Image, Manifest, digest_of
from tests.helpers.endpoint import Endpoint

TIMEOUT_SECONDS = 30.0
ACCEPT = ", ".join(ALL_MANIFEST_TYPES)


class HasEndpoint(Protocol):
    """A registry of the lab, real or double."""

    @property
    def endpoint(self) -> Endpoint:
        """Give what a client needs."""


Target = Endpoint | HasEndpoint


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer read to its end; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class UnexpectedAnswer(AssertionError):
    """A registry answered what the lab did not ask for."""


class Client:
    """One kept-alive connection to a registry, with its login and token if it has one."""

    def __init__(self, target: Target) -> None:
        """Prepare a client; nothing is sent yet."""
        self.endpoint = target if isinstance(target, Endpoint) else target.endpoint
        self._connection = _connect(self.endpoint)
        self._authorization: dict[str, str] = {}

    def __enter__(self) -> Client:
        """Give the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._connection.close()

    def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Give the answer, after one round of authentication when the registry asks for it."""
        answer = self._send(method, target, headers or {}, body)
        if answer.status != http.client.UNAUTHORIZED:
            return answer
        self._authorize(answer.headers.get("www-authenticate", ""))
        return self._send(method, target, headers or {}, body)

    def expect(self, status: int, method: str, target: str, **more: object) -> Answer:
        """Give the answer; UnexpectedAnswer when its status is another one."""
        answer = self.ask(method, target, **more)  # type: ignore[arg-type]
        if answer.status != status:
            text = f"{method} {target}: {answer.status}, not {status}: {answer.body[:300]!r}"
            raise UnexpectedAnswer(text)
        return answer

    def _send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        self._connection.request(method, target, body, {**headers, **self._authorization})
        response = self._connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())

    def _authorize(self, challenge: str) -> None:
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic" and self.endpoint.login:
            self._authorization = {"Authorization": self._basic()}
        elif kind.lower() == "bearer":
            token = self._token(dict(re.findall(r'(\w+)="([^"]*)"', rest)))
            self._authorization = {"Authorization": f"Bearer {token}"}

    def _basic(self) -> str:
        login = self.endpoint.login
        assert login is not None
        return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()

    def _token(self, fields: Mapping[str, str]) -> str:
        realm = urlsplit(fields["realm"])
        connection = http.client.HTTPConnection(realm.netloc, timeout=TIMEOUT_SECONDS)
        try:
            query = urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
            headers = {"Authorization": self._basic()} if self.endpoint.login else {}
            connection.request("GET", f"{realm.path}?{query}", headers=headers)
            response = connection.getresponse()
            return (
                str(json.loads(response.read()).get("token", "")) if response.status == 200 else ""
            )
        finally:
            connection.close()


def push(target: Target, repository: str, tag: str, image: Image) -> str:
    """Store a whole image: blobs, children by digest, the top by tag; give the top's digest."""
    with Client(target) as client:
        for blob in image.blobs:
            push_blob(client, repository, blob.data)
        for manifest in image.manifests[:-1]:
            push_manifest(client, repository, manifest.digest, manifest)
        return push_manifest(client, repository, tag, image.top)


def push_blob(client: Client, repository: str, data: bytes) -> str:
    """Store a blob in one PUT unless it is there already; give its digest."""
    digest = digest_of(data)
    if client.ask("HEAD", f"/v2/{repository}/blobs/{digest}").status == http.client.OK:
        return digest
    begun = client.expect(202, "POST", f"/v2/{repository}/blobs/uploads/")
    place = urlsplit(begun.headers["location"])
    query = f"{place.query}&digest={digest}" if place.query else f"digest={digest}"
    headers = {"Content-Type": "application/octet-stream"}
    client.expect(201, "PUT", f"{place.path}?{query}", headers=headers, body=data)
    return digest


def push_manifest(client: Client, repository: str, reference: str, manifest: Manifest) -> str:
    """Store a manifest under a tag or digest; give the digest the registry answered."""
    headers = {"Content-Type": manifest.media_type}
    target = f"/v2/{repository}/manifests/{reference}"
    answer = client.expect(201, "PUT", target, headers=headers, body=manifest.data)
    return answer.headers.get("docker-content-digest", manifest.digest)


def manifest(target: Target, repository: str, reference: str) -> tuple[bytes, str, str] | None:
    """Give raw bytes, media type and digest of a manifest; None when the registry knows none."""
    with Client(target) as client:
        return fetch_manifest(client, repository, reference)


def fetch_manifest(
    client: Client, repository: str, reference: str
) -> tuple[bytes, str, str] | None:
    """Do what `manifest` does, over a client already there."""
    path = f"/v2/{repository}/manifests/{reference}"
    answer = client.ask("GET", path, headers={"Accept": ACCEPT})
    if answer.status == http.client.NOT_FOUND:
        return None
    if answer.status != http.client.OK:
        raise UnexpectedAnswer(f"GET {path}: {answer.status} {answer.body[:300]!r}")
    digest = answer.headers.get("docker-content-digest") or digest_of(answer.body)
    return answer.body, answer.headers["content-type"], digest


def tags(target: Target, repository: str) -> list[str]:
    """Give the sorted tags of a repository, none when it does not exist."""
    with Client(target) as client:
        answer = client.ask("GET", f"/v2/{repository}/tags/list")
    if answer.status == http.client.NOT_FOUND:
        return []
    return sorted(json.loads(answer.body)["tags"] or [])


def blob(target: Target, repository: str, digest: str) -> bytes | None:
    """Give the bytes of a blob; None when the repository has none such."""
    with Client(target) as client:
        answer = client.ask("GET", f"/v2/{repository}/blobs/{digest}")
    return answer.body if answer.status == http.client.OK else None


def delete_manifest(target: Target, repository: str, digest: str) -> None:
    """Delete a manifest by digest."""
    with Client(target) as client:
        client.expect(202, "DELETE", f"/v2/{repository}/manifests/{digest}")


def _connect(endpoint: Endpoint) -> http.client.HTTPConnection:
    if endpoint.tls is None:
        return http.client.HTTPConnection(endpoint.address, timeout=TIMEOUT_SECONDS)
    return http.client.HTTPSConnection(
        endpoint.address, timeout=TIMEOUT_SECONDS, context=endpoint.tls
    )

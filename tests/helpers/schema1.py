"""Docker schema 1 manifests, plain or with the JWS signature that registries demand."""

from __future__ import annotations

import base64
import hashlib
import json

from tests.helpers.content import (
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    Blob,
    Entry,
    Image,
    Manifest,
    compact,
    digest_of,
    gzip_of,
    tar_of,
)
from tests.helpers.keys import base64url, key_of, public_jwk, sign_es256

SIGNED_AT = "2016-01-01T00:00:00Z"


def _history(seed: int, layers: int) -> list[dict[str, str]]:
    """Give the v1 compatibility lines, newest first, each naming its parent."""
    names = [hashlib.sha256(f"v1 {seed} {at}".encode()).hexdigest() for at in range(layers)]
    lines: list[dict[str, str]] = []
    for at, name in enumerate(names):
        line: dict[str, object] = {
            "id": name,
            "created": SIGNED_AT,
            "architecture": "amd64",
            "os": "linux",
            "container_config": {"Cmd": ["/bin/sh", "-c", f"step {at}"]},
            "config": {"Cmd": ["/bin/true"]},
        }
        if at:
            line["parent"] = names[at - 1]
        lines.insert(0, {"v1Compatibility": compact(line).decode()})
    return lines


def _payload(seed: int, blobs: list[Blob]) -> bytes:
    """Give the unsigned manifest with three blanks of indent, as old Docker engines wrote it."""
    value = {
        "schemaVersion": 1,
        "name": "lab/schema1",
        "tag": "latest",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": blob.digest} for blob in reversed(blobs)],
        "history": _history(seed, len(blobs)),
    }
    return json.dumps(value, indent=3).encode()


def _signed(payload: bytes, seed: int) -> bytes:
    """Give the payload with a libtrust "pretty" signature put before its closing brace."""
    tail = b"\n}"
    body = payload[: -len(tail)]
    key = key_of(seed)
    protected = base64url(
        compact(
            {"formatLength": len(body), "formatTail": base64url(tail), "time": SIGNED_AT},
        )
    )
    signature = {
        "header": {"jwk": public_jwk(key), "alg": "ES256"},
        "signature": sign_es256(key, f"{protected}.{base64url(payload)}".encode()),
        "protected": protected,
    }
    block = json.dumps([signature], indent=3).replace("\n", "\n   ")
    return body + b',\n   "signatures": ' + block.encode() + tail


def schema1_image(kind: str, seed: int, *, signed: bool) -> Image:
    """Give a two-layer schema 1 image for linux/amd64; its digest never counts signatures."""
    blobs = [Blob.of(gzip_of(tar_of(f"schema1-{seed}-{at}", 3000))) for at in range(2)]
    payload = _payload(seed, blobs)
    data = _signed(payload, seed) if signed else payload
    media_type = DOCKER_SCHEMA1_SIGNED if signed else DOCKER_SCHEMA1
    top = Manifest(data, media_type, digest_of(payload))
    entry = Entry(
        digest=top.digest,
        media_type=media_type,
        size=len(data),
        platform=None,
        config_platform={"architecture": "amd64", "os": "linux"},
    )
    return Image(
        kind=kind,
        seed=seed,
        top=top,
        manifests=(top,),
        blobs=tuple(blobs),
        entries=(entry,),
        leaves=(entry,),
    )


def manifest_digest(data: bytes, media_type: str) -> str:
    """Give the digest of a manifest as registries count it: signatures of schema 1 left out."""
    if media_type != DOCKER_SCHEMA1_SIGNED:
        return digest_of(data)
    coded = json.loads(data)["signatures"][0]["protected"]
    protected = json.loads(_decoded(coded))
    return digest_of(data[: protected["formatLength"]] + _decoded(protected["formatTail"]))


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

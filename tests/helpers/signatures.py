"""Signatures beside images: made as cosign makes them, and checked as it checks them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.helpers.client import Client, Target, blob, manifest, push_blob, push_manifest
from tests.helpers.content import OCI_CONFIG, OCI_MANIFEST, Blob, Manifest, compact
from tests.helpers.endpoint import Endpoint
from tests.helpers.keys import key_of
from tests.helpers.studio import descriptor
from tests.helpers.tools import newest, run

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
NOTATION = "application/vnd.cncf.notary.signature"
EMPTY = "application/vnd.oci.empty.v1+json"


def tag_of(digest: str, end: str = "sig") -> str:
    """Give cosign's tag for what speaks about a digest; without ``end`` that of the referrers."""
    return digest.replace(":", "-") + (f".{end}" if end else "")


def sign(
    target: Target, repository: str, digest: str, *seeds: int, end: str = "sig", name: str = "app"
) -> str:
    """Lay cosign's signatures by the lab's keys ``seeds`` beside a manifest; give their digest."""
    payload = compact(
        {
            "critical": {
                "identity": {"docker-reference": name},
                "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )
    layers = [
        {
            **descriptor(SIMPLE_SIGNING, Blob.of(payload)),
            "annotations": {ANNOTATION: _signed(payload, seed)},
        }
        for seed in seeds
    ]
    rootfs = {"type": "layers", "diff_ids": [Blob.of(payload).digest for _ in seeds]}
    config = compact({"architecture": "", "os": "", "config": {}, "rootfs": rootfs})
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, Blob.of(config)),
        "layers": layers,
    }
    return _push(target, repository, tag_of(digest, end), value, payload, config)


def refer(
    target: Target, repository: str, subject: str, kind: str = NOTATION, text: str = "signed"
) -> str:
    """Lay a referrer of ``kind`` beside the manifest ``subject``; give its digest."""
    found = manifest(target, repository, subject)
    size, media_type = (len(found[0]), found[1]) if found else (1, OCI_MANIFEST)
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": descriptor(EMPTY, Blob.of(b"{}")),
        "layers": [descriptor("text/plain", Blob.of(text.encode()))],
        "subject": {"mediaType": media_type, "digest": subject, "size": size},
    }
    digest = Manifest.of(compact(value), OCI_MANIFEST).digest
    return _push(target, repository, digest, value, b"{}", text.encode())


def entry_of(
    target: Target, repository: str, digest: str, kind: str = NOTATION
) -> dict[str, object]:
    """Give the entry of a referrer for the index under the tag of referrers."""
    found = manifest(target, repository, digest)
    assert found is not None
    return {
        "mediaType": found[1],
        "digest": digest,
        "size": len(found[0]),
        "artifactType": kind,
    }


def public_key(seed: int) -> bytes:
    """Give a lab key's public half, PEM."""
    return (
        key_of(seed)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def identities(target: Target, repository: str, digest: str, pem: bytes) -> list[str]:
    """Give the references that signatures of this key beside ``digest`` are for.

    Each is checked: the payload's own digest, the digest it speaks about, the signature.
    """
    key = serialization.load_pem_public_key(pem)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return list(_identities(target, repository, digest, key))


def cosign_verifies(endpoint: Endpoint, name: str, key: Path) -> bool:
    """Tell whether cosign itself accepts ``repository:tag`` or ``@digest``."""
    flags = ("--insecure-ignore-tlog=true", "--allow-http-registry", "--key", key)
    done = run(newest("cosign"), "verify", *flags, f"{endpoint.address}/{name}", check=False)
    return done.returncode == 0


def _identities(
    target: Target, repository: str, digest: str, key: ec.EllipticCurvePublicKey
) -> Iterator[str]:
    found = manifest(target, repository, tag_of(digest))
    for layer in json.loads(found[0])["layers"] if found else ():
        payload = blob(target, repository, layer["digest"])
        assert payload is not None
        assert Blob.of(payload).digest == layer["digest"]
        signature = base64.b64decode(layer["annotations"][ANNOTATION])
        try:
            key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            continue
        critical = json.loads(payload)["critical"]
        assert critical["image"]["docker-manifest-digest"] == digest
        yield critical["identity"]["docker-reference"]


def _signed(payload: bytes, seed: int) -> str:
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    return base64.b64encode(key_of(seed).sign(payload, algorithm)).decode()


def _push(
    target: Target, repository: str, reference: str, value: dict[str, object], *blobs: bytes
) -> str:
    with Client(target) as client:
        for data in blobs:
            push_blob(client, repository, data)
        made = Manifest.of(compact(value), OCI_MANIFEST)
        push_manifest(client, repository, reference, made)
    return made.digest

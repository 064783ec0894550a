"""The commands around `mirror` on real registries: list-tags, inspect, inspect list, delete."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.access_log import Request
from tests.helpers.certificates import Certificates
from tests.helpers.client import Client, manifest, push, push_blob, push_manifest, tags
from tests.helpers.content import Image, Manifest, digest_of
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.faults import FaultRegistry
from tests.helpers.registry import Registry, start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.running import image_tools
from tests.helpers.token_server import TokenServer

NAME = "team/app"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
SIGNATURE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def requests(registry: Registry) -> list[tuple[str, str]]:
    """Give method and what stands behind the repository, pings left out."""
    return [
        (request.method, request.path.partition(f"/v2/{NAME}/")[2])
        for request in registry.requests()
        if NAME in request.path
    ]


def signed(registry: Registry, subject: str, tag: str) -> str:
    """Store a small artifact about `subject` under `tag`; give its digest."""
    config = digest_of(b"{}")
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": SIGNATURE, "digest": config, "size": 2},
        "layers": [],
        "annotations": {"for": subject},
    }
    content = json.dumps(value).encode()
    with Client(registry) as client:
        push_blob(client, NAME, b"{}")
        return push_manifest(client, NAME, tag, Manifest(content, OCI_MANIFEST))

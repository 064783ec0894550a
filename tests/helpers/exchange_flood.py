"""One large blob through an exchange, as a program: what it cost in memory, as JSON on stdout.

`python -m tests.helpers.exchange_flood SKOPEO SIZE` copies an image with a layer of SIZE bytes,
which are made while they are read, into a store that takes its time and keeps none of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from image_tools.logins.auth_file import Credentials, auth_document
from image_tools.machine import run as process
from image_tools.machine.workspace import Workspace
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.tools.environment import child_environment, prepare_folders
from image_tools.tools.skopeo import OPEN_POLICY, CopyRequest, SkopeoSetting, copy_argv
from tests.helpers.content import compact
from tests.helpers.exchange_lab import running_lab
from tests.helpers.memory_store import MemoryStore, MemoryUpload

MIB = 1 << 20
PIECE = b"\x1f\x8b\x08\x00" + bytes(MIB // 4 - 4)
REST_AFTER, REST_SECONDS = 8 * MIB, 0.02
REPOSITORY = "big/app"


class MadeStore(MemoryStore):
    """A source whose layer is made while it is read."""

    def __init__(self, size: int) -> None:
        super().__init__("made.example")
        self.size, self.given = size, 0
        hasher = hashlib.sha256()
        for _ in range(size // len(PIECE)):
            hasher.update(PIECE)
        self.layer = Digest("sha256", hasher.hexdigest())

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        if digest == self.layer:
            return self.size
        return await super().blob_size(repository, digest)

    @asynccontextmanager
    async def blob(
        self, repository: str, digest: Digest, *, first: int = 0, last: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        if digest == self.layer:
            yield self._made()
        else:
            async with super().blob(repository, digest, first=first, last=last) as chunks:
                yield chunks

    async def _made(self) -> AsyncIterator[bytes]:
        for _ in range(self.size // len(PIECE)):
            self.given += len(PIECE)
            yield PIECE


class SlowStore(MemoryStore):
    """A destination that rests now and then, and keeps no byte of a large blob."""

    def __init__(self, source: MadeStore) -> None:
        super().__init__("slow.example")
        self.source, self.taken, self.ahead = source, 0, 0

    async def upload(self, repository: str) -> MemoryUpload:
        return SlowUpload(self, repository)


class SlowUpload(MemoryUpload):
    """Counts what comes; believes the digest it is told."""

    _store: SlowStore

    async def _receive(self, chunks: AsyncIterator[bytes]) -> None:
        store = self._store
        async for chunk in chunks:
            store.ahead = max(store.ahead, store.source.given - store.taken)
            if (store.taken + len(chunk)) // REST_AFTER > store.taken // REST_AFTER:
                await asyncio.sleep(REST_SECONDS)
            store.taken += len(chunk)

    def _end(self, digest: Digest) -> None:
        self._store.repositories[self._repository].blobs[digest] = b""
        self._store.open_uploads.remove(self)


def image(source: MadeStore) -> RawManifest:
    """Lay config and manifest into `source`; give the manifest."""
    config = compact({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers"}})
    value = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": str(source.add_blob(REPOSITORY, config)),
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": str(source.layer),
                "size": source.size,
            }
        ],
    }
    raw = RawManifest(media.OCI_MANIFEST, compact(value))
    source.add_manifest(REPOSITORY, raw)
    return raw


def memory(name: str) -> int:
    """Give a line of this process's status, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def flood(skopeo: str, size: int) -> dict[str, Any]:
    """Copy the image; give what the copy cost."""
    source = MadeStore(size)
    raw, destination = image(source), SlowStore(source)
    with running_lab(source, destination) as lab, Workspace.create(os.environ) as workspace:
        prepare_folders(workspace.path)
        login = auth_document({lab.exchange.address: Credentials(*lab.exchange.login)})
        setting = SkopeoSetting(
            skopeo=skopeo,
            policy=workspace.write_private("policy.json", OPEN_POLICY),
            authfile=workspace.write_private("auth.json", login),
            tmpdir=workspace.path / "tmp",
        )
        ends = lab.open_source(REPOSITORY), lab.open_destination(REPOSITORY)
        names = [lab.exchange.reference(end, f"@{raw.digest}") for end in ends]
        request = CopyRequest(setting=setting, source=names[0], destination=names[1])
        environment = child_environment(workspace.path, os.environ)
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before = memory("VmRSS")
        done = process.run(copy_argv(request), environment=environment, timeout=90)
        return {
            "returncode": done.returncode,
            "stderr": done.stderr,
            "read": lab.traffic.bytes_read,
            "taken": destination.taken,
            "ahead": destination.ahead,
            "growth": memory("VmHWM") - before,
        }


if __name__ == "__main__":
    print(json.dumps(flood(sys.argv[1], int(sys.argv[2]))))  # noqa: T201 - its one output
